"""Finds the parts of the file that contain the records of many spans."""

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

# If the spans on a sequence need at least this fraction of it, the sequence is read whole, so that
# its record count can be checked against the index.
SHARE_READ_WHOLE = 0.8
# Stand for "no limit" in columns of positions.
NO_START, NO_END = LAST_POSITION + 1, -1


class Needed(NamedTuple):
    """The parts of the file needed by spans, as columns; rows are in file order.

    Attributes:
        lows: begin offset of each row.
        highs: end offset of each row.
        spans: index of the span that needs the row; UNSET for none.
        tids: reference ID of each row.
        starts: records before the row must end at or before this position;
            NO_START for no limit.
        ends: records after the row must start at or after this position; NO_END for no limit.
    """

    lows: Ints
    highs: Ints
    spans: Ints
    tids: Ints
    starts: Ints
    ends: Ints

    def rows(self, chosen: Ints | Bools | slice) -> "Needed":
        """Returns the rows selected by indexes, a mask or a slice."""
        return Needed(*(column[chosen] for column in self))


@dataclass(frozen=True)
class LocatedSpans:
    """The regions that are parts of a sequence, and the locations of their records.

    Attributes:
        region_ids: indexes of the regions in the list of regions.
        columns: reference ID, start and end of each.
        needed: the parts of the file that have to be decoded.
        inner: by index of the span, a part whose records all start in that span.
        shared: stretches with records of several sequences; read for spans on any of them.
        complete: reference IDs of the sequences all of whose records are decoded.
        cost: total cost in seconds.
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
        """Indexes of the regions for which nothing has to be read."""
        found = np.zeros(len(self.region_ids) + 1, np.bool_)
        found[self.needed.spans] = True
        found[list(self.inner)] = True
        shared = [tid for stretch in self.shared for tid in stretch.tids]
        found[:-1] |= np.isin(self.columns.tids, shared)
        empty: list[int] = self.region_ids[~found[:-1]].tolist()
        return empty

    @property
    def tids(self) -> set[int]:
        """Reference IDs of the sequences with spans."""
        return set(distinct(self.columns.tids).tolist())


def locate_spans(regions: RegionList, layout: Layout, sizes: Sizes) -> LocatedSpans:
    """Finds the parts of the file with the records of the regions that are parts of a sequence."""
    region_ids = regions.spans
    tids, starts, ends = (
        column[region_ids] for column in (regions.tids, regions.starts, regions.ends)
    )
    starts = np.maximum(starts, 0)
    # Records may extend beyond the end of the sequence.
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
    """Returns, by span index, the parts whose records all start in a span with many records.

    Only parts needed by no other span: otherwise their records have to be decoded anyway.
    """
    bounds = distinct(np.concatenate((needed.lows, needed.highs)))
    begun = np.bincount(np.searchsorted(bounds, needed.lows), minlength=len(bounds))
    ended = np.bincount(np.searchsorted(bounds, needed.highs), minlength=len(bounds))
    # Number of spans that need each interval between consecutive bounds.
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
    """Returns the needed rows without the inner parts: a row before and one after each."""
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
    """Returns the indexes of the stretches that spans need almost completely."""
    order = np.lexsort((needed.highs, needed.lows))
    lows, highs, tids = needed.lows[order] >> 16, needed.highs[order] >> 16, needed.tids[order]
    covered = _not_covered_before(lows, highs)
    size_of = np.array([stretch.bytes for stretch in layout.stretches])
    tid_of = np.array([stretch.tid for stretch in layout.stretches])
    # Shifted by one, because the reference ID of unplaced records is -1.
    of_tid = np.bincount(tids + 1, covered, minlength=int(tid_of.max(initial=0)) + 2)
    counted = columns.tids[list(inner)]
    is_complete = (of_tid[tid_of + 1] >= SHARE_READ_WHOLE * size_of) & ~np.isin(tid_of, counted)
    found: Ints = np.nonzero(is_complete)[0]
    return found


def _with_whole(needed: Needed, stretches: Sequence[Stretch]) -> Needed:
    """Returns the needed rows plus some whole stretches."""
    rows = [(one.begin, one.end, UNSET, one.tid, NO_START, NO_END) for one in stretches]
    return _joined(needed, Needed(*np.array(rows, np.int64).reshape(-1, 6).T))


def _bytes_of_union(lows: Ints, highs: Ints) -> int:
    """Returns the number of bytes in the union of the intervals; lows must be sorted."""
    # A range within one block still counts as at least one byte.
    return lows.size and 1 + int(_not_covered_before(lows >> 16, highs >> 16).sum())


def _not_covered_before(lows: Ints, highs: Ints) -> Ints:
    """Returns how much of each row is not covered by earlier rows; lows must be sorted."""
    reached = np.maximum.accumulate(np.concatenate(([0], highs)))[:-1]
    return np.maximum(0, highs - np.maximum(lows, reached))
