"""Sends parts of a BAM to samtools as a complete BAM."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from readcount.errors import InputError
from readcount.formats.bam_record import (
    LOOKBACK_BYTES,
    NO_POSITION,
    NO_SEQUENCE,
    Placement,
    Read,
    record_at,
    record_before,
    record_near,
    tids_from,
)
from readcount.formats.bgzf import END_OF_FILE, MAX_BLOCK_BYTES, BlockError, block_at, stored_blocks
from readcount.request.filters import Filters
from readcount.source.files import IndexedFile
from readcount.source.header import record_of
from readcount.source.parts import Edge, Extent, NotOnlySpanError, Part, Span, Stretch
from readcount.source.readers import Reader, Stream, write_all

# Both ends of a part smaller than this are checked before any of it is sent.
SMALL_PART_BYTES = 4 * MAX_BLOCK_BYTES
# Up to this size, all unplaced records are checked.
FEW_UNPLACED_BYTES = 1 << 18
# Number of positions at which to look for placed records after unplaced ones.
UNPLACED_PLACES = 3


@dataclass(frozen=True)
class BamParts:
    """A BAM whose parts can be decoded separately; see Parts.

    The blocks of a part are sent unchanged, except the first and the last, from which the records
    of other parts are removed. samtools fails unless the last record ends where the part ends; this
    proves that the next part begins with a record.

    Attributes:
        file: the BAM with its index.
        header: path of a BAM without records and header text, with the same reference sequences.
        first: virtual file offset of the first record.
    """

    file: IndexedFile
    header: Path
    first: int

    require_order = True
    can_count_read_groups = True

    def options(self, with_ends: bool, filters: Filters) -> list[str]:
        """Returns no options: all fields of a BAM record are decoded together."""
        return []

    def send(self, parts: Iterable[Part], only: Span | None, pipe: int, sent: list[Extent]) -> None:
        """Writes a BAM with the records of some parts to a pipe; see Parts."""
        write_all(pipe, self.header.read_bytes().removesuffix(END_OF_FILE))
        with record_errors(self.file):
            for part in parts:
                self._send_part(part, only, pipe)
        write_all(pipe, END_OF_FILE)

    def _send_part(self, part: Part, only: Span | None, pipe: int) -> None:
        """Sends the records of a part, and checks those next to its ends.

        blocks  |----------|----------|----------|----------|
        part         [------------------------------)
        sent         {rest}|----------|----------|{begin}       {}: in blocks of their own
        """
        first, last = part.begin.offset >> 16, part.end.offset >> 16
        # A record that ends at the start of the first block is in the blocks before it.
        before = LOOKBACK_BYTES if part.begin.before is not None else 0
        start = max(self.first >> 16, first - before)
        with self.file.mappings.stream(start, last + 2 * MAX_BLOCK_BYTES) as stream:
            read = _reading_ahead(stream, self.file.mappings)
            self._check_begin(part.begin, only, read)
            if small := last - start < SMALL_PART_BYTES:
                self._check_end(part.end, only, read)
            stream.skip(first - start)
            _send_first_block(stream, part, pipe)
            if not small:
                stream.send(last - LOOKBACK_BYTES - stream.offset, pipe)
                self._check_end(part.end, only, read)
            _send_last_blocks(stream, part, pipe)

    def check_edge(self, edge: Edge) -> None:
        """Raises InputError unless the records before and after an edge are as expected."""
        with record_errors(self.file):
            self._check(edge, self.file.mappings.read)

    def check_unplaced(self, stretch: Stretch) -> None:
        """Raises InputError if placed records follow unplaced ones: the file is not sorted.

        Checks all records if they are few, else the last record of the file and some in between.
        """
        read, size = self.file.mappings.read, self.file.mappings.size
        with record_errors(self.file):
            if record_at(read, stretch.begin, size) is None:
                return
            begin = stretch.begin >> 16
            if size - begin <= FEW_UNPLACED_BYTES:
                for tid in tids_from(read, stretch.begin, size):
                    if tid != NO_SEQUENCE:
                        raise self._mismatch(NO_SEQUENCE, tid)
                return
            step = (size - begin) // (UNPLACED_PLACES + 1)
            places = [begin + step * number for number in range(1, UNPLACED_PLACES + 1)]
            looks = [partial(record_near, read, at, size) for at in places]
            looks.append(partial(record_before, read, size << 16, self.first))
            for record in self.file.mappings.map(lambda look: look(), looks):
                if record and record.tid != NO_SEQUENCE:
                    raise self._mismatch(NO_SEQUENCE, record.tid)

    def _check_begin(self, edge: Edge, only: Span | None, read: Read) -> None:
        _, after = self._check(edge, read)
        if only and after and after.tid == only.tid and after.start < only.start:
            raise NotOnlySpanError

    def _check_end(self, edge: Edge, only: Span | None, read: Read) -> None:
        """Raises NotOnlySpanError also if the record after the part starts after the span.

        Then some records of the part may do so too, even if the last one is not checked.
        """
        for one in self._check(edge, read):
            if only and one and one.tid == only.tid and one.start >= only.end:
                raise NotOnlySpanError

    def _check(self, edge: Edge, read: Read) -> tuple[Placement | None, Placement | None]:
        """Returns the placements of the records next to an edge, where it has expectations."""
        return self._check_before(edge, read), self._check_after(edge, read)

    def _check_before(self, edge: Edge, read: Read) -> Placement | None:
        if edge.before is None:
            return None
        found = record_before(read, edge.offset, self.first)
        tid = NO_SEQUENCE if found is None else found.tid
        if tid != edge.before:
            raise self._mismatch(edge.before, tid)
        if found and edge.max_end is not None and found.end > edge.max_end:
            raise self._misplaced(found, "before")
        return found

    def _check_after(self, edge: Edge, read: Read) -> Placement | None:
        if edge.after is None:
            return None
        found = record_at(read, edge.offset, self.file.mappings.size)
        tid = NO_SEQUENCE if found is None else found.tid
        if tid != edge.after:
            raise self._mismatch(edge.after, tid)
        if found and edge.min_start is not None and found.start < edge.min_start:
            if found.start == NO_POSITION:
                raise self._no_position(found)
            raise self._misplaced(found, "after")
        return found

    def _mismatch(self, expected: int, found: int) -> InputError:
        names = [record_of(self.header, tid) for tid in (expected, found)]
        return self.file.mismatch(f"where the index has {names[0]}, the file has {names[1]}")

    def _no_position(self, found: Placement) -> InputError:
        """Returns the error for a record that the index counts, but that is in no region."""
        return InputError(
            f"counts_from: {self.file.name} has {record_of(self.header, found.tid)} without a "
            "position, which the index counts, but no region has. Set counts_from to 'records'."
        )

    def _misplaced(self, found: Placement, side: str) -> InputError:
        return self.file.mismatch(
            f"{record_of(self.header, found.tid)} at position {found.start + 1:,} is {side} the "
            "place at which the index has it"
        )


@contextmanager
def record_errors(file: IndexedFile) -> Iterator[None]:
    """Raises InputError if there is no record or block at an offset from the index."""
    try:
        yield
    except BlockError as error:
        what = "no record can be read where the index has one"
        raise file.corrupt_or_mismatch(what, f"at byte {error}") from error
    except EOFError as error:
        what = "the file ends before the index does"
        raise file.corrupt_or_mismatch(what) from error


def _reading_ahead(stream: Stream, mappings: Reader) -> Read:
    """Returns a function that reads the file, from a stream's lookahead where possible."""

    def read(start: int, size: int) -> bytes:
        size = min(size, mappings.size - start)
        ahead = start - stream.offset
        found = stream.peek(ahead + size)[ahead:] if ahead >= 0 else b""
        missing = size - len(found)
        return found + mappings.read(start + len(found), missing) if missing > 0 else found

    return read


def _send_first_block(stream: Stream, part: Part, pipe: int) -> None:
    """Sends the rest of the first block if the part begins within it."""
    within = part.begin.offset & 0xFFFF
    if within == 0 or stream.offset == part.end.offset >> 16:
        return
    content, size = block_at(stream.peek(MAX_BLOCK_BYTES), 0, stream.offset)
    if within > len(content):
        raise BlockError(stream.offset)
    write_all(pipe, stored_blocks(content[within:]))
    stream.skip(size)


def _send_last_blocks(stream: Stream, part: Part, pipe: int) -> None:
    """Sends the last blocks of a part; the stream is at or before the last block."""
    begin, end = part.begin.offset, part.end.offset
    stream.send((end >> 16) - stream.offset, pipe)
    first = begin & 0xFFFF if begin >> 16 == end >> 16 else 0
    last = end & 0xFFFF
    if last > first:
        content, _ = block_at(stream.peek(MAX_BLOCK_BYTES), 0, stream.offset)
        if last > len(content):
            raise BlockError(stream.offset)
        write_all(pipe, stored_blocks(content[first:last]))
