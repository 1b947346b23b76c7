"""The rows of the matrix: the regions, with positions as in the count table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from readcount.cohort.layout import RegionColumns
from readcount.columns import Ints, integers
from readcount.outputs.bedgraph import placed_in_order
from readcount.regions.region_list import RegionList


@dataclass(frozen=True)
class Rows:
    """The regions of a cohort, in the order of the matrix; positions are 0-based and half-open.

    Attributes:
        labels: function that returns the name of each region, or its samtools syntax.
        contigs: names of the reference sequences, in header order, followed by that of unplaced
            records.
        tids: reference ID of each region; NO_SEQUENCE for unplaced records.
        starts: first position of each.
        ends: position after the last of each.
        whole: indexes of the regions that are whole reference sequences.
    """

    labels: Callable[[], Iterator[str]]
    contigs: Sequence[str]
    tids: Ints
    starts: Ints
    ends: Ints
    whole: Ints

    @classmethod
    def of(cls, regions: RegionList, lengths: Mapping[str, int]) -> "Rows":
        """Returns the rows of a list of regions.

        Args:
            regions: the regions.
            lengths: lengths of the reference sequences in bases, by name, in header order.
        """
        starts, ends = regions.extents(lengths)
        return cls(regions.labels, regions.names_by_tid, regions.tids, starts, ends, regions.whole)

    def __len__(self) -> int:
        return len(self.tids)

    def texts(self) -> Iterator[str]:
        """Yields the first columns of each row: region, contig, start, end, length."""
        columns = map(integers, (self.tids, self.starts, self.ends))
        for label, tid, start, end in zip(self.labels(), *columns, strict=True):
            yield f"{label}\t{self.contigs[tid]}\t{start}\t{end}\t{end - start}"

    def columns(self) -> RegionColumns:
        """Returns the regions as columns for the statistics."""
        whole = np.zeros(len(self), np.bool_)
        whole[self.whole] = True
        contigs = list(map(self.contigs.__getitem__, integers(self.tids)))
        return RegionColumns(list(self.labels()), contigs, self.starts, self.ends, whole.tolist())

    def order(self) -> Ints:
        """Returns the indexes of the placed regions, sorted by sequence, start and end."""
        return placed_in_order(self.tids, self.starts, self.ends)

    def places(self, order: Ints) -> Iterator[str]:
        """Yields contig, start and end of these rows, as the first columns of a BED file."""
        for row in order.tolist():
            yield f"{self.contigs[self.tids[row]]}\t{self.starts[row]}\t{self.ends[row]}"
