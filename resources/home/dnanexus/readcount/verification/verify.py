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

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from readcount.collector import without_collector
from readcount.planning.merge import RegionCount
from readcount.request.filters import NO_FILTERS, Filters
from readcount.request.region import Region
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
    """Counts that agree with the evidence; only verify() makes them.

    Attributes:
        regions: a count for each, in the order of the output.
        checks: what the counts were found to agree with, in words.
    """

    regions: Sequence[RegionCount]
    checks: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The sum over the regions; a record counts once for each region that it overlaps."""
        return sum(count.records for count in self.regions)


@without_collector()
def verify(
    counts: Sequence[RegionCount],
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
    for count in counts:
        most = known.get(count.region.contig)
        if most is not None and count.records > most:
            raise evidence.file.disagreement(str(count.region), count.records, most)
    by_basis = _classify(counts, known, evidence, filters)
    checks = []
    if compared := by_basis[Basis.STATISTICS]:
        _require_equal(compared, known, evidence, filters)
        checks.append(f"counts of {_all(compared, counts)} match the {evidence.source}")
    if compared := by_basis[Basis.TALLY]:
        _require_equal(compared, evidence.tally(filters) or {}, evidence, filters)
        checks.append(f"counts of {_all(compared, counts)} match a second read of the whole file")
    if by_basis[Basis.TOTAL]:
        total = _require_total(counts, evidence)
        checks.append(f"the sum of all regions matches the containers: {total:,} records")
    if bounded := by_basis[Basis.BOUND]:
        checks.append(
            f"counts of {_all(bounded, counts)} are at most what the {evidence.source} has; it "
            "does not say how many of those records were to be counted"
        )
        checks.append(evidence.check_structure([count.region for count in bounded], runner))
    return VerifiedCounts(counts, tuple(checks))


def _classify(
    counts: Sequence[RegionCount],
    known: Mapping[str, int],
    evidence: Evidence,
    filters: Filters,
) -> Mapping[Basis, list[RegionCount]]:
    """Returns the counts by what they can be compared with."""
    adds_up = filters.none and _each_once(counts, evidence.header.names)
    by_basis: dict[Basis, list[RegionCount]] = defaultdict(list)
    for count in counts:
        by_basis[_basis(count.region, known, filters, evidence.has_total, adds_up)].append(count)
    return by_basis


def _basis(
    region: Region, known: Mapping[str, int], filters: Filters, has_total: bool, adds_up: bool
) -> Basis:
    if region.placed and not region.whole:
        return Basis.BOUND
    if region.contig in known:
        return Basis.STATISTICS if filters.none else Basis.BOUND
    if has_total:
        return Basis.TOTAL if adds_up else Basis.BOUND
    return Basis.TALLY if region.placed else Basis.BOUND


def _each_once(counts: Sequence[RegionCount], contigs: Sequence[str]) -> bool:
    """Whether every placed record is in one count."""
    placed = [count.region for count in counts if count.region.placed]
    return all(region.whole for region in placed) and sorted(
        region.contig for region in placed
    ) == sorted(contigs)


def _all(some: Sequence[RegionCount], counts: Sequence[RegionCount]) -> str:
    return f"{'all ' if len(some) == len(counts) > 1 else ''}{plural(len(some), 'region')}"


def _require_equal(
    counts: Sequence[RegionCount],
    expected: Mapping[str, int],
    evidence: Evidence,
    filters: Filters,
) -> None:
    """Raises InputError for the first count of a sequence that is not what it should be."""
    wrong = [count for count in counts if count.records != expected.get(count.region.contig, 0)]
    if not wrong:
        return
    at_position_0 = evidence.at_position_0(filters)
    for count in wrong:
        name = count.region.contig
        if count.records != expected.get(name, 0) - at_position_0.get(name, 0):
            raise evidence.file.disagreement(name, count.records, expected.get(name, 0))


def _require_total(counts: Sequence[RegionCount], evidence: Evidence) -> int:
    """Returns the records in the file; raises InputError if the counts do not add up to them."""
    placed_only = all(count.region.placed for count in counts)
    total = evidence.total(placed_only) or 0
    counted = sum(count.records for count in counts)
    if counted != total:
        # Not the unplaced records, all of which are at position 0.
        at_position_0 = evidence.at_position_0(NO_FILTERS)
        counted += sum(
            at_position_0.get(count.region.contig, 0) for count in counts if count.region.placed
        )
    if counted != total:
        counted_in = "the part with placed records" if placed_only else "the whole file"
        raise evidence.file.disagreement(counted_in, counted, total)
    return total
