"""Columns of numbers: numpy arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Numbers = Sequence[int] | Ints


def rows_by(values: Ints) -> dict[int, Ints]:
    """Returns the rows of a column that have each value."""
    order = np.argsort(values, kind="stable")
    used, firsts = np.unique(values[order], return_index=True)
    return dict(zip(used.tolist(), np.split(order, firsts[1:]), strict=True))


def distinct(numbers: Ints) -> Ints:
    """Returns the different numbers, rising.

    As np.unique, which hashes them. Most of ours are nearly in order, and sorting these takes a
    tenth of the time.
    """
    numbers = np.sort(numbers, kind="stable")
    found: Ints = numbers[np.diff(numbers, prepend=numbers[:1] - 1) != 0]
    return found
