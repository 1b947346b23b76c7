"""Record counts of a task and of all regions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from readcount.columns import Ints, Numbers, integers
from readcount.regions.region import Region
from readcount.regions.region_list import ColumnList, RegionList


@dataclass(frozen=True, slots=True)
class RegionCount:
    """The number of records that overlap a region."""

    region: Region
    records: int


@dataclass(frozen=True, eq=False)
class RegionCounts(ColumnList[RegionCount]):
    """A list of RegionCount, stored as columns instead of objects.

    Attributes:
        regions: the regions, in output order.
        records: number of records that overlap each region.
    """

    regions: RegionList
    records: Ints

    def __post_init__(self) -> None:
        if len(self.records) != len(self.regions):
            raise ValueError(f"{len(self.records)} counts for {len(self.regions)} regions")

    def __len__(self) -> int:
        return len(self.records)

    def item(self, at: int) -> RegionCount:
        """Returns the count at an index."""
        return RegionCount(self.regions[at], int(self.records[at]))

    def __iter__(self) -> Iterator[RegionCount]:
        return map(RegionCount, self.regions, integers(self.records))


@dataclass(frozen=True)
class TaskCounts:
    """The counts of a task.

    Attributes:
        task: its index in the plan.
        records: the count of each of its regions, in the task's order.
        decoded: number of records read, by reference ID; None with filters, because samtools then
            reports only the selected ones.
        warnings: harmless messages from samtools.
    """

    task: int
    records: Numbers
    decoded: Mapping[int, int] | None = None
    warnings: Sequence[str] = ()
