"""What the index of a BAM says about where the records are, read without htslib.

htslib, and so pysam, answers 0 both for a reference sequence without records and for one whose
numbers the index does not hold, and it does not show where in the file a position lies. The plan
needs both. Nothing here decides a count: an index that cannot be made out says nothing, and it is
samtools that refuses it.
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

# Positions that share an entry of a BAI's linear index (SAM specification, section 5.1.3).
INTERVAL = 1 << 14
# Not a bin but the place of the statistics (section 5.2).
BAI_STATISTICS = 37450

_COUNT = struct.Struct("<I")
# Number of a bin and of its chunks; in a CSI index an offset lies between them.
_BAI_BIN = struct.Struct("<II")
_CSI_BIN = struct.Struct("<I8xI")
_STATISTICS = struct.Struct("<QQQQ")


class ContigIndex(NamedTuple):
    """The index entry of one reference sequence.

    Attributes:
        records: mapped and placed unmapped ones; None where the index does not say.
        offsets: virtual file offsets of the first record that reaches into each INTERVAL, not
            always rising, and of the end of the last record; empty where the index does not say.
    """

    records: int | None = None
    offsets: tuple[int, ...] = ()


def read_index(path: Path) -> list[ContigIndex]:
    """Gives the entries of a BAI or CSI index in header order, none if it cannot be made out."""
    try:
        data = path.read_bytes()
        if data.startswith(b"BAI\1"):
            return _read_bai(data)
        data = gzip.decompress(data)
        return _read_csi(data) if data.startswith(b"CSI\1") else []
    except (OSError, EOFError, zlib.error, struct.error):
        return []


def _read_bai(data: bytes) -> list[ContigIndex]:
    (contigs,) = _COUNT.unpack_from(data, 4)
    at = 8
    entries = []
    for _ in range(contigs):
        records, end, at = _read_bins(data, at, _BAI_BIN, BAI_STATISTICS)
        (intervals,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        offsets: tuple[int, ...] = ()
        if intervals > 1 and records:
            offsets = (*struct.unpack_from(f"<{intervals}Q", data, at), end)
        at += 8 * intervals
        entries.append(ContigIndex(records, offsets))
    return entries


def _read_csi(data: bytes) -> list[ContigIndex]:
    # See the CSI specification, which is CSIv1.tex beside SAMv1.tex.
    _, depth, size = struct.unpack_from("<3i", data, 4)
    at = 16 + size
    (contigs,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    bins = ((1 << 3 * (depth + 1)) - 1) // 7 if 0 <= depth <= 10 else 0
    entries = []
    for _ in range(contigs):
        records, _, at = _read_bins(data, at, _CSI_BIN, bins + 1)
        entries.append(ContigIndex(records))
    return entries


def _read_bins(
    data: bytes, at: int, layout: struct.Struct, statistics: int
) -> tuple[int | None, int, int]:
    """Gives the records (or None), the offset where they end and the place after the bins."""
    (bins,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    if bins == 0:
        return 0, 0, at
    records, end = None, 0
    size, unpack = layout.size, layout.unpack_from
    for _ in range(bins):
        number, chunks = unpack(data, at)
        at += size
        if number == statistics and chunks == 2:
            _, end, mapped, unmapped = _STATISTICS.unpack_from(data, at)
            records = mapped + unmapped
        at += 16 * chunks
    if records == 0 and bins > 1:
        # An entry that contradicts itself is not a reason to leave the sequence out.
        records = None
    return records, end, at
