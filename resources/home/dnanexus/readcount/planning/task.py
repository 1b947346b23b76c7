"""Tasks, each run by one process of the Pool, and the plan that consists of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from readcount.columns import Ints
from readcount.regions.region_list import RegionList
from readcount.source.parts import Edge, Part, Span, SpanColumns
from readcount.text import plural


class Pass(Enum):
    """Purpose of reading a part; tasks of different passes may read the same part."""

    # Regions that are whole reference sequences, and unplaced records.
    WHOLE = auto()
    # Regions that are parts of a sequence.
    SPANS = auto()
    # One span with many records, all of which start in it.
    INNER = auto()


@dataclass(frozen=True, eq=False)
class Task:
    """Parts of the file decoded by one samtools call, and the regions counted from them.

    A record in these parts counts for each of these regions that it overlaps.

    Attributes:
        parts: the parts, in file order.
        region_ids: indexes of the regions in the list of regions.
        spans: reference ID, start and end of the regions, as columns.
        expected: reference IDs that may occur here according to the index.
        only: the span in which all records start, so that they only need to be counted; None if
            each record is decoded.
        why: the pass it belongs to.
        cost: estimated cost in seconds.
        label: description of what it counts, for messages.
    """

    parts: tuple[Part, ...]
    region_ids: Ints
    spans: SpanColumns
    expected: Sequence[int]
    only: Span | None
    why: Pass
    cost: float
    label: str = ""

    @property
    def with_ends(self) -> bool:
        """Whether record ends are needed; they are not for whole sequences."""
        return self.why is not Pass.WHOLE

    @property
    def bytes(self) -> int:
        """Approximate number of bytes that it reads."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True)
class Plan:
    """All tasks of a count.

    Attributes:
        regions: the regions to count; region_ids are indexes into this list.
        tasks: the tasks, most expensive first.
        empty: indexes of the regions without records according to the index, which no task counts.
        edges: positions in the file to check that these regions are empty, except those that tasks
            check anyway.
        complete: pass and reference ID of each sequence that the pass reads completely.
        known: counts taken from the index, by region index.
        checks: how these counts were checked; empty if none are used.
    """

    regions: RegionList
    tasks: tuple[Task, ...]
    empty: Sequence[int]
    edges: Sequence[Edge] = ()
    complete: frozenset[tuple[Pass, int]] = frozenset()
    known: Mapping[int, int] = field(default_factory=dict)
    checks: tuple[str, ...] = ()

    def __str__(self) -> str:
        regions = len(self.regions)
        return (
            f"{plural(regions, 'region')} ({regions - len(self.empty):,} with records), "
            f"{plural(len(self.tasks), 'samtools call')}"
        )
