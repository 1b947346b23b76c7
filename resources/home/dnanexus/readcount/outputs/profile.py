"""Profiles of the records along each reference sequence, from the counts of many regions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from readcount.columns import Floats, Ints, distinct
from readcount.outputs.result import Result
from readcount.regions.region_list import UNSET

# Number of parts of the longest sequence drawn, and maximum number of sequences drawn.
PARTS = 200
MAX_PROFILES = 50
# With fewer regions, the report has one bar per region instead.
MIN_REGIONS = 51
# Fraction of the parts that fit on the scale, so that a peak at repeats does not flatten the rest.
SHARE_ON_SCALE = 0.99


@dataclass(frozen=True)
class Profile:
    """The records along a reference sequence.

    Attributes:
        contig: name of the reference sequence.
        records: sum of the counts of its regions.
        heights: height of each part in percent of the scale; parts have the same length on all
            sequences.
        width: length of the sequence in percent of the longest one.
    """

    contig: str
    records: int
    heights: Sequence[float]
    width: float


@dataclass(frozen=True)
class Profiles:
    """The sequences with the most records, in header order, on one scale.

    Attributes:
        drawn: the profiles; empty if there are few regions.
        sequences: number of sequences with regions.
        top: records per megabase at 100 percent of the scale.
    """

    drawn: Sequence[Profile] = ()
    sequences: int = 0
    top: float = 0


def profiles_of(result: Result) -> Profiles:
    """Returns the records per megabase along each sequence that has regions.

    A region's records are split evenly among the parts that it overlaps. A part without regions has
    none.
    """
    regions = result.counts.regions
    region_ids = regions.spans
    if len(region_ids) < MIN_REGIONS:
        return Profiles()
    tids, starts, ends, counted = (
        column[region_ids]
        for column in (regions.tids, *regions.extents(result.lengths), result.counts.records)
    )
    sums, used = np.bincount(tids, counted), distinct(tids)
    drawn = distinct(used[np.argsort(-sums[used], kind="stable")[:MAX_PROFILES]])
    contigs = [regions.names_by_tid[tid] for tid in drawn.tolist()]
    lengths = [result.lengths[contig] for contig in contigs]
    size = max(1, -(-max(lengths) // PARTS))
    # The parts of all sequences are in one column.
    last_parts = np.cumsum([-(-length // size) for length in lengths])
    begins = np.full(len(regions.names_by_tid), UNSET)
    begins[drawn] = [0, *last_parts[:-1]]
    is_drawn = begins[tids] != UNSET
    places = begins[tids][is_drawn], starts[is_drawn], ends[is_drawn]
    densities = _densities(*places, counted[is_drawn], size, int(last_parts[-1]))
    top = _top(densities)
    heights = np.round(np.minimum(100, 100 * densities / top), 1)
    profiles = [
        Profile(contig, int(sums[tid]), own.tolist(), round(100 * length / max(lengths), 2))
        for contig, tid, own, length in zip(
            contigs, drawn.tolist(), np.split(heights, last_parts[:-1]), lengths, strict=True
        )
    ]
    return Profiles(profiles, len(used), top)


def _densities(
    begins: Ints, starts: Ints, ends: Ints, counted: Ints, size: int, parts: int
) -> Floats:
    """Returns the records per megabase in each part.

    Args:
        begins: index of the first part of each region's sequence.
        starts: start of each region.
        ends: end of each region.
        counted: records of each region.
        size: length of a part in bases.
        parts: number of parts.
    """
    first, after = begins + starts // size, begins + (ends - 1) // size + 1
    in_one = after - first == 1
    # Without input, bincount returns integers.
    records = np.bincount(first[in_one], counted[in_one], parts).astype(np.float64)
    bases = np.bincount(first[in_one], (ends - starts)[in_one], parts).astype(np.float64)
    for at in np.nonzero(~in_one)[0].tolist():
        its = slice(first[at], after[at])
        records[its] += counted[at] / (after[at] - first[at])
        bases[its] += (ends[at] - starts[at]) / (after[at] - first[at])
    return np.divide(1e6 * records, bases, out=np.zeros(parts), where=bases > 0)


def _top(densities: Floats) -> float:
    """Returns the density that SHARE_ON_SCALE of the parts with records do not exceed."""
    ordered = np.sort(densities[densities > 0])
    return float(ordered[int(SHARE_ON_SCALE * (len(ordered) - 1))]) if len(ordered) else 1.0
