"""Counts the records that overlap each of many spans; spans may overlap each other."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np

from readcount.columns import Ints, Numbers, distinct
from readcount.formats.bam_stream import Positions
from readcount.regions.region import POSITION_BITS
from readcount.source.parts import Extent, Span


def count_overlaps(
    records: Iterable[Positions], tids: Numbers, starts: Numbers, ends: Numbers
) -> Ints:
    """Counts for each span the records that overlap it.

    The count is the number of records that start before the span's end, minus the number that end
    at or before its start. So it suffices to count record starts and ends between consecutive span
    boundaries.

    Args:
        records: positions of the records, in any order.
        tids: reference ID of each span, in any order.
        starts: start of each span, 0-based.
        ends: end of each span, exclusive.

    >>> records = Positions(np.array([0, 0]), np.array([5, 20]), np.array([15, 30]))
    >>> count_overlaps([records], tids=[0, 0], starts=[0, 10], ends=[10, 25]).tolist()
    [1, 2]
    """
    sequence = np.array(tids, np.int64) << POSITION_BITS
    first, last = sequence + np.array(starts, np.int64), sequence + np.array(ends, np.int64)
    bounds = distinct(np.concatenate((first, last)))
    begun = np.zeros(len(bounds) + 1, np.int64)
    ended = np.zeros(len(bounds) + 1, np.int64)
    for some in records:
        sequence = some.tids << POSITION_BITS
        _add(begun, bounds, sequence + some.starts, "right")
        _add(ended, bounds, sequence + some.ends, "left")
    begun_before, ended_by = np.cumsum(begun), np.cumsum(ended)
    counts = begun_before[np.searchsorted(bounds, last)]
    counts -= ended_by[np.searchsorted(bounds, first)]
    return counts


def _add(tally: Ints, bounds: Ints, positions: Ints, side: Literal["left", "right"]) -> None:
    """Adds the number of positions between consecutive bounds; `side` is that of searchsorted."""
    # Records are sorted, so only few bounds are within the range of these positions.
    first, end = np.searchsorted(bounds, (positions.min(), positions.max()), side)
    between = np.searchsorted(bounds[first:end], positions, side)
    tally[first : end + 1] += np.bincount(between, minlength=end - first + 1)


def tallied(records: Iterable[Positions], tally: Counter[int]) -> Iterator[Positions]:
    """Passes records through, adding the number on each reference sequence to a tally."""
    for some in records:
        yield some
        first = int(some.tids.min())
        numbers = np.bincount(some.tids - first)
        (found,) = np.nonzero(numbers)
        tally.update(dict(zip((found + first).tolist(), numbers[found].tolist(), strict=True)))


def in_order(records: Iterable[Positions]) -> Iterator[Positions]:
    """Passes records through; raises ValueError unless they are coordinate-sorted."""
    last = -1
    for some in records:
        keys = (some.tids << POSITION_BITS) + some.starts
        if keys[0] < last or (np.diff(keys) < 0).any():
            raise ValueError("a record is before the previous one")
        last = int(keys[-1])
        yield some


def within_extents(records: Iterable[Positions], extents: Sequence[Extent]) -> Iterator[Positions]:
    """Passes records through; raises ValueError if one is outside its container's range.

    Args:
        records: all records that were sent, in order.
        extents: expected extents of the records sent so far; empty if unknown.
    """
    at, left = -1, 0
    for some in records:
        first = 0
        while extents and first < len(some.tids):
            while left == 0 and at + 1 < len(extents):
                at += 1
                left = extents[at].records
            if left == 0:
                raise ValueError("there are more records than the containers hold")
            last = min(first + left, len(some.tids))
            span = extents[at].span
            if span is not None and not _is_within(some, slice(first, last), span):
                raise ValueError("a record is not where the header of its container says")
            first, left = last, left - (last - first)
        yield some


def _is_within(records: Positions, some: slice, span: Span) -> bool:
    starts = records.starts[some]
    is_within = (starts >= span.start) & (starts < span.end) & (records.tids[some] == span.tid)
    return bool(is_within.all())
