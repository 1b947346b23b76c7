"""A list of Region that stores columns of numbers instead of objects."""

from abc import abstractmethod
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import compress, count, repeat
from operator import add, gt, not_
from typing import TypeVar, overload

import numpy as np

from readcount.columns import Ints, distinct
from readcount.formats.bam_record import UNPLACED_NAME
from readcount.regions.region import Region
from readcount.source.parts import NO_SEQUENCE

T = TypeVar("T")

# Stands for None in columns of positions.
UNSET = -1


class ColumnList(Sequence[T]):
    """A sequence that creates its items from columns; equal to any sequence of the same items."""

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
    """A list of regions, in output order.

    A million Region objects would take 155 MB, and over a microsecond each to create. Positions are
    0-based and half-open, as in Region.

    Attributes:
        names_by_tid: names of the reference sequences in the header, followed by that of UNPLACED,
            whose reference ID is NO_SEQUENCE (-1).
        tids: reference ID of each region; NO_SEQUENCE for UNPLACED.
        starts: first position of each, or UNSET.
        ends: position after the last of each, or UNSET.
        names: name of each; an empty list if no region has one.
        aliases: alternative name given by the user for each; an empty list if there are none.
        whole: indexes of the regions that are whole sequences or UNPLACED.

    >>> regions = RegionList(["chr1", "chr2"], [Region("chr2", 0, 10), Region("chr1")])
    >>> regions[0], regions.tids.tolist(), regions.starts.tolist()
    (Region(contig='chr2', start=0, end=10, name='', placed=True, alias=''), [1, 0], [0, -1])
    """

    def __init__(self, contigs: Iterable[str] = (), regions: Iterable[Region] = ()) -> None:
        """Creates a list.

        Args:
            contigs: names of the reference sequences, in header order.
            regions: regions on these sequences.
        """
        self.names_by_tid = [*contigs, UNPLACED_NAME]
        self.tids = array("q")
        self.starts = array("q")
        self.ends = array("q")
        self.names: list[str] = []
        self.aliases: list[str] = []
        self.whole = array("q")
        for region in regions:
            self.append(region)

    @classmethod
    def of_whole(cls, contigs: Iterable[str]) -> "RegionList":
        """Returns a list with one whole-sequence region per name."""
        regions = cls(contigs)
        number = len(regions.names_by_tid) - 1
        regions.tids = array("q", range(number))
        regions.starts = array("q", [UNSET]) * number
        regions.ends = array("q", [UNSET]) * number
        regions.whole = array("q", range(number))
        return regions

    def __len__(self) -> int:
        return len(self.tids)

    def item(self, at: int) -> Region:
        """Returns the region at an index."""
        name = self.names[at] if self.names else ""
        alias = self.aliases[at] if self.aliases else ""
        return self._region(self.tids[at], self.starts[at], self.ends[at], name, alias)

    def __iter__(self) -> Iterator[Region]:
        names, aliases = (column or repeat("", len(self)) for column in (self.names, self.aliases))
        return map(self._region, self.tids, self.starts, self.ends, names, aliases)

    def _region(self, tid: int, start: int, end: int, name: str, alias: str) -> Region:
        return Region(
            self.names_by_tid[tid],
            None if start == UNSET else start,
            None if end == UNSET else end,
            name,
            tid != NO_SEQUENCE,
            alias,
        )

    def spans(self) -> Ints:
        """Returns the indexes of the regions that are parts of a sequence."""
        return np.delete(np.arange(len(self)), np.array(self.whole))

    def whole_tids(self) -> set[int]:
        """Returns the reference IDs of the sequences counted as a whole."""
        return set(map(self.tids.__getitem__, self.whole))

    def span_tids(self) -> set[int]:
        """Returns the reference IDs of the sequences with regions that are parts of them."""
        return set(distinct(np.array(self.tids)[self.spans()]).tolist())

    def texts(self) -> Iterator[str]:
        """Yields each region in samtools syntax, as str() does: 1-based, inclusive."""
        names = self.names_by_tid
        aliases = self.aliases or repeat("", len(self))
        for tid, start, end, alias in zip(self.tids, self.starts, self.ends, aliases, strict=True):
            if start >= 0 and end >= 0:
                yield f"{alias or names[tid]}:{start + 1}-{end}"
            elif start == end:
                yield alias or names[tid]
            else:
                yield str(self._region(tid, start, end, "", alias))

    def labels(self) -> Iterator[str]:
        """Yields the name of each region, or its samtools syntax if it has no name."""
        if not self.names:
            return self.texts()
        return (name or text for name, text in zip(self.names, self.texts(), strict=True))

    @cached_property
    def tid_of(self) -> dict[str, int]:
        """Reference IDs by name."""
        tids = {name: tid for tid, name in enumerate(self.names_by_tid)}
        tids[UNPLACED_NAME] = NO_SEQUENCE
        return tids

    def append(self, region: Region) -> None:
        """Adds a region."""
        if region.start is None and region.end is None:
            self.whole.append(len(self))
        self._add_texts(1, [region.name], [region.alias])
        self.tids.append(self.tid_of[region.contig])
        self.starts.append(UNSET if region.start is None else region.start)
        self.ends.append(UNSET if region.end is None else region.end)

    def extend(self, regions: "RegionList") -> None:
        """Adds regions that refer to the same header."""
        self.whole.extend(len(self) + at for at in regions.whole)
        self._add_texts(len(regions), regions.names, regions.aliases)
        self.tids.extend(regions.tids)
        self.starts.extend(regions.starts)
        self.ends.extend(regions.ends)

    def extend_spans(
        self,
        tids: Ints,
        starts: Ints,
        ends: Ints,
        names: Sequence[str] = (),
        aliases: Sequence[str] = (),
    ) -> None:
        """Adds spans given as columns; names and aliases are optional."""
        self._add_texts(len(tids), names, aliases)
        self.tids.frombytes(tids.tobytes())
        self.starts.frombytes(starts.tobytes())
        self.ends.frombytes(ends.tobytes())

    def _add_texts(self, number: int, names: Sequence[str], aliases: Sequence[str]) -> None:
        """Adds the names and aliases of `number` regions; call it before adding their columns."""
        for column, texts in ((self.names, names), (self.aliases, aliases)):
            if any(texts):
                column += repeat("", len(self) - len(column))
                column += texts
            elif column:
                column += repeat("", number)

    def with_contigs(self, contigs: Iterable[str]) -> "RegionList":
        """Returns the same regions for a header with these reference sequences in this order.

        It must contain all sequences that the regions are on.
        """
        regions = RegionList(contigs)
        # The IDs of sequences without regions are not used.
        tids = [regions.tid_of.get(name, NO_SEQUENCE) for name in self.names_by_tid]
        regions.tids = array("q", map(tids.__getitem__, self.tids))
        regions.starts, regions.ends, regions.whole = self.starts, self.ends, self.whole
        regions.names, regions.aliases = self.names, self.aliases
        return regions

    def regions_on(self, wanted: Container[str]) -> "RegionList":
        """Returns the regions on the sequences with these names."""
        keep = [contig in wanted for contig in self.names_by_tid]
        return self.subset(compress(count(), map(keep.__getitem__, self.tids)))

    def subset(self, region_ids: Iterable[int]) -> "RegionList":
        """Returns the regions at these indexes."""
        chosen = list(region_ids)
        regions = RegionList(self.names_by_tid[:-1])
        regions.tids = array("q", map(self.tids.__getitem__, chosen))
        regions.starts = array("q", map(self.starts.__getitem__, chosen))
        regions.ends = array("q", map(self.ends.__getitem__, chosen))
        regions.names = list(map(self.names.__getitem__, chosen)) if self.names else []
        regions.aliases = list(map(self.aliases.__getitem__, chosen)) if self.aliases else []
        spans = map(gt, map(add, regions.starts, regions.ends), repeat(2 * UNSET))
        regions.whole = array("q", compress(count(), map(not_, spans)))
        return regions
