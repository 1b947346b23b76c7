"""Where on each reference sequence its records are, by the counts of many regions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from readcount.outputs.result import Result
from readcount.request.region_list import NONE

# Of the longest sequence that is drawn, and how many sequences are.
PARTS = 200
MOST_PROFILES = 50
# With fewer regions there is a bar for each.
LEAST_REGIONS = 51
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
    regions, records = result.regions.regions, result.regions.records
    if len(regions.spans()) < LEAST_REGIONS:
        return Profiles()
    totals: Counter[str] = Counter()
    contigs = [sequence.contig for sequence in regions.sequences]
    for at in regions.spans():
        totals[contigs[regions.numbers[at]]] += records[at]
    largest = sorted(totals, key=lambda contig: -totals[contig])[:MOST_PROFILES]
    drawn = [contig for contig in result.lengths if contig in set(largest)]
    longest = max(result.lengths[contig] for contig in drawn)
    densities = _densities(result, {contig: result.lengths[contig] for contig in drawn}, longest)
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


def _densities(result: Result, lengths: Mapping[str, int], longest: int) -> dict[str, list[float]]:
    """Returns the records per megabase in each part of these sequences."""
    size = max(1, -(-longest // PARTS))
    records = {contig: [0.0] * -(-length // size) for contig, length in lengths.items()}
    bases = {contig: [0.0] * -(-length // size) for contig, length in lengths.items()}
    regions = result.regions.regions
    of = [(records.get(one.contig), bases.get(one.contig)) for one in regions.sequences]
    columns = zip(
        regions.numbers,
        regions.starts,
        regions.ends,
        result.extents(),
        result.regions.records,
        strict=True,
    )
    for number, first_base, last_base, (start, end), counted in columns:
        its_records, its_bases = of[number]
        if first_base == last_base == NONE or its_records is None or its_bases is None:
            continue
        first, last = start // size, (end - 1) // size
        for part in range(first, last + 1):
            its_records[part] += counted / (last - first + 1)
            its_bases[part] += (end - start) / (last - first + 1)
    return {
        contig: [
            1e6 * number / length if length else 0.0
            for number, length in zip(records[contig], bases[contig], strict=True)
        ]
        for contig in lengths
    }


def _top(densities: Mapping[str, Sequence[float]]) -> float:
    """Returns the density that SHARE_ON_SCALE of the parts with records do not exceed."""
    ordered = sorted(density for parts in densities.values() for density in parts if density)
    return ordered[int(SHARE_ON_SCALE * (len(ordered) - 1))] if ordered else 1.0
