"""Which records count: filters as `samtools view` has them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from readcount.errors import InputError, shorten

# As `samtools flags` names them; SAM specification, section 1.4.
FLAGS = {
    "PAIRED": 0x1,
    "PROPER_PAIR": 0x2,
    "UNMAP": 0x4,
    "MUNMAP": 0x8,
    "REVERSE": 0x10,
    "MREVERSE": 0x20,
    "READ1": 0x40,
    "READ2": 0x80,
    "SECONDARY": 0x100,
    "QCFAIL": 0x200,
    "DUP": 0x400,
    "SUPPLEMENTARY": 0x800,
}
# FLAG has 16 bits and MAPQ 8 (SAM specification, section 4.2).
HIGHEST_FLAG = 0xFFFF
HIGHEST_MAPPING_QUALITY = 0xFF
# Decimal, hexadecimal and octal numbers, as in C.
_NUMBERS = {r"0x[0-9a-f]+": 16, r"0[0-7]+": 8, r"0|[1-9][0-9]*": 10}


@dataclass(frozen=True)
class Selection:
    """What a record must be like to count; by default each one counts.

    Attributes:
        min_mapping_quality: the least MAPQ.
        require_flags: bits of FLAG that have to be set, all of them.
        exclude_flags: bits of FLAG none of which may be set.
        read_groups: those that the record's RG tag may name; none for any, and for no tag.
    """

    min_mapping_quality: int = 0
    require_flags: int = 0
    exclude_flags: int = 0
    read_groups: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether every record counts."""
        return self == EVERYTHING

    def as_samtools(self) -> list[str]:
        """The options of `samtools view`.

        Read groups go by tag: with -r and -R records without a read group would count too.
        """
        options = []
        if self.min_mapping_quality:
            options += ["-q", str(self.min_mapping_quality)]
        if self.require_flags:
            options += ["-f", f"{self.require_flags:#x}"]
        if self.exclude_flags:
            options += ["-F", f"{self.exclude_flags:#x}"]
        for name in self.read_groups:
            options += ["-d", f"RG:{name}"]
        return options

    def __str__(self) -> str:
        conditions = []
        if self.min_mapping_quality:
            conditions.append(f"mapping quality {self.min_mapping_quality} or more")
        if self.require_flags:
            conditions.append(f"with {_names(self.require_flags)}")
        if self.exclude_flags:
            conditions.append(f"without {_names(self.exclude_flags)}")
        if self.read_groups:
            conditions.append(f"read group {' or '.join(self.read_groups)}")
        return ", ".join(conditions) or "every record"


EVERYTHING = Selection()


def make_selection(
    min_mapping_quality: int = 0,
    require_flags: str = "",
    exclude_flags: str = "",
    read_groups: Sequence[str] = (),
) -> Selection:
    """Understands filters as a user gives them.

    Args:
        min_mapping_quality: from 0 to 255.
        require_flags: a number, or names with commas between; see parse_flags.
        exclude_flags: the same.
        read_groups: names.

    Raises:
        InputError: one of them cannot be understood.
    """
    if not 0 <= min_mapping_quality <= HIGHEST_MAPPING_QUALITY:
        raise InputError(
            f"min_mapping_quality: {min_mapping_quality} is no mapping quality. Give a number from "
            f"0 to {HIGHEST_MAPPING_QUALITY}."
        )
    for name in read_groups:
        if not re.fullmatch(r"[ -~]+", name):
            raise InputError(
                f"read_groups: {shorten(repr(name), 80)} cannot be the name of a read group. Give "
                "the ID of an @RG line of the file's header ('samtools view -H' shows them)."
            )
    return Selection(
        min_mapping_quality,
        parse_flags("require_flags", require_flags),
        parse_flags("exclude_flags", exclude_flags),
        tuple(dict.fromkeys(read_groups)),
    )


def parse_flags(field: str, text: str) -> int:
    """Gives the bits of FLAG that a text stands for, which `samtools flags` would print.

    Args:
        field: the input's name, for the error.
        text: a decimal, hexadecimal (0x) or octal (0) number, or names in upper or lower case
            with commas between them; nothing stands for no bits.

    Raises:
        InputError: it is neither.
    """
    text = text.strip()
    for pattern, base in _NUMBERS.items():
        if re.fullmatch(pattern, text, re.IGNORECASE):
            number = int(text, base)
            if number > HIGHEST_FLAG:
                raise InputError(
                    f"{field}: {shorten(text, 40)} is too large. A number of flags is at most "
                    f"{HIGHEST_FLAG}."
                )
            return number
    flags = 0
    for name in text.split(",") if text else []:
        try:
            flags |= FLAGS[name.strip().upper()]
        except KeyError:
            raise InputError(
                f"{field}: there is no flag {shorten(repr(name.strip()), 40)}. Give a number, or "
                f"names of {', '.join(FLAGS)} with commas between them."
            ) from None
    return flags


def _names(flags: int) -> str:
    known = [name for name, bit in FLAGS.items() if flags & bit]
    other = flags & ~sum(FLAGS.values())
    return ",".join([*known, *([f"{other:#x}"] if other else [])])
