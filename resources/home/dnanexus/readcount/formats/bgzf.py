"""BGZF blocks, read without htslib: pysam does not show where a block begins and ends."""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

# The start of a BGZF block: gzip's magic and flags, its time and system, and the only extra field
# that htslib accepts, with the size of the block less 1 (SAM specification, section 4.1).
_BLOCK = struct.Struct("<3sB6x6sH")
_MAGIC, _HAS_EXTRA, _EXTRA = b"\x1f\x8b\x08", 4, b"\6\0BC\2\0"
# Two blocks, the most over which a record's first fields extend, and some.
BLOCKS_BYTES = 3 << 16
# refID of a record that has no reference sequence (SAM specification, section 4.2).
NO_REFERENCE = -1
NO_POSITION = -1
# The size of a record, its refID and pos; the size is left out.
_FIRST_FIELDS = struct.Struct("<4xii")
# What follows the data of a block: its checksum, and its size.
_BLOCK_END = struct.Struct("<II")


class BlockError(ValueError):
    """A block does not begin where it should; the message is the offset, in bytes."""


def follow_blocks(path: Path, offsets: Sequence[int]) -> int:
    """Goes from block to block; returns how many there are up to that of the last offset.

    Args:
        path: the BAM.
        offsets: virtual file offsets, rising; the last may be the end of the file.

    Raises:
        BlockError: a block does not follow another one, or does not begin where one of the
            offsets says, or is shorter than the offset needs.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
        blocks, within = 0, 0
        at = offsets[0] >> 16
        header = os.pread(file, _BLOCK.size, at)
        for offset in offsets:
            target = offset >> 16
            while at < target:
                end = at + _size_of(header, at)
                # The length of a block's data is the last thing in it.
                data = os.pread(file, 4 + _BLOCK.size, end - 4)
                if within > int.from_bytes(data[:4], "little"):
                    raise BlockError(at)
                at, header, within = end, data[4:], 0
                blocks += 1
            if at != target:
                raise BlockError(target)
            within = max(within, offset & 0xFFFF)
        if within or at != os.fstat(file).st_size:
            end = at + _size_of(header, at)
            if within > int.from_bytes(os.pread(file, 4, end - 4), "little"):
                raise BlockError(at)
        return blocks
    finally:
        os.close(file)


def _size_of(header: bytes, at: int) -> int:
    if len(header) == _BLOCK.size:
        magic, flags, extra, size = _BLOCK.unpack(header)
        if magic == _MAGIC and flags & _HAS_EXTRA and extra == _EXTRA:
            return int(size) + 1
    raise BlockError(at)


# The number of a record's reference sequence, NO_REFERENCE for none; and its first position,
# 0-based, NO_POSITION for none. Plain, as there can be millions.
FirstFields = tuple[int, int]


def first_fields(data: bytes, offsets: Sequence[int]) -> list[FirstFields | None]:
    """Returns the first fields of records; None at the end of the file.

    A record begins with its size, refID and pos (SAM specification, section 4.2). Read without
    htslib, which a damaged record can make crash.

    Args:
        data: a part of the file that begins with a block; where the file does not end, with
            BLOCKS_BYTES after the last record's block.
        offsets: of the records, rising; virtual file offsets, from the beginning of data.

    Raises:
        BlockError: there is no such record, or a block is corrupt.
    """
    found: list[FirstFields | None] = []
    read_at, block, after, complete = -1, b"", 0, 0
    unpack_from = _FIRST_FIELDS.unpack_from
    for offset in offsets:
        at, within = offset >> 16, offset & 0xFFFF
        if at != read_at:
            read_at = at
            block, after = _block_at(data, at)
            complete = len(block) - _FIRST_FIELDS.size
        if within <= complete:
            found.append(unpack_from(block, within))
            continue
        if within > len(block):
            raise BlockError(at)
        fields = block[within : within + _FIRST_FIELDS.size]
        next_at = after
        while len(fields) < _FIRST_FIELDS.size and next_at < len(data):
            more, next_at = _block_at(data, next_at)
            fields += more[: _FIRST_FIELDS.size - len(fields)]
        if not fields:
            found.append(None)
        elif len(fields) < _FIRST_FIELDS.size:
            raise BlockError(at)
        else:
            found.append(_FIRST_FIELDS.unpack(fields))
    return found


def _block_at(data: bytes, at: int) -> tuple[bytes, int]:
    """Returns the data of the block at an offset, and where the next one begins.

    At the end of a file there is an empty one. Raises BlockError if it is corrupt.
    """
    if at == len(data):
        return b"", at
    end = at + _size_of(data[at : at + _BLOCK.size], at)
    content = data[at + _BLOCK.size : end - _BLOCK_END.size]
    try:
        block = zlib.decompress(content, -zlib.MAX_WBITS)
    except zlib.error as error:
        raise BlockError(at) from error
    if end > len(data) or _BLOCK_END.unpack_from(data, end - _BLOCK_END.size) != (
        zlib.crc32(block),
        len(block),
    ):
        raise BlockError(at)
    return block, end
