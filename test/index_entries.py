"""Index entries of reference sequences, in a form that tests can read and change."""

from typing import NamedTuple

import numpy as np

from readcount.formats.bam_index import BamIndex, BinColumns


class Bins(NamedTuple):
    """The complete index entry of one reference sequence.

    Attributes:
        shift: size of the smallest bins, as a power of 2 (min_shift).
        depth: number of levels above the smallest bins.
        bins: for each bin its number, its loffset (0 in a BAI), and the alternating begin and end
            offsets of its chunks.
        linear: offsets of the linear index of a BAI, unchanged.
        bounds: begin and end of its records from the statistics; None without statistics.
    """

    shift: int
    depth: int
    bins: list[tuple[int, int, tuple[int, ...]]]
    linear: tuple[int, ...]
    bounds: tuple[int, int] | None

    def chunk_begins(self) -> list[int]:
        """Returns the begin offsets of all chunks."""
        return [offset for _, _, chunks in self.bins for offset in chunks[::2]]

    def chunk_ends(self) -> list[int]:
        """Returns the end offsets of all chunks."""
        return [offset for _, _, chunks in self.bins for offset in chunks[1::2]]

    def columns(self) -> BinColumns:
        """Returns this entry as columns."""
        return BinColumns(
            self.shift,
            self.depth,
            np.array([number for number, _, _ in self.bins], np.int64),
            np.array([low for _, low, _ in self.bins], np.uint64),
            np.array([len(chunks) // 2 for _, _, chunks in self.bins], np.int64),
            np.array(self.chunk_begins(), np.uint64),
            np.array(self.chunk_ends(), np.uint64),
            np.array(self.linear, np.uint64),
            self.bounds,
        )


def bins_of(index: BamIndex, tid: int) -> Bins:
    """Returns the entry of a reference sequence with one tuple per bin."""
    columns = index.columns(tid)
    offsets = np.column_stack((columns.begins, columns.ends)).reshape(-1).tolist()
    ends = (2 * np.cumsum(columns.chunks)).tolist()
    bins = [
        (number, low, tuple(offsets[end - 2 * chunks : end]))
        for number, low, chunks, end in zip(
            columns.numbers.tolist(),
            columns.lows.tolist(),
            columns.chunks.tolist(),
            ends,
            strict=True,
        )
    ]
    return Bins(index.shift, index.depth, bins, tuple(columns.linear.tolist()), columns.bounds)
