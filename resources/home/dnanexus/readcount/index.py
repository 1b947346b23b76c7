"""What the index of a BAM says about where the records are, read without htslib.

htslib, and so pysam, answers 0 both for a reference sequence without records and for one whose
numbers the index does not hold, and it does not show where in the file a position lies. The plan
and the checks need both. Nothing here decides a count: that is samtools' part.
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


class IndexFormatError(ValueError):
    """The index cannot be read to its end, or goes on behind it."""


class Entry(NamedTuple):
    """Where a BAI index has what it knows of a reference sequence.

    Attributes:
        contig: number of the sequence in the header, from 0.
        contigs: how many there are.
        start: offset of the entry in the index file.
        stop: offset behind it.
    """

    contig: int
    contigs: int
    start: int
    stop: int


class ContigIndex(NamedTuple):
    """The index entry of one reference sequence; offsets are virtual file offsets.

    Attributes:
        records: mapped and placed unmapped ones; None where the index does not say.
        offsets: of the first record that reaches into each INTERVAL, not always rising, and end;
            empty where the index does not say.
        begin: offset of the first record; None where the index does not say, or there is none.
        end: offset behind the last record; None like begin.
        entry: where that is in a BAI index, if it is worth being read alone.
        expected: records that it may have, where only the containers of a CRAM tell.
    """

    records: int | None = None
    offsets: tuple[int, ...] = ()
    begin: int | None = None
    end: int | None = None
    entry: Entry | None = None
    expected: float | None = None


def read_index(path: Path) -> list[ContigIndex]:
    """Gives the entries of a BAI or CSI index, in header order.

    Raises:
        IndexFormatError: it is neither, or is damaged.
    """
    try:
        data = path.read_bytes()
        if data.startswith(b"BAI\1"):
            entries, end = _read_bai(data)
        else:
            data = gzip.decompress(data)
            if not data.startswith(b"CSI\1"):
                raise IndexFormatError("it is neither a BAI nor a CSI index")
            entries, end = _read_csi(data)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise IndexFormatError("it cannot be read to its end") from error
    # The number of unplaced records may follow (SAM specification, section 5.2).
    if len(data) - end not in (0, 8):
        raise IndexFormatError(f"{len(data) - end} bytes follow behind its end")
    return entries


def index_of_one(index: Path, entry: Entry) -> bytes:
    """Gives a BAI index that has the entry of one reference sequence, as it is, and no other."""
    nothing = bytes(2 * _COUNT.size)
    with index.open("rb") as whole:
        whole.seek(entry.start)
        known = whole.read(entry.stop - entry.start)
    before, after = entry.contig, entry.contigs - entry.contig - 1
    return b"BAI\1" + _COUNT.pack(entry.contigs) + nothing * before + known + nothing * after


def _read_bai(data: bytes) -> tuple[list[ContigIndex], int]:
    (contigs,) = _COUNT.unpack_from(data, 4)
    at = 8
    entries = []
    for contig in range(contigs):
        start = at
        known, at = _read_bins(data, at, _BAI_BIN, BAI_STATISTICS)
        (intervals,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        stop = at + 8 * intervals
        if intervals > 1 and known.end is not None:
            known = known._replace(
                offsets=(*struct.unpack_from(f"<{intervals}Q", data, at), known.end),
                entry=Entry(contig, contigs, start, stop),
            )
        at = stop
        entries.append(known)
    return entries, at


def _read_csi(data: bytes) -> tuple[list[ContigIndex], int]:
    # See the CSI specification, which is CSIv1.tex beside SAMv1.tex.
    _, depth, size = struct.unpack_from("<3i", data, 4)
    at = 16 + size
    (contigs,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    bins = ((1 << 3 * (depth + 1)) - 1) // 7 if 0 <= depth <= 10 else 0
    entries = []
    for _ in range(contigs):
        entry, at = _read_bins(data, at, _CSI_BIN, bins + 1)
        entries.append(entry)
    return entries, at


def _read_bins(
    data: bytes, at: int, layout: struct.Struct, statistics: int
) -> tuple[ContigIndex, int]:
    """Gives the entry but for its offsets, and the place after the bins."""
    (bins,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    if bins == 0:
        return ContigIndex(records=0), at
    entry = ContigIndex()
    size, unpack = layout.size, layout.unpack_from
    for _ in range(bins):
        number, chunks = unpack(data, at)
        at += size
        if number == statistics and chunks == 2:
            begin, end, mapped, unmapped = _STATISTICS.unpack_from(data, at)
            entry = ContigIndex(mapped + unmapped, (), begin, end)
        at += 16 * chunks
    if entry.records == 0 and bins > 1:
        # An entry that contradicts itself is not a reason to leave the sequence out.
        entry = ContigIndex()
    return entry, at
