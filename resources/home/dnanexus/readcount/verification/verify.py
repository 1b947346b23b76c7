"""Checks counts against the file and its index.

Tasks check the records at both ends of each part of the file that they read, and fail if they do
not match the index. Tasks that decode positions also check the reference sequence of each record,
and without filters its container. What remains is to compare the number of records:

- Without filters, the number of records of each sequence that was read completely must equal that
  in the index. For a CRAM, the tasks have compared it with the container headers.
- With filters, and for parts of a sequence, there is no reference count; the count must not exceed
  the sequence's total.

A wrong count is an error, never a warning.
"""

from dataclasses import dataclass

import numpy as np

from readcount.planning.merge import MergedCounts
from readcount.regions.counts import RegionCounts
from readcount.request.filters import NO_FILTERS, Filters
from readcount.source.alignments import Alignments
from readcount.text import plural


@dataclass(frozen=True)
class VerifiedCounts:
    """Counts that were verified; created only by verify().

    Attributes:
        counts: the count of each region, in output order.
        checks: descriptions of the checks that were passed.
    """

    counts: RegionCounts
    checks: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The sum over the regions; a record counts once for each region that it overlaps."""
        return int(self.counts.records.sum())


def verify(
    merged: MergedCounts, alignments: Alignments, filters: Filters = NO_FILTERS
) -> VerifiedCounts:
    """Checks the counts against all available evidence, and returns them.

    Args:
        merged: the merged counts.
        alignments: the file.
        filters: which records were counted.

    Raises:
        InputError: a count does not match the evidence.
    """
    counts = merged.counts
    _require_numbers(merged, alignments)
    if merged.checks:
        regions = plural(len(counts), "region")
        taken = f"counts of {regions} were taken from the {alignments.source}"
        return VerifiedCounts(counts, (taken, *merged.checks))
    _require_at_most(counts, alignments)
    numbered, unnumbered, bounded = _classify(counts, alignments, filters)
    checks = []
    if numbered:
        checks.append(f"counts of {_all(numbered, counts)} match the {alignments.source}")
    if unnumbered:
        checks.append(
            f"counts of {_all(unnumbered, counts)} include all records in the file; the "
            f"{alignments.source} has no statistics to compare with"
        )
    if bounded:
        checks.append(
            f"counts of {_all(bounded, counts)} do not exceed the {alignments.source} totals; "
            "there are no exact numbers for filtered or partial counts"
        )
        checks.append(
            "the records at both ends of each part of the file that was read match the index"
        )
    return VerifiedCounts(counts, tuple(checks))


def _require_numbers(merged: MergedCounts, alignments: Alignments) -> None:
    """Raises InputError if the number of records read differs from that in the index."""
    for tid, records in merged.decoded:
        number = alignments.numbers.get(tid, records)
        if records != number:
            raise alignments.file.disagreement(alignments.header.name_of(tid), records, number)


def _require_at_most(counts: RegionCounts, alignments: Alignments) -> None:
    """Raises InputError for the first region whose count exceeds its sequence's total."""
    regions, numbers = counts.regions, alignments.numbers
    most = np.full(len(regions.names_by_tid), np.inf)
    most[list(numbers)] = list(numbers.values())
    above = np.flatnonzero(counts.records > most[regions.tids])
    if len(above):
        first = counts[int(above[0])]
        total = numbers[int(regions.tids[above[0]])]
        raise alignments.file.disagreement(str(first.region), first.records, total)


def _classify(
    counts: RegionCounts, alignments: Alignments, filters: Filters
) -> tuple[int, int, int]:
    """Returns how many counts are exact, how many have no reference count, and how many a bound.

    The first two are counts of whole sequences without filters: those with a reference count, which
    has been compared, and those without. All other counts only have an upper bound.
    """
    if not filters.is_empty:
        return 0, 0, len(counts)
    regions, numbers = counts.regions, alignments.numbers
    whole = len(regions.whole)
    tids = regions.tids[regions.whole].tolist()
    unnumbered = sum(tid not in numbers for tid in tids) if numbers else 0
    return whole - unnumbered, unnumbered, len(counts) - whole


def _all(some: int, counts: RegionCounts) -> str:
    return f"{'all ' if some == len(counts) > 1 else ''}{plural(some, 'region')}"
