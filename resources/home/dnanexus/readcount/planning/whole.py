"""Plans the count of whole reference sequences, and of the unplaced records."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from readcount.planning.sizes import Sizes, cut_part, runs
from readcount.planning.task import Pass, Task
from readcount.source.parts import (
    EVERYWHERE,
    NO_SEQUENCE,
    SEVERAL,
    WHOLE,
    Edge,
    Layout,
    Part,
    Span,
    SpanColumns,
    Stretch,
    bytes_between,
    part_of,
    tid_at,
)


def edges_around(empty: Iterable[int], stretches: Sequence[Stretch], read: set[int]) -> list[Edge]:
    """Returns positions at which to check that the file has no records of unread sequences.

    Records are in header order, so records of such a sequence would be between those of its
    neighbours.

    Args:
        empty: reference IDs of the sequences without records according to the index.
        stretches: all stretches, in file order.
        read: indexes of the stretches whose ends are checked anyway.
    """
    placed = [one.tid for one in stretches if one.tid != NO_SEQUENCE]
    found = {bisect_left(placed, tid) for tid in empty if tid != NO_SEQUENCE}
    return [
        Edge(stretches[at].begin, before=tid_at(stretches, at - 1), after=stretches[at].tid)
        for at in sorted(found)
        if at < len(stretches) and at not in read and at - 1 not in read
    ]


def whole_tasks(
    read: Sequence[int], wanted: Mapping[int, Sequence[int]], layout: Layout, sizes: Sizes
) -> Iterator[Task]:
    """Yields the tasks for whole sequences and unplaced records.

    Args:
        read: indexes of the stretches to read.
        wanted: indexes of the regions by reference ID.
        layout: record locations according to the index.
        sizes: target sizes of tasks.
    """
    small = []
    for at in read:
        stretch = layout.stretches[at]
        if stretch.tid == SEVERAL or stretch.bytes < sizes.min_own_bytes:
            small.append(at)
        else:
            yield from _counting_tasks(at, wanted[stretch.tid], layout, sizes)
    costs = [sizes.costs.decoded_byte * layout.stretches[at].bytes for at in small]
    for run in runs(costs, sizes.small):
        yield _shared_task(small[run], wanted, layout, sizes)


def _counting_tasks(
    at: int, region_ids: Sequence[int], layout: Layout, sizes: Sizes
) -> Iterator[Task]:
    """Yields tasks that count the records of a stretch on one sequence."""
    stretch = layout.stretches[at]
    span = span_of_whole(stretch.tid)
    shares = sizes.shares(sizes.costs.byte * stretch.bytes)
    for part in cut_part(part_of(layout.stretches, at, at), shares, layout):
        yield counting_task(part, region_ids, span, Pass.WHOLE, sizes)


def counting_task(
    part: Part, region_ids: Sequence[int], span: Span, why: Pass, sizes: Sizes
) -> Task:
    """Returns a task that counts the records of a part, all of which start in one span."""
    return Task(
        parts=(part,),
        region_ids=np.array(region_ids),
        spans=SpanColumns(*(np.full(len(region_ids), value) for value in span)),
        expected=[span.tid],
        only=span,
        why=why,
        cost=sizes.call + sizes.costs.byte * part.bytes,
    )


def _shared_task(
    some: Sequence[int], wanted: Mapping[int, Sequence[int]], layout: Layout, sizes: Sizes
) -> Task:
    """Returns a task that decodes the positions of the records of some stretches."""
    stretches = layout.stretches
    joined: list[tuple[int, int]] = []
    for at in some:
        first, last = joined[-1] if joined else (at, at)
        gap = bytes_between(stretches[last].end, stretches[at].begin)
        between = stretches[last + 1 : at]
        # The end of the last sequence, before the unplaced records, is checked separately.
        if (joined and stretches[at].tid != NO_SEQUENCE) and (
            not between
            or (
                gap < sizes.costs.gap_bytes
                # Stretches that are counted by other tasks are not read twice.
                and all(wanted.keys().isdisjoint(stretch.tids) for stretch in between)
            )
        ):
            joined[-1] = (first, at)
        else:
            joined.append((at, at))
    expected = {
        tid
        for first, last in joined
        for stretch in stretches[first : last + 1]
        for tid in stretch.tids
    }
    spans = [
        (at, *span_of_whole(tid)) for tid in sorted(expected & wanted.keys()) for at in wanted[tid]
    ]
    region_ids, *columns = np.array(spans).T
    parts = tuple(part_of(stretches, first, last) for first, last in joined)
    size = sum(part.bytes for part in parts)
    return Task(
        parts=parts,
        region_ids=region_ids,
        spans=SpanColumns(*columns),
        expected=sorted(expected),
        only=None,
        why=Pass.WHOLE,
        cost=sizes.call * (1 + len(parts)) + sizes.costs.decoded_byte * size,
    )


def span_of_whole(tid: int) -> Span:
    """Returns a span that all records of a sequence, or all unplaced records, overlap."""
    return Span(tid, *(EVERYWHERE if tid == NO_SEQUENCE else WHOLE))
