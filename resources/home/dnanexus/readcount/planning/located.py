"""Finds the parts of the file that have the records of many spans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from readcount.columns import Bools, Ints, distinct
from readcount.formats.bam_record import LAST_POSITION
from readcount.planning.sizes import Sizes
from readcount.regions.region_list import UNSET, RegionList
from readcount.source.parts import (
    Edge,
    Layout,
    Part,
    Span,
    SpanColumns,
    Stretch,
    bytes_between,
)

# A sequence is read whole, so that the number of its records can be compared with the index, if
# its spans need this share of it.
SHARE_READ_WHOLE = 0.8
# In the place of a position that does not limit anything.
NO_START, NO_END = LAST_POSITION + 1, -1


class Needed(NamedTuple):
    """What spans need of the file, as columns: rows are in the order of the file.

    Attributes:
        lows: offset at which a row begins.
        highs: offset at which it ends.
        spans: index of the span that needs it; UNSET for none.
        tids: number of the reference sequence.
        starts: records before the row end at this position or before; NO_START if they may not.
        ends: records after the row begin at this position or after; NO_END if they may not.
    """

    lows: Ints
    highs: Ints
    spans: Ints
    tids: Ints
    starts: Ints
    ends: Ints

    def rows(self, chosen: Ints | Bools | slice) -> "Needed":
        """Returns the rows at these indexes, in this slice, or for which this is true."""
        return Needed(*(column[chosen] for column in self))


@dataclass(frozen=True)
class LocatedSpans:
    """The regions that are parts of a sequence, and where their records are.

    Attributes:
        region_ids: indexes of the regions in the list of regions.
        columns: sequence, start and end of each.
        needed: what has to be looked at.
        inner: parts whose records all begin in a span, by its index.
        shared: stretches with records of several sequences, which are read for spans on any.
        complete: numbers of the sequences all of whose records are looked at.
        cost: of all that, in seconds.
    """

    region_ids: Ints
    columns: SpanColumns
    needed: Needed
    inner: Mapping[int, Part]
    shared: Sequence[Stretch]
    complete: frozenset[int]
    cost: float

    @property
    def empty(self) -> list[int]:
        """Indexes of the regions for which nothing is read."""
        found = np.zeros(len(self.region_ids) + 1, np.bool_)
        found[self.needed.spans] = True
        found[list(self.inner)] = True
        shared = [tid for stretch in self.shared for tid in stretch.tids]
        found[:-1] |= np.isin(self.columns.tids, shared)
        empty: list[int] = self.region_ids[~found[:-1]].tolist()
        return empty

    @property
    def tids(self) -> set[int]:
        """Numbers of the sequences with spans."""
        return set(distinct(self.columns.tids).tolist())


def locate_spans(regions: RegionList, layout: Layout, sizes: Sizes) -> LocatedSpans:
    """Finds the parts of the file with the records of all regions that are parts of a sequence."""
    region_ids = regions.spans()
    tids, starts, ends = (
        np.array(column)[region_ids] for column in (regions.tids, regions.starts, regions.ends)
    )
    starts = np.maximum(starts, 0)
    # The end of the sequence does not limit its records.
    ends = np.where(ends == UNSET, LAST_POSITION + 1, ends)
    columns = SpanColumns(tids, starts, ends)
    places = layout.places(columns)
    rows = places.spans
    needed = Needed(places.lows, places.highs, rows, columns.tids[rows], starts[rows], ends[rows])
    inner = _inner_parts(needed, columns, layout, sizes)
    needed = _without(needed, inner)
    complete: list[Stretch] = []
    if layout.has_numbers:
        numbers = _nearly_complete(needed, inner, columns, layout)
        complete = [layout.stretches[number] for number in numbers.tolist()]
        needed = _with_whole(needed, complete)
    needed = needed.rows(np.lexsort((needed.highs, needed.lows)))
    shared = sum(stretch.bytes for stretch in places.shared)
    cost = (
        sizes.costs.byte * sum(part.bytes for part in inner.values())
        + sizes.costs.decoded_byte * (_bytes_of_union(needed.lows, needed.highs) + shared)
        + sizes.costs.span * len(region_ids)
    )
    tids_complete = frozenset(stretch.tid for stretch in complete)
    return LocatedSpans(region_ids, columns, needed, inner, places.shared, tids_complete, cost)


def _inner_parts(
    needed: Needed, columns: SpanColumns, layout: Layout, sizes: Sizes
) -> dict[int, Part]:
    """Returns parts whose records all begin in a span with many records, by the span's index.

    No other span needs them: else their records have to be looked at anyway.
    """
    bounds = distinct(np.concatenate((needed.lows, needed.highs)))
    begun = np.bincount(np.searchsorted(bounds, needed.lows), minlength=len(bounds))
    ended = np.bincount(np.searchsorted(bounds, needed.highs), minlength=len(bounds))
    # How many spans need what is between two bounds.
    spans_between = np.cumsum(begun - ended)
    (large,) = np.nonzero((needed.highs >> 16) - (needed.lows >> 16) >= sizes.min_own_bytes)
    inner = {}
    for row, tid in zip(needed.spans[large].tolist(), needed.tids[large].tolist(), strict=True):
        span = Span(tid, int(columns.starts[row]), int(columns.ends[row]))
        begin, end = layout.inner(span)
        if begin >= end:
            continue
        first, last = np.searchsorted(bounds, (begin, end), "right")
        edges = np.array([begin, *bounds[first:last], end])
        sizes_between = np.where(spans_between[first - 1 : last] == 1, np.diff(edges), 0)
        largest = int(sizes_between.argmax())
        begin, end = int(edges[largest]), int(edges[largest]) + int(sizes_between[largest])
        if begin < end and bytes_between(begin, end) >= sizes.min_own_bytes:
            inner[row] = Part(Edge(begin, after=tid), Edge(end, before=tid))
    return inner


def _without(needed: Needed, inner: Mapping[int, Part]) -> Needed:
    """Returns what is needed beside the inner parts: a row before and one after each."""
    if not inner:
        return needed
    has_inner = np.isin(needed.spans, list(inner))
    others, before = needed.rows(~has_inner), needed.rows(has_inner)
    begins = np.array([inner[row].begin.offset for row in before.spans.tolist()])
    ends = np.array([inner[row].end.offset for row in before.spans.tolist()])
    no_start, no_end = np.full(len(begins), NO_START), np.full(len(begins), NO_END)
    after = Needed(ends, before.highs, before.spans, before.tids, no_start, before.ends)
    before = Needed(before.lows, begins, before.spans, before.tids, before.starts, no_end)
    return _joined(others, before, after)


def _joined(*some: Needed) -> Needed:
    return Needed(*map(np.concatenate, zip(*some, strict=True)))


def _nearly_complete(
    needed: Needed, inner: Mapping[int, Part], columns: SpanColumns, layout: Layout
) -> Ints:
    """Returns the indexes of the stretches of which spans need nearly all records."""
    order = np.lexsort((needed.highs, needed.lows))
    lows, highs, tids = needed.lows[order] >> 16, needed.highs[order] >> 16, needed.tids[order]
    covered = _not_covered_before(lows, highs)
    size_of = np.array([stretch.bytes for stretch in layout.stretches])
    tid_of = np.array([stretch.tid for stretch in layout.stretches])
    # One more for each, as tids begin with that of unplaced records.
    of_tid = np.bincount(tids + 1, covered, minlength=int(tid_of.max(initial=0)) + 2)
    counted = columns.tids[list(inner)]
    is_complete = (of_tid[tid_of + 1] >= SHARE_READ_WHOLE * size_of) & ~np.isin(tid_of, counted)
    found: Ints = np.nonzero(is_complete)[0]
    return found


def _with_whole(needed: Needed, stretches: Sequence[Stretch]) -> Needed:
    """Returns what is needed, and all of some stretches."""
    rows = [(one.begin, one.end, UNSET, one.tid, NO_START, NO_END) for one in stretches]
    return _joined(needed, Needed(*np.array(rows, np.int64).reshape(-1, 6).T))


def _bytes_of_union(lows: Ints, highs: Ints) -> int:
    """Returns the bytes that are between lows and highs, both in the order of lows."""
    # What is within a block is a part of the file, too.
    return lows.size and 1 + int(_not_covered_before(lows >> 16, highs >> 16).sum())


def _not_covered_before(lows: Ints, highs: Ints) -> Ints:
    """Returns how much of each row, in the order of lows, is in none of those before it."""
    reached = np.maximum.accumulate(np.concatenate(([0], highs)))[:-1]
    return np.maximum(0, highs - np.maximum(lows, reached))
