"""Where the records of a span are in a BAM by its index, and whether the index is consistent."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, compress
from operator import gt
from typing import NamedTuple

import numpy as np

from readcount.columns import Ints
from readcount.formats.bam_index import Bins, first_bin


class RecordOffsets(NamedTuple):
    """Where in the file the records of a reference sequence may be; virtual file offsets.

    A record is in the smallest bin that holds all of it, and in the file records are in the order
    of their beginnings. So those that overlap a span are between the low of the bin in which it
    begins, and the high of the first bin that begins after it:

        positions  |bin 4681   |bin 4682   |bin 4683   |     smallest bins
                   |bin 585                                  one that begins with the first of them
        span             [-------------)
        low         ^                                        first record that overlaps bin 4681
        high                               ^                 first record that begins in bin 4683

    Attributes:
        shift: positions in the smallest bins, as a power of 2.
        starts: where bins begin, in smallest bins, rising.
        lows: of the first record that overlaps each, or earlier; as long as starts.
        highs: of the first record that begins in each, or later; as long as starts.
        begin: of the first record.
        last_chunk: of the record that begins the last chunk.
        end: after the last one.
        not_in_linear: of the first records of bins which, by the linear index, do not overlap the
            bin. samtools up to 1.13 left unmapped ones out of it (htslib issue 1142); any other
            record there shows that the index is wrong.
        last_bin: the positions of the bin that begins last, 0-based and half-open; its first record
            is the last of highs.
    """

    shift: int
    starts: list[int]
    lows: list[int]
    highs: list[int]
    begin: int
    last_chunk: int
    end: int
    not_in_linear: Sequence[int] = ()
    last_bin: tuple[int, int] = (0, 0)

    def of_spans(self, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
        """Returns offsets between which all records are that overlap each of some spans."""
        bins = np.array(self.starts, np.int64)
        # The first one stands for what is before all bins.
        lows = np.array([self.begin, *self.lows])
        lows = lows[np.searchsorted(bins, starts >> self.shift, "right")]
        lows = np.where(starts > 0, np.maximum(lows, self.begin), self.begin)
        highs = np.array([*self.highs, self.end])
        highs = highs[np.searchsorted(bins, ((ends - 1) >> self.shift) + 1)]
        return lows, np.maximum(lows, np.minimum(highs, self.end))

    def inner(self, start: int, end: int) -> tuple[int, int]:
        """Returns offsets between which all records begin in a span; see of_spans."""
        highs = [*self.highs, self.end]
        begin = highs[bisect_left(self.starts, -(-start >> self.shift))] if start else self.begin
        return begin, max(begin, highs[bisect_left(self.starts, end >> self.shift)])


def record_offsets(bins: Bins) -> RecordOffsets | None:
    """Returns where records are by an index entry; None if it has no records.

    These hold for every index that samtools writes, merged bins and chunks included: each record
    is in one bin; records of a bin begin before those of any bin after it; chunks leave nothing
    out between the first record and the last; no record of a bin is before the first one that
    reaches to where the bin begins.

    Raises:
        ValueError: the entry contradicts itself; the message says how.
    """
    begins_of_chunks, ends_of_chunks = bins.chunk_begins(), bins.chunk_ends()
    if not begins_of_chunks:
        if bins.bounds and bins.bounds[0] < bins.bounds[1]:
            raise ValueError("it has no offsets of its records")
        return None
    firsts, lasts = sorted(begins_of_chunks), sorted(ends_of_chunks)
    begin, end = bins.bounds or (firsts[0], lasts[-1])
    if firsts[0] != begin or lasts[-1] != end or any(map(gt, begins_of_chunks, ends_of_chunks)):
        raise ValueError("its offsets are not those of its first and last record")
    # If a chunk begins after the end of all that begin before it, so does it in these two lists.
    if any(map(gt, firsts[1:], lasts)):
        raise ValueError("it skips some of its records")
    starts, ends, lows, begins = _in_order(bins)
    late = list(map(gt, lows, begins))
    not_in_linear = list(compress(begins, late))
    if not_in_linear:
        # What overlaps such a bin overlaps the one before it, too, or begins in it.
        late_starts = set(compress(starts, late))
        lows = [0 if start in late_starts else low for start, low in zip(starts, lows, strict=True)]
    for offsets in (bins.linear, lows):
        known = list(filter(None, offsets))
        if known and not begin <= min(known) <= max(known) < end:
            raise ValueError("its linear index leads elsewhere")
        if any(map(gt, known, known[1:])):
            raise ValueError("its linear index is not in order")
    highs = list(accumulate(reversed(begins), min))[::-1]
    lows = list(accumulate(lows, max))
    last_bin = (starts[-1] << bins.shift, ends[-1] << bins.shift) if starts else (0, 0)
    return RecordOffsets(
        bins.shift, starts, lows, highs, begin, firsts[-1], end, not_in_linear, last_bin
    )


def _in_order(bins: Bins) -> tuple[list[int], list[int], list[int], list[int]]:
    """Returns where bins begin and end, and offsets of what overlaps and of what begins in each.

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
        first, last = chunks if len(chunks) == 2 else (min(chunks[::2]), max(chunks[1::2]))
        if linear:
            low = linear[start] if start < intervals else last
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
    starts, ends, firsts, _, lows = zip(*placed, strict=True) if placed else [()] * 5
    return list(starts), list(ends), list(lows), list(firsts)
