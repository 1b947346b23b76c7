"""How many records overlap each of many spans, which may overlap each other."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from readcount.formats.bam_stream import Ints, Positions
from readcount.request.region import POSITION_BITS


def count_overlaps(
    records: Iterable[Positions], contigs: Sequence[int], starts: Sequence[int], ends: Sequence[int]
) -> Sequence[int]:
    """Counts for each span the records that overlap it.

    These are those that begin before the span's end, less those that end at or before its start:
    so it is enough to know how many begin and end between every two bounds of spans.

    Args:
        records: in any order.
        contigs: number of the reference sequence of each span, in any order.
        starts: of each span, 0-based.
        ends: of each span, the position after it.

    >>> records = Positions(np.array([0, 0]), np.array([5, 20]), np.array([15, 30]))
    >>> list(count_overlaps([records], contigs=[0, 0], starts=[0, 10], ends=[10, 25]))
    [1, 2]
    """
    sequence = np.array(contigs, np.int64) << POSITION_BITS
    first, last = sequence + np.array(starts, np.int64), sequence + np.array(ends, np.int64)
    bounds = np.concatenate((first, last))
    # Both are nearly in order, which np.unique does not make use of.
    bounds.sort(kind="stable")
    bounds = bounds[np.diff(bounds, prepend=-1) != 0]
    begun = np.zeros(len(bounds) + 1, np.int64)
    ended = np.zeros(len(bounds) + 1, np.int64)
    for some in records:
        sequence = some.contigs << POSITION_BITS
        _add(begun, bounds, sequence + some.starts, "right")
        _add(ended, bounds, sequence + some.ends, "left")
    begun_before, ended_by = np.cumsum(begun), np.cumsum(ended)
    counts = begun_before[np.searchsorted(bounds, last)]
    counts -= ended_by[np.searchsorted(bounds, first)]
    return array("q", counts.tobytes())


def _add(tally: Ints, bounds: Ints, positions: Ints, side: Literal["left", "right"]) -> None:
    """Adds the number of positions between every two bounds; on a bound as searchsorted has it."""
    # Only these bounds can lie between them: few, as records come in order.
    first, end = np.searchsorted(bounds, (positions.min(), positions.max()), side)
    between = np.searchsorted(bounds[first:end], positions, side)
    tally[first : end + 1] += np.bincount(between, minlength=end - first + 1)
