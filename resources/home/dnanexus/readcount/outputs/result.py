"""What the output files are written from."""

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
    """Verified counts, with what describes them.

    Attributes:
        verified: the counts, in the order of the output.
        lengths: of the reference sequences in bases, by name.
        records_counted: which records were counted, in words.
        regions_counted: which regions, in words.
        from_index: whether the counts are the numbers of the index.
        unplaced: records in the file without a position by its index; None where it does not say.
    """

    verified: VerifiedCounts
    lengths: Mapping[str, int]
    records_counted: str = "every record"
    regions_counted: str = "every reference sequence"
    unplaced: int | None = None
    from_index: bool = False

    @property
    def counts(self) -> RegionCounts:
        """A count for each region."""
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

    A whole reference sequence ends with its length, also if records lie beyond; unplaced records
    are from 0 to 0.
    """
    return region.start or 0, region.end or lengths.get(region.contig, 0)
