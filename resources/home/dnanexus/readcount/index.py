"""What the index of a BAM says about where the records are, read without htslib.

htslib, and so pysam, answers 0 both for a reference sequence without records and for one whose
numbers the index does not hold, and it does not show where in the file a position lies. The plan
and the checks need both. Nothing here decides a count: that is samtools' part.
"""

import functools
import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Stands for the number of a reference sequence where there is none (section 4.2, refID).
NO_PLACE = -1
# Positions that share an entry of a BAI's linear index (SAM specification, section 5.1.3).
INTERVAL = 1 << 14
# Positions in the smallest bins, as a power of 2, and the levels above (section 5.1.1).
BAI_SHIFT, BAI_DEPTH = 14, 5

_COUNT = struct.Struct("<I")
# Number of a bin and of its chunks; in a CSI index an offset lies between them.
_BAI_BIN = struct.Struct("<II")
_CSI_BIN = struct.Struct("<I8xI")
_CSI_PLACE = struct.Struct("<IQI")
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
        reach: a position, 0-based, that no record reaches; None where the index does not say.
        entry: where that is in a BAI index, if it is worth being read alone.
        expected: records that it may have, where only the containers of a CRAM tell.
    """

    records: int | None = None
    offsets: tuple[int, ...] = ()
    begin: int | None = None
    end: int | None = None
    reach: int | None = None
    entry: Entry | None = None
    expected: float | None = None


class Bins(NamedTuple):
    """All that an index has of where the records of one reference sequence are.

    Attributes:
        shift: positions in the smallest bins, as a power of 2.
        depth: levels above these.
        bins: number, the CSI offset of the first record that reaches into it (0 in a BAI), and
            begin and end of each chunk, one after the other.
        linear: offsets of the linear index of a BAI, as they are.
        bounds: begin and end of its records by the statistics; None where there are none.
    """

    shift: int
    depth: int
    bins: list[tuple[int, int, tuple[int, ...]]]
    linear: tuple[int, ...]
    bounds: tuple[int, int] | None


class Index(NamedTuple):
    """What an index says.

    Attributes:
        entries: one for each reference sequence, in header order.
        unplaced: records without a place; None where the index does not say.
    """

    entries: list[ContigIndex]
    unplaced: int | None


def read_index(path: Path) -> Index:
    """Reads a BAI or CSI index.

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
    return Index(entries, int.from_bytes(data[end:], "little") if len(data) > end else None)


def read_bins(path: Path) -> list[Bins]:
    """Gives what a BAI or CSI index that read_index() has read holds, in header order."""
    data = path.read_bytes()
    if data.startswith(b"BAI\1"):
        return list(_all_bins(data, 4, _BAI_BIN, BAI_SHIFT, BAI_DEPTH))
    data = gzip.decompress(data)
    shift, depth, size = struct.unpack_from("<3i", data, 4)
    return list(_all_bins(data, 16 + size, _CSI_PLACE, shift, depth))


def _all_bins(
    data: bytes, at: int, layout: struct.Struct, shift: int, depth: int
) -> Iterator[Bins]:
    (contigs,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    statistics = first_bin(depth + 1) + 1
    places = [struct.Struct(f"<{2 * chunks}Q").unpack_from for chunks in range(9)]
    for _ in range(contigs):
        bins: list[tuple[int, int, tuple[int, ...]]] = []
        bounds: tuple[int, int] | None = None
        (number_of_bins,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        for _ in range(number_of_bins):
            number, *loffset, chunks = layout.unpack_from(data, at)
            at += layout.size
            if number == statistics and chunks == 2:
                bounds = places[1](data, at)
            else:
                few = chunks < len(places)
                unpack = places[chunks] if few else struct.Struct(f"<{2 * chunks}Q").unpack_from
                bins.append((number, loffset[0] if loffset else 0, unpack(data, at)))
            at += 16 * chunks
        linear: tuple[int, ...] = ()
        if layout is _BAI_BIN:
            (intervals,) = _COUNT.unpack_from(data, at)
            at += _COUNT.size
            linear = struct.unpack_from(f"<{intervals}Q", data, at)
            at += 8 * intervals
        yield Bins(shift, depth, bins, linear, bounds)


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
        known, at = _read_bins(data, at, _BAI_BIN, BAI_SHIFT, BAI_DEPTH)
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
    shift, depth, size = struct.unpack_from("<3i", data, 4)
    if not (0 <= shift <= 40 and 0 <= depth <= 10):
        raise IndexFormatError("it has levels that no index has")
    at = 16 + size
    (contigs,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    entries = []
    for _ in range(contigs):
        entry, at = _read_bins(data, at, _CSI_BIN, shift, depth)
        entries.append(entry)
    return entries, at


def _read_bins(
    data: bytes, at: int, layout: struct.Struct, shift: int, depth: int
) -> tuple[ContigIndex, int]:
    """Gives the entry but for its offsets, and the place after the bins.

    The smallest bins, 1 << shift positions each, come last in number, behind depth levels of
    larger ones. Behind all, one number is left out, and the next one is no bin but the place of
    the statistics.
    """
    (bins,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    if bins == 0:
        return ContigIndex(records=0), at
    records = begin = end = None
    first, statistics = first_bin(depth), first_bin(depth + 1) + 1
    last, larger = 0, []
    size, unpack = layout.size, layout.unpack_from
    for _ in range(bins):
        number, chunks = unpack(data, at)
        at += size
        if number == statistics and chunks == 2:
            begin, end, mapped, unmapped = _STATISTICS.unpack_from(data, at)
            records = mapped + unmapped
        elif number < first:
            larger.append(number)
        elif number > last:
            last = number
        at += 16 * chunks
    if records == 0 and bins > 1:
        # An entry that contradicts itself is not a reason to leave the sequence out.
        records = begin = end = None
    reach = (last - first + 1) << shift if last else 0
    for number in larger:
        reach = max(reach, _end_of_bin(number, shift, depth))
    return ContigIndex(records, (), begin, end, reach), at


@functools.cache
def first_bin(level: int) -> int:
    """Gives the number of the first bin of a level; each bin has eight on the next level.

    See the SAM specification, section 5.1.1; the level of the one bin for all positions is 0.
    """
    return ((1 << 3 * level) - 1) // 7


def _end_of_bin(number: int, shift: int, depth: int) -> int:
    """Gives the position behind a bin."""
    level = next(level for level in range(depth + 1) if number < first_bin(level + 1))
    return (number - first_bin(level) + 1) << (shift + 3 * (depth - level))
