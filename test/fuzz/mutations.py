"""Damage to a BAM and its index, as functions of the pair and a random number generator."""

import random
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from . import bgzf

# Small, so that there are many blocks to damage.
BLOCK_BYTES = 12_000


@dataclass(frozen=True)
class Pair:
    """The bytes of a BAM and of its BAI, or of a CRAM and of its CRAI.

    Attributes:
        bam: the BAM or CRAM.
        index: its index.
        changed: whether this is a different, valid BAM rather than a damaged one: its own records
            then define the expected counts.
    """

    bam: bytes
    index: bytes
    changed: bool = False


Mutation = Callable[[Pair, random.Random], Pair]


# The BAM is truncated


def bam_truncated_anywhere(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=pair.bam[: rng.randrange(len(pair.bam))])


def bam_truncated_between_blocks(pair: Pair, rng: random.Random) -> Pair:
    blocks = bgzf.split(pair.bam)
    return replace(pair, bam=b"".join(blocks[: rng.randrange(len(blocks))]))


def bam_truncated_between_blocks_with_eof_block(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=bam_truncated_between_blocks(pair, rng).bam + bgzf.END_OF_FILE)


# Bits of the BAM are flipped


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


# Blocks of the BAM are swapped, removed, duplicated or inserted


def bam_blocks_swapped(pair: Pair, rng: random.Random) -> Pair:
    blocks = bgzf.split(pair.bam)
    one, other = rng.sample(range(len(blocks) - 1), 2)
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return replace(pair, bam=b"".join(blocks))


def bam_block_removed(pair: Pair, rng: random.Random) -> Pair:
    blocks = bgzf.split(pair.bam)
    del blocks[rng.randrange(len(blocks) - 1)]
    return replace(pair, bam=b"".join(blocks))


def bam_block_duplicated(pair: Pair, rng: random.Random) -> Pair:
    blocks = bgzf.split(pair.bam)
    where = rng.randrange(len(blocks) - 1)
    return replace(pair, bam=b"".join([*blocks[: where + 1], *blocks[where:]]))


def bam_garbage_appended(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=pair.bam + rng.randbytes(rng.randint(1, 1000)))


def bam_garbage_before_eof_block(pair: Pair, rng: random.Random) -> Pair:
    body = pair.bam.removesuffix(bgzf.END_OF_FILE)
    garbage = rng.randbytes(rng.randint(1, 1000))
    return replace(pair, bam=body + garbage + bgzf.END_OF_FILE)


# The BAM is edited and its checksums are correct


def bam_record_edited(pair: Pair, rng: random.Random) -> Pair:
    """Flips a bit in the uncompressed data of a block."""
    blocks = bgzf.split(pair.bam)
    where = rng.choice(_record_blocks(pair.bam))
    data = flip(bgzf.unpack(blocks[where]), rng, 0, None)
    blocks[where] = bgzf.pack(data)
    return replace(pair, bam=b"".join(blocks))


def bam_filtered_after_indexing(pair: Pair, rng: random.Random) -> Pair:
    """Removes the records of some blocks."""
    blocks = bgzf.split(pair.bam)
    kept = [block for block in blocks[1:-1] if rng.random() < 0.8]
    return replace(pair, bam=b"".join([blocks[0], *kept, blocks[-1]]))


# The index


def index_bit_flipped_anywhere(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=flip(pair.index, rng, 0, None))


def index_magic_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=flip(pair.index, rng, 0, 4))


def index_number_of_sequences_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=flip(pair.index, rng, 4, 8))


def index_offset_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    at = rng.choice(_index_fields(pair.index).chunks)
    return replace(pair, index=flip(pair.index, rng, at, at + 8))


def index_linear_offset_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    at = rng.choice(_index_fields(pair.index).linear)
    return replace(pair, index=flip(pair.index, rng, at, at + 8))


def index_bin_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    at = rng.choice(_index_fields(pair.index).bins)
    return replace(pair, index=flip(pair.index, rng, at, at + 4))


def index_count_bit_flipped(pair: Pair, rng: random.Random) -> Pair:
    at = rng.choice(_index_fields(pair.index).counts)
    return replace(pair, index=flip(pair.index, rng, at, at + 8))


def index_truncated(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=pair.index[: rng.randrange(len(pair.index))])


def index_stretch_zeroed(pair: Pair, rng: random.Random) -> Pair:
    start = rng.randrange(len(pair.index))
    stop = min(len(pair.index), start + rng.randint(1, 200))
    return replace(pair, index=pair.index[:start] + bytes(stop - start) + pair.index[stop:])


# The index belongs to another file, or to another version of this file


def index_entries_rotated(pair: Pair, rng: random.Random) -> Pair:
    entries = _entries(pair.index)
    by = rng.choice([1, -1])
    return _with_entries(pair, entries[by:] + entries[:by])


def index_entries_swapped(pair: Pair, rng: random.Random) -> Pair:
    entries = _entries(pair.index)
    one, other = rng.sample(range(len(entries)), 2)
    entries[one], entries[other] = entries[other], entries[one]
    return _with_entries(pair, entries)


def index_linear_shifted(pair: Pair, rng: random.Random) -> Pair:
    """Shifts the linear index by one interval, for one sequence or all of them."""
    entries = _entries(pair.index)
    chosen = rng.choice([range(len(entries)), [rng.randrange(len(entries))]])
    for at in chosen:
        bins, linear = entries[at]
        entries[at] = bins, rng.choice([linear[8:] + linear[-8:], linear[:8] + linear[:-8]])
    return _with_entries(pair, entries)


def index_offsets_shifted_by_a_record(pair: Pair, rng: random.Random) -> Pair:
    """Replaces all offsets by those of the next or the previous record."""
    offsets = offsets_of(pair.bam)
    by = rng.choice([1, -1])
    moved = dict(zip(offsets, offsets[by:] + offsets[:by], strict=True))
    fields = _index_fields(pair.index)
    index = bytearray(pair.index)
    for at in [*fields.chunks, *fields.bounds, *fields.linear]:
        (offset,) = struct.unpack_from("<Q", index, at)
        struct.pack_into("<Q", index, at, moved.get(offset, offset))
    return replace(pair, index=bytes(index))


def index_of_another_file_with_the_same_header(pair: Pair, rng: random.Random) -> Pair:
    content = bgzf.content_of(pair.bam)
    records = [_at(record, rng.randrange(4), rng.randrange(900)) for record in content.records]
    return replace(pair, index=index_of(_as_bam(content, records)))


def index_before_records_were_removed(pair: Pair, rng: random.Random) -> Pair:
    content = bgzf.content_of(pair.bam)
    first = rng.randrange(len(content.records))
    last = first + rng.choice([1, 1, 5, 100])
    return _with_records(pair, content, content.records[:first] + content.records[last:])


def index_before_records_were_added(pair: Pair, rng: random.Random) -> Pair:
    content = bgzf.content_of(pair.bam)
    first = rng.randrange(len(content.records))
    last = first + rng.choice([1, 1, 5, 100])
    return _with_records(pair, content, content.records[:last] + content.records[first:])


def index_before_records_were_moved_to_another_sequence(pair: Pair, rng: random.Random) -> Pair:
    """Moves the last records of a sequence to the start of a later one, or the reverse."""
    content = bgzf.content_of(pair.bam)
    number = rng.choice([1, 1, 5, 100])
    from_tid, to_tid = rng.choice([(0, 1), (1, 0), (0, 2), (1, 3), (3, 4), (1, 10)])
    chosen = [record for record in content.records if _position(record)[0] == from_tid]
    chosen = chosen[-number:] if from_tid < to_tid else chosen[:number]
    moved = {id(record) for record in chosen}
    position = 0 if from_tid < to_tid else 390_000
    records = [
        _at(record, to_tid, position) if id(record) in moved else record
        for record in content.records
    ]
    return _with_records(pair, content, records)


def index_before_records_were_realigned(pair: Pair, rng: random.Random) -> Pair:
    """Moves some records to another position on the same sequence."""
    content = bgzf.content_of(pair.bam)
    number = rng.choice([1, 1, 5, 100])
    placed = [at for at, record in enumerate(content.records) if _position(record)[0] >= 0]
    first = rng.choice(placed)
    records = list(content.records)
    for at in range(first, min(first + number, len(records))):
        tid, start = _position(records[at])
        if tid >= 0:
            records[at] = _at(records[at], tid, rng.choice([start // 2, start + 50, 2 * start]))
    return _with_records(pair, content, records)


def bam_appended_to_itself(pair: Pair, rng: random.Random) -> Pair:
    """Concatenates two copies of the file, with or without the first end-of-file block."""
    first = rng.choice([pair.bam, pair.bam.removesuffix(bgzf.END_OF_FILE)])
    return replace(pair, bam=first + pair.bam)


def bam_records_appended_again(pair: Pair, rng: random.Random) -> Pair:
    """Appends all records of the file to the file."""
    blocks = bgzf.split(pair.bam)
    return Pair(b"".join([*blocks[:-1], *blocks[1:]]), pair.index, changed=True)


def bam_placed_records_after_unplaced(pair: Pair, rng: random.Random) -> Pair:
    """Appends some placed records after the unplaced ones, and then more unplaced records."""
    content = bgzf.content_of(pair.bam)
    placed = [record for record in content.records if _position(record)[0] >= 0]
    unplaced = [record for record in content.records if _position(record)[0] < 0]
    first = rng.randrange(len(placed))
    appended = placed[first : first + rng.choice([1, 5, 100])]
    records = [*content.records, *appended, *unplaced[: rng.choice([0, 1, 50])]]
    bam = replace(content, records=records).as_bam(BLOCK_BYTES)
    return Pair(bam, pair.index, changed=True)


def bam_blocks_of_equal_size_swapped(pair: Pair, rng: random.Random) -> Pair:
    """Swaps two blocks of equal size, or replaces one by the other; all offsets stay valid."""
    blocks = bgzf.split(pair.bam)
    by_size: dict[int, list[int]] = {}
    for at in _record_blocks(pair.bam):
        by_size.setdefault(len(blocks[at]), []).append(at)
    same = [numbers for numbers in by_size.values() if len(numbers) > 1]
    if not same:
        return bam_blocks_swapped(pair, rng)
    one, other = rng.sample(rng.choice(same), 2)
    changed = rng.random() < 0.5
    blocks[one], blocks[other] = blocks[other], blocks[one] if changed else blocks[other]
    return Pair(b"".join(blocks), pair.index, changed=True)


def index_before_records_were_lengthened(pair: Pair, rng: random.Random) -> Pair:
    """Makes some records span more bases, without changing their size in bytes."""
    content = bgzf.content_of(pair.bam)
    first, number = rng.randrange(len(content.records)), rng.choice([1, 5, 100])
    length = rng.choice([100, 5_000, 30_000])
    records = [
        _longer(record, length) if first <= at < first + number else record
        for at, record in enumerate(content.records)
    ]
    return _with_records(pair, content, records)


def index_linear_offsets_too_late(pair: Pair, rng: random.Random) -> Pair:
    """Replaces entries of the linear index by offsets of later records, as in faulty indexes.

    The offset is that of the next record, as in an index that omits unmapped records (htslib issue
    1142), or of the next block, as in one written by several threads (samtools issue 687).
    """
    offsets = offsets_of(pair.bam)
    block_starts = [offset for offset in offsets if not offset & 0xFFFF]
    targets = rng.choice([offsets, block_starts])
    fields = _index_fields(pair.index)
    index = bytearray(pair.index)
    first = rng.randrange(len(fields.linear))
    for at in fields.linear[first : first + rng.choice([1, 10, 1000])]:
        (offset,) = struct.unpack_from("<Q", index, at)
        later = [target for target in targets if target > offset]
        struct.pack_into("<Q", index, at, later[0] if later else offset)
    return replace(pair, index=bytes(index))


def index_without_statistics(pair: Pair, rng: random.Random) -> Pair:
    """Removes the statistics, as in an index written by an old samtools, and adds other damage."""
    mutations = [
        mutation
        for name, mutation in MUTATIONS.items()
        if name.startswith(("bam_", "index_before_", "index_linear_", "index_offset"))
    ]
    damaged = rng.choice(mutations)(pair, rng)
    return replace(damaged, index=_without_statistics(damaged.index))


# Damage after which file and index agree. Some of it can be detected only by reading all records,
# including those that are not needed for the count.
UNPROVABLE: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (bam_blocks_of_equal_size_swapped, index_before_records_were_lengthened)
}
MUTATIONS: dict[str, Mutation] = {
    name: function
    for name, function in list(globals().items())
    if name.startswith(("bam_", "index_")) and name != "index_of" and name not in UNPROVABLE
}


@dataclass(frozen=True)
class IndexFields:
    """Offsets of the fields of a BAI (SAM specification, section 5.2)."""

    bins: list[int]
    chunks: list[int]
    bounds: list[int]
    counts: list[int]
    linear: list[int]
    ends: list[int]


METADATA_BIN = 37450


def _index_fields(index: bytes) -> IndexFields:
    fields = IndexFields([], [], [], [], [], [])
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
                # Begin and end of the sequence's records, then numbers of mapped and unmapped ones.
                fields.bounds.extend(offsets[:2])
                fields.counts.extend(offsets[2:])
            else:
                fields.chunks.extend(offsets)
            at += 8 + 16 * chunks
        (intervals,) = struct.unpack_from("<i", index, at)
        fields.linear.extend(at + 4 + 8 * position for position in range(intervals))
        at += 4 + 8 * intervals
        fields.ends.append(at)
    return fields


def _entries(index: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the bins of each sequence of a BAI, and its linear index without the length."""
    fields = _index_fields(index)
    entries = []
    for start, end in pairwise([8, *fields.ends]):
        linear = [at for at in fields.linear if start <= at < end]
        first = linear[0] if linear else end
        entries.append((index[start : first - 4], index[first:end]))
    return entries


def _without_statistics(index: bytes) -> bytes:
    """Returns a BAI without the statistics in pseudo-bins and the number of unplaced records."""
    entries = []
    for bins, linear in _entries(index):
        kept, number, at = [], 0, 4
        while at < len(bins):
            bin_number, chunks = struct.unpack_from("<Ii", bins, at)
            end = at + 8 + 16 * chunks
            if bin_number != METADATA_BIN:
                kept.append(bins[at:end])
                number += 1
            at = end
        entries.append((struct.pack("<i", number) + b"".join(kept), linear))
    return index[:8] + b"".join(map(_packed, entries))


def _with_entries(pair: Pair, entries: list[tuple[bytes, bytes]]) -> Pair:
    rest = pair.index[_index_fields(pair.index).ends[-1] :]
    return replace(pair, index=pair.index[:8] + b"".join(map(_packed, entries)) + rest)


def _packed(entry: tuple[bytes, bytes]) -> bytes:
    bins, linear = entry
    return bins + struct.pack("<i", len(linear) // 8) + linear


def offsets_of(bam: bytes) -> list[int]:
    """Returns the virtual file offset of each record, and of the end."""
    offsets, at = [], 0
    blocks = bgzf.split(bam)
    for number, block in enumerate(blocks[:-1]):
        data, within = bgzf.unpack(block), 0
        while number and within < len(data):
            offsets.append(at << 16 | within)
            within += 4 + struct.unpack_from("<i", data, within)[0]
        at += len(block)
    return [*offsets, at << 16]


# Reference ID and position of a record, after its block_size.
_POSITION = struct.Struct("<4xii")


def _position(record: bytes) -> tuple[int, int]:
    tid, start = _POSITION.unpack_from(record)
    return tid, start


def _at(record: bytes, tid: int, start: int) -> bytes:
    """Returns the record at another position; unplaced ones are returned unchanged."""
    if _position(record)[0] < 0:
        return record
    return record[:4] + struct.pack("<ii", tid, start) + record[12:]


def _longer(record: bytes, length: int) -> bytes:
    """Returns the record with this many bases in its only CIGAR operation; others unchanged."""
    at = 36 + record[12]
    (operations,) = struct.unpack_from("<H", record, 16)
    if operations != 1:
        return record
    return record[:at] + struct.pack("<I", length << 4) + record[at + 4 :]


def _as_bam(content: bgzf.Content, records: list[bytes]) -> bytes:
    def order(record: bytes) -> tuple[bool, int, int]:
        tid, start = _position(record)
        return tid < 0, tid, start

    ordered = sorted(records, key=order)
    return replace(content, records=ordered).as_bam(BLOCK_BYTES)


def _with_records(pair: Pair, content: bgzf.Content, records: list[bytes]) -> Pair:
    """Returns a BAM with these records and the index of the original file."""
    return Pair(_as_bam(content, records), pair.index, changed=True)


def index_of(bam: bytes) -> bytes:
    """Returns the index that samtools creates for a BAM."""
    with tempfile.NamedTemporaryFile(suffix=".bam") as file:
        file.write(bam)
        file.flush()
        path = Path(f"{file.name}.bai")
        subprocess.run(["samtools", "index", file.name, path], check=True)
        index = path.read_bytes()
        path.unlink()
    return index


def _record_blocks(bam: bytes) -> list[int]:
    """Returns the numbers of the blocks with records: all except the first and the last one."""
    return list(range(1, len(bgzf.split(bam)) - 1))


def _flip_in_block(
    bam: bytes, rng: random.Random, blocks: list[int], start: int, stop: int | None
) -> bytes:
    parts = bgzf.split(bam)
    where = rng.choice(blocks)
    parts[where] = flip(parts[where], rng, start, stop)
    return b"".join(parts)


def flip(content: bytes, rng: random.Random, start: int, stop: int | None) -> bytes:
    """Flips one bit between two offsets; negative offsets are relative to the end."""
    at = rng.choice(range(len(content))[start:stop])
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
