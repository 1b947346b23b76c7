"""A list of Region that stores columns instead of objects."""

from abc import abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, repeat
from typing import TypeVar, overload

import numpy as np

from readcount.columns import Bools, Ints, distinct, integers
from readcount.formats.bam_record import UNPLACED_NAME
from readcount.regions.region import Region
from readcount.source.parts import NO_SEQUENCE
from readcount.source.sequences import SequenceDictionary

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


@dataclass(frozen=True, eq=False)
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
        names: name of each; empty if no region has one.
        aliases: alternative name given by the user for each; empty if there are none.

    >>> sequences = SequenceDictionary({"chr1": 500, "chr2": 200})
    >>> regions = RegionList.of(sequences, [Region("chr2", 0, 10), Region("chr1")])
    >>> regions[0], regions.tids.tolist(), regions.starts.tolist()
    (Region(contig='chr2', start=0, end=10, name='', placed=True, alias=''), [1, 0], [0, -1])
    """

    names_by_tid: Sequence[str]
    tids: Ints
    starts: Ints
    ends: Ints
    names: Sequence[str] = ()
    aliases: Sequence[str] = ()

    @classmethod
    def of(cls, sequences: SequenceDictionary, regions: Iterable[Region]) -> "RegionList":
        """Returns a list of regions on these reference sequences."""
        regions = list(regions)
        tid_of = sequences.tid_of
        positions = [
            (
                tid_of[region.contig] if region.placed else NO_SEQUENCE,
                UNSET if region.start is None else region.start,
                UNSET if region.end is None else region.end,
            )
            for region in regions
        ]
        tids, starts, ends = np.array(positions, np.int64).reshape(-1, 3).T.copy()
        names, aliases = [one.name for one in regions], [one.alias for one in regions]
        return cls(
            sequences.names_by_tid,
            tids,
            starts,
            ends,
            names if any(names) else (),
            aliases if any(aliases) else (),
        )

    @classmethod
    def of_whole(cls, contigs: Iterable[str]) -> "RegionList":
        """Returns a list with one whole-sequence region per name."""
        names_by_tid = [*contigs, UNPLACED_NAME]
        tids = np.arange(len(names_by_tid) - 1)
        unset = np.full(len(tids), UNSET)
        return cls(names_by_tid, tids, unset, unset)

    def __len__(self) -> int:
        return len(self.tids)

    def item(self, at: int) -> Region:
        """Returns the region at an index."""
        name = self.names[at] if self.names else ""
        alias = self.aliases[at] if self.aliases else ""
        tid, start, end = int(self.tids[at]), int(self.starts[at]), int(self.ends[at])
        return self._region(tid, start, end, name, alias)

    def __iter__(self) -> Iterator[Region]:
        columns = map(integers, (self.tids, self.starts, self.ends))
        return map(self._region, *columns, *map(self._filled, (self.names, self.aliases)))

    def _region(self, tid: int, start: int, end: int, name: str, alias: str) -> Region:
        return Region(
            self.names_by_tid[tid],
            None if start == UNSET else start,
            None if end == UNSET else end,
            name,
            tid != NO_SEQUENCE,
            alias,
        )

    def _filled(self, texts: Sequence[str]) -> Iterable[str]:
        return texts or repeat("", len(self))

    @cached_property
    def whole(self) -> Ints:
        """Indexes of the regions that are whole sequences or UNPLACED."""
        return np.flatnonzero(self.is_whole)

    @property
    def spans(self) -> Ints:
        """Indexes of the regions that are parts of a sequence."""
        return np.flatnonzero(~self.is_whole)

    @property
    def is_whole(self) -> Bools:
        """Whether each region is a whole sequence or UNPLACED."""
        is_whole: Bools = (self.starts == UNSET) & (self.ends == UNSET)
        return is_whole

    def tids_at(self, region_ids: Ints) -> set[int]:
        """Returns the reference IDs of the regions at these indexes."""
        return set(distinct(self.tids[region_ids]).tolist())

    def extents(self, lengths: Mapping[str, int]) -> tuple[Ints, Ints]:
        """Returns the starts and ends of all regions as numbers.

        The end of a whole reference sequence is its length, even if records extend beyond it;
        unplaced records are from 0 to 0.

        Args:
            lengths: lengths of the reference sequences in bases, by name.
        """
        length_of = np.array([lengths.get(name, 0) for name in self.names_by_tid])
        ends = np.where(self.ends == UNSET, length_of[self.tids], self.ends)
        return np.maximum(self.starts, 0), ends

    def contigs(self) -> Iterator[str]:
        """Yields the name of the reference sequence of each region."""
        return map(self.names_by_tid.__getitem__, integers(self.tids))

    def texts(self) -> Iterator[str]:
        """Yields each region in samtools syntax, as str() does: 1-based, inclusive."""
        names = self.names_by_tid
        columns = map(integers, (self.tids, self.starts, self.ends))
        for tid, start, end, alias in zip(*columns, self._filled(self.aliases), strict=True):
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

    def renumbered(self, sequences: SequenceDictionary) -> "RegionList":
        """Returns the same regions for a header with these reference sequences.

        It must contain all sequences that the regions are on.
        """
        # The IDs of sequences without regions are not used.
        tids = np.array([sequences.tid_of.get(name, NO_SEQUENCE) for name in self.names_by_tid])
        return replace(self, names_by_tid=sequences.names_by_tid, tids=tids[self.tids])

    def regions_on(self, wanted: Container[str]) -> "RegionList":
        """Returns the regions on the sequences with these names."""
        keep = np.array([contig in wanted for contig in self.names_by_tid])
        region_ids = np.flatnonzero(keep[self.tids])
        names, aliases = (
            [column[at] for at in region_ids.tolist()] if column else ()
            for column in (self.names, self.aliases)
        )
        tids, starts, ends = self.tids[region_ids], self.starts[region_ids], self.ends[region_ids]
        return RegionList(self.names_by_tid, tids, starts, ends, names, aliases)


def joined(lists: Sequence[RegionList]) -> RegionList:
    """Returns the regions of one or more lists that refer to the same header."""
    tids, starts, ends = (
        np.concatenate(columns)
        for columns in zip(*((one.tids, one.starts, one.ends) for one in lists), strict=True)
    )
    names, aliases = (
        list(chain.from_iterable(columns)) if any(columns) else ()
        for columns in zip(
            *((one._filled(one.names), one._filled(one.aliases)) for one in lists), strict=True
        )
    )
    return RegionList(lists[0].names_by_tid, tids, starts, ends, names, aliases)
