"""Plans the count of many spans: which samtools call decodes which parts of the file."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np

from readcount.columns import Ints, distinct
from readcount.planning.located import NO_END, NO_START, LocatedSpans, Needed
from readcount.planning.sizes import Sizes, cut_part, runs, stretches_in
from readcount.planning.task import Pass, Task
from readcount.planning.whole import counting_task
from readcount.regions.region_list import UNSET
from readcount.source.parts import Edge, Layout, Part, Span, SpanColumns, Stretch, tid_at


def span_tasks(spans: LocatedSpans, layout: Layout, sizes: Sizes) -> Iterator[Task]:
    """Yields the tasks for the regions that are parts of a sequence.

    Each record is in one part of the file, and each part in one task per pass, so the counts of a
    span in several tasks add up to its total.
    """
    yield from _tasks_of_parts(spans, layout, sizes)
    yield from _tasks_of_shared(spans, sizes)
    columns = spans.columns
    for row, part in spans.inner.items():
        span = Span(int(columns.tids[row]), int(columns.starts[row]), int(columns.ends[row]))
        shares = sizes.shares(sizes.costs.byte * part.bytes)
        region_ids = [int(spans.region_ids[row])]
        for begin, end in cut_part(part, shares, layout):
            # With a record at each end that starts in the span, all between them do.
            checked = end if end.before is not None else end._replace(after=span.tid)
            yield counting_task(Part(begin, checked), region_ids, span, Pass.INNER, sizes)


def _tasks_of_parts(spans: LocatedSpans, layout: Layout, sizes: Sizes) -> Iterator[Task]:
    """Yields the tasks that decode the positions of the records needed by spans."""
    needed = spans.needed
    if not needed.lows.size:
        return
    parts = list(_parts_of(spans, layout.stretches, sizes))
    costs = [sizes.costs.gap_bytes / 2 + part.bytes for part in parts]
    ends = list(accumulate(costs))
    shares = sizes.shares(sizes.costs.decoded_byte * ends[-1])
    bounds = [share * ends[-1] for share in shares]
    pieces: list[Part] = []
    piece_costs: list[float] = []
    for part, cost, end in zip(parts, costs, ends, strict=True):
        first, last = bisect_right(bounds, end - cost), bisect_right(bounds, end)
        within = [1 - (end - bound) / cost for bound in bounds[first:last]]
        cut = cut_part(part, within, layout)
        pieces += cut
        piece_costs += [cost * piece.bytes / part.bytes for piece in cut]
    reached = np.maximum.accumulate(needed.highs)
    for first, last in pairwise(_bounds_of_tasks(piece_costs, bounds)):
        some = pieces[first:last]
        begin, end = some[0].begin.offset, some[-1].end.offset
        rows = slice(
            int(np.searchsorted(reached, begin, "left")),
            int(np.searchsorted(needed.lows, end, "right")),
        )
        of_spans = needed.spans[rows]
        its = distinct(of_spans[of_spans != UNSET])
        # A row without records may be located after its sequence's records.
        expected = set(distinct(needed.tids[rows]).tolist())
        expected |= {tid for part in some for one in stretches_in(part, layout) for tid in one.tids}
        yield _looking_task(spans, its, some, sorted(expected), sizes)


def _bounds_of_tasks(costs: Sequence[float], bounds: Sequence[float]) -> list[int]:
    """Returns the indexes at which tasks begin and end; bounds are cumulative costs."""
    ends = list(accumulate(costs))
    found = {bisect_right(ends, bound + 1e-9 * ends[-1]) for bound in bounds}
    return sorted({0, len(costs), *found})


def _tasks_of_shared(spans: LocatedSpans, sizes: Sizes) -> Iterator[Task]:
    """Yields the tasks that decode the multi-reference containers."""
    costs = [sizes.costs.decoded_byte * stretch.bytes for stretch in spans.shared]
    for run in runs(costs, sizes.large):
        stretches = spans.shared[run]
        parts = [Part(Edge(one.begin), Edge(one.end)) for one in stretches]
        expected = sorted({tid for one in stretches for tid in one.tids})
        (its,) = np.nonzero(np.isin(spans.columns.tids, expected))
        yield _looking_task(spans, its, parts, expected, sizes)


def _looking_task(
    spans: LocatedSpans,
    its: Ints,
    parts: Sequence[Part],
    expected: Sequence[int],
    sizes: Sizes,
) -> Task:
    """Returns a task that decodes the records of some parts, for the spans at these indexes."""
    cost = (
        sizes.call
        + sizes.costs.decoded_byte * sum(part.bytes for part in parts)
        + sizes.costs.span * len(its)
    )
    return Task(
        parts=tuple(parts),
        region_ids=spans.region_ids[its],
        spans=SpanColumns(*(column[its] for column in spans.columns)),
        expected=expected,
        only=None,
        why=Pass.SPANS,
        cost=cost,
    )


def _parts_of(spans: LocatedSpans, stretches: Sequence[Stretch], sizes: Sizes) -> Iterator[Part]:
    """Yields the needed parts of the file, in file order.

    Needed rows are joined where reading the gap is faster than skipping it, unless they are on
    different sequences with many records, or a separate task reads the gap:

        needed  |--a--|  |--b--|                 |--c--|
                   |--d--|
        parts   |--------------|                 |-----|
    """
    needed = spans.needed
    at_tid = {stretch.tid: at for at, stretch in enumerate(stretches)}
    reached = np.maximum.accumulate(needed.highs)
    gap = sizes.costs.gap_bytes << 16
    is_first = np.ones(len(needed.lows), bool)
    is_first[1:] = needed.lows[1:] > reached[:-1] + gap
    large = [tid for tid, at in at_tid.items() if stretches[at].bytes >= sizes.min_own_bytes]
    is_large = np.isin(needed.tids, large)
    another = np.diff(needed.tids, prepend=needed.tids[0]) != 0
    is_first |= another & (is_large | np.roll(is_large, 1))
    # These are read by other tasks.
    others = [stretch.begin for stretch in spans.shared]
    others += [part.begin.offset for part in spans.inner.values()]
    others_before = np.searchsorted(np.sort(np.array(others, np.int64)), needed.lows, "right")
    is_first |= np.diff(others_before, prepend=0) != 0
    bounds = [*np.nonzero(is_first)[0].tolist(), needed.lows.size]
    for first, end in pairwise(bounds):
        yield _part_of(needed.rows(slice(first, end)), at_tid, stretches)


def _part_of(rows: Needed, at_tid: dict[int, int], stretches: Sequence[Stretch]) -> Part:
    """Returns the part that covers some rows, with the records expected at both ends."""
    begin, end = int(rows.lows[0]), int(rows.highs.max())
    first_tid = int(rows.tids[rows.lows == begin].min())
    last_tid = int(rows.tids[rows.highs == end].max())
    start = int(rows.starts[rows.tids == first_tid].min())
    stop = int(rows.ends[rows.tids == last_tid].max())
    first, last = stretches[at_tid[first_tid]], stretches[at_tid[last_tid]]
    tid_before = tid_at(stretches, at_tid[first_tid] - 1) if begin == first.begin else first_tid
    tid_after = tid_at(stretches, at_tid[last_tid] + 1) if end == last.end else last_tid
    at_begin = Edge(
        begin,
        before=None if start == NO_START and begin != first.begin else tid_before,
        max_end=None if start == NO_START or tid_before != first_tid else start,
        after=tid_after if begin == end else first_tid,
    )
    at_end = Edge(
        end,
        before=last_tid if end == last.end else None,
        after=None if stop == NO_END and end != last.end else tid_after,
        min_start=None if stop == NO_END or tid_after != last_tid else stop,
    )
    return Part(at_begin, at_end)
