"""Parses the positions of the records in a BAM stream, many at a time.

pysam returns one record at a time, which takes longer than samtools takes to decode them. The
stream is read in pieces, so memory does not depend on the number of records.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from readcount.columns import Ints
from readcount.formats.bam_record import (
    CONSUME_REFERENCE,
    LAST_POSITION,
    READ_NAME,
    SIZE_BYTES,
    UNMAPPED,
)
from readcount.formats.bgzf import (
    END_BYTES,
    HEADER_BYTES,
    STORED_HEADER_BYTES,
    BlockError,
    block_bounds,
)

# The data of the empty block at the end of a file (SAM specification, section 4.1.2).
_NO_DATA = b"\3\0"
# First byte of a stored (uncompressed) deflate block, and the offset of its length (RFC 1951,
# section 3.2.4).
_NOT_COMPRESSED, _LENGTH_AT = 1, 1
# Bytes read at once: few at first, because many streams are short, then doubled each time up to the
# maximum.
FIRST_BYTES, PIECE_BYTES = 1 << 17, 1 << 23
_UINT32 = struct.Struct("<I")
# The beginning of a record (SAM specification, section 4.2).
_FIELDS = np.dtype(
    [
        ("block_size", "<u4"),
        ("refID", "<i4"),
        ("pos", "<i4"),
        ("l_read_name", "u1"),
        ("mapq", "u1"),
        ("bin", "<u2"),
        ("n_cigar_op", "<u2"),
        ("flag", "<u2"),
    ]
)


class Positions(NamedTuple):
    """The positions of some records.

    Attributes:
        tids: reference IDs; -1 for none.
        starts: first positions, 0-based.
        ends: positions after the last, at most LAST_POSITION + 1. A record that covers no base,
            such as a placed unmapped one, is treated as covering the one at its start, as in
            samtools (SAM specification, section 4.2.1).
    """

    tids: Ints
    starts: Ints
    ends: Ints


def read_positions(stream: IO[bytes]) -> Iterator[Positions]:
    """Yields the positions of the records, in stream order.

    Raises:
        ValueError, IndexError: the stream is truncated or corrupt.
    """
    pieces = _pieces(stream)
    yield from _read_records(_skip_header(pieces), pieces)


class _Piece(NamedTuple):
    """Some blocks of the stream.

    Attributes:
        data: consecutive blocks, possibly followed by more bytes; valid until the next piece.
        begins: offset of the payload of each block, compressed or stored.
        ends: end offset of each payload.
    """

    data: bytearray
    begins: Ints
    ends: Ints

    def content(self) -> bytes:
        """Returns the decompressed data of the blocks; raises ValueError if it is corrupt."""
        try:
            return b"".join(
                zlib.decompress(self.data[begin:end], -zlib.MAX_WBITS)
                for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True)
            )
        except zlib.error as error:
            raise ValueError(f"a block cannot be decompressed: {error}") from error


def _pieces(stream: IO[bytes]) -> Iterator[_Piece]:
    """Yields the blocks of a stream: few at first, later about PIECE_BYTES at a time."""
    data, filled, end_seen = bytearray(FIRST_BYTES), 0, False
    while True:
        filled += stream.readinto(memoryview(data)[filled:])  # type: ignore[attr-defined]
        try:
            bounds = np.array(block_bounds(data, 0, filled))
        except BlockError as error:
            raise ValueError("the stream contains data other than BGZF blocks") from error
        begins, ends = bounds[:-1] + HEADER_BYTES, bounds[1:] - END_BYTES
        has_data = ends - begins > len(_NO_DATA)
        if len(has_data):
            end_seen = not has_data[-1]
        yield _Piece(data, begins[has_data], ends[has_data])
        rest = data[bounds[-1] : filled]
        if filled < len(data):
            break
        if len(data) < PIECE_BYTES:
            data = bytearray(2 * len(data))
        filled = len(rest)
        data[:filled] = rest
    if rest:
        raise ValueError("the stream ends within a block")
    if not end_seen:
        raise ValueError("the stream ends without an end-of-file block")


def _skip_header(pieces: Iterator[_Piece]) -> bytes:
    """Returns the data after the header in the pieces that contain it."""
    data = b""
    for piece in pieces:
        data += piece.content()
        if data[:4] not in (b"BAM\1", b""):
            raise ValueError("the stream is not a BAM")
        try:
            return data[_header_end(data) :]
        except struct.error:
            continue
    raise ValueError("the stream ends within the header")


def _header_end(data: bytes) -> int:
    """Returns the offset of the end of a BAM header; raises struct.error if it is truncated."""
    at: int = 8 + _UINT32.unpack_from(data, 4)[0]
    (number,) = _UINT32.unpack_from(data, at)
    at += 4
    for _ in range(number):
        at += 8 + _UINT32.unpack_from(data, at)[0]
    if at > len(data):
        raise struct.error
    return at


def _read_records(rest: bytes, pieces: Iterator[_Piece]) -> Iterator[Positions]:
    nothing = np.zeros(0, np.int64)
    for piece in chain([_Piece(bytearray(), nothing, nothing)], pieces):
        in_blocks = None if rest else _records_in_blocks(piece)
        if in_blocks is not None:
            yield _positions(piece.data, in_blocks)
            continue
        data = rest + piece.content()
        offsets, end = _records_in(data)
        if offsets:
            yield _positions(data, np.array(offsets))
        rest = data[end:]
    if rest:
        raise ValueError("the stream ends within a record")


def _records_in_blocks(piece: _Piece) -> Ints | None:
    """Returns the offsets of the records in a piece; None unless samtools has written it.

    That is, blocks are stored uncompressed and no record crosses a block boundary, unless it is
    longer than a block. Then the records of all blocks are followed in parallel, which takes less
    than half of the time: step 0 finds the first record of each block, step 1 the second, ...

        block 0  |0   |1  |2     |      until each has come to the end of its block; one that has
        block 1  |0  |1 |2   |3  |      waits there for the others
    """
    data, begins, ends = piece
    if not len(begins):
        return None
    lengths = np.ndarray(len(data) - 1, "<u2", data, strides=(1,))[begins + _LENGTH_AT]
    stored = np.frombuffer(data, np.uint8)[begins] == _NOT_COMPRESSED
    if not (stored & (lengths == ends - begins - STORED_HEADER_BYTES)).all():
        return None
    sizes = np.ndarray(len(data) - 3, "<u4", data, strides=(1,))
    at, steps = begins + STORED_HEADER_BYTES, []
    while True:
        steps.append(at)
        after = at + sizes[at] + SIZE_BYTES
        if (after >= ends).any():
            after = np.where(at < ends, after, at)
            if (after > ends).any():
                return None
            if (after == ends).all():
                break
        at = after
    # One row per block, in file order.
    every = np.array(steps).T
    records = every[every < ends[:, np.newaxis]]
    return records if len(records) else None


def _records_in(data: bytes) -> tuple[list[int], int]:
    """Returns the offsets of the complete records, and the end of the last one."""
    offsets: list[int] = []
    append = offsets.append
    # Sizes are not aligned; one view per remainder is twice as fast as struct.
    views = [
        memoryview(data)[first : first + (len(data) - first) // 4 * 4].cast("I")
        for first in range(SIZE_BYTES)
    ]
    at, last = 0, len(data) - SIZE_BYTES
    while at <= last:
        append(at)
        at += SIZE_BYTES + views[at & 3][at >> 2]
    if at > len(data):
        at = offsets.pop()
    return offsets, at


def _positions(data: bytes | bytearray, at: Ints) -> Positions:
    """Returns the positions of the records at these offsets."""
    # Fields are not aligned, so the view has an item at every byte. Gathering bytes is faster than
    # gathering fields.
    every = np.ndarray(len(data) - _FIELDS.itemsize + 1, f"V{_FIELDS.itemsize}", data, strides=(1,))
    records = every[at].view(_FIELDS)
    # The CIGAR of an unmapped record is ignored.
    operations = records["n_cigar_op"] * (records["flag"] & UNMAPPED == 0)
    cigars = at + READ_NAME + records["l_read_name"]
    int32 = np.ndarray(len(data) - 3, "<i4", data, strides=(1,))
    spans = np.zeros(len(at), np.int64)
    # Most short reads have a single operation, which needs no summation.
    (one,) = np.nonzero(operations == 1)
    spans[one] = _covered(int32[cigars[one]])
    (more,) = np.nonzero(operations > 1)
    if len(more):
        spans[more] = _reference_spans(int32, cigars[more], operations[more].astype(np.int64))
    starts = records["pos"].astype(np.int64)
    ends = np.minimum(starts + np.maximum(spans, 1), LAST_POSITION + 1)
    return Positions(records["refID"].astype(np.int64), starts, ends)


def _reference_spans(int32: NDArray[np.int32], cigars: Ints, operations: Ints) -> Ints:
    """Returns the reference length of each CIGAR, given its offset and number of operations."""
    ends = np.cumsum(operations)
    number_in_cigar = np.arange(ends[-1]) - np.repeat(ends - operations, operations)
    covered = _covered(int32[np.repeat(cigars, operations) + 4 * number_in_cigar])
    return np.add.reduceat(covered, ends - operations)


def _covered(encoded: NDArray[np.int32]) -> Ints:
    """Returns the reference length of each encoded CIGAR operation."""
    operation = encoded.view(np.uint32)
    consumes = (CONSUME_REFERENCE >> (operation & 0xF)) & 1
    covered: Ints = (operation >> 4).astype(np.int64) * consumes
    return covered
