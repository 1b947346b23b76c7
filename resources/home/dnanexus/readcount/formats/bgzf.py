"""BGZF blocks, read without htslib: pysam does not show where a block begins and ends."""

import gzip
import io
import os
import struct
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


def reference_of_record(blocks: bytes, within: int) -> int:
    """Returns the refID of a record; NO_REFERENCE at the end of the file.

    Without htslib, which a damaged record can make crash. A record begins with its size and its
    refID (SAM specification, sections 4.1.1 and 4.2).

    Args:
        blocks: the file from the record's block on, BLOCKS_BYTES of it.
        within: offset of the record in the data of the first block.

    Raises:
        OSError, EOFError, zlib.error: there is no record.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(blocks)) as data:
        data.seek(within)
        beginning = data.read(8)
    if not beginning:
        return NO_REFERENCE
    if len(beginning) < 8:
        raise EOFError("the file ends within a record")
    return int.from_bytes(beginning[4:], "little", signed=True)
