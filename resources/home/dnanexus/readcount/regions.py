"""The regions of a BAM, from its header and its index."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pysam

from readcount.errors import InputError
from readcount.index import ContigIndex, read_index
from readcount.inputs import IndexedBam

_BED_NAME = re.compile(r"(?!(?:[.*]|track|browser)$)[^#\s]\S*")


@dataclass(frozen=True, slots=True)
class Region:
    """A reference sequence, or a span of one; positions are 0-based and half-open, as in pysam.

    Attributes:
        contig: name of the reference sequence (@SQ SN).
        start: first position; None for the beginning of the sequence.
        end: position after the last; None for everything from start on, even what lies beyond
            the length that the header gives.

    Raises:
        ValueError: the span is empty or begins before the sequence.
    """

    contig: str
    start: int | None = None
    end: int | None = None

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
        return f"{{{self.contig}}}{self._span()}"

    def _span(self) -> str:
        """The positions as text, 1-based and inclusive; nothing for a whole sequence."""
        if self.start is None and self.end is None:
            return ""
        return f":{(self.start or 0) + 1}-{'' if self.end is None else self.end}"


class Contig(NamedTuple):
    """A reference sequence; a tuple because there can be millions.

    Attributes:
        length: in bases, as the header has it; records may lie beyond.
        records: mapped and placed unmapped ones; None where the index does not say.
        offsets: see ContigIndex.
    """

    length: int
    records: int | None = None
    offsets: tuple[int, ...] = ()


def read_contigs(bam: IndexedBam) -> dict[str, Contig]:
    """Gives the reference sequences by name, in header order; none if the header has none.

    Names come from @SQ lines alone: SN: in other header lines is not a reference sequence.

    Args:
        bam: any BAM with its index. Where the two do not have the same number of sequences, the
            index is taken to say nothing.

    Raises:
        InputError: the file is not one that pysam can read, or its header has the same name
            twice, which the SAM specification forbids (section 1.3, @SQ SN) and which leaves no
            way to ask for the second sequence.
    """
    try:
        with pysam.AlignmentFile(str(bam.path), "rb", check_sq=False) as alignments:
            names, lengths = alignments.references, alignments.lengths
    except (OSError, ValueError) as error:
        raise InputError(
            f"mappings_sorted_bam: {bam.name} cannot be read as a BAM file: {error}"
        ) from error
    entries = read_index(Path(f"{bam.path}.bai"))
    if len(entries) != len(names):
        entries = [ContigIndex()] * len(names)
    contigs = {
        name: Contig(length, entry.records, entry.offsets)
        for name, length, entry in zip(names, lengths, entries, strict=True)
    }
    if len(contigs) != len(names):
        repeated = [name for name, times in Counter(names).items() if times > 1]
        raise InputError(
            f"mappings_sorted_bam: the header of {bam.name} names {repeated[0]} more than once."
        )
    return contigs


def fits_bed(contig: str) -> bool:
    """Whether a line of a BED file means this name to samtools, and nothing else.

    A name that begins with # makes a comment, a blank ends a name, `*` and `.` mean more than a
    reference sequence, and lines that begin with track or browser are for the genome browser.
    """
    return _BED_NAME.fullmatch(contig) is not None


def fits_span(contig: str) -> bool:
    """Whether samtools understands a span of this name: not if the name holds a closing brace."""
    return "}" not in contig
