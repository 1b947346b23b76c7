"""The data from which the output files are written."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from readcount.regions.counts import RegionCounts
from readcount.regions.region import Region
from readcount.regions.region_list import UNSET, RegionList
from readcount.verification.verify import VerifiedCounts


@dataclass(frozen=True)
class Result:
    """Verified counts and their description.

    Attributes:
        verified: the counts, in output order.
        lengths: lengths of the reference sequences in bases, by name.
        records_counted: description of the records counted.
        regions_counted: description of the regions counted.
        from_index: whether the counts were taken from the index.
        unplaced: number of records without a position according to the index; None if not in the
            index.
    """

    verified: VerifiedCounts
    lengths: Mapping[str, int]
    records_counted: str = "all records"
    regions_counted: str = "all reference sequences"
    unplaced: int | None = None
    from_index: bool = False

    @property
    def counts(self) -> RegionCounts:
        """The count of each region."""
        return self.verified.counts

    @property
    def total(self) -> int:
        """The sum over the regions."""
        return self.verified.total

    def extents(self) -> tuple["array[int]", "array[int]"]:
        """Returns the starts and the ends that extent() gives, of all regions."""
        return extents(self.counts.regions, self.lengths)


def extents(regions: RegionList, lengths: Mapping[str, int]) -> tuple["array[int]", "array[int]"]:
    """Returns the starts and the ends that extent() gives, of all regions."""
    starts, ends = np.array(regions.starts), np.array(regions.ends)
    length_of = np.array([lengths.get(name, 0) for name in regions.names_by_tid])
    ends = np.where(ends == UNSET, length_of[np.array(regions.tids)], ends)
    return array("q", np.maximum(starts, 0).tobytes()), array("q", ends.tobytes())


def extent(region: Region, lengths: Mapping[str, int]) -> tuple[int, int]:
    """Returns start and end of a region as numbers, 0-based and half-open.

    The end of a whole reference sequence is its length, even if records extend beyond it; unplaced
    records are from 0 to 0.
    """
    return region.start or 0, region.end or lengths.get(region.contig, 0)
