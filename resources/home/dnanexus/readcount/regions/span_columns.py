"""The spans of a list of regions, as columns of numpy.

A module of its own, as to load numpy takes 0.1 s, and only spans need it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from readcount.regions.region_list import RegionList

Ints = NDArray[np.int64]


class SpanColumns(NamedTuple):
    """The regions that are parts of a sequence, in the order of their list.

    Attributes:
        region_ids: indexes of the regions in the list.
        tids: number of the reference sequence of each.
        starts: of each, 0-based; 0 where the region has none.
        ends: the position after the last of each; UNSET for none.
    """

    region_ids: Ints
    tids: Ints
    starts: Ints
    ends: Ints


def spans_in(regions: RegionList) -> SpanColumns:
    """Returns the regions that are parts of a sequence."""
    region_ids = np.delete(np.arange(len(regions)), np.array(regions.whole))
    tids, starts, ends = (
        np.array(column)[region_ids] for column in (regions.tids, regions.starts, regions.ends)
    )
    return SpanColumns(region_ids, tids, np.maximum(starts, 0), ends)


def distinct(numbers: Ints) -> Ints:
    """Returns the different numbers, rising.

    As np.unique, which hashes them. Most of ours are nearly in order, and sorting these takes a
    tenth of the time.
    """
    numbers = np.sort(numbers, kind="stable")
    is_new = np.diff(numbers, prepend=numbers[:1] - 1) != 0
    found: Ints = numbers[is_new]
    return found
