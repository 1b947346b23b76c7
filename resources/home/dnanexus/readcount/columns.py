"""Columns of numbers: numpy arrays."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Numbers = Sequence[int] | Ints


def integers(column: Ints) -> Iterator[int]:
    """Yields the numbers of a column as Python integers, which together would take much memory."""
    return iter(column.data)


def rows_by(values: Ints) -> dict[int, Ints]:
    """Returns the row indexes of each distinct value."""
    order = np.argsort(values, kind="stable")
    used, firsts = np.unique(values[order], return_index=True)
    return dict(zip(used.tolist(), np.split(order, firsts[1:]), strict=True))


def distinct(numbers: Ints) -> Ints:
    """Returns the distinct numbers in ascending order.

    Like np.unique, which hashes. Our arrays are mostly sorted already, and sorting them is ten
    times faster.
    """
    numbers = np.sort(numbers, kind="stable")
    found: Ints = numbers[np.diff(numbers, prepend=numbers[:1] - 1) != 0]
    return found
