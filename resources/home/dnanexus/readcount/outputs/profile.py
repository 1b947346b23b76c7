"""Where on each reference sequence its records are, by the counts of many regions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from readcount.columns import Ints, distinct
from readcount.outputs.result import Result
from readcount.regions.region_list import UNSET

# Of the longest sequence that is drawn, and how many sequences are.
PARTS = 200
MAX_PROFILES = 50
# With fewer regions there is a bar for each.
MIN_REGIONS = 51
# Of all parts, so that one with repeats does not make the others flat.
SHARE_ON_SCALE = 0.99


@dataclass(frozen=True)
class Profile:
    """The records along a reference sequence.

    Attributes:
        contig: name of the sequence.
        records: sum over its regions.
        heights: in percent of the scale, for each part of it; a part is as long on all sequences.
        width: of the sequence in percent of the longest one.
    """

    contig: str
    records: int
    heights: Sequence[float]
    width: float


@dataclass(frozen=True)
class Profiles:
    """The sequences with most records, in the header's order, on one scale.

    Attributes:
        drawn: the profiles; none if there are few regions.
        sequences: how many have regions.
        top: the records per megabase at which heights end.
    """

    drawn: Sequence[Profile] = ()
    sequences: int = 0
    top: float = 0


def profiles_of(result: Result) -> Profiles:
    """Returns the records per megabase along each sequence that has regions.

    A region counts in each part that it overlaps, with its share. A part without regions has none.
    """
    regions = result.counts.regions
    if len(regions) - len(regions.whole) < MIN_REGIONS:
        return Profiles()
    region_ids = regions.spans()
    tids = np.array(regions.tids)[region_ids]
    sums = np.bincount(tids, np.array(result.counts.records)[region_ids])
    totals: Counter[str] = Counter()
    for tid in distinct(tids).tolist():
        totals[regions.names_by_tid[tid]] += int(sums[tid])
    largest = sorted(totals, key=lambda contig: -totals[contig])[:MAX_PROFILES]
    drawn = [contig for contig in result.lengths if contig in set(largest)]
    longest = max(result.lengths[contig] for contig in drawn)
    size = max(1, -(-longest // PARTS))
    parts = {contig: -(-result.lengths[contig] // size) for contig in drawn}
    densities = _densities(result, region_ids, size, parts)
    top = _top(densities)
    profiles = [
        Profile(
            contig,
            totals[contig],
            [round(min(100.0, 100 * density / top), 1) for density in densities[contig]],
            round(100 * result.lengths[contig] / longest, 2),
        )
        for contig in drawn
    ]
    return Profiles(profiles, len(totals), top)


def _densities(
    result: Result, region_ids: Ints, size: int, parts: Mapping[str, int]
) -> dict[str, list[float]]:
    """Returns the records per megabase in each part, of a size in bases, of some sequences."""
    regions = result.counts.regions
    # The parts of all sequences in one column.
    begins = dict(zip(parts, accumulate(parts.values(), initial=0), strict=False))
    begin_of = np.array([begins.get(contig, UNSET) for contig in regions.names_by_tid])
    begin = begin_of[np.array(regions.tids)[region_ids]]
    region_ids, begin = region_ids[begin != UNSET], begin[begin != UNSET]
    starts, ends = (np.array(column)[region_ids] for column in result.extents())
    counted = np.array(result.counts.records)[region_ids]
    first, after = begin + starts // size, begin + (ends - 1) // size + 1
    number = sum(parts.values())
    in_one = after - first == 1
    # If there are none, bincount returns integers.
    records = np.bincount(first[in_one], counted[in_one], number).astype(np.float64)
    bases = np.bincount(first[in_one], (ends - starts)[in_one], number).astype(np.float64)
    for at in np.nonzero(~in_one)[0].tolist():
        its = slice(first[at], after[at])
        records[its] += counted[at] / (after[at] - first[at])
        bases[its] += (ends[at] - starts[at]) / (after[at] - first[at])
    densities = np.divide(1e6 * records, bases, out=np.zeros(number), where=bases > 0)
    return {
        contig: densities[begins[contig] : begins[contig] + own].tolist()
        for contig, own in parts.items()
    }


def _top(densities: Mapping[str, Sequence[float]]) -> float:
    """Returns the density that SHARE_ON_SCALE of the parts with records do not exceed."""
    ordered = sorted(density for parts in densities.values() for density in parts if density)
    return ordered[int(SHARE_ON_SCALE * (len(ordered) - 1))] if ordered else 1.0
