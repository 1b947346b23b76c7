"""What a plan is made of: tasks, each for one process of the Pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from readcount.columns import Ints
from readcount.regions.region_list import RegionList
from readcount.source.parts import Edge, Part, Span, SpanColumns
from readcount.text import plural


class Pass(Enum):
    """Why a part of the file is read: a task of each pass may read the same part."""

    # For regions that are whole reference sequences, and the unplaced records.
    WHOLE = auto()
    # For regions that are parts of a sequence.
    SPANS = auto()
    # For one span with many records, all of which begin in it.
    INNER = auto()


@dataclass(frozen=True, eq=False)
class Task:
    """Parts of the file that one samtools call decodes, and the regions that get their records.

    A record of these parts counts for each of the regions that it overlaps.

    Attributes:
        parts: in the order of the file.
        region_ids: indexes of the regions in the list of regions.
        spans: of the regions.
        expected: numbers of the sequences that may have records here, by the index.
        only: the region in which all records begin, so that they need only be counted; None where
            each record is looked at.
        why: the pass.
        cost: expected, in seconds.
        label: what it counts, in words.
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
        """Whether it matters where a record ends: a sequence as a whole has no end that decides."""
        return self.why is not Pass.WHOLE

    @property
    def bytes(self) -> int:
        """About how many bytes of the file it reads."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True)
class Plan:
    """All tasks of a count.

    Attributes:
        regions: the list of regions that region_ids refer to.
        tasks: most expensive first.
        empty: indexes of the regions that hold no records by the index, and that no task counts.
        edges: places that show whether these are empty, and that no task looks at.
        complete: numbers of the reference sequences all of whose records a pass reads.
        known: records that need not be counted, by the index of the region.
    """

    regions: RegionList
    tasks: tuple[Task, ...]
    empty: Sequence[int]
    edges: Sequence[Edge] = ()
    complete: frozenset[tuple[Pass, int]] = frozenset()
    known: Mapping[int, int] = field(default_factory=dict)

    def __str__(self) -> str:
        regions = len(self.regions)
        return (
            f"{plural(regions, 'region')} ({regions - len(self.empty):,} with records), "
            f"{plural(len(self.tasks), 'samtools call')}"
        )
