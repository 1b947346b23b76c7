"""Record locations in a CRAM according to its index and container headers."""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence, Set
from itertools import groupby, pairwise
from math import inf
from typing import NamedTuple

import numpy as np

from readcount.columns import rows_by
from readcount.formats.cram import Slice
from readcount.source.parts import (
    NO_SEQUENCE,
    SEVERAL,
    WHOLE,
    Span,
    SpanColumns,
    SpanPlaces,
    Stretch,
)


class Unit(NamedTuple):
    """A container with records, as described in the index and, if read, its header.

    Attributes:
        begin: offset in bytes of the container, or of empty containers before it.
        end: offset of the next container.
        tids: reference IDs listed in the index, in file order.
        several: whether it may be a multi-reference container.
        start: first position, 0-based, if it has records of one sequence only.
        stop: position after the last, as for start; that of its header and the index may be too
            small (see _with_bounds).
        records: number of records; None if its header has not been read.
    """

    begin: int
    end: int
    tids: tuple[int, ...]
    several: bool
    start: int
    stop: int
    records: int | None = None

    @property
    def tid(self) -> int:
        """Its reference ID, or NO_SEQUENCE, or SEVERAL."""
        return SEVERAL if self.several else self.tids[0]


def units_of(lines: Mapping[int, Sequence[Slice]], begin: int, end: int) -> list[Unit]:
    """Returns the containers listed in an index, in file order.

    `begin` is the offset after the header, `end` that of the end-of-file container.
    """
    bounds = [begin, *list(lines)[1:], end] if lines else []
    units = []
    for (first, last), its in zip(pairwise(bounds), lines.values(), strict=True):
        tids = sorted({line.tid for line in its}, key=_in_file)
        start = min(line.start for line in its) - 1
        # A record that covers no base is treated as covering one, and may be after the span.
        stop = max(line.start + line.span for line in its)
        units.append(Unit(first, last, tuple(tids), len(tids) > 1, start, stop))
    return units


def _in_file(tid: int) -> float:
    """Returns the sort key of a reference ID: unplaced records are last."""
    return inf if tid == NO_SEQUENCE else tid


class CramLayout:
    """Record locations in a CRAM; see Layout."""

    has_numbers = False

    def __init__(self, units: Sequence[Unit], asked: Collection[int]) -> None:
        """Groups containers into stretches.

        Args:
            units: the containers, in file order.
            asked: reference IDs of the sequences to count; multi-reference containers may have
                records of these that the index does not list.
        """
        runs = _runs_of(units)
        ordered = is_in_order(units)
        self._units = {run[0].begin: _with_bounds(run, ordered) for run in runs}
        before = [(), *(run[-1].tids if ordered else () for run in runs)]
        after = [*(run[0].tids if ordered else () for run in runs[1:]), ()]
        self.stretches = [
            Stretch(
                run[0].begin << 16,
                run[-1].end << 16,
                run[0].tid,
                _tids_of(run[0], its_before, its_after, asked),
            )
            for run, its_before, its_after in zip(runs, before, after, strict=False)
        ]

    def cuts(self, stretch: Stretch) -> Sequence[int]:
        """Returns the begin offsets of the containers of a stretch; see Layout."""
        return [unit.begin << 16 for unit in self.units(stretch)[1:]]

    def units(self, stretch: Stretch) -> Sequence[Unit]:
        """Returns the containers of a stretch."""
        return self._units[stretch.begin >> 16]

    def places(self, spans: SpanColumns) -> SpanPlaces:
        """Returns the containers that spans overlap; see Layout."""
        rows_of = rows_by(spans.tids)
        found = [np.zeros((3, 0), np.int64)]
        for stretch in self.stretches:
            if stretch.tid not in rows_of:
                continue
            its = rows_of[stretch.tid]
            units = np.array([unit[:2] + unit[4:6] for unit in self.units(stretch)], np.int64)
            begins, ends, starts, stops = units.T
            if (np.diff(starts) >= 0).all():
                first = np.searchsorted(np.maximum.accumulate(stops), spans.starts[its], "right")
                last = np.searchsorted(starts, spans.ends[its], "left")
            else:
                # If containers are not in order, their records may be anywhere after their start.
                overlaps = spans.ends[its] > starts.min()
                first, last = np.zeros(len(its), np.int64), np.where(overlaps, len(starts), 0)
            here = first < last
            lows, highs = begins[first[here]] << 16, ends[last[here] - 1] << 16
            found.append(np.array([its[here], lows, highs]))
        shared = [
            stretch
            for stretch in self.stretches
            if stretch.tid == SEVERAL and not rows_of.keys().isdisjoint(stretch.tids)
        ]
        rows, lows, highs = np.concatenate(found, axis=1)
        return SpanPlaces(rows, lows, highs, shared)

    def inner(self, span: Span) -> tuple[int, int]:
        """Returns the offsets of the containers whose records all start in a span; see Layout."""
        its = [stretch for stretch in self.stretches if span.tid in stretch.tids]
        if len(its) != 1:
            return 0, 0
        inside = [
            list(units)
            for is_inside, units in groupby(
                self.units(its[0]),
                lambda unit: span.start <= unit.start and unit.stop <= span.end,
            )
            if is_inside
        ]
        if not inside:
            return 0, 0
        longest = max(inside, key=len)
        return longest[0].begin << 16, longest[-1].end << 16


def _tids_of(
    unit: Unit, before: Sequence[int], after: Sequence[int], asked: Collection[int]
) -> tuple[int, ...]:
    """Returns the sequences that may have records in a container.

    If containers are in order, the neighbouring containers limit them.
    """
    if not unit.several:
        return unit.tids
    least = _in_file(before[-1]) if before else 0
    most = _in_file(after[0]) if after else inf
    between = {tid for tid in asked if least <= _in_file(tid) <= most}
    return tuple(sorted(between.union(unit.tids), key=_in_file))


def _runs_of(units: Sequence[Unit]) -> list[list[Unit]]:
    """Returns runs of consecutive containers of one sequence, and each multi-reference one."""
    runs: list[list[Unit]] = []
    for unit in units:
        if runs and not unit.several and runs[-1][0].tid == unit.tid:
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return runs


def _with_bounds(run: Sequence[Unit], ordered: bool) -> list[Unit]:
    """Returns containers of one sequence with a `stop` that no record starts at or after.

    If there is no reference, htslib 1.19 and later leaves unmapped records out of the span of a
    container (cram_encode.c, process_one_read). In a sorted file, they start no later than the
    records of the next container.
    """
    starts = [unit.start + 1 for unit in run[1:]] if ordered else [WHOLE[1]] * (len(run) - 1)
    return [
        unit._replace(stop=max(unit.stop, bound))
        for unit, bound in zip(run, [*starts, WHOLE[1]], strict=True)
    ]


def is_in_order(units: Sequence[Unit]) -> bool:
    """Whether containers are in header order and sorted by position."""
    return all(
        _in_file(one.tids[-1]) <= _in_file(other.tids[0])
        and (one.tids != other.tids or one.start <= other.start)
        for one, other in pairwise(units)
    )


def beside(units: Sequence[Unit], asked: Set[int]) -> set[int]:
    """Returns the indexes of containers that may have records not listed in the index.

    These are the containers just before and after those of the sequences to count, and those where
    sequences without any line in the index would be. If containers are not in order, all.

    Args:
        units: the containers, in file order.
        asked: reference IDs of the sequences to count.
    """
    others = {at for at, unit in enumerate(units) if asked.isdisjoint(unit.tids)}
    if not is_in_order(units):
        return others
    found = {near for at in range(len(units)) if at not in others for near in (at - 1, at + 1)}
    firsts = [_in_file(unit.tids[0]) for unit in units]
    listed = {tid for unit in units for tid in unit.tids}
    for tid in asked - listed:
        after = bisect_left(firsts, _in_file(tid))
        found |= {after - 1, after}
    return found & others
