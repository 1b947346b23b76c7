"""Parses BAI and CSI indexes.

Done without htslib and pysam: they return 0 both for a reference sequence without records and for
one without statistics in the index, and they do not give access to file offsets.
"""

import functools
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from readcount.columns import Ints
from readcount.formats.bgzf import decompressed

Offsets = NDArray[np.uint64]

# BAI and tabix indexes only support positions below this (SAM specification, section 5.1.1).
MAX_LENGTH = 1 << 29
# min_shift (size of the smallest bins as a power of 2) and depth of a BAI (section 5.1.1).
BAI_SHIFT, BAI_DEPTH = 14, 5

_COUNT = struct.Struct("<I")
# Bin number and number of chunks; in a CSI index, loffset is between them.
_BAI_BIN = struct.Struct("<II")
_CSI_BIN = struct.Struct("<I8xI")
_STATISTICS = struct.Struct("<QQQQ")


class IndexFormatError(ValueError):
    """The index is truncated, malformed or has trailing bytes."""


class ContigIndex(NamedTuple):
    """The index entry of one reference sequence; offsets are virtual file offsets.

    Attributes:
        records: number of mapped and placed unmapped records; None if the index has no statistics.
        begin: offset of the first record; None if there are no statistics or no records.
        end: offset after the last record; None as for begin.
    """

    records: int | None = None
    begin: int | None = None
    end: int | None = None


class BinColumns(NamedTuple):
    """The complete index entry of one reference sequence, as columns.

    Offsets are unsigned, because those of a corrupt index can be any 64-bit number.

    Attributes:
        shift: size of the smallest bins, as a power of 2 (min_shift).
        depth: number of levels above the smallest bins.
        numbers: bin numbers.
        lows: loffset of each bin, the offset of the first record that overlaps it; 0 in a BAI.
        chunks: number of chunks of each bin.
        begins: begin offsets of the chunks of all bins, concatenated.
        ends: end offsets of these chunks.
        linear: offsets of the linear index of a BAI, unchanged.
        bounds: begin and end of its records from the statistics; None without statistics.
    """

    shift: int
    depth: int
    numbers: Ints
    lows: Offsets
    chunks: Ints
    begins: Offsets
    ends: Offsets
    linear: Offsets
    bounds: tuple[int, int] | None


class BamIndex(NamedTuple):
    """A BAI or CSI index that has been read.

    Attributes:
        entries: one entry per reference sequence, in header order.
        unplaced: number of records without a position; None if not in the index.
        data: the decompressed index.
        starts: offset in data of the bins of each sequence.
        bin_ends: offset in data of their end, where the linear index of a BAI begins.
        csi: whether it is a CSI index.
        shift: size of the smallest bins, as a power of 2 (min_shift).
        depth: number of levels above the smallest bins.
    """

    entries: list[ContigIndex]
    unplaced: int | None
    data: bytes
    starts: list[int]
    bin_ends: list[int]
    csi: bool
    shift: int
    depth: int

    def columns(self, tid: int) -> BinColumns:
        """Returns the complete entry of a reference sequence.

        Decoded on demand: with 200,000 sequences, decoding all bins would dominate the run time.
        """
        data, start = self.data, self.starts[tid]
        layout = _CSI_BIN if self.csi else _BAI_BIN
        (number_of_bins,) = _COUNT.unpack_from(data, start)
        start += _COUNT.size
        at, places, chunks = start, [], []
        for _ in range(number_of_bins):
            _, of_bin = layout.unpack_from(data, at)
            places.append(at)
            chunks.append(of_bin)
            at += layout.size + 16 * of_bin
        # All fields are multiples of 4 bytes; an offset is two words, the lower half first.
        words = np.frombuffer(data, "<u4", (at - start) // 4, start)
        firsts, sizes = (np.array(places, np.int64) - start) // 4, np.array(chunks, np.int64)
        numbers = words[firsts].astype(np.int64)
        lows = _offsets_at(words, firsts + 1) if self.csi else np.zeros(len(firsts), np.uint64)
        before = np.cumsum(sizes) - sizes
        within = np.arange(sizes.sum()) - np.repeat(before, sizes)
        of_chunks = np.repeat(firsts + layout.size // 4, sizes) + 4 * within
        begins, ends = _offsets_at(words, of_chunks), _offsets_at(words, of_chunks + 2)
        is_bin = (numbers != _statistics_bin(self.depth)) | (sizes != 2)
        bounds = None
        for found in np.flatnonzero(~is_bin).tolist():
            bounds = int(begins[before[found]]), int(ends[before[found]])
        is_chunk = np.repeat(is_bin, sizes)
        return BinColumns(
            self.shift,
            self.depth,
            numbers[is_bin],
            lows[is_bin],
            sizes[is_bin],
            begins[is_chunk],
            ends[is_chunk],
            self.linear(tid),
            bounds,
        )

    def linear(self, tid: int) -> Offsets:
        """Returns the linear index of a reference sequence, unchanged; empty for a CSI index."""
        if self.csi:
            return np.zeros(0, np.uint64)
        at = self.bin_ends[tid]
        (intervals,) = _COUNT.unpack_from(self.data, at)
        return np.frombuffer(self.data, "<u8", intervals, at + _COUNT.size)


def _offsets_at(words: NDArray[np.uint32], places: Ints) -> Offsets:
    """Returns the 64-bit offsets at some indexes of an array of 32-bit words."""
    low, high = words[places].astype(np.uint64), words[places + 1].astype(np.uint64)
    offsets: Offsets = low | (high << np.uint64(32))
    return offsets


def read_index(path: Path) -> BamIndex:
    """Reads a BAI or CSI index; raises IndexFormatError if it is neither or is corrupt."""
    try:
        return _read_index(path.read_bytes())
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise IndexFormatError("it cannot be read to its end") from error


def _read_index(data: bytes) -> BamIndex:
    data = decompressed(data)
    csi = not data.startswith(b"BAI\1")
    shift, depth, at = BAI_SHIFT, BAI_DEPTH, 4
    if csi:
        # See the CSI specification (CSIv1.tex in hts-specs).
        if not data.startswith(b"CSI\1"):
            raise IndexFormatError("it is neither a BAI nor a CSI index")
        shift, depth, size = struct.unpack_from("<3i", data, 4)
        if not (0 <= shift <= 40 and 0 <= depth <= 10):
            raise IndexFormatError("it has levels that no index has")
        at = 16 + size
    (contigs,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    entries, starts, bin_ends = [], [], []
    for _ in range(contigs):
        starts.append(at)
        entry, at = _summary(data, at, _CSI_BIN if csi else _BAI_BIN, depth)
        bin_ends.append(at)
        if not csi:
            at += _COUNT.size + 8 * _COUNT.unpack_from(data, at)[0]
        entries.append(entry)
    if at > len(data):
        raise IndexFormatError("it cannot be read to its end")
    # The number of unplaced records may follow (SAM specification, section 5.2).
    if len(data) - at not in (0, 8):
        raise IndexFormatError(f"{len(data) - at} bytes follow after its end")
    unplaced = int.from_bytes(data[at:], "little") if len(data) > at else None
    return BamIndex(entries, unplaced, data, starts, bin_ends, csi, shift, depth)


def _summary(data: bytes, at: int, layout: struct.Struct, depth: int) -> tuple[ContigIndex, int]:
    """Returns the summary of an entry, and the offset after its bins."""
    (bins,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    if bins == 0:
        return ContigIndex(records=0), at
    records = begin = end = None
    statistics = _statistics_bin(depth)
    size, unpack = layout.size, layout.unpack_from
    for _ in range(bins):
        number, chunks = unpack(data, at)
        at += size
        if number == statistics and chunks == 2:
            begin, end, mapped, unmapped = _STATISTICS.unpack_from(data, at)
            records = mapped + unmapped
        at += 16 * chunks
    if records == 0 and bins > 1:
        # The entry is inconsistent: treat it as one without statistics, so that the sequence is
        # read.
        records = begin = end = None
    return ContigIndex(records, begin, end), at


def _statistics_bin(depth: int) -> int:
    """Returns the number of the pseudo-bin with the statistics; the number below is unused."""
    return first_bin(depth + 1) + 1


@functools.cache
def first_bin(level: int) -> int:
    """Returns the number of the first bin of a level; each bin is divided into eight.

    See the SAM specification, section 5.1.1. Level 0 has one bin, for all positions.
    """
    return ((1 << 3 * level) - 1) // 7
