"""Damage to the CSI index of a BAM, as functions of the pair and a random number generator."""

import gzip
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from .mutations import MUTATIONS, Mutation, Pair, flip, offsets_of

# Offsets of min_shift (size of the smallest bins) and depth (number of levels).
SHIFT_AT, DEPTH_AT = 4, 8


def csi_bit_flipped_in_file(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=flip(pair.index, rng, 0, None))


def csi_bit_flipped_in_data(pair: Pair, rng: random.Random) -> Pair:
    return _with_data(pair, lambda data: flip(data, rng, 0, None))


def csi_shift_or_depth_changed(pair: Pair, rng: random.Random) -> Pair:
    """Changes the size or the level of all bins."""
    at, by = rng.choice([SHIFT_AT, DEPTH_AT]), rng.choice([1, -1])

    def change(data: bytes) -> bytes:
        (number,) = struct.unpack_from("<i", data, at)
        return data[:at] + struct.pack("<i", number + by) + data[at + 4 :]

    return _with_data(pair, change)


def csi_offset_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    return _with_data(pair, lambda data: _flip_in(data, rng, _fields(data).chunks, 8))


def csi_loffset_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    return _with_data(pair, lambda data: _flip_in(data, rng, _fields(data).loffsets, 8))


def csi_bin_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    return _with_data(pair, lambda data: _flip_in(data, rng, _fields(data).bins, 4))


def csi_count_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    return _with_data(pair, lambda data: _flip_in(data, rng, _fields(data).counts, 8))


def csi_loffset_of_another_bin(pair: Pair, rng: random.Random) -> Pair:
    def change(data: bytes) -> bytes:
        one, other = rng.sample(_fields(data).loffsets, 2)
        return data[:one] + data[other : other + 8] + data[one + 8 :]

    return _with_data(pair, change)


def csi_loffsets_too_late(pair: Pair, rng: random.Random) -> Pair:
    """Replaces the loffset of some bins by the offset of the next record or block."""
    offsets = offsets_of(pair.bam)
    targets = rng.choice([offsets, [offset for offset in offsets if not offset & 0xFFFF]])

    def change(data: bytes) -> bytes:
        changed, loffsets = bytearray(data), _fields(data).loffsets
        first = rng.randrange(len(loffsets))
        for at in loffsets[first : first + rng.choice([1, 10, 1000])]:
            (offset,) = struct.unpack_from("<Q", data, at)
            later = [target for target in targets if target > offset]
            struct.pack_into("<Q", changed, at, later[0] if later else offset)
        return bytes(changed)

    return _with_data(pair, change)


def csi_bins_renumbered(pair: Pair, rng: random.Random) -> Pair:
    """Increases or decreases all bin numbers by one."""
    by = rng.choice([1, -1])

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        for at in _fields(data).bins:
            (number,) = struct.unpack_from("<I", data, at)
            struct.pack_into("<I", changed, at, max(0, number + by))
        return bytes(changed)

    return _with_data(pair, change)


def csi_entries_rotated(pair: Pair, rng: random.Random) -> Pair:
    def change(data: bytes) -> bytes:
        entries, rest = _entries(data)
        by = rng.choice([1, -1])
        return data[:20] + b"".join([*entries[by:], *entries[:by]]) + rest

    return _with_data(pair, change)


def csi_entries_swapped(pair: Pair, rng: random.Random) -> Pair:
    def change(data: bytes) -> bytes:
        entries, rest = _entries(data)
        one, other = rng.sample(range(len(entries)), 2)
        entries[one], entries[other] = entries[other], entries[one]
        return data[:20] + b"".join(entries) + rest

    return _with_data(pair, change)


# Includes the mutations of a BAM that do not change its index.
CSI_MUTATIONS: dict[str, Mutation] = {
    name: function
    for name, function in {**MUTATIONS, **globals()}.items()
    if name.startswith(("bam_", "index_before_", "csi_"))
}


@dataclass(frozen=True)
class Fields:
    """Offsets of the fields of a decompressed CSI, for the bins of all sequences."""

    bins: list[int]
    loffsets: list[int]
    chunks: list[int]
    counts: list[int]
    ends: list[int]


def _fields(data: bytes) -> Fields:
    """Parses an index without auxiliary data, as samtools writes it for a BAM."""
    fields = Fields([], [], [], [], [])
    (depth,) = struct.unpack_from("<i", data, DEPTH_AT)
    (sequences,) = struct.unpack_from("<i", data, 16)
    # The pseudo-bin with the statistics (CSI specification).
    statistics = ((1 << 3 * (depth + 1)) - 1) // 7 + 1
    at = 20
    for _ in range(sequences):
        (bins,) = struct.unpack_from("<i", data, at)
        at += 4
        for _ in range(bins):
            number, chunks = struct.unpack_from("<I8xi", data, at)
            offsets = [at + 16 + 8 * position for position in range(2 * chunks)]
            if number == statistics:
                fields.counts.extend(offsets[2:])
            else:
                fields.bins.append(at)
                fields.loffsets.append(at + 4)
                fields.chunks.extend(offsets)
            at += 16 + 16 * chunks
        fields.ends.append(at)
    return fields


def _entries(data: bytes) -> tuple[list[bytes], bytes]:
    """Returns the entry of each sequence, and the data after the last one."""
    ends = _fields(data).ends
    begins = [20, *ends[:-1]]
    entries = [data[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return entries, data[ends[-1] :]


def _flip_in(data: bytes, rng: random.Random, places: list[int], size: int) -> bytes:
    at = rng.choice(places)
    return flip(data, rng, at, at + size)


def _with_data(pair: Pair, change: Callable[[bytes], bytes]) -> Pair:
    return replace(pair, index=gzip.compress(change(gzip.decompress(pair.index))))
