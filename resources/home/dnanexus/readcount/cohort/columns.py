"""Stores columns of counts on disk until the matrix is written.

All columns are in one file, one after another, each in the smallest integer type for its counts.
Only a few files are open and only a block of rows is in memory, for any number of samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from readcount.columns import Ints

# Counts per block of rows, over all columns: 8 MB, and about 60 MB while written as text.
BLOCK_COUNTS = 1 << 20
_TYPES = ("<u1", "<u2", "<u4", "<i8")


@dataclass
class ColumnStore:
    """The columns of a cohort; can be pickled for the processes of a Pool.

    Attributes:
        path: path of the file.
        rows: number of rows of each column.
        places: file offset and type of each column, by sample number.
        size: size of the file in bytes.
    """

    path: Path
    rows: int
    places: dict[int, tuple[int, str]] = field(default_factory=dict)
    size: int = 0

    def add(self, sample: int, counts: Ints) -> None:
        """Adds the column of a sample.

        Args:
            sample: sample number.
            counts: one count per row, 0 or more.

        Raises:
            ValueError: the sample already has a column, or there is not one valid count per row.
        """
        self._check(sample, counts)
        most = int(counts.max(initial=0))
        kind = next(kind for kind in _TYPES if most <= np.iinfo(kind).max)
        with self.path.open("ab") as file:
            file.write(counts.astype(kind).tobytes())
        self._place(sample, kind)

    def _check(self, sample: int, counts: Ints) -> None:
        if sample in self.places:
            raise ValueError(f"sample {sample} has two columns")
        if counts.shape != (self.rows,) or counts.min(initial=0) < 0:
            raise ValueError(f"sample {sample}: one count for each of {self.rows} regions expected")

    def _place(self, sample: int, kind: str) -> None:
        self.places[sample] = (self.size, kind)
        self.size += self.rows * np.dtype(kind).itemsize

    def open_for(self, samples: Sequence[int]) -> Ints:
        """Adds columns to be filled later in blocks of rows; returns them, rows by samples."""
        start, kind = self.size, "<i8"
        for sample in samples:
            if sample in self.places:
                raise ValueError(f"sample {sample} has two columns")
            self._place(sample, kind)
        with self.path.open("ab") as file:
            file.truncate(self.size)
        shape = (len(samples), self.rows)
        if not all(shape):
            return np.zeros(shape[::-1], np.int64)
        mapped: Ints = np.memmap(self.path, np.dtype(kind), "r+", start, shape).T
        return mapped

    def column(self, sample: int) -> Ints:
        """Returns the column of a sample."""
        return self.block([sample], slice(0, self.rows))[:, 0]

    def block(self, samples: Sequence[int], rows: slice | Ints) -> Ints:
        """Returns the counts of some rows, rows by samples."""
        number = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        block = np.empty((len(samples), number), np.int64)
        if block.size:
            # A mapping keeps a file open, so one is used for all columns.
            content = np.memmap(self.path, np.uint8, "r")
            for at, sample in enumerate(samples):
                start, kind = self.places[sample]
                size = self.rows * np.dtype(kind).itemsize
                block[at] = content[start : start + size].view(kind)[rows]
        return block.T

    def blocks(self, samples: Sequence[int]) -> Iterator[tuple[slice, Ints]]:
        """Yields blocks of consecutive rows: the slice of rows, and the counts, rows by samples."""
        for rows in slices(self.rows, len(samples)):
            yield rows, self.block(samples, rows)


def slices(rows: int, samples: int) -> Iterator[slice]:
    """Yields slices of rows whose counts for this many samples fit into a block."""
    size = max(1, BLOCK_COUNTS // max(1, samples))
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))
