"""What a plan is made of: tasks, each for one process of the Pool."""

from collections.abc import Sequence
from dataclasses import dataclass

from readcount.formats.bam_index import Entry
from readcount.request.region import Region
from readcount.request.region_list import RegionList
from readcount.text import plural


@dataclass(frozen=True)
class Call:
    """One `samtools view -c`, or two for a window that is not the first; see count_window.

    Attributes:
        number: index of the region in the list of regions, from 0.
        region: what it counts, or counts a part of.
        records: how many are expected.
        seconds: what it is expected to cost.
        window: the part; None for all of the region. Only records that begin in a window belong
            to it, except for the first window, to which all records belong that overlap it.
        entry: where the index holds the sequence, if it is worth being read alone.
        edge: whether what begins before the window is counted by a call of its own; else an
            expression keeps it out.
    """

    number: int
    region: Region
    records: float
    seconds: float
    window: Region | None = None
    entry: Entry | None = None
    edge: bool = False

    @property
    def calls(self) -> int:
        """How many samtools calls it takes that read the file."""
        return 2 if self.edge else 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """The only number."""
        return (self.number,)


@dataclass(frozen=True)
class Group:
    """Several whole sequences that are counted in one pass over their records.

    It goes to another process, so long lists are tuples of plain values.

    Attributes:
        numbers: indexes of the regions in the list of regions, from 0.
        contigs: their names; neighbours in the file, as far as they have records at all.
        reaches: a position that no record of the sequence reaches, for each.
        in_index: the records that the index has for each; None where it does not say.
        records: how many are expected in all.
        seconds: what it is expected to cost.
    """

    numbers: tuple[int, ...]
    contigs: tuple[str, ...]
    reaches: tuple[int, ...]
    in_index: tuple[int | None, ...]
    records: float
    seconds: float

    @property
    def calls(self) -> int:
        """How many samtools calls it takes that read the file."""
        return 1


@dataclass(frozen=True)
class SpanGroup:
    """Several spans that are counted in one pass over the records that overlap any of them.

    Attributes:
        numbers: indexes of the regions in the list of regions, from 0; a range of consecutive
            ones where they are given in the order of the file.
        contigs: names of the reference sequences that they are on.
        on: which of these each span is on.
        starts: of each span, 0-based.
        ends: of each span, the position after it.
        lines: of a BED file that has all spans, and more where it is better to read on: which of
            the contigs, start and end; rising.
        records: how many are expected in all.
        seconds: what it is expected to cost.
    """

    numbers: Sequence[int]
    contigs: tuple[str, ...]
    on: Sequence[int]
    starts: Sequence[int]
    ends: Sequence[int]
    lines: Sequence[tuple[int, int, int]]
    records: float
    seconds: float

    @property
    def calls(self) -> int:
        """How many samtools calls it takes that read the file."""
        return 1


Task = Call | Group | SpanGroup


@dataclass(frozen=True)
class Plan:
    """All tasks of a count.

    Attributes:
        regions: the list of regions that numbers refer to.
        tasks: most expensive first; each counts one region, or a part of it, or several.
        empty: numbers of the regions that hold no records, and that no task counts.
    """

    regions: RegionList
    tasks: tuple[Task, ...]
    empty: tuple[int, ...]

    def __str__(self) -> str:
        regions, calls = len(self.regions), sum(task.calls for task in self.tasks)
        return (
            f"{plural(regions, 'region')} ({regions - len(self.empty):,} with records), "
            f"{plural(calls, 'samtools call')}"
        )
