"""A BAM and its BAI or CSI index: where the records are, and what the two prove about counts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from readcount.errors import NEW_INDEX, InputError
from readcount.formats.bam_index import BamIndex, IndexFormatError, read_index
from readcount.formats.bam_record import is_unmapped_at
from readcount.formats.bgzf import BlockError
from readcount.formats.content import BAM_INDEXES, kind_of
from readcount.source.bam_parts import BamParts
from readcount.source.evidence import NOT_COUNTED, Located
from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.parts import (
    NO_SEQUENCE,
    Edge,
    Span,
    SpanColumns,
    SpanPlaces,
    Stretch,
    part_of,
)
from readcount.source.readers import NAME_LENGTH
from readcount.source.structure import RecordOffsets, record_offsets
from readcount.text import shorten

# A BAI holds no positions beyond this (SAM specification, section 5.1.1).
LONGEST_IN_BAI = 1 << 29
# In files up to this size all records are counted even if the numbers of the index are wanted.
SMALL_FILE_BYTES = 1 << 22
# Below this a sequence is counted, too: to look at both of its ends takes as long.
MIN_TRUSTED_BYTES = 1 << 18
# Its size, 32 bytes of fields, and the end of an empty name (SAM specification, section 4.2).
SMALLEST_RECORD = 37
# How many of the records to look at that the linear index of a sequence leaves out.
UNMAPPED_PLACES = 3
# What deflate makes at most of a byte (zlib, "Maximum Compression Factor").
MAX_DATA_PER_BYTE = 1032


def index_suffix(header: Header) -> str:
    """Returns the suffix of the index to create: csi if a sequence is too long for a BAI."""
    return "csi" if max(header.lengths, default=0) > LONGEST_IN_BAI else "bai"


def open_index(path: Path) -> BamIndex:
    """Reads the index of a BAM; raises InputError if it is not one, or is corrupt."""
    field = f"mappings_sorted_bai: {shorten(path.name, NAME_LENGTH)}"
    kind = kind_of(path)
    if kind not in BAM_INDEXES:
        raise InputError(f"{field} is {kind}, not the index of a BAM file. {NEW_INDEX}")
    try:
        return read_index(path)
    except IndexFormatError as error:
        raise InputError(f"{field} is corrupt: {error}. {NEW_INDEX}") from None


def in_order(index: BamIndex) -> bool:
    """Whether records are in the order of the header, which `samtools index` does not require."""
    begins = [entry.begin for entry in index.entries if entry.begin is not None]
    return begins == sorted(begins)


def stretches_of(file: IndexedFile, header: Header, index: BamIndex) -> list[Stretch]:
    """Returns the stretches of a BAM by its index, in the order of the file.

    The records of a sorted file have no gaps between them: a stretch begins where the one before
    ends, even if the index, as old ones, has the first records later.

    Raises:
        InputError: the index contradicts itself, or is that of another file.
    """
    stretches = []
    at = header.end or 0
    for tid, entry in enumerate(index.entries):
        begin, end = entry.begin, entry.end
        if begin is None or end is None:
            begin, end = index.bounds(tid) if entry.records is None else (0, 0)
        if begin == end:
            continue
        if not at <= begin < end:
            what = "its offsets are not in the order of the file"
            raise file.contradiction(header.names[tid], what)
        stretches.append(Stretch(at, end, tid, (tid,)))
        at = end
    if at > file.data.size << 16:
        raise file.mismatch("it has records after the end of the file")
    stretches.append(Stretch(at, file.data.size << 16, NO_SEQUENCE, (NO_SEQUENCE,)))
    return stretches


@dataclass(frozen=True)
class BamLayout:
    """Where the index has the records of a BAM; see Layout.

    Attributes:
        file: the BAM with its index.
        header: of the BAM.
        index: the index.
        stretches: of the sequences that have records, in the order of the file.
    """

    file: IndexedFile
    header: Header
    index: BamIndex
    stretches: Sequence[Stretch]

    has_numbers = True

    def cuts(self, stretch: Stretch) -> Sequence[int]:
        """Returns offsets at which a record of a stretch begins by the index; see Layout."""
        if stretch.tid == NO_SEQUENCE:
            return ()
        entry = self.index.entries[stretch.tid]
        known = entry.offsets or self.index.chunk_begins(stretch.tid)
        return sorted({offset for offset in known if stretch.begin < offset < stretch.end})

    def places(self, spans: SpanColumns) -> SpanPlaces:
        """Returns where the records are that may overlap some spans; see Layout."""
        # Imported here: numpy takes 0.1 s to load, and only spans need it.
        import numpy as np

        order = np.argsort(spans.tids, kind="stable")
        used, firsts = np.unique(spans.tids[order], return_index=True)
        found = []
        for tid, its in zip(used.tolist(), np.split(order, firsts[1:]), strict=True):
            if offsets := self.offsets[tid]:
                lows, highs = offsets.of_spans(spans.starts[its], spans.ends[its])
                # Old indexes leave out what is first.
                lows[lows == offsets.begin] = self._begins[tid]
                found.append((its, lows, highs))
        columns = [np.zeros((3, 0), np.int64), *map(np.array, found)]
        rows, lows, highs = np.concatenate(columns, axis=1)
        return SpanPlaces(rows, lows, highs)

    def inner(self, span: Span) -> tuple[int, int]:
        """Returns offsets between which all records begin in a span; see Layout."""
        offsets = self.offsets[span.tid]
        return offsets.inner(span.start, span.end) if offsets else (0, 0)

    @cached_property
    def _begins(self) -> Mapping[int, int]:
        return {stretch.tid: stretch.begin for stretch in self.stretches}

    @cached_property
    def offsets(self) -> "OffsetsByTid":
        """Where the records of each sequence are, by its number."""
        return OffsetsByTid(self)

    def record_offsets(self, tid: int) -> RecordOffsets | None:
        """Returns where the records of a sequence are by the index; None if it has none.

        Raises:
            InputError: the index contradicts itself.
        """
        try:
            found = record_offsets(self.index.bins(tid))
            if found and not all(map(self._is_unmapped, found.not_in_linear[:UNMAPPED_PLACES])):
                raise ValueError("its linear index skips some of its records")
        except ValueError as error:
            raise self.file.contradiction(self.header.names[tid], str(error)) from error
        return found

    def _is_unmapped(self, offset: int) -> bool:
        try:
            return is_unmapped_at(self.file.data.read, offset, self.file.data.size)
        except BlockError as error:
            what = "no record can be read where the index has one"
            raise InputError(self.file.corrupt_or_mismatch(what), f"at byte {error}") from error


class OffsetsByTid(dict[int, RecordOffsets | None]):
    """Where the records of sequences are by the index, found out when it is asked for."""

    def __init__(self, layout: BamLayout) -> None:
        super().__init__()
        self._layout = layout

    def __missing__(self, tid: int) -> RecordOffsets | None:
        self[tid] = found = self._layout.record_offsets(tid)
        return found


@dataclass(frozen=True)
class BamEvidence:
    """What a BAM and its index prove; see Evidence.

    Attributes:
        located: where the index has the records.
        parts: of the BAM.
    """

    located: BamLayout
    parts: BamParts

    source = "index"

    @property
    def file(self) -> IndexedFile:
        """The BAM with its index."""
        return self.parts.file

    @property
    def header(self) -> Header:
        """The header of the BAM."""
        return self.located.header

    @cached_property
    def numbers(self) -> Mapping[int, int]:
        """The records of each reference sequence of which the index has statistics."""
        known = {
            tid: entry.records
            for tid, entry in enumerate(self.located.index.entries)
            if entry.records is not None
        }
        if self.unplaced is not None:
            known[NO_SEQUENCE] = self.unplaced
        return known

    @property
    def unplaced(self) -> int | None:
        """The records without a position by the index; None where it does not say."""
        return self.located.index.unplaced

    def locate(self, whole: Collection[int], spans: Collection[int]) -> Located:
        """Returns where the records are, by the index."""
        return Located(self.located)

    def check_index(self, edges: Sequence[Edge]) -> None:
        """Raises InputError if the records at some places are not those of the index."""
        for _ in self.file.data.map(self.parts.check_edge, edges):
            pass
        self.parts.check_unplaced(self.located.stretches[-1])

    def trust(self, whole: Collection[int]) -> Located:
        """Returns the numbers of the index for large sequences; see Evidence.

        The index must be consistent, and the records at both ends of such a sequence, and where its
        last chunk begins, must be those that it has there. Small ones are counted.
        """
        stretches = self.located.stretches
        if self.file.data.size <= SMALL_FILE_BYTES:
            check = "the file is small: its records were counted, too, and match the index"
            return Located(self.located, [None] * len(stretches), (check,))
        numbers: list[int | None] = []
        edges: set[Edge] = set()
        for at, stretch in enumerate(stretches):
            number = self.numbers.get(stretch.tid)
            # If there are no unplaced records, there is nothing to count.
            if stretch.tid not in whole or stretch.bytes < MIN_TRUSTED_BYTES or number == 0:
                numbers.append(None)
                continue
            if number is None:
                raise InputError(
                    f"counts_from: the index {self.file.index_name} has no statistics for "
                    f"{self.header.name_of(stretch.tid)}. Set counts_from to 'records'."
                )
            self._check_size(stretch, number)
            begin, end = part_of(stretches, at, at)
            # A record without a position is in the index, but in no region.
            edges |= {begin if stretch.tid == NO_SEQUENCE else begin._replace(min_start=0), end}
            if stretch.tid != NO_SEQUENCE and (offsets := self.located.offsets[stretch.tid]):
                edges.add(Edge(offsets.last_chunk, after=stretch.tid))
            numbers.append(number)
        self.check_index(sorted(edges, key=lambda edge: edge.offset))
        return Located(
            self.located,
            numbers,
            (
                "the index is internally consistent, and the first and later records of each "
                "sequence are where it says",
                NOT_COUNTED,
            ),
        )

    def _check_size(self, stretch: Stretch, number: int) -> None:
        """Raises InputError if a stretch cannot hold a number of records, or has none."""
        begin, end = stretch.begin, stretch.end
        # A virtual file offset has that of a block in the file, and one in the block's data.
        blocks, within = (end >> 16) - (begin >> 16), (end & 0xFFFF) - (begin & 0xFFFF)
        most = (blocks * MAX_DATA_PER_BYTE + within) // SMALLEST_RECORD
        if not 0 < number <= most:
            what = "the number of its records is not that of this many bytes"
            raise self.file.contradiction(self.header.name_of(stretch.tid), what)
