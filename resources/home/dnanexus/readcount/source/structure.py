"""Where the records of a region are in a BAM by its index, and whether the index is consistent.

Of records that are filtered, or overlap a span, the index has no number. But records that samtools
does not find are missing from somewhere: either the index no longer leads to all of the sequence,
in order, or the blocks of the file no longer begin where the index says.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from operator import gt, itemgetter
from typing import NamedTuple

from readcount.formats.bam_index import Bins, first_bin
from readcount.request.region import LAST_POSITION, Region
from readcount.request.region_list import NONE, RegionList

# Between spans whose blocks are followed together: to look up each takes longer.
JOINED_BASES = 1 << 16


class RecordOffsets(NamedTuple):
    """Where in the file the records of a reference sequence may be; virtual file offsets.

    Attributes:
        shift: positions in the smallest bins, as a power of 2.
        starts: where bins begin, in smallest bins, rising.
        lows: of the first record that overlaps each, or earlier; as long as starts.
        highs: of the first record that begins in each, or later; as long as starts.
        begin: of the first record.
        last_chunk: of the record that begins the last chunk.
        end: after the last one.
    """

    shift: int
    starts: list[int]
    lows: list[int]
    highs: list[int]
    begin: int
    last_chunk: int
    end: int

    def of(self, region: Region) -> tuple[int, int]:
        """Returns offsets between which all records are that overlap a region."""
        begin, end = self.begin, self.end
        if region.start:
            bin_before = bisect_right(self.starts, region.start >> self.shift) - 1
            begin = max(begin, self.lows[bin_before]) if bin_before >= 0 else begin
        if region.end is not None:
            after = bisect_left(self.starts, ((region.end - 1) >> self.shift) + 1)
            end = min(end, self.highs[after]) if after < len(self.starts) else end
        return begin, end


def record_offsets(bins: Bins) -> RecordOffsets | None:
    """Returns where records are by an index entry; None if it has no records.

    These hold for every index that samtools writes, merged bins and chunks included: each record
    is in one bin; records of a bin begin before those of any bin after it; chunks leave nothing
    out between the first record and the last; no record of a bin is before the first one that
    reaches to where the bin begins.

    Raises:
        ValueError: the entry contradicts itself; the message says how.
    """
    chunks = list(chain.from_iterable(map(itemgetter(2), bins.bins)))
    if not chunks:
        if bins.bounds and bins.bounds[0] < bins.bounds[1]:
            raise ValueError("it has no offsets of its records")
        return None
    firsts, lasts = sorted(chunks[::2]), sorted(chunks[1::2])
    begin, end = bins.bounds or (firsts[0], lasts[-1])
    if firsts[0] != begin or lasts[-1] != end or any(map(gt, chunks[::2], chunks[1::2])):
        raise ValueError("its offsets are not those of its first and last record")
    # If a chunk begins after the end of all that begin before it, so does it in these two lists.
    if any(map(gt, firsts[1:], lasts)):
        raise ValueError("it skips some of its records")
    starts, lows, begins = _in_order(bins)
    if any(map(gt, lows, begins)):
        raise ValueError("its linear index skips some of its records")
    for offsets in (bins.linear, lows):
        known = list(filter(None, offsets))
        if known and not begin <= min(known) <= max(known) < end:
            raise ValueError("its linear index leads elsewhere")
        if any(map(gt, known, known[1:])):
            raise ValueError("its linear index is not in order")
    highs = list(accumulate(reversed(begins), min))[::-1]
    lows = list(accumulate(lows, max))
    return RecordOffsets(bins.shift, starts, lows, highs, begin, firsts[-1], end)


def _in_order(bins: Bins) -> tuple[list[int], list[int], list[int]]:
    """Returns where bins begin, and the offsets of what overlaps each, and of what begins there.

    Raises:
        ValueError: there is no such bin, or their records are not in order.
    """
    depth, linear, intervals = bins.depth, bins.linear, len(bins.linear)
    levels = [first_bin(level) for level in range(depth + 2)]
    placed = []
    for number, low, chunks in bins.bins:
        level = bisect_right(levels, number) - 1
        if level > depth or not chunks:
            raise ValueError("it has a bin that does not exist")
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
    ended = sorted((end, last) for _, end, _, last, _ in placed)
    reached, at = 0, 0
    for start, _, first, _, _ in placed:
        while ended[at][0] <= start:
            reached = max(reached, ended[at][1])
            at += 1
        if first < reached:
            raise ValueError("its bins are not in order")
    return [one[0] for one in placed], [one[4] for one in placed], [one[2] for one in placed]


def covering(regions: RegionList) -> Iterator[Region]:
    """Yields regions that cover all of these, and little else.

    Whole sequences as they are; of spans that are less than JOINED_BASES apart, only one is made.
    """
    yield from map(regions.item, regions.whole)
    if len(regions.whole) == len(regions):
        return
    # Here, as to load numpy takes 0.1 s, and only spans need it.
    import numpy as np

    from readcount.request.span_columns import reached_before, spans_in

    _, on, starts, ends = spans_in(regions)
    ends = np.where(ends == NONE, LAST_POSITION, ends)
    order = np.lexsort((starts, on))
    on, starts, ends = on[order], starts[order], ends[order]
    reached, is_first = reached_before(on, ends)
    (first,) = np.nonzero(is_first | (starts > reached + JOINED_BASES))
    columns = on[first], starts[first], np.maximum.reduceat(ends, first)
    yield from map(regions.region, *(column.tolist() for column in columns))


def merge_ranges(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins those that touch or overlap; leaves out those that are empty. Returns them rising."""
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


def named_offsets(entries: Iterable[Bins]) -> list[int]:
    """Returns all offsets that the entries name, rising; of those in a block only the last."""
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
