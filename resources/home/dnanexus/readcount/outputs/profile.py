"""Where on each reference sequence its records are, by the counts of many regions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from readcount.columns import Floats, Ints, distinct
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
    region_ids = regions.spans()
    if len(region_ids) < MIN_REGIONS:
        return Profiles()
    tids, starts, ends, counted = (
        np.array(column)[region_ids]
        for column in (regions.tids, *result.extents(), result.counts.records)
    )
    sums, used = np.bincount(tids, counted), distinct(tids)
    drawn = distinct(used[np.argsort(-sums[used], kind="stable")[:MAX_PROFILES]])
    contigs = [regions.names_by_tid[tid] for tid in drawn.tolist()]
    lengths = [result.lengths[contig] for contig in contigs]
    size = max(1, -(-max(lengths) // PARTS))
    # The parts of all sequences in one column.
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
        begins: the first part of the sequence of each region.
        starts: of each region.
        ends: of each.
        counted: the records of each.
        size: of a part in bases.
        parts: how many there are.
    """
    first, after = begins + starts // size, begins + (ends - 1) // size + 1
    in_one = after - first == 1
    # If there are none, bincount returns integers.
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
