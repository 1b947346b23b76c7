"""Layouts of files that do not exist, for tests of planning."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from readcount.planning.task import Pass, Task
from readcount.source.parts import (
    NO_SEQUENCE,
    SEVERAL,
    Part,
    Span,
    SpanColumns,
    SpanPlaces,
    Stretch,
)
from readcount.source.sequences import SequenceDictionary

MB = 1_000_000


@dataclass(frozen=True)
class PlainLayout:
    """A layout that can be split at fixed distances, and where each base is one byte.

    Attributes:
        stretches: the stretches, in file order.
        every: distance between possible cuts in bytes.
        has_numbers: whether the index has statistics.
    """

    stretches: Sequence[Stretch]
    every: int = 100_000
    has_numbers: bool = True

    def cuts(self, stretch: Stretch) -> Sequence[int]:
        return range(stretch.begin + (self.every << 16), stretch.end, self.every << 16)

    def places(self, spans: SpanColumns) -> SpanPlaces:
        of_tid = {stretch.tid: stretch for stretch in self.stretches}
        rows = [
            (
                row,
                stretch.begin + (min(int(start), stretch.bytes) << 16),
                stretch.begin + (min(int(end), stretch.bytes) << 16),
            )
            for row, (tid, start, end) in enumerate(zip(*spans, strict=True))
            if (stretch := of_tid.get(int(tid)))
        ]
        return SpanPlaces(*np.array(rows, np.int64).reshape(-1, 3).T)

    def inner(self, span: Span) -> tuple[int, int]:
        (stretch,) = (stretch for stretch in self.stretches if stretch.tid == span.tid)
        begin, end = (stretch.begin + (min(at, stretch.bytes) << 16) for at in span[1:])
        return begin, end


def layout_of(*sizes: int, several: Sequence[int] = ()) -> PlainLayout:
    """Returns a layout of sequences of these sizes in bytes, and the end of the file.

    The stretches of the sequences in `several` are multi-reference.
    """
    stretches, at = [], 1000
    for tid, size in enumerate(sizes):
        if size:
            kind = SEVERAL if tid in several else tid
            stretches.append(Stretch(at << 16, at + size << 16, kind, (tid,)))
            at += size
    return PlainLayout([*stretches, Stretch(at << 16, at + 28 << 16, NO_SEQUENCE, (NO_SEQUENCE,))])


def task_of(*parts: Part, region_ids: Sequence[int] = (0,), tid: int = 0, cost: float = 1) -> Task:
    """Returns a task that reads these parts; its spans are placeholders."""
    spans = SpanColumns(*(np.full(len(region_ids), value) for value in (tid, 0, 9)))
    ids = np.array(region_ids, np.int64)
    return Task(parts, ids, spans, [tid], None, Pass.WHOLE, cost)


def names(number: int) -> list[str]:
    return [f"chr{tid}" for tid in range(number)]


def header(number: int) -> SequenceDictionary:
    """Returns the sequences of names(), whose lengths the plan does not use."""
    return SequenceDictionary(dict.fromkeys(names(number), 0))
