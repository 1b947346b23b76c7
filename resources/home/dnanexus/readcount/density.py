"""Where on a reference sequence its records lie, as far as the index says.

The index has the place in the file of what begins in each INTERVAL, and between two places there
are about as many records as bytes. Depth is far from even in exomes, panels and RNA, so that
lengths tell little; they stand in where the index has no places.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

from readcount.index import INTERVAL
from readcount.regions import Contig, Region

# Where there are no statistics: 30 reads of 150 bases over each base.
RECORDS_PER_BASE = 0.2


def expected_records(contig: Contig) -> float:
    """Gives the records of a sequence, by its length if the index does not say."""
    told = told_records(contig)
    return contig.length * RECORDS_PER_BASE if told is None else told


def told_records(contig: Contig) -> float | None:
    """Gives the records that the index has, or that the containers of a CRAM make likely."""
    return contig.expected if contig.records is None else contig.records


def share_out(contig: Contig, spans: Sequence[Region]) -> list[float]:
    """Gives the records to expect in each span; spans in the same INTERVAL share what it holds.

    Args:
        contig: the reference sequence.
        spans: parts of it, in any order.
    """
    places = _places(contig)
    if not places:
        density = expected_records(contig) / max(1, contig.length)
        return [density * ((span.end or contig.length) - (span.start or 0)) for span in spans]
    intervals = len(places) - 1
    touched = [_touched(span, intervals) for span in spans]
    more = [0] * (intervals + 1)
    for first, last in touched:
        more[first] += 1
        more[last] -= 1
    sharers = accumulate(more)
    scale = expected_records(contig) / (places[-1] - places[0])
    shares = [
        scale * (behind - before) / max(1, sharing)
        for (before, behind), sharing in zip(pairwise(places), sharers, strict=False)
    ]
    before = [0.0, *accumulate(shares)]
    return [before[last] - before[first] for first, last in touched]


def edges(
    contig: Contig, region: Region, cuts: Sequence[float], shortest: int
) -> list[tuple[int, float]]:
    """Gives the positions at which to cut a region, each with the share of its records before it.

    With an index that has places no edge lies within an INTERVAL, as what begins there would have
    to read it from its beginning.

    Args:
        contig: the reference sequence.
        region: all of it, or a span.
        cuts: shares of the records, from 0 to 1, rising.
        shortest: bases between two edges at least, where only the length says where to cut.
    """
    start, end = region.start or 0, region.end or contig.length
    places = _places(contig)
    if places:
        first, last = _touched(region, len(places) - 1)
        begin, size = places[first], places[last] - places[first]
        found = {bisect_left(places, begin + cut * size, first, last) for cut in cuts}
        return [
            (number * INTERVAL, (places[number] - begin) / size)
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


def _places(contig: Contig) -> list[int]:
    """Gives the place in the file of each INTERVAL and of the end, rising; nothing if unknown."""
    begin, end = next(filter(None, contig.offsets), 0), contig.offsets[-1] if contig.offsets else 0
    if begin >= end:
        return []
    rising = list(accumulate(contig.offsets[:-1], max, initial=begin))[1:]
    return [*(min(place, end) for place in rising), end]


def _touched(region: Region, intervals: int) -> tuple[int, int]:
    """Gives the first INTERVAL that a region reaches into, and the one behind its last."""
    first = min((region.start or 0) // INTERVAL, intervals - 1)
    last = intervals if region.end is None else min(intervals, (region.end - 1) // INTERVAL + 1)
    return first, max(last, first + 1)
