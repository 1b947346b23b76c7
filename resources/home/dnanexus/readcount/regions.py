"""The regions of a BAM, from its header."""

from collections import Counter
from dataclasses import dataclass

import pysam

from readcount.errors import InputError
from readcount.inputs import IndexedBam


@dataclass(frozen=True)
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


def regions_from_header(bam: IndexedBam) -> list[Region]:
    """Gives one region per reference sequence, in header order; none if the header has none.

    Args:
        bam: any BAM with its index.

    Raises:
        InputError: the file is not one that pysam can read, or its header has the same name
            twice, which the SAM specification forbids (section 1.3, @SQ SN) and which leaves no
            way to ask for the second sequence.
    """
    try:
        with pysam.AlignmentFile(str(bam.path), "rb", check_sq=False) as alignments:
            contigs = alignments.references
    except (OSError, ValueError) as error:
        raise InputError(
            f"mappings_sorted_bam: {bam.name} cannot be read as a BAM file: {error}"
        ) from error
    repeated = [contig for contig, times in Counter(contigs).items() if times > 1]
    if repeated:
        raise InputError(
            f"mappings_sorted_bam: the header of {bam.name} names {repeated[0]} more than once."
        )
    return [Region(contig) for contig in contigs]
