"""Which records count: the filters of `samtools view`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from readcount.errors import InputError
from readcount.samtools import flag_names, parse_flags
from readcount.text import shorten

# MAPQ has 8 bits (SAM specification, section 4.2).
MAX_MAPPING_QUALITY = 0xFF
# Key in the `details` of a count table on the platform, which are not part of the file itself: the
# options of `samtools view` for the filters.
OPTIONS_DETAIL = "samtools_view_options"


@dataclass(frozen=True)
class Filters:
    """Conditions that a record has to meet to be counted; by default there are none.

    Attributes:
        min_mapping_quality: minimum MAPQ.
        require_flags: FLAG bits that must all be set.
        exclude_flags: FLAG bits of which none may be set.
        read_groups: accepted values of the RG tag; if empty, any value or no tag.
    """

    min_mapping_quality: int = 0
    require_flags: int = 0
    exclude_flags: int = 0
    read_groups: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether every record counts."""
        return self == NO_FILTERS

    def as_samtools(self) -> list[str]:
        """The options of `samtools view`.

        Read groups are selected by tag (-d), because -r and -R also select records without a read
        group.
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

    def as_details(self) -> dict[str, object]:
        """Returns the `details` of a count table on the platform, with the filters used."""
        return {OPTIONS_DETAIL: self.as_samtools()}

    def __str__(self) -> str:
        conditions = []
        if self.min_mapping_quality:
            conditions.append(f"mapping quality {self.min_mapping_quality} or more")
        if self.require_flags:
            conditions.append(f"with {flag_names(self.require_flags)}")
        if self.exclude_flags:
            conditions.append(f"without {flag_names(self.exclude_flags)}")
        if self.read_groups:
            conditions.append(f"read group {' or '.join(self.read_groups)}")
        return ", ".join(conditions) or "all records"


NO_FILTERS = Filters()


def make_filters(
    min_mapping_quality: int = 0,
    require_flags: str = "",
    exclude_flags: str = "",
    read_groups: Sequence[str] = (),
) -> Filters:
    """Returns the filters for the user's input.

    Args:
        min_mapping_quality: from 0 to 255.
        require_flags: a number, or comma-separated names; see parse_flags.
        exclude_flags: like require_flags.
        read_groups: read group IDs (@RG ID).

    Raises:
        InputError: one of them is not valid.
    """
    if not 0 <= min_mapping_quality <= MAX_MAPPING_QUALITY:
        raise InputError(
            f"min_mapping_quality: {min_mapping_quality} is not a mapping quality. Use a number "
            f"from 0 to {MAX_MAPPING_QUALITY}."
        )
    for name in read_groups:
        if not re.fullmatch(r"[ -~]+", name):
            raise InputError(
                f"read_groups: {shorten(repr(name), 80)} is not a valid read group ID. Use "
                "the ID of an @RG line of the header ('samtools view -H' shows them)."
            )
    return Filters(
        min_mapping_quality,
        parse_flags("require_flags", require_flags),
        parse_flags("exclude_flags", exclude_flags),
        tuple(dict.fromkeys(read_groups)),
    )
