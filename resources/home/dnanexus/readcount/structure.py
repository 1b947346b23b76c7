"""Whether an index and its BAM hold together, for counts that no statistics tell.

Of records that were selected, or that lie in a span, the index has no number. But records that
samtools does not find are missing from somewhere: either the index no longer leads to all of the
sequence, in order, or the blocks of the file no longer begin where the index says.
"""

import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain
from operator import gt, itemgetter
from pathlib import Path
from typing import NamedTuple

from readcount.cram import out_of_order, read_crai
from readcount.errors import INDEX_ANEW, InputError, shorten
from readcount.index import Bins, first_bin, read_bins
from readcount.inputs import IndexedBam
from readcount.pool import Workers
from readcount.regions import UNPLACED, Contig, Region

# The start of a BGZF block: gzip's magic and flags, its time and system, and the only extra field
# that htslib takes, with the size of the block less 1 (SAM specification, section 4.1).
_BLOCK = struct.Struct("<3sB6x6sH")
_MAGIC, _HAS_EXTRA, _EXTRA = b"\x1f\x8b\x08", 4, b"\6\0BC\2\0"
# How many parts of the file each process of the Pool follows.
PARTS_PER_CORE = 4


class BlockError(ValueError):
    """The blocks of a file do not begin where they should."""


class Places(NamedTuple):
    """Where in the file the records of a reference sequence may lie; virtual file offsets.

    Attributes:
        shift: positions in the smallest bins, as a power of 2.
        starts: where bins begin, in smallest bins, rising.
        lows: of the first record that reaches into each, or earlier; as long as starts.
        highs: of the first record that begins in each, or later; as long as starts.
        begin: of the first record.
        end: behind the last one.
    """

    shift: int
    starts: list[int]
    lows: list[int]
    highs: list[int]
    begin: int
    end: int

    def of(self, region: Region) -> tuple[int, int]:
        """Gives offsets between which all records are that reach into a region."""
        begin, end = self.begin, self.end
        if region.start:
            bin_before = bisect_right(self.starts, region.start >> self.shift) - 1
            begin = max(begin, self.lows[bin_before]) if bin_before >= 0 else begin
        if region.end is not None:
            behind = bisect_left(self.starts, ((region.end - 1) >> self.shift) + 1)
            end = min(end, self.highs[behind]) if behind < len(self.starts) else end
        return begin, end


def find_places(bins: Bins) -> Places | None:
    """Gives where records lie by an index entry; None if it has no records.

    These hold for every index that samtools writes, merged bins and chunks included: each record
    is in one bin; records of a bin begin before those of any bin behind it; chunks leave nothing
    out between the first record and the last; no record of a bin lies before the first one that
    reaches to where the bin begins.

    Raises:
        ValueError: the entry contradicts itself; the message says how.
    """
    entries = bins.bins
    chunks = sorted(chain.from_iterable(zip(c[::2], c[1::2], strict=True) for _, _, c in entries))
    if not chunks:
        if bins.bounds and bins.bounds[0] < bins.bounds[1]:
            raise ValueError("it has no place of its records")
        return None
    reached = [0, *accumulate(map(itemgetter(1), chunks), max)]
    begin, end = bins.bounds or (chunks[0][0], reached[-1])
    reached[0] = begin
    firsts, lasts = map(itemgetter(0), chunks), map(itemgetter(1), chunks)
    if chunks[0][0] != begin or reached[-1] != end or any(map(gt, firsts, lasts)):
        raise ValueError("its places are not those of its first and last record")
    if any(map(gt, map(itemgetter(0), chunks), reached)):
        raise ValueError("it leads past some of its records")
    starts, lows, begins = _in_order(bins)
    if any(map(gt, lows, begins)):
        raise ValueError("its linear index leads past some of its records")
    for offsets in (bins.linear, lows):
        known = list(filter(None, offsets))
        if known and not begin <= min(known) <= max(known) < end:
            raise ValueError("its linear index leads elsewhere")
        if any(map(gt, known, known[1:])):
            raise ValueError("its linear index is not in order")
    highs = list(accumulate(reversed(begins), min))[::-1]
    return Places(bins.shift, starts, list(accumulate(lows, max)), highs, begin, end)


def _in_order(bins: Bins) -> tuple[list[int], list[int], list[int]]:
    """Gives where bins begin, the offset of what reaches into each, and of what begins there.

    Raises:
        ValueError: there is no such bin, or their records are not in order.
    """
    depth, linear, intervals = bins.depth, bins.linear, len(bins.linear)
    levels = [first_bin(level) for level in range(depth + 2)]
    placed = []
    for number, low, chunks in bins.bins:
        level = bisect_right(levels, number) - 1
        if level > depth or not chunks:
            raise ValueError("it has a bin that cannot be")
        # htslib puts what has no position on its sequence into the last bin above the smallest.
        if number == levels[depth] - 1:
            continue
        size = 3 * (depth - level)
        start = number - levels[level] << size
        if linear:
            if start >= intervals:
                raise ValueError("its linear index ends before its bins")
            low = linear[start]
        first, last = chunks if len(chunks) == 2 else (min(chunks[::2]), max(chunks[1::2]))
        placed.append((start, start + (1 << size), first, last, low))
    if len({number for number, _, _ in bins.bins}) < len(bins.bins):
        raise ValueError("it has a bin twice")
    placed.sort()
    ended = sorted((behind, last) for _, behind, _, last, _ in placed)
    reached, at = 0, 0
    for start, _, first, _, _ in placed:
        while ended[at][0] <= start:
            reached = max(reached, ended[at][1])
            at += 1
        if first < reached:
            raise ValueError("its bins are not in order")
    return [one[0] for one in placed], [one[4] for one in placed], [one[2] for one in placed]


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins those that touch or overlap; leaves out those that are empty. Gives them rising."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def cut_between(
    ranges: Iterable[tuple[int, int]], named: Sequence[int], size: float
) -> Iterator[list[int]]:
    """Cuts ranges of a file into parts of about a size, at offsets that should be in blocks.

    Args:
        ranges: begin and end; virtual file offsets, as all of these.
        named: other offsets, rising.
        size: in bytes of the file.

    Yields:
        The offsets of a part, rising: the first and last are where it begins and ends.
    """
    for begin, end in ranges:
        part = [begin]
        for offset in named[bisect_right(named, begin) : bisect_left(named, end)]:
            part.append(offset)
            if (offset - part[0]) >> 16 >= size:
                yield part
                part = [offset]
        yield [*part, end]


def follow_blocks(path: Path, offsets: Sequence[int]) -> int:
    """Goes from block to block, and gives how many there are up to that of the last offset.

    Args:
        path: the BAM.
        offsets: virtual file offsets, rising; the last may be the end of the file.

    Raises:
        BlockError: a block does not follow another one, or begin where one of these is, or is not
            as long as that.
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
                behind = at + _size_of(header, at)
                # The length of a block's data is the last thing in it.
                data = os.pread(file, 4 + _BLOCK.size, behind - 4)
                if within > int.from_bytes(data[:4], "little"):
                    raise BlockError(at)
                at, header, within = behind, data[4:], 0
                blocks += 1
            if at != target:
                raise BlockError(target)
            within = max(within, offset & 0xFFFF)
        if within or at != os.fstat(file).st_size:
            behind = at + _size_of(header, at)
            if within > int.from_bytes(os.pread(file, 4, behind - 4), "little"):
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


def check_structure(
    bam: IndexedBam,
    regions: Sequence[Region],
    contigs: Mapping[str, Contig],
    workers: Workers | None,
) -> str:
    """Holds the index of a BAM against itself, and the blocks of the BAM against the index.

    The containers of a CRAM have been held against its index before; here it is their order. Else
    only of the sequences that the regions are on, and where the regions lie in the file.

    Args:
        bam: the file with its index.
        regions: what was counted, and is held to no number.
        contigs: what is known of each reference sequence, by name.
        workers: the processes that follow the blocks; None to leave these alone.

    Returns:
        What was found to agree, for the log.

    Raises:
        InputError: they do not hold together.
    """
    if bam.cram:
        return _check_lines(bam, list(contigs))
    wanted = {region.contig for region in regions if region.placed}
    by_name = {
        name: bins
        for name, bins in zip(contigs, read_bins(bam.index), strict=True)
        if name in wanted
    }
    places = {name: _places_of(bam, name, bins) for name, bins in by_name.items()}
    agreed = f"the index of {len(wanted):,} sequences holds together"
    if workers is None:
        return agreed
    offsets = [
        found.of(region) for region in regions if region.placed and (found := places[region.contig])
    ]
    if not all(region.placed for region in regions):
        behind = max((contig.end or 0 for contig in contigs.values()), default=0)
        offsets.append((behind, bam.path.stat().st_size << 16))
    ranges = merge_ranges(offsets)
    named = _offsets(by_name.values())
    size = sum(end - begin >> 16 for begin, end in ranges)
    parts = cut_between(ranges, named, size / (PARTS_PER_CORE * len(workers.processes)))
    try:
        for _ in workers.results(partial(follow_blocks, bam.path), parts):
            pass
    except BlockError as error:
        raise InputError(
            f"mappings_sorted_bam: {bam.shown} does not fit {bam.index_shown}: no block of data "
            f"begins at byte {error}. One of the two is damaged, or the index was made from "
            "another file. Upload the BAM again, and an index made from it with 'samtools index'."
        ) from error
    return f"{agreed}, and the blocks of the file that it leads to follow each other as it says"


def _offsets(entries: Iterable[Bins]) -> list[int]:
    """Gives all offsets that the entries name, rising; of those in a block only the last."""
    offsets: list[int] = []
    for bins in entries:
        # Most of them rise, so that there is little to sort.
        offsets += bins.linear
        offsets += map(itemgetter(1), bins.bins)
        offsets += chain.from_iterable(map(itemgetter(2), bins.bins))
    offsets.sort()
    last = {offset >> 16: offset for offset in offsets}
    # 0 says that there is none.
    last.pop(0, None)
    return list(last.values())


def _check_lines(cram: IndexedBam, names: Sequence[str]) -> str:
    wrong = out_of_order(read_crai(cram.index))
    if wrong is not None:
        name = names[wrong] if wrong >= 0 else UNPLACED.contig
        raise _contradiction(cram, name, "its lines are not in the order of the file")
    return "the index has the slices of the file in their order"


def _contradiction(bam: IndexedBam, name: str, how: str) -> InputError:
    return InputError(
        f"mappings_sorted_bai: {bam.index_shown} contradicts itself at {shorten(name, 60)}: {how}. "
        f"{INDEX_ANEW}"
    )


def _places_of(bam: IndexedBam, name: str, bins: Bins) -> Places | None:
    try:
        return find_places(bins)
    except ValueError as error:
        raise _contradiction(bam, name, str(error)) from error
