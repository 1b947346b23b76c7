"""Finds the records of a span with the index of a BAM, and checks the index's consistency."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from readcount.columns import Ints, distinct
from readcount.formats.bam_index import BinColumns, Offsets, first_bin


class RecordOffsets(NamedTuple):
    """Where the records of a reference sequence may be in the file, as virtual file offsets.

    A record is in the smallest bin that contains all of it, and records are sorted by start. So the
    records that overlap a span are between the low of the bin in which the span starts and the high
    of the first bin that starts after the span:

        positions  |bin 4681   |bin 4682   |bin 4683   |     smallest bins
                   |bin 585                                  one that begins with the first of them
        span             [-------------)
        low         ^                                        first record that overlaps bin 4681
        high                               ^                 first record that begins in bin 4683

    Attributes:
        shift: size of the smallest bins, as a power of 2 (min_shift).
        starts: starts of the bins in units of smallest bins, ascending.
        lows: offset of the first record that overlaps each bin, or an earlier offset; as long as
            starts.
        highs: offset of the first record that starts in each bin, or a later offset; as long as
            starts.
        begin: offset of the first record.
        last_chunk: offset of the first record of the last chunk.
        end: offset after the last record.
        not_in_linear: offsets of the first records of bins which, according to the linear index, do
            not overlap the bin. samtools up to 1.13 omitted unmapped records from the linear index
            (htslib issue 1142); any other record there shows that the index is wrong.
        last_bin: positions of the bin that starts last, 0-based and half-open; its first record is
            at the last of highs.
    """

    shift: int
    starts: Ints
    lows: Ints
    highs: Ints
    begin: int
    last_chunk: int
    end: int
    not_in_linear: Sequence[int] = ()
    last_bin: tuple[int, int] = (0, 0)

    def of_spans(self, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
        """Returns, for each span, offsets between which all records that overlap it are."""
        # The first element is for positions before all bins.
        lows = np.append(self.begin, self.lows)
        lows = lows[np.searchsorted(self.starts, starts >> self.shift, "right")]
        lows = np.where(starts > 0, np.maximum(lows, self.begin), self.begin)
        highs = np.append(self.highs, self.end)
        highs = highs[np.searchsorted(self.starts, ((ends - 1) >> self.shift) + 1)]
        return lows, np.maximum(lows, np.minimum(highs, self.end))

    def inner(self, start: int, end: int) -> tuple[int, int]:
        """Returns offsets between which all records start in a span; see of_spans."""
        first, last = np.searchsorted(self.starts, (-(-start >> self.shift), end >> self.shift))
        highs = np.append(self.highs, self.end)
        begin = int(highs[first]) if start else self.begin
        return begin, max(begin, int(highs[last]))


def record_offsets(bins: BinColumns) -> RecordOffsets | None:
    """Returns the record offsets of an index entry; None if it has no records.

    The entry must satisfy what holds for every index written by samtools, including those with
    merged bins and chunks: each record is in one bin; the records of a bin start before those of
    any later bin; the chunks cover everything between the first and the last record; no record of a
    bin precedes the first record that extends to the bin's start.

    Raises:
        ValueError: the entry is inconsistent; the message says how.
    """
    if not len(bins.begins):
        if bins.bounds and bins.bounds[0] < bins.bounds[1]:
            raise ValueError("it has no offsets of its records")
        return None
    firsts, lasts = np.sort(bins.begins), np.sort(bins.ends)
    of_chunks = (int(firsts[0]), int(lasts[-1]))
    begin, end = bins.bounds or of_chunks
    if of_chunks != (begin, end) or (bins.begins > bins.ends).any():
        raise ValueError("its offsets are not those of its first and last record")
    # If there is a gap between chunks, it is also between consecutive elements of the sorted lists
    # of begins and ends.
    if (firsts[1:] > lasts[:-1]).any():
        raise ValueError("it skips some of its records")
    starts, ends, lows, begins = _in_order(bins)
    late = lows > begins
    # A record that overlaps such a bin also overlaps the previous one, or starts in this bin.
    lows = np.where(np.isin(starts, starts[late]), np.uint64(0), lows)
    for offsets in (bins.linear, lows):
        known = offsets[offsets != 0]
        if len(known) and not begin <= int(known.min()) <= int(known.max()) < end:
            raise ValueError("its linear index points outside its records")
        if (known[:-1] > known[1:]).any():
            raise ValueError("its linear index is not in order")
    highs = np.minimum.accumulate(begins[::-1])[::-1]
    lows = np.maximum.accumulate(lows)
    columns = (starts, lows.astype(np.int64), highs.astype(np.int64))
    last_bin = (int(starts[-1]) << bins.shift, int(ends[-1]) << bins.shift) if len(ends) else (0, 0)
    late_begins = begins[late].tolist()
    return RecordOffsets(bins.shift, *columns, begin, int(firsts[-1]), end, late_begins, last_bin)


def _in_order(bins: BinColumns) -> tuple[Ints, Ints, Offsets, Offsets]:
    """Returns bin starts and ends, and offsets of the first record overlapping and in each bin.

    Raises:
        ValueError: a bin number is not valid, or the records of the bins are not in order.
    """
    depth = bins.depth
    first_bins = np.array([first_bin(level) for level in range(depth + 2)])
    levels = np.searchsorted(first_bins, bins.numbers, "right") - 1
    if (levels > depth).any() or (bins.chunks == 0).any():
        raise ValueError("it has a bin that does not exist")
    if len(distinct(bins.numbers)) < len(bins.numbers):
        raise ValueError("it contains a bin twice")
    of_bins = np.cumsum(bins.chunks) - bins.chunks
    firsts = np.minimum.reduceat(bins.begins, of_bins)
    lasts = np.maximum.reduceat(bins.ends, of_bins)
    # htslib puts records with RNAME but no POS into the last bin of the second smallest size.
    placed = bins.numbers != first_bins[depth] - 1
    levels, firsts, lasts = levels[placed], firsts[placed], lasts[placed]
    sizes = 3 * (depth - levels)
    starts = (bins.numbers[placed] - first_bins[levels]) << sizes
    ends = starts + (1 << sizes)
    lows = bins.lows[placed]
    if len(bins.linear):
        within = starts < len(bins.linear)
        lows = np.where(within, bins.linear[np.where(within, starts, 0)], lasts)
    order = np.lexsort((lows, lasts, firsts, ends, starts))
    starts, firsts, lows, last_ends = starts[order], firsts[order], lows[order], ends[order]
    by_end = np.argsort(ends, kind="stable")
    # The highest offset in the bins that end before a bin starts.
    ended = np.searchsorted(ends[by_end], starts, "right")
    reached = np.maximum.accumulate(np.append(np.zeros(1, np.uint64), lasts[by_end]))
    if (firsts < reached[ended]).any():
        raise ValueError("its bins are not in order")
    return starts, last_ends, lows, firsts
