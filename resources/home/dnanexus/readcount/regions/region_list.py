"""Many regions: a list of Region that keeps columns of numbers instead of objects."""

from abc import abstractmethod
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import compress, count, repeat
from operator import add, gt, not_
from typing import TypeVar, overload

from readcount.regions.region import UNPLACED, Region

T = TypeVar("T")

# In the columns of positions, for what a Region has as None.
UNSET = -1


class ColumnList(Sequence[T]):
    """A sequence whose items are made from columns; equal to any sequence of the same items."""

    @abstractmethod
    def item(self, at: int) -> T:
        """Returns the item at an index, from 0."""

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...
    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        if isinstance(at, slice):
            return [self.item(number) for number in range(*at.indices(len(self)))]
        return self.item(at)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class RegionList(ColumnList[Region]):
    """A list of regions, in the order of the output.

    A million objects take 155 MB, and a microsecond each to create or more. Positions are 0-based
    and half-open, as those of Region.

    Attributes:
        names_by_tid: names of the reference sequences that regions are on, and that of UNPLACED;
            one for each name by which a sequence was asked for.
        aliases: that name of each, if it is an alternative one.
        tids: which of these each region is on; see planning.plan.tids_of for those of the header.
        starts: the first position of each, or UNSET.
        ends: the position after the last of each, or UNSET.
        names: the name of each; empty if none has one.
        whole: indexes of those that are a whole sequence, or UNPLACED.

    >>> regions = RegionList([Region("chr1"), Region("chr2", 0, 10)])
    >>> regions[1], regions.starts.tolist()
    (Region(contig='chr2', start=0, end=10, name='', placed=True, alias=''), [-1, 0])
    """

    def __init__(self, regions: Iterable[Region] = ()) -> None:
        self.names_by_tid: list[str] = []
        self.aliases: list[str] = []
        self.tids = array("q")
        self.starts = array("q")
        self.ends = array("q")
        self.names: list[str] = []
        self.whole = array("q")
        self._tid_of: dict[tuple[str, str], int] = {}
        self.extend(regions)

    @classmethod
    def of_whole(cls, contigs: Iterable[str]) -> "RegionList":
        """Returns a list of whole reference sequences, of these names."""
        regions = cls()
        regions.names_by_tid = list(contigs)
        number = len(regions.names_by_tid)
        regions.aliases = [""] * number
        regions.tids = array("q", range(number))
        regions.starts = array("q", [UNSET]) * number
        regions.ends = array("q", [UNSET]) * number
        regions.whole = array("q", range(number))
        regions._tid_of = {(contig, ""): tid for tid, contig in enumerate(regions.names_by_tid)}
        return regions

    def __len__(self) -> int:
        return len(self.tids)

    def item(self, at: int) -> Region:
        """Returns the region at an index."""
        name = self.names[at] if self.names else ""
        return self.region(self.tids[at], self.starts[at], self.ends[at], name)

    def __iter__(self) -> Iterator[Region]:
        return map(
            self.region, self.tids, self.starts, self.ends, self.names or repeat("", len(self))
        )

    def region(self, tid: int, start: int, end: int, name: str = "") -> Region:
        """Returns the region that a line of the columns stands for."""
        contig = self.names_by_tid[tid]
        return Region(
            contig,
            None if start == UNSET else start,
            None if end == UNSET else end,
            name,
            contig != UNPLACED.contig,
            self.aliases[tid],
        )

    def spans(self) -> Sequence[int]:
        """Returns the indexes of the regions that are parts of a sequence."""
        whole = set(self.whole)
        every = range(len(self))
        return [at for at in every if at not in whole] if whole else every

    def texts(self) -> Iterator[str]:
        """Yields each region as str() has it: 1-based, inclusive."""
        labels = [
            alias or contig for alias, contig in zip(self.aliases, self.names_by_tid, strict=True)
        ]
        for tid, start, end in zip(self.tids, self.starts, self.ends, strict=True):
            if start >= 0 and end >= 0:
                yield f"{labels[tid]}:{start + 1}-{end}"
            elif start == end:
                yield labels[tid]
            else:
                yield str(self.region(tid, start, end))

    def used_contigs(self) -> list[str]:
        """Returns the names of the sequences that regions are on, and that of UNPLACED."""
        return [self.names_by_tid[tid] for tid in sorted(set(self.tids))]

    def contig_of(self, at: int) -> str:
        """Returns the name of the sequence that a region is on, without making the region."""
        return self.names_by_tid[self.tids[at]]

    def labels(self) -> Iterator[str]:
        """Yields the name of each region, or the region as str() has it if it has no name."""
        if not self.names:
            return self.texts()
        return (name or text for name, text in zip(self.names, self.texts(), strict=True))

    def tid_of(self, contig: str, alias: str = "") -> int:
        """Returns the number of a sequence; adds it if it is not in the list."""
        tid = self._tid_of.setdefault((contig, alias), len(self.names_by_tid))
        if tid == len(self.names_by_tid):
            self.names_by_tid.append(contig)
            self.aliases.append(alias)
        return tid

    def append(self, region: Region) -> None:
        """Adds a region."""
        if region.start is None and region.end is None:
            self.whole.append(len(self))
        self._add_names(1, [region.name])
        self.tids.append(self.tid_of(region.contig, region.alias))
        self.starts.append(UNSET if region.start is None else region.start)
        self.ends.append(UNSET if region.end is None else region.end)

    def extend(self, regions: Iterable[Region]) -> None:
        """Adds regions."""
        if not isinstance(regions, RegionList):
            for region in regions:
                self.append(region)
            return
        before = len(self)
        self.whole.extend(before + at for at in regions.whole)
        self._add_names(len(regions), regions.names)
        tids = list(map(self.tid_of, regions.names_by_tid, regions.aliases))
        self.tids.extend(map(tids.__getitem__, regions.tids))
        self.starts.extend(regions.starts)
        self.ends.extend(regions.ends)

    def extend_spans(
        self, tids: bytes, starts: bytes, ends: bytes, names: Sequence[str] = ()
    ) -> None:
        """Adds spans by their columns, of 64-bit numbers; names may be left out."""
        self._add_names(len(tids) // self.tids.itemsize, names)
        self.tids.frombytes(tids)
        self.starts.frombytes(starts)
        self.ends.frombytes(ends)

    def _add_names(self, number: int, names: Sequence[str]) -> None:
        """Adds the names of so many regions; must come before their columns."""
        if any(names) and not self.names:
            self.names = [""] * len(self)
        if self.names or any(names):
            self.names += names or repeat("", number)

    def regions_on(self, wanted: Container[str]) -> "RegionList":
        """Returns the regions on the sequences of these names."""
        keep = [contig in wanted for contig in self.names_by_tid]
        return self.subset(compress(count(), map(keep.__getitem__, self.tids)))

    def subset(self, region_ids: Iterable[int]) -> "RegionList":
        """Returns the regions at these indexes."""
        chosen = list(region_ids)
        regions = RegionList()
        regions.names_by_tid, regions.aliases = self.names_by_tid[:], self.aliases[:]
        regions._tid_of = dict(self._tid_of)
        regions.tids = array("q", map(self.tids.__getitem__, chosen))
        regions.starts = array("q", map(self.starts.__getitem__, chosen))
        regions.ends = array("q", map(self.ends.__getitem__, chosen))
        regions.names = list(map(self.names.__getitem__, chosen)) if self.names else []
        spans = map(gt, map(add, regions.starts, regions.ends), repeat(2 * UNSET))
        regions.whole = array("q", compress(count(), map(not_, spans)))
        return regions
