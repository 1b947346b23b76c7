"""A region: a reference sequence, or a span of one."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from readcount.formats.bam_record import UNPLACED_NAME
from readcount.source.sequences import SequenceDictionary
from readcount.text import shorten

# Bits for the position when reference ID and position are combined into one integer.
POSITION_BITS = 32
# Maximum number of reference sequence names shown in a message.
NAMES_IN_MESSAGE = 3


@dataclass(frozen=True, slots=True)
class Region:
    """A reference sequence, or a span of one; positions are 0-based and half-open, as in pysam.

    Attributes:
        contig: name of the reference sequence (@SQ SN).
        start: first position; None for the beginning of the sequence.
        end: position after the last; None for everything from start on, even beyond the length in
            the header.
        name: name of the interval, from a BED file.
        placed: False only for UNPLACED.
        alias: the alternative name (@SQ AN) given by the user, if any.

    Raises:
        ValueError: the span is empty or starts before the sequence.

    >>> str(Region("chr1", 999, 2000))
    'chr1:1000-2000'
    """

    contig: str
    start: int | None = None
    end: int | None = None
    name: str = ""
    placed: bool = True
    alias: str = ""

    def __post_init__(self) -> None:
        first = self.start or 0
        if first < 0 or (self.end is not None and self.end <= first):
            raise ValueError(f"not a span of {self.contig}: from {self.start} to {self.end}")

    def __str__(self) -> str:
        name = self.alias or self.contig
        if self.start is None and self.end is None:
            return name
        return f"{name}:{(self.start or 0) + 1}-{'' if self.end is None else self.end}"


# The unplaced records (no position), which come last in a sorted file.
UNPLACED = Region(UNPLACED_NAME, placed=False)


class RegionError(ValueError):
    """What is wrong with a region and what to do; the caller adds the input field and line."""


def span_on(
    given: str, start: int, end: int | None, sequences: SequenceDictionary, name: str = ""
) -> Region:
    """Returns a region on a reference sequence, 0-based and half-open.

    Args:
        given: name or alternative name of the sequence.
        start: first position.
        end: position after the last; None for everything from start on.
        sequences: the reference sequences.
        name: name of the region.

    Raises:
        RegionError: there is no such sequence, or the span is empty or extends beyond it.
    """
    contig = require_known(given, sequences)
    length = sequences.lengths[contig]
    if end is not None and end <= start:
        raise RegionError("is empty: its end is not after its start.")
    if max(start + 1, end or 0) > length:
        raise RegionError(
            f"extends beyond the end of {shorten(contig, 60)} ({length:,} bp). Was it made for "
            "another reference genome?"
        )
    return Region(contig, start, end, name=name, alias="" if given == contig else given)


def require_known(given: str, sequences: SequenceDictionary) -> str:
    """Returns the name of a sequence; raises RegionError if there is none with this name."""
    name = sequences.name_of(given)
    if name is None:
        similar = similar_name(given, [*sequences.lengths, *sequences.aliases])
        hint = f" Did you mean {shorten(similar, 60)}?" if similar else ""
        raise RegionError(
            f"refers to {shorten(repr(given), 60)}, which is not in the header of the BAM or CRAM."
            f"{hint} It contains {some_of(sequences.lengths)}."
        )
    return name


def similar_name(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that was probably meant; None if there is none.

    The names may differ in case, in the prefix chr, and in M or MT for the mitochondrial genome. If
    several names match, the first is returned.

    >>> similar_name("CHR1", ["chr1", "chrM"]), similar_name("MT", ["chr1", "chrM"])
    ('chr1', 'chrM')
    """
    wanted = _simplified(name)
    return next((other for other in known if _simplified(other) == wanted), None)


def _simplified(name: str) -> str:
    """Returns a name in the form used to compare the names of different reference genomes."""
    simple = name.lower().removeprefix("chr")
    return "m" if simple == "mt" else simple


def some_of(names: Collection[str]) -> str:
    """Returns the first few of some names, for a message."""
    first = [shorten(name, 40) for name, _ in zip(names, range(NAMES_IN_MESSAGE), strict=False)]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more:,} more" if more else "") if first else "none"
