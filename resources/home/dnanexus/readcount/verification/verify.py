"""Compares counts with what the file and its index prove.

Each region is classified once, by what its count can be compared with:

- STATISTICS: the index, or for a CRAM its containers, has the number of records.
- TALLY: the index has no statistics (those of old samtools); the whole file is read once more,
  without the index.
- TOTAL: sequences that share the containers of a CRAM; what all sequences and the unplaced records
  have together is known.
- BOUND: a span, or a count with filters. There can be no more records than of all, and the index
  and the blocks of the file are checked instead.

A count that is not what it should be is an error, never a warning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import compress, count
from math import inf
from operator import gt

from readcount.collector import without_collector
from readcount.planning.merge import RegionCounts
from readcount.request.filters import NO_FILTERS, Filters
from readcount.request.region import UNPLACED
from readcount.request.region_list import RegionList
from readcount.source.evidence import Evidence, Runner
from readcount.text import plural


class Basis(Enum):
    """What a count is compared with; see above."""

    STATISTICS = auto()
    TALLY = auto()
    TOTAL = auto()
    BOUND = auto()


@dataclass(frozen=True)
class VerifiedCounts:
    """Counts that agree with the evidence; only verify() and counts_of_index() make them.

    Attributes:
        regions: a count for each, in the order of the output.
        checks: what the counts were found to agree with, in words.
    """

    regions: RegionCounts
    checks: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The sum over the regions; a record counts once for each region that it overlaps."""
        return sum(self.regions.records)


@without_collector()
def verify(
    counts: RegionCounts,
    evidence: Evidence,
    filters: Filters = NO_FILTERS,
    runner: Runner | None = None,
) -> VerifiedCounts:
    """Returns counts that are not wrong as far as anything can prove.

    Args:
        counts: the merged counts.
        evidence: of the file.
        filters: which records were counted.
        runner: the processes to share the checks, if there are some.

    Raises:
        InputError: a count is not what it should be.
    """
    known = evidence.statistics()
    _require_at_most(counts, known, evidence)
    by_basis = _classify(counts, known, evidence, filters)
    checks = []
    if compared := by_basis[Basis.STATISTICS]:
        _require_equal(counts, compared, known, evidence, filters)
        checks.append(f"counts of {_all(compared, counts)} match the {evidence.source}")
    if compared := by_basis[Basis.TALLY]:
        _require_equal(counts, compared, evidence.tally(filters) or {}, evidence, filters)
        checks.append(f"counts of {_all(compared, counts)} match a second read of the whole file")
    if by_basis[Basis.TOTAL]:
        total = _require_total(counts, evidence)
        checks.append(f"the sum of all regions matches the containers: {total:,} records")
    if bounded := by_basis[Basis.BOUND]:
        checks.append(
            f"counts of {_all(bounded, counts)} are at most what the {evidence.source} has; it "
            "does not say how many of those records were to be counted"
        )
        some = counts.regions if len(bounded) == len(counts) else counts.regions.at(bounded)
        checks.append(evidence.check_structure(some, runner))
    return VerifiedCounts(counts, tuple(checks))


def _require_at_most(counts: RegionCounts, known: Mapping[str, int], evidence: Evidence) -> None:
    """Raises InputError for the first region with more records than its sequence."""
    regions = counts.regions
    most = [known.get(contig, inf) for contig in regions.contigs]
    most_of_each = map(most.__getitem__, regions.numbers)
    for at in compress(count(), map(gt, counts.records, most_of_each)):
        most_there = int(most[regions.numbers[at]])
        raise evidence.file.disagreement(str(regions[at]), counts.records[at], most_there)


def _classify(
    counts: RegionCounts,
    known: Mapping[str, int],
    evidence: Evidence,
    filters: Filters,
) -> Mapping[Basis, Sequence[int]]:
    """Returns the indexes of the counts by what they can be compared with."""
    regions = counts.regions
    adds_up = filters.none and _each_once(regions, evidence.header.names)
    by_basis: dict[Basis, list[int]] = {basis: [] for basis in Basis}
    with_number = by_basis[Basis.STATISTICS if filters.none else Basis.BOUND]
    # There can be a million sequences: what is the same for all is not decided for each.
    of_whole = [
        with_number
        if contig in known
        else by_basis[_basis_without_number(contig, evidence.has_total, adds_up)]
        for contig in regions.contigs
    ]
    for at in regions.whole:
        of_whole[regions.numbers[at]].append(at)
    spans, bounded = regions.spans(), by_basis[Basis.BOUND]
    return by_basis | {Basis.BOUND: sorted([*bounded, *spans]) if bounded else spans}


def _basis_without_number(contig: str, has_total: bool, adds_up: bool) -> Basis:
    """Returns what the count of a sequence without a number, or of UNPLACED, is compared with."""
    if has_total:
        return Basis.TOTAL if adds_up else Basis.BOUND
    return Basis.BOUND if contig == UNPLACED.contig else Basis.TALLY


def _each_once(regions: RegionList, contigs: Sequence[str]) -> bool:
    """Whether every placed record is in one count."""
    if len(regions.whole) < len(regions):
        return False
    return sorted(_placed(regions)) == sorted(contigs)


def _placed(regions: RegionList) -> list[str]:
    """Returns the name of the sequence of each region but UNPLACED."""
    names = map(regions.contigs.__getitem__, regions.numbers)
    return [name for name in names if name != UNPLACED.contig]


def _all(some: Sequence[int], counts: RegionCounts) -> str:
    return f"{'all ' if len(some) == len(counts) > 1 else ''}{plural(len(some), 'region')}"


def _require_equal(
    counts: RegionCounts,
    compared: Sequence[int],
    expected: Mapping[str, int],
    evidence: Evidence,
    filters: Filters,
) -> None:
    """Raises InputError for the first count of these that is not what it should be.

    Args:
        counts: all counts.
        compared: indexes of those of whole sequences, and of UNPLACED.
        expected: records by reference sequence.
        evidence: of the file.
        filters: which records were counted.
    """
    names, numbers, records = counts.regions.contigs, counts.regions.numbers, counts.records
    wrong = [at for at in compared if records[at] != expected.get(names[numbers[at]], 0)]
    if not wrong:
        return
    at_position_0 = evidence.at_position_0(filters)
    for at in wrong:
        name = names[numbers[at]]
        if records[at] != expected.get(name, 0) - at_position_0.get(name, 0):
            raise evidence.file.disagreement(name, records[at], expected.get(name, 0))


def _require_total(counts: RegionCounts, evidence: Evidence) -> int:
    """Returns the records in the file; raises InputError if the counts do not add up to them."""
    placed = _placed(counts.regions)
    placed_only = len(placed) == len(counts)
    total = evidence.total(placed_only) or 0
    counted = sum(counts.records)
    if counted != total:
        # Not the unplaced records, all of which are at position 0.
        at_position_0 = evidence.at_position_0(NO_FILTERS)
        counted += sum(at_position_0.get(contig, 0) for contig in placed)
    if counted != total:
        counted_in = "the part with placed records" if placed_only else "the whole file"
        raise evidence.file.disagreement(counted_in, counted, total)
    return total
