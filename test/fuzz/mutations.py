"""What can befall a BAM and its index, each as a function of the pair and of chance."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from . import bgzf


@dataclass(frozen=True)
class Pair:
    """The bytes of a BAM and of its BAI, or of a CRAM and of its CRAI."""

    bam: bytes
    index: bytes


Mutation = Callable[[Pair, random.Random], Pair]


# The BAM is cut


def bam_cut_anywhere(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=pair.bam[: rng.randrange(len(pair.bam))])


def bam_cut_between_blocks(pair: Pair, rng: random.Random) -> Pair:
    blocks = bgzf.split(pair.bam)
    return replace(pair, bam=b"".join(blocks[: rng.randrange(len(blocks))]))


def bam_cut_between_blocks_with_end_put_back(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=bam_cut_between_blocks(pair, rng).bam + bgzf.END_OF_FILE)


# Bits of the BAM flip


def bam_bit_flipped_in_header(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=_flip_in_block(pair.bam, rng, [0], bgzf.DATA_AT, bgzf.CHECKSUM_AT))


def bam_bit_flipped_in_data(pair: Pair, rng: random.Random) -> Pair:
    blocks = _record_blocks(pair.bam)
    return replace(pair, bam=_flip_in_block(pair.bam, rng, blocks, bgzf.DATA_AT, bgzf.CHECKSUM_AT))


def bam_bit_flipped_in_block_size(pair: Pair, rng: random.Random) -> Pair:
    blocks = _record_blocks(pair.bam)
    return replace(pair, bam=_flip_in_block(pair.bam, rng, blocks, bgzf.SIZE_AT, bgzf.DATA_AT))


def bam_bit_flipped_in_block_header(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=_flip_in_block(pair.bam, rng, _record_blocks(pair.bam), 0, 16))


def bam_bit_flipped_in_checksum(pair: Pair, rng: random.Random) -> Pair:
    blocks = _record_blocks(pair.bam)
    return replace(pair, bam=_flip_in_block(pair.bam, rng, blocks, bgzf.CHECKSUM_AT, None))


def bam_stretch_zeroed(pair: Pair, rng: random.Random) -> Pair:
    start = rng.randrange(len(pair.bam))
    stop = min(len(pair.bam), start + rng.randint(1, 5000))
    return replace(pair, bam=pair.bam[:start] + bytes(stop - start) + pair.bam[stop:])


# Blocks of the BAM are shuffled about


def bam_blocks_swapped(pair: Pair, rng: random.Random) -> Pair:
    blocks = bgzf.split(pair.bam)
    one, other = rng.sample(range(len(blocks) - 1), 2)
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return replace(pair, bam=b"".join(blocks))


def bam_block_lost(pair: Pair, rng: random.Random) -> Pair:
    blocks = bgzf.split(pair.bam)
    del blocks[rng.randrange(len(blocks) - 1)]
    return replace(pair, bam=b"".join(blocks))


def bam_block_doubled(pair: Pair, rng: random.Random) -> Pair:
    blocks = bgzf.split(pair.bam)
    where = rng.randrange(len(blocks) - 1)
    return replace(pair, bam=b"".join([*blocks[: where + 1], *blocks[where:]]))


def bam_garbage_appended(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=pair.bam + rng.randbytes(rng.randint(1, 1000)))


def bam_garbage_before_end(pair: Pair, rng: random.Random) -> Pair:
    body = pair.bam.removesuffix(bgzf.END_OF_FILE)
    garbage = rng.randbytes(rng.randint(1, 1000))
    return replace(pair, bam=body + garbage + bgzf.END_OF_FILE)


# The BAM was edited, and its checksums are right


def bam_record_edited(pair: Pair, rng: random.Random) -> Pair:
    """One bit of the uncompressed data of a block is another."""
    blocks = bgzf.split(pair.bam)
    where = rng.choice(_record_blocks(pair.bam))
    data = flip(bgzf.unpack(blocks[where]), rng, 0, None)
    blocks[where] = bgzf.pack(data)
    return replace(pair, bam=b"".join(blocks))


def bam_other_of_same_header(pair: Pair, rng: random.Random) -> Pair:
    """The records of some blocks are gone, as in a file that was filtered afterwards."""
    blocks = bgzf.split(pair.bam)
    kept = [block for block in blocks[1:-1] if rng.random() < 0.8]
    return replace(pair, bam=b"".join([blocks[0], *kept, blocks[-1]]))


# The index


def index_bit_flipped_anywhere(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=flip(pair.index, rng, 0, None))


def index_magic_flipped(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=flip(pair.index, rng, 0, 4))


def index_of_more_or_fewer_sequences(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=flip(pair.index, rng, 4, 8))


def index_offset_flipped(pair: Pair, rng: random.Random) -> Pair:
    at = rng.choice(_index_fields(pair.index).chunks)
    return replace(pair, index=flip(pair.index, rng, at, at + 8))


def index_linear_offset_flipped(pair: Pair, rng: random.Random) -> Pair:
    at = rng.choice(_index_fields(pair.index).linear)
    return replace(pair, index=flip(pair.index, rng, at, at + 8))


def index_bin_flipped(pair: Pair, rng: random.Random) -> Pair:
    at = rng.choice(_index_fields(pair.index).bins)
    return replace(pair, index=flip(pair.index, rng, at, at + 4))


def index_count_flipped(pair: Pair, rng: random.Random) -> Pair:
    at = rng.choice(_index_fields(pair.index).counts)
    return replace(pair, index=flip(pair.index, rng, at, at + 8))


def index_cut(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=pair.index[: rng.randrange(len(pair.index))])


def index_stretch_zeroed(pair: Pair, rng: random.Random) -> Pair:
    start = rng.randrange(len(pair.index))
    stop = min(len(pair.index), start + rng.randint(1, 200))
    return replace(pair, index=pair.index[:start] + bytes(stop - start) + pair.index[stop:])


MUTATIONS: dict[str, Mutation] = {
    name: function
    for name, function in list(globals().items())
    if name.startswith(("bam_", "index_"))
}


@dataclass(frozen=True)
class IndexFields:
    """Where the fields of a BAI are, as offsets (SAM specification, section 5.2)."""

    bins: list[int]
    chunks: list[int]
    counts: list[int]
    linear: list[int]


METADATA_BIN = 37450


def _index_fields(index: bytes) -> IndexFields:
    fields = IndexFields([], [], [], [])
    at = 8
    (sequences,) = struct.unpack_from("<i", index, 4)
    for _ in range(sequences):
        (bins,) = struct.unpack_from("<i", index, at)
        at += 4
        for _ in range(bins):
            number, chunks = struct.unpack_from("<Ii", index, at)
            fields.bins.append(at)
            offsets = [at + 8 + 8 * position for position in range(2 * chunks)]
            if number == METADATA_BIN:
                # Begin and end of the sequence's records, then mapped and unmapped.
                fields.counts.extend(offsets[2:])
            else:
                fields.chunks.extend(offsets)
            at += 8 + 16 * chunks
        (intervals,) = struct.unpack_from("<i", index, at)
        fields.linear.extend(at + 4 + 8 * position for position in range(intervals))
        at += 4 + 8 * intervals
    return fields


def _record_blocks(bam: bytes) -> list[int]:
    """Which blocks hold records: not the first, which is the header's, nor the last."""
    return list(range(1, len(bgzf.split(bam)) - 1))


def _flip_in_block(
    bam: bytes, rng: random.Random, blocks: list[int], start: int, stop: int | None
) -> bytes:
    parts = bgzf.split(bam)
    where = rng.choice(blocks)
    parts[where] = flip(parts[where], rng, start, stop)
    return b"".join(parts)


def flip(content: bytes, rng: random.Random, start: int, stop: int | None) -> bytes:
    """One bit is another between two offsets, negative ones from the end."""
    at = rng.choice(range(len(content))[start:stop])
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
