"""Where on a reference sequence its records are, as far as the index says.

The index has the file offset of what begins in each INTERVAL, and between two offsets there are
about as many records as bytes. Depth is far from even in exomes, panels and RNA, so that lengths
say little; they are used where the index has no offsets.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from readcount.formats.bam_index import INTERVAL
from readcount.request.region import Region
from readcount.source.contigs import Contig

# Where there are no statistics: 30 reads of 150 bases over each base.
RECORDS_PER_BASE = 0.2


def expected_records(contig: Contig) -> float:
    """Returns the records of a sequence, by its length if the index does not say."""
    estimate = contig.indexed.estimate
    return contig.length * RECORDS_PER_BASE if estimate is None else estimate


def edges(
    contig: Contig, region: Region, cuts: Sequence[float], shortest: int
) -> list[tuple[int, float]]:
    """Returns the positions at which to cut a region, each with the share of its records before it.

    With an index that has offsets no edge is within an INTERVAL: what begins there would have to
    read it from its beginning.

    Args:
        contig: the reference sequence.
        region: all of it, or a span.
        cuts: shares of the records, from 0 to 1, rising.
        shortest: bases between two edges at least, where only the length says where to cut.
    """
    start, end = region.start or 0, region.end or contig.length
    offsets = offsets_of(contig)
    if offsets:
        first, last = _touched(region, len(offsets) - 1)
        begin, size = offsets[first], offsets[last] - offsets[first]
        found = {bisect_left(offsets, begin + cut * size, first, last) for cut in cuts}
        return [
            (number * INTERVAL, (offsets[number] - begin) / size)
            for number in sorted(found)
            if first < number < last and start < number * INTERVAL
        ]
    made = []
    before = start
    for cut in cuts:
        position = int(start + (end - start) * cut)
        if min(position - before, end - position) >= shortest:
            made.append((position, cut))
            before = position
    return made


def offsets_of(contig: Contig) -> list[int]:
    """Returns the file offset of each INTERVAL and of the end, rising; empty if unknown."""
    known = contig.indexed.offsets
    begin, end = next(filter(None, known), 0), known[-1] if known else 0
    if begin >= end:
        return []
    rising = list(accumulate(known[:-1], max, initial=begin))[1:]
    # In a good index all are before the end.
    before_end = rising[: bisect_left(rising, end)]
    return before_end + [end] * (len(rising) + 1 - len(before_end))


def _touched(region: Region, intervals: int) -> tuple[int, int]:
    """Returns the first INTERVAL that a region overlaps, and the one after its last."""
    first = min((region.start or 0) // INTERVAL, intervals - 1)
    last = intervals if region.end is None else min(intervals, (region.end - 1) // INTERVAL + 1)
    return first, max(last, first + 1)
