"""Finds single BAM records: at a file offset, or ending at one.

Done without htslib, which may crash on a corrupt record.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from readcount.formats.bgzf import (
    BLOCK_MAGIC,
    MAX_BLOCK_BYTES,
    BlockError,
    block_at,
    last_blocks,
)

# refID of a record without a reference sequence, and pos of one without a position (SAM
# specification, section 4.2).
NO_SEQUENCE = -1
NO_POSITION = -1
# The highest 32-bit position.
LAST_POSITION = 2**31 - 1
# samtools' region for unplaced records, and RNAME of a SAM record without a reference sequence (SAM
# specification, section 1.4).
UNPLACED_NAME = "*"
# The beginning of a record (section 4.2): block_size, refID, pos, l_read_name, n_cigar_op, flag and
# l_seq. The read name begins after 36 bytes.
_FIELDS = struct.Struct("<iiiBxxxHHi")
SIZE_BYTES, READ_NAME = 4, 36
UNMAPPED = 0x4
# CIGAR operations that consume the reference: M, D, N, = and X (section 1.4.6), as bits.
CONSUME_REFERENCE = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 7 | 1 << 8
# Sizes of the values of tags, by type (section 4.2.4); htslib also knows d, a double.
_SIZES = {
    **dict.fromkeys((b"A", b"c", b"C"), 1),
    **dict.fromkeys((b"s", b"S"), 2),
    **dict.fromkeys((b"i", b"I", b"f"), 4),
    b"d": 8,
}
# Bytes before a record that are read in the first attempt; each further attempt reads four times as
# much.
LOOKBACK_BYTES = MAX_BLOCK_BYTES

# Takes an offset and a size; returns the bytes of the file there, fewer at its end.
Read = Callable[[int, int], bytes]


class Placement(NamedTuple):
    """Where a record is aligned.

    Attributes:
        tid: reference ID; NO_SEQUENCE for none.
        start: first position, 0-based.
        end: position after the last. A record that covers no base is treated as covering the one at
            its start, as in samtools (SAM specification, section 4.2.1).
        unmapped: whether it is unmapped.
    """

    tid: int
    start: int
    end: int
    unmapped: bool


def record_at(read: Read, offset: int, size: int) -> Placement | None:
    """Returns the placement of the record at a virtual file offset; None at end of file.

    `size` is the file size in bytes. Raises BlockError if there is no such record.
    """
    begin, within = offset >> 16, offset & 0xFFFF
    content = b""
    for block in _contents(read, begin, size):
        content += block
        if (found := _placement(content, within)) is not None:
            return found
    if len(content) != within:
        raise BlockError(begin)
    return None


def _contents(read: Read, begin: int, size: int) -> Iterator[bytes]:
    """Yields the decompressed blocks from an offset on; see record_at."""
    wanted = 2 * MAX_BLOCK_BYTES
    while begin < size:
        data, at = read(begin, wanted), 0
        if not data:
            raise BlockError(begin)
        last = begin + len(data) >= size
        # The remaining data may be an incomplete block.
        while at < len(data) and (last or at + MAX_BLOCK_BYTES <= len(data)):
            content, at = block_at(data, at, begin)
            yield content
        begin += at
        wanted *= 2


def record_before(read: Read, offset: int, first: int) -> Placement | None:
    """Returns the placement of the record that ends at a virtual file offset.

    Returns None at `first`, the offset of the first record of the file. Raises BlockError if no
    record ends at the offset.
    """
    if offset == first:
        return None
    begin, within = offset >> 16, offset & 0xFFFF
    content = b""
    if within:
        content = block_at(read(begin, MAX_BLOCK_BYTES), 0, begin)[0][:within]
    lookback = LOOKBACK_BYTES
    while True:
        if begin <= first >> 16:
            # The header may end within this block.
            content = content[first & 0xFFFF :]
        at = last_record(content)
        placement = None if at is None else _placement(content, at)
        if placement is not None:
            return placement
        start = max(first >> 16, begin - lookback)
        data = read(start, begin - start)
        blocks = last_blocks(data)
        if not blocks:
            raise BlockError(begin)
        content = b"".join(block_at(data, at, start)[0] for at in blocks) + content
        begin = start + blocks[0]
        lookback *= 4


def record_near(read: Read, at: int, size: int) -> Placement | None:
    """Returns the placement of a record at the start of a block after a byte offset.

    None if there is no such block: not all programs start blocks with a record. `size` is the file
    size in bytes.
    """
    data = read(at, min(2 * MAX_BLOCK_BYTES, size - at))
    start = data.find(BLOCK_MAGIC)
    while start >= 0:
        try:
            content, _ = block_at(data, start)
        except BlockError:
            start = data.find(BLOCK_MAGIC, start + 1)
            continue
        return _placement(content, 0) if _is_record(content, 0) else None
    return None


def tids_from(read: Read, offset: int, size: int) -> Iterator[int]:
    """Yields the reference IDs of all records from a virtual file offset on.

    Raises:
        BlockError: they cannot be read to the end of the file.
    """
    begin, at = offset >> 16, offset & 0xFFFF
    content = b""
    for block in _contents(read, begin, size):
        content += block
        while at + READ_NAME <= len(content):
            length, tid, *_ = _FIELDS.unpack_from(content, at)
            yield tid
            at += SIZE_BYTES + max(length, 0)
        kept = min(at, len(content))
        content, at = content[kept:], at - kept
    if at != len(content):
        raise BlockError(begin)


def _placement(content: bytes, at: int) -> Placement | None:
    """Returns the placement of a record in uncompressed BAM data; None if it is incomplete."""
    if at + READ_NAME > len(content):
        return None
    _, tid, start, name_length, operations, flag, _ = _FIELDS.unpack_from(content, at)
    covered, unmapped = 0, bool(flag & UNMAPPED)
    if not unmapped:
        cigar = at + READ_NAME + name_length
        if cigar + 4 * operations > len(content):
            return None
        encoded = struct.unpack_from(f"<{operations}I", content, cigar)
        covered = sum(one >> 4 for one in encoded if CONSUME_REFERENCE >> (one & 0xF) & 1)
    return Placement(tid, start, start + max(1, covered), unmapped)


def last_record(content: bytes) -> int | None:
    """Returns the offset of the record that ends at the end of content; None if none does.

    Blocks written by htslib begin with a record, so records can be followed from there. For other
    programs, and for a record that is longer than a block, it is the first offset that has the
    fields and tags of a record of the right size.
    """
    at, last, end = 0, None, len(content)
    while at < end and _has_fields(content, at):
        last = at
        at += SIZE_BYTES + int.from_bytes(content[at : at + SIZE_BYTES], "little")
    found = [last] if last is not None and at == end else _sized_to_end(content)
    return next((at for at in found if _is_record(content, at)), None)


def _sized_to_end(content: bytes) -> Sequence[int]:
    """Returns the offsets of 32-bit numbers that equal the number of bytes after them."""
    if len(content) < READ_NAME:
        return ()
    sizes = np.ndarray(len(content) - 3, "<u4", content, strides=(1,))
    after = len(content) - SIZE_BYTES - np.arange(len(sizes), dtype=np.int64)
    found: list[int] = np.nonzero(sizes == after)[0].tolist()
    return found


def _is_record(content: bytes, at: int) -> bool:
    """Whether the bytes at an offset are a complete record with valid fields and tags."""
    return _has_fields(content, at) and _has_tags(content, at)


def _has_fields(content: bytes, at: int) -> bool:
    """Whether the bytes at an offset are valid fields of a complete record."""
    if at + READ_NAME > len(content):
        return False
    size, tid, start, name_length, _, _, bases = _FIELDS.unpack_from(content, at)
    name_end = at + READ_NAME + name_length
    return bool(
        tid >= NO_SEQUENCE
        and start >= NO_POSITION
        and name_length > 0
        and bases >= 0
        and _tags_at(content, at) <= at + SIZE_BYTES + size <= len(content)
        and content[name_end - 1] == 0
    )


def _tags_at(content: bytes, at: int) -> int:
    """Returns the offset of the tags of the record at an offset, after its fields."""
    _, _, _, name_length, operations, _, bases = _FIELDS.unpack_from(content, at)
    return int(at + READ_NAME + name_length + 4 * operations + (bases + 1) // 2 + bases)


def _has_tags(content: bytes, at: int) -> bool:
    """Whether the fields of the record at an offset are followed by valid tags up to its end.

    Fields alone are not enough: a tag with an array of small numbers, such as the moves (mv) of
    nanopore reads, has them in places. See the SAM specification, section 4.2.4.
    """
    end = at + SIZE_BYTES + int.from_bytes(content[at : at + SIZE_BYTES], "little")
    at = _tags_at(content, at)
    while at < end:
        kind, value = content[at + 2 : at + 3], at + 3
        if kind in _SIZES:
            at = value + _SIZES[kind]
        elif kind in (b"Z", b"H"):
            at = content.find(b"\0", value, end) + 1 or end + 1
        elif kind == b"B" and content[value : value + 1] in _SIZES:
            number = int.from_bytes(content[value + 1 : value + 5], "little")
            at = value + 5 + number * _SIZES[content[value : value + 1]]
        else:
            return False
    return at == end
