"""Parts of the input file that can be decoded by themselves, as plain values.

Offsets are virtual file offsets, as in a BAM: the offset of a BGZF block in the file times 65,536,
plus an offset in the block's data (SAM specification, section 4.1.1). For a CRAM they are the
offsets of containers times 65,536.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from readcount.columns import Ints
from readcount.formats.bam_record import LAST_POSITION, NO_REFERENCE
from readcount.formats.cram import SEVERAL as SEVERAL
from readcount.source.files import IndexedFile

# In the place of the number of a reference sequence: that of unplaced records.
NO_SEQUENCE = NO_REFERENCE
# The bounds of a reference sequence as a span: a record without a position on its sequence (pos -1)
# overlaps it only if it reaches position 0.
WHOLE = (0, LAST_POSITION + 1)
# Those of the records without a reference sequence, whatever their position.
EVERYWHERE = (-2, LAST_POSITION + 1)


class Stretch(NamedTuple):
    """Consecutive records of the file that are on one reference sequence by the index.

    Attributes:
        begin: offset of the first record.
        end: offset after the last one.
        tid: number of the sequence, from 0; NO_SEQUENCE for unplaced records; SEVERAL where a
            CRAM keeps records of several together.
        tids: the numbers of all of these.
    """

    begin: int
    end: int
    tid: int
    tids: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """About its size in the file."""
        return bytes_between(self.begin, self.end)


class Edge(NamedTuple):
    """A place in the file between two records, and what has to be true of them.

    Attributes:
        offset: where the second record begins.
        before: number of the first record's reference sequence; None for any, or no record.
        max_end: exclusive bound of the first record, if it is on that sequence.
        after: number of the second record's sequence, NO_SEQUENCE also at the end of the file;
            None for any.
        min_start: first position, 0-based, of the second record, if it is on that sequence.
    """

    offset: int
    before: int | None = None
    max_end: int | None = None
    after: int | None = None
    min_start: int | None = None


class Part(NamedTuple):
    """A part of the file, from one record to another."""

    begin: Edge
    end: Edge

    @property
    def bytes(self) -> int:
        """About its size in the file."""
        return bytes_between(self.begin.offset, self.end.offset)


def tid_at(stretches: Sequence[Stretch], at: int) -> int:
    """Returns the number of the sequence of a stretch; NO_SEQUENCE before the first."""
    return stretches[at].tid if 0 <= at < len(stretches) else NO_SEQUENCE


def part_of(stretches: Sequence[Stretch], first: int, last: int) -> Part:
    """Returns the part from the beginning of one stretch to the end of another."""
    begin, end = stretches[first], stretches[last]
    return Part(
        Edge(begin.begin, before=tid_at(stretches, first - 1), after=begin.tid),
        Edge(end.end, before=end.tid, after=tid_at(stretches, last + 1))
        if end.tid != NO_SEQUENCE
        else Edge(end.end),
    )


class SpanColumns(NamedTuple):
    """Many spans, as columns; see Span."""

    tids: Ints
    starts: Ints
    ends: Ints


class SpanPlaces(NamedTuple):
    """Where the records are that may overlap some spans, as columns.

    Attributes:
        spans: index of a span; one that is nowhere has no records, one may be at several places.
        lows: offset of the first record.
        highs: offset after the last one.
        shared: stretches that hold records of several sequences, in the order of the file: they
            have to be read for spans on any of these.
    """

    spans: Ints
    lows: Ints
    highs: Ints
    shared: Sequence[Stretch] = ()


def bytes_between(begin: int, end: int) -> int:
    """Returns about how many bytes of the file are between two offsets; at least 1."""
    return max(1, (end >> 16) - (begin >> 16))


class Span(NamedTuple):
    """A span of a reference sequence; 0-based, half-open."""

    tid: int
    start: int
    end: int


class Extent(NamedTuple):
    """What some consecutive records should be, by the header of their container.

    Attributes:
        records: how many.
        span: in which they are; None where the header does not say.
    """

    records: int
    span: Span | None


class NotOnlySpanError(Exception):
    """Parts hold records that are not in the span in which all of them were expected."""


class Parts(Protocol):
    """A file of which parts can be decoded by themselves, for the processes of the Pool."""

    @property
    def file(self) -> IndexedFile:
        """The BAM or CRAM with its index."""

    @property
    def header(self) -> Path:
        """Path of a file with the header, without records."""

    def options(self, with_ends: bool, read_group: bool) -> list[str]:
        """Returns the options with which samtools decodes only what is needed of a record.

        Args:
            with_ends: whether the ends of records are needed, besides what decides a count.
            read_group: whether the read group of each record is needed.
        """

    def send(self, parts: Iterable[Part], only: Span | None, pipe: int, sent: list[Extent]) -> None:
        """Writes a file with the records of some parts to a pipe.

        Args:
            parts: in the order of the file.
            only: the span in which all records should begin; None for none.
            pipe: the file descriptor to write to.
            sent: takes what containers say of the records, in order, before they are sent; nothing
                for a BAM, where only decoding shows them.

        Raises:
            InputError: the file is not what the index says, or is corrupt.
            NotOnlySpanError: not all records are on `only`.
            BrokenPipeError: nobody reads from the pipe any more.
        """


class Layout(Protocol):
    """Where the index has the records of each reference sequence, for the plan."""

    @property
    def stretches(self) -> Sequence[Stretch]:
        """The stretches, in the order of the file; unplaced records are the last one."""

    @property
    def has_numbers(self) -> bool:
        """Whether the index has the number of records of each sequence."""

    def cuts(self, stretch: Stretch) -> Sequence[int]:
        """Returns offsets within a stretch at which a record begins by the index, rising."""

    def places(self, spans: SpanColumns) -> SpanPlaces:
        """Returns where the records are that may overlap some spans."""

    def inner(self, span: Span) -> tuple[int, int]:
        """Returns offsets between which all records begin in a span by the index."""
