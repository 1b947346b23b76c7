"""What a BAI or CSI index says about where the records of a BAM are.

Read without htslib and pysam. They return 0 both for a reference sequence without records and for
one of which the index has no statistics, and they do not show where in the file a position is.
"""

import functools
import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

# A BAI holds no positions from here on (SAM specification, section 5.1.1); nor does a tabix index.
MAX_LENGTH = 1 << 29
# Positions that share an entry of a BAI's linear index (SAM specification, section 5.1.3).
INTERVAL = 1 << 14
# Positions in the smallest bins, as a power of 2, and the levels above (section 5.1.1).
BAI_SHIFT, BAI_DEPTH = 14, 5

_COUNT = struct.Struct("<I")
# Number of a bin and of its chunks; in a CSI index an offset is between them.
_BAI_BIN = struct.Struct("<II")
_CSI_BIN = struct.Struct("<IQI")
# The same without the offset, which most readers do not need.
_CSI_BIN_SHORT = struct.Struct("<I8xI")
_STATISTICS = struct.Struct("<QQQQ")


class IndexFormatError(ValueError):
    """The index cannot be read to its end, or has more bytes after it."""


class ContigIndex(NamedTuple):
    """The index entry of one reference sequence; offsets are virtual file offsets.

    Attributes:
        records: mapped and placed unmapped ones; None where the index has no statistics.
        begin: offset of the first record; None where the index has none, or there is no record.
        end: offset after the last record; None like begin.
    """

    records: int | None = None
    begin: int | None = None
    end: int | None = None


class Bins(NamedTuple):
    """All that an index has on the records of one reference sequence.

    Attributes:
        shift: positions in the smallest bins, as a power of 2.
        depth: levels above these.
        bins: number, the CSI offset of the first record that overlaps it (0 in a BAI), and begin
            and end of each chunk, one after the other.
        linear: offsets of the linear index of a BAI, as they are.
        bounds: begin and end of its records by the statistics; None where there are none.
    """

    shift: int
    depth: int
    bins: list[tuple[int, int, tuple[int, ...]]]
    linear: tuple[int, ...]
    bounds: tuple[int, int] | None

    def chunk_begins(self) -> list[int]:
        """Returns where chunks begin."""
        return [offset for _, _, chunks in self.bins for offset in chunks[::2]]

    def chunk_ends(self) -> list[int]:
        """Returns where chunks end."""
        return [offset for _, _, chunks in self.bins for offset in chunks[1::2]]


class BamIndex(NamedTuple):
    """A BAI or CSI index that has been read.

    Attributes:
        entries: one for each reference sequence, in header order.
        unplaced: records without a position; None where the index does not say.
        data: the index, decompressed.
        starts: where in data the bins of each sequence begin.
        csi: whether it is a CSI.
        shift: positions in the smallest bins, as a power of 2.
        depth: levels above these.
    """

    entries: list[ContigIndex]
    unplaced: int | None
    data: bytes
    starts: list[int]
    csi: bool
    shift: int
    depth: int

    def bins(self, tid: int) -> Bins:
        """Returns all that there is on a reference sequence.

        Only for those that need it: to decode all bins takes most of the time with 200,000
        sequences.
        """
        data, at = self.data, self.starts[tid]
        layout = _CSI_BIN if self.csi else _BAI_BIN
        bins: list[tuple[int, int, tuple[int, ...]]] = []
        bounds: tuple[int, int] | None = None
        (number_of_bins,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        for _ in range(number_of_bins):
            number, *loffset, chunks = layout.unpack_from(data, at)
            offsets = struct.unpack_from(f"<{2 * chunks}Q", data, at + layout.size)
            if number == _statistics_bin(self.depth) and chunks == 2:
                bounds = offsets[:2]
            else:
                bins.append((number, loffset[0] if loffset else 0, offsets))
            at += layout.size + 16 * chunks
        return Bins(self.shift, self.depth, bins, () if self.csi else _linear(data, at), bounds)


def _linear(data: bytes, at: int) -> tuple[int, ...]:
    (intervals,) = _COUNT.unpack_from(data, at)
    return struct.unpack_from(f"<{intervals}Q", data, at + _COUNT.size)


def read_index(path: Path) -> BamIndex:
    """Reads a BAI or CSI index; raises IndexFormatError if it is neither, or is damaged."""
    try:
        return _read_index(path.read_bytes())
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise IndexFormatError("it cannot be read to its end") from error


def _read_index(data: bytes) -> BamIndex:
    csi = not data.startswith(b"BAI\1")
    shift, depth, at = BAI_SHIFT, BAI_DEPTH, 4
    if csi:
        # See the CSI specification, which is CSIv1.tex beside SAMv1.tex.
        data = gzip.decompress(data)
        if not data.startswith(b"CSI\1"):
            raise IndexFormatError("it is neither a BAI nor a CSI index")
        shift, depth, size = struct.unpack_from("<3i", data, 4)
        if not (0 <= shift <= 40 and 0 <= depth <= 10):
            raise IndexFormatError("it has levels that no index has")
        at = 16 + size
    (contigs,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    entries, starts = [], []
    for _ in range(contigs):
        starts.append(at)
        entry, at = _summary(data, at, _CSI_BIN_SHORT if csi else _BAI_BIN, depth)
        if not csi:
            at += _COUNT.size + 8 * _COUNT.unpack_from(data, at)[0]
        entries.append(entry)
    if at > len(data):
        raise IndexFormatError("it cannot be read to its end")
    # The number of unplaced records may follow (SAM specification, section 5.2).
    if len(data) - at not in (0, 8):
        raise IndexFormatError(f"{len(data) - at} bytes follow after its end")
    unplaced = int.from_bytes(data[at:], "little") if len(data) > at else None
    return BamIndex(entries, unplaced, data, starts, csi, shift, depth)


def _summary(data: bytes, at: int, layout: struct.Struct, depth: int) -> tuple[ContigIndex, int]:
    """Returns an entry, and the offset after the bins."""
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
        # An entry that contradicts itself is not a reason to leave the sequence out.
        records = begin = end = None
    return ContigIndex(records, begin, end), at


def _statistics_bin(depth: int) -> int:
    """Returns the number of what is not a bin but holds the statistics; one before it is unused."""
    return first_bin(depth + 1) + 1


@functools.cache
def first_bin(level: int) -> int:
    """Returns the number of the first bin of a level; each bin has eight on the next level.

    See the SAM specification, section 5.1.1; the level of the one bin for all positions is 0.
    """
    return ((1 << 3 * level) - 1) // 7
