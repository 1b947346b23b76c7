"""The header of the input file, read with pysam."""

import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pysam

from readcount.errors import InputError
from readcount.formats.bam_record import NO_REFERENCE
from readcount.formats.bgzf import END_OF_FILE, stored_blocks
from readcount.formats.content import header_fields
from readcount.request.filters import Filters
from readcount.request.region import NO_ALIASES, UNPLACED
from readcount.text import shorten

_UINT32 = struct.Struct("<I")
_READ_GROUP = re.compile(r"\n@RG\t(.*)")
_SEQUENCE_WITH_ALIAS = re.compile(r"\n(@SQ(?:\t.*)?\tAN:.*)")


class Header(NamedTuple):
    """The header of a BAM or CRAM.

    Attributes:
        names: of the reference sequences, from @SQ lines alone: SN: in other lines is not one.
        lengths: of each, in bases.
        sort_order: SO of the @HD line; "unknown", as the specification has it, where it is not.
        end: virtual file offset of the first record of a BAM; None for a CRAM.
        read_groups: ID of each @RG line.
        aliases: names of reference sequences by their alternative names (AN of the @SQ lines; SAM
            specification, section 1.3). Without those that are the name of a sequence.
    """

    names: tuple[str, ...]
    lengths: tuple[int, ...]
    sort_order: str
    end: int | None
    read_groups: tuple[str, ...] = ()
    aliases: Mapping[str, str] = NO_ALIASES

    def name_of(self, tid: int) -> str:
        """Returns the name of a reference sequence, or that of unplaced records, by its number."""
        return self.names[tid] if tid >= 0 else UNPLACED.contig


def read_header(path: Path) -> Header:
    """Reads the header of a BAM or CRAM.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    with _opened(path) as alignments:
        # A line feed before each line. There may be a million: none is looked at without a reason.
        text = f"\n{alignments.header}"
        first_line = text[1:].partition("\n")[0].split("\t")
        order = next((field[3:] for field in first_line if field.startswith("SO:")), "unknown")
        return Header(
            names=alignments.references,
            lengths=alignments.lengths,
            sort_order=order if first_line[0] == "@HD" else "unknown",
            end=None if alignments.is_cram else alignments.tell(),
            read_groups=tuple(
                field[3:]
                for line in _READ_GROUP.findall(text)
                for field in line.split("\t")
                if field.startswith("ID:")
            ),
            aliases=_aliases(text, set(alignments.references)),
        )


@contextmanager
def _opened(path: Path) -> Iterator[pysam.AlignmentFile]:
    """Opens a BAM or CRAM, without an index."""
    # htslib complains of an index that is not beside a CRAM.
    verbosity = pysam.set_verbosity(0)
    try:
        with pysam.AlignmentFile(str(path), check_sq=False) as alignments:
            pysam.set_verbosity(verbosity)
            yield alignments
    finally:
        pysam.set_verbosity(verbosity)


def _aliases(text: str, names: Set[str]) -> Mapping[str, str]:
    """Returns names by alternative names; the first sequence with one has it, as in samtools."""
    aliases: dict[str, str] = {}
    for line in _SEQUENCE_WITH_ALIAS.findall(text) if "\tAN:" in text else ():
        fields = header_fields(line)
        for alias in fields["AN"].split(","):
            if alias not in names:
                aliases.setdefault(alias, fields["SN"])
    return aliases


def repeated_name(header: Header) -> str | None:
    """Returns a name that several reference sequences have; None if there is none."""
    return next((name for name, times in Counter(header.names).items() if times > 1), None)


def check_read_groups(header: Header, filters: Filters, name: str) -> None:
    """Raises InputError for a read group that is not in the header.

    Args:
        header: of the file.
        filters: which read groups to count.
        name: of the file.
    """
    unknown = [group for group in filters.read_groups if group not in header.read_groups]
    if unknown:
        known = shorten(", ".join(header.read_groups) or "none", 160)
        raise InputError(
            f"read_groups: {name} has no read group {shorten(repr(unknown[0]), 60)}. Give the ID "
            f"of an @RG line of its header; it has: {known}."
        )


def record_of(header: Path, tid: int) -> str:
    """Returns "a record of" a reference sequence.

    Args:
        header: a BAM or CRAM without records.
        tid: number of the sequence, which it may not have.
    """
    if tid == NO_REFERENCE:
        return "no placed record"
    with _opened(header) as alignments:
        if not 0 <= tid < alignments.nreferences:
            return "a record of another reference sequence"
        return f"a record of {shorten(alignments.get_reference_name(tid), 60)}"


def write_bam_header(path: Path, names: Sequence[str], lengths: Sequence[int]) -> None:
    """Writes a BAM without records, and without the text of its header.

    Args:
        path: of the BAM.
        names: of the reference sequences.
        lengths: of each, in bases.
    """
    sequences = [
        _UINT32.pack(len(name.encode()) + 1) + name.encode() + b"\0" + _UINT32.pack(length)
        for name, length in zip(names, lengths, strict=True)
    ]
    content = b"BAM\1" + _UINT32.pack(0) + _UINT32.pack(len(names)) + b"".join(sequences)
    path.write_bytes(stored_blocks(content) + END_OF_FILE)
