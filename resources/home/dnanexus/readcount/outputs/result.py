"""The data from which the output files are written."""

from collections.abc import Mapping
from dataclasses import dataclass

from readcount.regions.counts import RegionCounts
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
