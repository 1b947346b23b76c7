"""The spans of a list of regions, as columns of numpy.

A module of its own, as to load numpy takes 0.1 s, and only spans need it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from readcount.request.region import POSITION_BITS
from readcount.request.region_list import RegionList

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class SpanColumns(NamedTuple):
    """The regions that are parts of a sequence, in the order of their list.

    Attributes:
        indexes: of the regions in the list.
        on: the number of the sequence of each in the list.
        starts: of each, 0-based; 0 where the region has none.
        ends: the position after the last of each; NONE for none.
    """

    indexes: Ints
    on: Ints
    starts: Ints
    ends: Ints


def spans_in(regions: RegionList) -> SpanColumns:
    """Returns the regions that are parts of a sequence."""
    indexes = np.delete(np.arange(len(regions)), np.array(regions.whole))
    on, starts, ends = (
        np.array(column)[indexes] for column in (regions.numbers, regions.starts, regions.ends)
    )
    return SpanColumns(indexes, on, np.maximum(starts, 0), ends)


def distinct(numbers: Ints) -> Ints:
    """Returns the different numbers, rising.

    As np.unique, which hashes them. Most of ours are nearly in order, and sorting these takes a
    tenth of the time.
    """
    numbers = np.sort(numbers, kind="stable")
    is_new = np.diff(numbers, prepend=numbers[:1] - 1) != 0
    found: Ints = numbers[is_new]
    return found


def reached_before(on: Ints, ends: Ints) -> tuple[Ints, Bools]:
    """Returns how far those before each span reach on its sequence, and whether it is the first.

    Args:
        on: number of the sequence of each, rising.
        ends: the position after the last of each.

    Returns:
        A position for each, 0 for the first of a sequence; and whether it is that.
    """
    # A number for each position of each sequence, so that one pass finds how far spans reach.
    sequence = on << POSITION_BITS
    reached = np.maximum.accumulate(sequence + ends)
    is_first = np.diff(on, prepend=-1) != 0
    return np.where(is_first, 0, np.roll(reached, 1) - sequence), is_first
