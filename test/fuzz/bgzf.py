"""Takes BGZF files apart and puts them together (SAM specification, section 4.1)."""

import struct
import zlib
from dataclasses import dataclass
from itertools import accumulate, pairwise

END_OF_FILE = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

# Offsets in a block as htslib writes it, with BC as the only extra field.
FLAGS_AT = 3
SIZE_AT = 16
DATA_AT = 18
# Relative to the end: CRC and length of the data.
CHECKSUM_AT = -8
LENGTH_AT = -4


def split(content: bytes) -> list[bytes]:
    """Returns the blocks of a complete BGZF file, including the end-of-file block."""
    blocks = []
    start = 0
    while start < len(content):
        (size,) = struct.unpack_from("<H", content, start + SIZE_AT)
        blocks.append(content[start : start + size + 1])
        start += size + 1
    return blocks


def starts(blocks: list[bytes]) -> list[tuple[int, int]]:
    """Returns start and end of each block in the file, 0-based and half-open."""
    return list(pairwise(accumulate(map(len, blocks), initial=0)))


def unpack(block: bytes) -> bytes:
    return zlib.decompress(block[DATA_AT:CHECKSUM_AT], wbits=-15)


def pack(data: bytes, level: int = 6) -> bytes:
    """Returns a block with these data and a correct checksum; level 0 stores uncompressed."""
    deflate = zlib.compressobj(level, wbits=-15)
    packed = deflate.compress(data) + deflate.flush()
    size = DATA_AT + len(packed) + 8
    return (
        bytes.fromhex("1f8b08040000000000ff060042430200")
        + struct.pack("<H", size - 1)
        + packed
        + struct.pack("<II", zlib.crc32(data), len(data))
    )


@dataclass(frozen=True)
class Content:
    """The uncompressed content of a BAM.

    Attributes:
        header: everything before the first record.
        records: the records, each with its block_size.
        level: compression level of the blocks; 0 is uncompressed.
    """

    header: bytes
    records: list[bytes]
    level: int = 6

    def as_bam(self, size: int) -> bytes:
        """Returns a BAM: the header in one block, whole records in blocks of about this size."""
        blocks, block = [self.header], b""
        for record in self.records:
            block += record
            if len(block) >= size:
                blocks.append(block)
                block = b""
        blocks += [block] if block else []
        return b"".join(pack(block, self.level) for block in blocks) + END_OF_FILE


def content_of(bam: bytes) -> Content:
    """Takes a complete BAM apart."""
    blocks = split(bam)
    data = b"".join(map(unpack, blocks))
    at = 8 + struct.unpack_from("<i", data, 4)[0]
    (sequences,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(sequences):
        at += 8 + struct.unpack_from("<i", data, at)[0]
    header, records = data[:at], []
    while at < len(data):
        end = at + 4 + struct.unpack_from("<i", data, at)[0]
        records.append(data[at:end])
        at = end
    stored = blocks[0][DATA_AT] & 0b110 == 0
    return Content(header, records, 0 if stored else 6)


def in_small_blocks(bam: bytes, size: int, level: int = 6) -> bytes:
    """Returns the BAM with its header in a separate block and no record across two blocks."""
    content = content_of(bam)
    return Content(content.header, content.records, level).as_bam(size)
