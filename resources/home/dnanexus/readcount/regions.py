"""The regions of a BAM, from its header and its index."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pysam

from readcount.index import Entry

# The highest position in a BAM, where positions are 32-bit (SAM specification, section 4.2).
LAST_POSITION = 2**31 - 1
_BED_NAME = re.compile(r"(?!(?:[.*]|track|browser)$)[^#\s]\S*")


@dataclass(frozen=True, slots=True)
class Region:
    """A reference sequence, or a span of one; positions are 0-based and half-open, as in pysam.

    Attributes:
        contig: name of the reference sequence (@SQ SN).
        start: first position; None for the beginning of the sequence.
        end: position after the last; None for everything from start on, even what lies beyond
            the length that the header gives.
        name: what else it is called, in a BED file.
        placed: false only for UNPLACED.

    Raises:
        ValueError: the span is empty or begins before the sequence.
    """

    contig: str
    start: int | None = None
    end: int | None = None
    name: str = ""
    placed: bool = True

    def __post_init__(self) -> None:
        first = self.start or 0
        if first < 0 or (self.end is not None and self.end <= first):
            raise ValueError(f"not a span of {self.contig}: from {self.start} to {self.end}")

    def __str__(self) -> str:
        return self.contig + self._span()

    def as_samtools(self) -> str:
        """The region as samtools takes it, the name in braces.

        Without braces a colon in a name, which the SAM specification allows (section 1.2.1),
        may be read as the beginning of a span; see "Regions" in the samtools-view manual.
        """
        if not self.placed:
            return self.contig
        return f"{{{self.contig}}}{self._span()}"

    @property
    def whole(self) -> bool:
        """Whether it is all of a reference sequence."""
        return self.placed and self.start is None and self.end is None

    def _span(self) -> str:
        """The positions as text, 1-based and inclusive; nothing if there are none."""
        if self.start is None and self.end is None:
            return ""
        return f":{(self.start or 0) + 1}-{'' if self.end is None else self.end}"


# The records without a place, which are behind all others, by their name in samtools.
UNPLACED = Region("*", placed=False)


class Contig(NamedTuple):
    """A reference sequence; a tuple because there can be millions.

    Attributes:
        length: in bases, as the header has it; records may lie beyond.
        records: mapped and placed unmapped ones; None where the index does not say.
        offsets: see ContigIndex.
        begin: see ContigIndex.
        end: see ContigIndex.
        reach: see ContigIndex.
        entry: see ContigIndex.
        expected: see ContigIndex.
    """

    length: int
    records: int | None = None
    offsets: tuple[int, ...] = ()
    begin: int | None = None
    end: int | None = None
    reach: int | None = None
    entry: Entry | None = None
    expected: float | None = None


class Header(NamedTuple):
    """What the header of a BAM says, and the index of the file as a whole.

    Attributes:
        names: of the reference sequences, from @SQ lines alone: SN: elsewhere is none.
        lengths: of each, in bases.
        sort_order: SO of the @HD line; "unknown", as the specification has it, where it is not.
        end: virtual file offset of the first record of a BAM; None for a CRAM.
        read_groups: ID of each @RG line.
        unplaced: records without a place by the index; None where it does not say, or was not read.
    """

    names: tuple[str, ...]
    lengths: tuple[int, ...]
    sort_order: str
    end: int | None
    read_groups: tuple[str, ...] = ()
    unplaced: int | None = None


def read_header(path: Path) -> Header:
    """Reads the header of a BAM or CRAM.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    # Of an index that is not beside a CRAM, htslib says what looks like an error.
    verbosity = pysam.set_verbosity(0)
    with pysam.AlignmentFile(str(path), check_sq=False) as alignments:
        pysam.set_verbosity(verbosity)
        lines = str(alignments.header).split("\n")
        first_line = lines[0].split("\t")
        order = next((field[3:] for field in first_line if field.startswith("SO:")), "unknown")
        return Header(
            names=alignments.references,
            lengths=alignments.lengths,
            sort_order=order if first_line[0] == "@HD" else "unknown",
            end=None if alignments.is_cram else alignments.tell(),
            read_groups=tuple(
                field[3:]
                for line in lines
                if line.startswith("@RG\t")
                for field in line.split("\t")
                if field.startswith("ID:")
            ),
        )


def fits_bed(contig: str) -> bool:
    """Whether a line of a BED file means this name to samtools, and nothing else.

    A name that begins with # makes a comment, a blank ends a name, `*` and `.` mean more than a
    reference sequence, and lines that begin with track or browser are for the genome browser.
    """
    return _BED_NAME.fullmatch(contig) is not None


def fits_span(contig: str) -> bool:
    """Whether samtools understands a span of this name: not if the name holds a closing brace."""
    return "}" not in contig
