"""Reads and writes BGZF blocks without htslib: pysam does not expose block boundaries.

A virtual file offset is a block's offset in the file times 65,536, plus an offset in the block's
data (SAM specification, section 4.1.1).
"""

import gzip
import struct
import zlib
from contextlib import suppress

# The first bytes of any gzip file (RFC 1952, section 2.3.1).
GZIP_MAGIC = b"\x1f\x8b"
# The header of a BGZF block: gzip magic and flags, MTIME, XFL and OS, and the only extra field that
# htslib accepts, with the block size minus 1 (SAM specification, section 4.1).
_BLOCK = struct.Struct("<3sB6x6sH")
BLOCK_MAGIC, HAS_EXTRA, EXTRA = b"\x1f\x8b\x08", 4, b"\6\0BC\2\0"
_BEGINNING = bytes.fromhex("1f8b08040000000000ff060042430200")
# The trailer of a block: CRC32 and size of the uncompressed data.
_BLOCK_END = struct.Struct("<II")
HEADER_BYTES, END_BYTES = _BLOCK.size, _BLOCK_END.size
# Header of a stored (uncompressed) deflate block: 1, its length, and the complement of the length
# (RFC 1951, section 3.2.4).
_STORED = struct.Struct("<BHH")
STORED_HEADER_BYTES = _STORED.size
# Maximum size of a block, and of the data in a stored one, as in htslib.
MAX_BLOCK_BYTES = 1 << 16
_MAX_STORED_BYTES = 0xFF00
# The end-of-file marker, an empty block (section 4.1.2).
END_OF_FILE = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class BlockError(ValueError):
    """There is no block or record where expected; the message is the offset in bytes."""


def decompressed(data: bytes) -> bytes:
    """Returns data decompressed if they are a gzip file, else unchanged.

    Raises:
        OSError, EOFError, zlib.error: they are truncated or corrupt.
    """
    return gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data


def block_at(data: bytes, at: int, start: int = 0) -> tuple[bytes, int]:
    """Returns the content of the block at an offset, and the offset of the next one.

    The last block of a file is empty. `start` is the offset of the data in the file, for errors.
    Raises BlockError if the block is corrupt.
    """
    if at == len(data):
        return b"", at
    try:
        end = at + _size_at(data, at)
        content = zlib.decompress(data[at + _BLOCK.size : end - _BLOCK_END.size], -zlib.MAX_WBITS)
    except (BlockError, zlib.error) as error:
        raise BlockError(start + at) from error
    if end > len(data) or _BLOCK_END.unpack_from(data, end - _BLOCK_END.size) != (
        zlib.crc32(content),
        len(content),
    ):
        raise BlockError(start + at)
    return content, end


def _size_at(data: bytes | bytearray, at: int) -> int:
    """Returns the size of the block at an offset; raises BlockError if there is none."""
    if at + _BLOCK.size <= len(data):
        magic, flags, extra, size = _BLOCK.unpack_from(data, at)
        if magic == BLOCK_MAGIC and flags & HAS_EXTRA and extra == EXTRA:
            return int(size) + 1
    raise BlockError(at)


def block_bounds(data: bytes | bytearray, begin: int, end: int) -> list[int]:
    """Returns the offset of each complete block, followed by the end of the last one.

    Args:
        data: part of a file.
        begin: offset in data of the first block.
        end: offset of the end of the data.

    Raises:
        BlockError: the data are not BGZF blocks.
    """
    bounds = [begin]
    while begin + _BLOCK.size <= end:
        begin += _size_at(data, begin)
        if begin > end:
            break
        bounds.append(begin)
    return bounds


def last_blocks(data: bytes) -> list[int]:
    """Returns the offsets of the complete blocks at the end of data.

    Args:
        data: part of a file that ends at a block boundary.
    """
    at = data.find(BLOCK_MAGIC)
    while at >= 0:
        with suppress(BlockError):
            *blocks, end = block_bounds(data, at, len(data))
            if end == len(data):
                return blocks
        at = data.find(BLOCK_MAGIC, at + 1)
    return []


def stored_blocks(content: bytes) -> bytes:
    """Returns blocks with this content, stored uncompressed."""
    blocks = []
    for begin in range(0, len(content), _MAX_STORED_BYTES):
        part = content[begin : begin + _MAX_STORED_BYTES]
        stored = _STORED.pack(1, len(part), len(part) ^ 0xFFFF) + part
        size = len(_BEGINNING) + 2 + len(stored) + _BLOCK_END.size
        end = _BLOCK_END.pack(zlib.crc32(part), len(part))
        blocks += [_BEGINNING, (size - 1).to_bytes(2, "little"), stored, end]
    return b"".join(blocks)
