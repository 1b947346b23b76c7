"""Compares counts with what the file and its index prove.

The records of a file are decoded from one to the next, and each that is decoded is on the reference
sequence, and where the index, or the header of its container, says, or the task that reads it has
failed. What is left is to compare how many there are:

- Without filters, the records of each sequence that was read whole are as many as the index has.
  The tasks have compared the records of a CRAM with the headers of its containers.
- With filters, and for parts of a sequence, there is no number to compare with; there can be no
  more records than of all.

A count that is not what it should be is an error, never a warning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, count, repeat
from math import inf
from operator import gt

from readcount.planning.merge import MergedCounts
from readcount.regions.counts import RegionCounts
from readcount.request.filters import NO_FILTERS, Filters
from readcount.source.evidence import Evidence
from readcount.text import plural


@dataclass(frozen=True)
class VerifiedCounts:
    """Counts that agree with the evidence; only verify() makes them.

    Attributes:
        counts: one for each region, in the order of the output.
        checks: what the counts were found to agree with, in words.
    """

    counts: RegionCounts
    checks: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The sum over the regions; a record counts once for each region that it overlaps."""
        return sum(self.counts.records)


def verify(
    merged: MergedCounts,
    evidence: Evidence,
    filters: Filters = NO_FILTERS,
    from_index: Sequence[str] = (),
) -> VerifiedCounts:
    """Returns counts that are not wrong as far as anything can prove.

    Args:
        merged: the merged counts.
        evidence: of the file.
        filters: which records were counted.
        from_index: how the numbers of the index were checked, if the counts are these.

    Raises:
        InputError: a count is not what it should be.
    """
    counts = merged.counts
    _require_numbers(merged, evidence)
    if from_index:
        regions = plural(len(counts), "region")
        taken = f"counts of {regions} were taken from the {evidence.source}"
        return VerifiedCounts(counts, (taken, *from_index))
    _require_at_most(counts, evidence)
    numbered, unnumbered, bounded = _classify(counts, evidence, filters)
    checks = []
    if numbered:
        checks.append(f"counts of {_all(numbered, counts)} match the {evidence.source}")
    if unnumbered:
        checks.append(
            f"counts of {_all(unnumbered, counts)} are those of all records in the file; the "
            f"{evidence.source} has no statistics to compare with"
        )
    if bounded:
        checks.append(
            f"counts of {_all(bounded, counts)} do not exceed the {evidence.source} totals; there "
            "are no exact numbers for filtered or partial counts"
        )
        checks.append(
            "the records at both ends of each part of the file that was read are those that the "
            "index has there"
        )
    return VerifiedCounts(counts, tuple(checks))


def _require_numbers(merged: MergedCounts, evidence: Evidence) -> None:
    """Raises InputError if the index has another number of records of a sequence than was read."""
    for tid, records in merged.decoded:
        number = evidence.numbers.get(tid, records)
        if records != number:
            raise evidence.file.disagreement(evidence.header.name_of(tid), records, number)


def _require_at_most(counts: RegionCounts, evidence: Evidence) -> None:
    """Raises InputError for the first region with more records than its sequence."""
    regions, numbers = counts.regions, evidence.numbers
    most = map(numbers.get, regions.tids, repeat(inf))
    for at in compress(count(), map(gt, counts.records, most)):
        most_there = numbers[regions.tids[at]]
        raise evidence.file.disagreement(str(regions[at]), counts.records[at], most_there)


def _classify(counts: RegionCounts, evidence: Evidence, filters: Filters) -> tuple[int, int, int]:
    """Returns how many counts have a number to compare with, how many have none, and all others.

    Those are of whole sequences without filters; the number of their records has been compared if
    there is one.
    """
    if not filters.is_empty:
        return 0, 0, len(counts)
    regions, numbers = counts.regions, evidence.numbers
    unnumbered = sum(regions.tids[at] not in numbers for at in regions.whole) if numbers else 0
    whole = len(regions.whole)
    return whole - unnumbered, unnumbered, len(counts) - whole


def _all(some: int, counts: RegionCounts) -> str:
    return f"{'all ' if some == len(counts) > 1 else ''}{plural(some, 'region')}"
