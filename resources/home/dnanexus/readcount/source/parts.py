"""Parts of the input file that can be decoded separately, as plain values.

Offsets are virtual file offsets, as in a BAM: the offset of a BGZF block in the file times 65,536,
plus an offset in the block's data (SAM specification, section 4.1.1). For a CRAM they are the
offsets of containers times 65,536.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from readcount.columns import Ints
from readcount.formats.bam_record import LAST_POSITION
from readcount.formats.bam_record import NO_SEQUENCE as NO_SEQUENCE
from readcount.formats.cram import SEVERAL as SEVERAL
from readcount.request.filters import Filters
from readcount.source.files import IndexedFile

# A whole reference sequence as a span. A record with RNAME but no POS (pos -1) overlaps it only if
# it covers position 0.
WHOLE = (0, LAST_POSITION + 1)
# A span that all records without a reference sequence overlap, at any position.
EVERYWHERE = (-2, LAST_POSITION + 1)


class Stretch(NamedTuple):
    """Consecutive records that are on one reference sequence according to the index.

    Attributes:
        begin: offset of the first record.
        end: offset after the last record.
        tid: reference ID, from 0; NO_SEQUENCE for unplaced records; SEVERAL for a multi-reference
            container of a CRAM.
        tids: all reference IDs.
    """

    begin: int
    end: int
    tid: int
    tids: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Approximate size in the file."""
        return bytes_between(self.begin, self.end)


class Edge(NamedTuple):
    """A boundary between two records in the file, and what is expected of them.

    Attributes:
        offset: offset of the second record.
        before: reference ID of the first record; NO_SEQUENCE also if there is none; None for any.
        max_end: exclusive upper bound of the first record's end, if it is on that sequence.
        after: reference ID of the second record; NO_SEQUENCE also at the end of the file; None for
            any.
        min_start: lower bound of the second record's start, 0-based, if it is on that sequence.
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
        """Approximate size in the file."""
        return bytes_between(self.begin.offset, self.end.offset)


def tid_at(stretches: Sequence[Stretch], at: int) -> int:
    """Returns the reference ID of the stretch at an index; NO_SEQUENCE before the first."""
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
    """Locations of the records that may overlap some spans, as columns.

    Attributes:
        spans: index of a span; a span may have several rows, or none if it has no records.
        lows: offset of the first record of each row.
        highs: offset after the last record of each row.
        shared: stretches with records of several sequences, in file order; they have to be read for
            spans on any of these.
    """

    spans: Ints
    lows: Ints
    highs: Ints
    shared: Sequence[Stretch] = ()


def bytes_between(begin: int, end: int) -> int:
    """Returns the approximate number of bytes between two virtual offsets; at least 1."""
    return max(1, (end >> 16) - (begin >> 16))


class Span(NamedTuple):
    """A span of a reference sequence; 0-based, half-open."""

    tid: int
    start: int
    end: int


class Extent(NamedTuple):
    """Expected number and location of consecutive records, from their container's header.

    Attributes:
        records: number of records.
        span: the span that they are in; None if the header does not give it.
    """

    records: int
    span: Span | None


class NotOnlySpanError(Exception):
    """Parts contain records outside the span in which all were expected."""


class Parts(Protocol):
    """A file whose parts can be decoded separately by the processes of the Pool."""

    @property
    def file(self) -> IndexedFile:
        """The BAM or CRAM with its index."""

    @property
    def header(self) -> Path:
        """Path of a file with the header, without records."""

    @property
    def require_order(self) -> bool:
        """Whether records must be in order, because those of a span may otherwise be elsewhere."""

    @property
    def can_count_read_groups(self) -> bool:
        """Whether `samtools view -c` selects read groups correctly; else records are decoded."""

    def options(self, with_ends: bool, filters: Filters) -> list[str]:
        """Returns the options that make samtools decode only the needed fields of a record.

        Args:
            with_ends: whether the ends of records are needed.
            filters: which records to select.
        """

    def send(self, parts: Iterable[Part], only: Span | None, pipe: int, sent: list[Extent]) -> None:
        """Writes a complete file with the records of some parts to a pipe.

        Args:
            parts: the parts, in file order.
            only: the span in which all records should start; None to skip this check.
            pipe: the file descriptor to write to.
            sent: extents from container headers are appended to it, in order, before the records
                are sent; stays empty for a BAM.

        Raises:
            InputError: the file does not match its index, or is corrupt.
            NotOnlySpanError: not all records start in `only`.
            BrokenPipeError: the reader has closed the pipe.
        """


class Layout(Protocol):
    """Record locations of each reference sequence according to the index, for the plan."""

    @property
    def stretches(self) -> Sequence[Stretch]:
        """The stretches, in file order; the last one contains the unplaced records."""

    @property
    def has_numbers(self) -> bool:
        """Whether the index has the number of records of each sequence (metadata pseudo-bins)."""

    def cuts(self, stretch: Stretch) -> Sequence[int]:
        """Returns offsets within a stretch at which records start, from the index, ascending."""

    def places(self, spans: SpanColumns) -> SpanPlaces:
        """Returns the locations of the records that may overlap some spans."""

    def inner(self, span: Span) -> tuple[int, int]:
        """Returns offsets between which all records start in a span according to the index."""
