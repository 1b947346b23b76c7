"""Where the records of a BAM stream are, many at a time.

pysam gives one record after the other, which takes longer than samtools takes to decode them. The
stream is read in pieces, so that memory does not depend on how many records there are.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of a BGZF block up to its size less 1, and what follows its data (SAM specification, section 4.1).
_BLOCK_HEADER, _SIZE, _BLOCK_END = 18, slice(16, 18), 8
# The data of a block, at most; as the size of a buffer it saves zlib to enlarge one.
_MOST_IN_BLOCK = 1 << 16
# What is looked at together: it stays in the cache.
PIECE_BYTES = 1 << 21
_UINT32 = struct.Struct("<I")
# The beginning of a record, and where its read name begins (SAM specification, section 4.2).
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
_SIZE_BYTES, _READ_NAME = 4, 36
_UNMAPPED = 0x4
# CIGAR operations that consume the reference: M, D, N, = and X (section 1.4.6), as bits.
_CONSUME_REFERENCE = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 7 | 1 << 8

Ints = NDArray[np.int64]


class Positions(NamedTuple):
    """Where some records are.

    Attributes:
        contigs: numbers of their reference sequences in the header; -1 for none.
        starts: their first positions, 0-based.
        ends: the positions after their last. A record that covers none, such as a placed unmapped
            one, counts as covering the one at which it is placed, as in samtools (SAM
            specification, section 4.2.1).
    """

    contigs: Ints
    starts: Ints
    ends: Ints


def read_positions(stream: IO[bytes]) -> tuple[list[str], Iterator[Positions]]:
    """Returns the names of the reference sequences, and where the records are, as they come.

    Raises:
        ValueError: the stream is truncated or corrupt; also while it is iterated over.
    """
    pieces = _pieces(stream)
    names, rest = _read_header(pieces)
    return names, _read_records(rest, pieces)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Yields the data of the blocks, about PIECE_BYTES at a time."""
    blocks, size, last = [], 0, b""
    while header := stream.read(_BLOCK_HEADER):
        more = int.from_bytes(header[_SIZE], "little") + 1 - _BLOCK_HEADER
        block = stream.read(more)
        if len(header) < _BLOCK_HEADER or len(block) < more:
            raise ValueError("the stream ends within a block")
        try:
            last = zlib.decompress(block[:-_BLOCK_END], -zlib.MAX_WBITS, _MOST_IN_BLOCK)
        except zlib.error as error:
            raise ValueError(f"a block cannot be decompressed: {error}") from error
        blocks.append(last)
        size += len(last)
        if size >= PIECE_BYTES:
            yield b"".join(blocks)
            blocks, size = [], 0
    yield b"".join(blocks)
    if last:
        raise ValueError("the stream ends without an end-of-file block")


def _read_header(pieces: Iterator[bytes]) -> tuple[list[str], bytes]:
    """Returns the names of the reference sequences, and what follows the header in its pieces."""
    data = b""
    for piece in pieces:
        data += piece
        try:
            return _parse_header(data)
        except struct.error:
            continue
    raise ValueError("the stream ends within the header")


def _parse_header(data: bytes) -> tuple[list[str], bytes]:
    """Returns the same of the beginning of a BAM; raises struct.error if it is too short."""
    if data[:4] not in (b"BAM\1", b""):
        raise ValueError("the stream is not a BAM")
    (text_length,) = _UINT32.unpack_from(data, 4)
    at = 8 + text_length
    (number,) = _UINT32.unpack_from(data, at)
    at += 4
    names = []
    for _ in range(number):
        (name_length,) = _UINT32.unpack_from(data, at)
        # The length of the sequence follows the name.
        _UINT32.unpack_from(data, at + 4 + name_length)
        names.append(data[at + 4 : at + 3 + name_length].decode())
        at += 8 + name_length
    return names, data[at:]


def _read_records(rest: bytes, pieces: Iterator[bytes]) -> Iterator[Positions]:
    for piece in chain([b""], pieces):
        data = rest + piece
        offsets, end = _records_in(data)
        if offsets:
            yield _positions(data, offsets)
        rest = data[end:]
    if rest:
        raise ValueError("the stream ends within a record")


def _records_in(data: bytes) -> tuple[list[int], int]:
    """Returns where the records begin that are complete, and where the last of them ends."""
    offsets: list[int] = []
    append = offsets.append
    # Sizes are not aligned: a view for each remainder takes half of the time of a struct.
    views = [
        memoryview(data)[first : first + (len(data) - first) // 4 * 4].cast("I")
        for first in range(_SIZE_BYTES)
    ]
    at, last = 0, len(data) - _SIZE_BYTES
    while at <= last:
        append(at)
        at += _SIZE_BYTES + views[at & 3][at >> 2]
    if at > len(data):
        at = offsets.pop()
    return offsets, at


def _positions(data: bytes, offsets: list[int]) -> Positions:
    """Returns where the records at these offsets are."""
    at = np.array(offsets)
    # Fields are not aligned: one record could begin at each byte. Bytes are faster to collect than
    # fields.
    every = np.ndarray(len(data) - _FIELDS.itemsize + 1, f"V{_FIELDS.itemsize}", data, strides=(1,))
    records = every[at].view(_FIELDS)
    # The CIGAR of an unmapped record says nothing.
    operations = records["n_cigar_op"] * (records["flag"] & _UNMAPPED == 0)
    cigars = at + _READ_NAME + records["l_read_name"]
    int32 = np.ndarray(len(data) - 3, "<i4", data, strides=(1,))
    spans = np.zeros(len(at), np.int64)
    # Most short reads have one operation, which needs no sum.
    (one,) = np.nonzero(operations == 1)
    spans[one] = _covered(int32[cigars[one]])
    (more,) = np.nonzero(operations > 1)
    if len(more):
        spans[more] = _reference_spans(int32, cigars[more], operations[more].astype(np.int64))
    starts = records["pos"].astype(np.int64)
    return Positions(records["refID"].astype(np.int64), starts, starts + np.maximum(spans, 1))


def _reference_spans(int32: NDArray[np.int32], cigars: Ints, operations: Ints) -> Ints:
    """Returns how many bases of the reference each CIGAR covers, by its offset and length."""
    ends = np.cumsum(operations)
    number_in_cigar = np.arange(ends[-1]) - np.repeat(ends - operations, operations)
    covered = _covered(int32[np.repeat(cigars, operations) + 4 * number_in_cigar])
    return np.add.reduceat(covered, ends - operations)


def _covered(encoded: NDArray[np.int32]) -> Ints:
    """Returns how many bases of the reference each operation of a CIGAR covers."""
    operation = encoded.view(np.uint32)
    consumes = (_CONSUME_REFERENCE >> (operation & 0xF)) & 1
    covered: Ints = (operation >> 4).astype(np.int64) * consumes
    return covered
