"""The rows of the matrix: the regions, with positions as in the count table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from readcount.cohort.layout import RegionColumns
from readcount.columns import Ints, integers
from readcount.outputs.bedgraph import placed_in_order
from readcount.regions.region_list import RegionList


@dataclass(frozen=True)
class Rows:
    """The regions of a cohort, in the order of the matrix; positions are 0-based and half-open.

    Attributes:
        regions: the regions.
        starts: first position of each.
        ends: position after the last of each; for a whole sequence, its length.
    """

    regions: RegionList
    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, regions: RegionList, lengths: Mapping[str, int]) -> "Rows":
        """Returns the rows of a list of regions.

        Args:
            regions: the regions.
            lengths: lengths of the reference sequences in bases, by name.
        """
        return cls(regions, *regions.extents(lengths))

    def __len__(self) -> int:
        return len(self.regions)

    def texts(self) -> Iterator[str]:
        """Yields the first columns of each row: region, contig, start, end, length."""
        columns = map(integers, (self.starts, self.ends))
        for label, contig, start, end in zip(
            self.regions.labels(), self.regions.contigs(), *columns, strict=True
        ):
            yield f"{label}\t{contig}\t{start}\t{end}\t{end - start}"

    def columns(self) -> RegionColumns:
        """Returns the regions as columns for the statistics."""
        labels, contigs = list(self.regions.labels()), list(self.regions.contigs())
        whole = self.regions.is_whole.tolist()
        return RegionColumns(labels, contigs, self.starts, self.ends, whole)

    def order(self) -> Ints:
        """Returns the indexes of the placed regions, sorted by sequence, start and end."""
        return placed_in_order(self.regions.tids, self.starts, self.ends)

    def places(self, order: Ints) -> Iterator[str]:
        """Yields contig, start and end of these rows, as the first columns of a BED file."""
        names, columns = self.regions.names_by_tid, (self.regions.tids, self.starts, self.ends)
        for tid, start, end in zip(*(integers(column[order]) for column in columns), strict=True):
            yield f"{names[tid]}\t{start}\t{end}"
