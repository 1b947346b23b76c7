"""A BAM and its BAI or CSI index: opening the index, and what the two prove about counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from readcount.errors import NEW_INDEX, InputError
from readcount.formats.bam_index import BamIndex, Bins, IndexFormatError, read_index
from readcount.formats.bgzf import (
    BLOCKS_BYTES,
    NO_POSITION,
    NO_REFERENCE,
    BlockError,
    FirstFields,
    first_fields,
    follow_blocks,
)
from readcount.formats.content import BAM_INDEXES, kind_of
from readcount.formats.threads import in_threads
from readcount.request.filters import NO_FILTERS, Filters
from readcount.request.region import UNPLACED, some_of
from readcount.request.region_list import RegionList
from readcount.source.commands import tally_all, tally_at_position_0
from readcount.source.contigs import Contig
from readcount.source.evidence import NOT_COUNTED, Runner, no_position
from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.readers import NAME_LENGTH, LocalFile, Reader
from readcount.source.structure import (
    RecordOffsets,
    covering,
    cut_between,
    merge_ranges,
    named_offsets,
    record_offsets,
)
from readcount.text import plural, shorten

# A BAI holds no positions beyond this (SAM specification, section 5.1.1).
LONGEST_IN_BAI = 1 << 29
# How many parts of the file each process of the Pool follows.
PARTS_PER_PROCESS = 4
# Between records that are read with one request, and from the first to the last of them.
JOINED_BYTES = 1 << 18
PART_BYTES = 1 << 22
# A file whose records are counted where the numbers of the index are wanted.
SMALL_BYTES = 1 << 22
# Its size, 32 bytes of fields, and the end of an empty name (SAM specification, section 4.2).
SMALLEST_RECORD = 37
# What deflate makes at most of a byte (zlib, "Maximum Compression Factor").
MOST_DATA_PER_BYTE = 1032


def index_path(data: Reader, header: Header) -> Path:
    """Returns where to create the index of a BAM: a CSI if a sequence is too long for a BAI."""
    csi = max(header.lengths, default=0) > LONGEST_IN_BAI
    return Path(f"{data.location}.{'csi' if csi else 'bai'}")


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


class Expected(NamedTuple):
    """What is expected to be at a virtual file offset.

    Attributes:
        offset: the offset.
        contig: number of the reference sequence of the record there; NO_REFERENCE for an unplaced
            one, or the end of the file.
    """

    offset: int
    contig: int


@dataclass(frozen=True)
class BamEvidence:
    """What a BAM and its index prove; see Evidence.

    Attributes:
        file: the BAM with its index.
        header: of the BAM.
        contigs: what is known of each reference sequence, by name.
        index: the index.
    """

    file: IndexedFile
    header: Header
    contigs: Mapping[str, Contig]
    index: BamIndex

    source = "index"
    has_total = False

    def check_index(self) -> None:
        """Raises InputError if records are where the index has none.

        A sequence that has no records by the index is never read, so that its count cannot show
        that the index does not match the file. But the records of a sorted file have no gaps
        between them: what follows the last one of a sequence is the first one of the next that has
        some, and what follows the last of all is unplaced. Only gaps in the index are read.
        """
        at = self.header.end
        expected = []
        for number, contig in enumerate(self.contigs.values()):
            begin, end = contig.indexed.begin, contig.indexed.end
            if contig.indexed.records == 0:
                continue
            if at is not None and begin is not None and at != begin:
                expected.append(Expected(at, number))
            at = end
        if at is not None:
            expected.append(Expected(at, NO_REFERENCE))
        self._require(expected)

    def _require(self, expected: Sequence[Expected]) -> list[FirstFields | None]:
        """Returns the first fields of records; raises InputError if they are not as expected."""
        fields = self._first_fields([one.offset for one in expected])
        for one, found in zip(expected, fields, strict=True):
            contig, _ = found or (NO_REFERENCE, NO_POSITION)
            if contig == one.contig:
                continue
            should, is_there = self._record_of(one.contig), self._record_of(contig)
            raise self.file.mismatch(f"where the index has {should}, the file has {is_there}")
        return fields

    def _record_of(self, contig: int) -> str:
        """Returns "a record of" the reference sequence of a number."""
        if contig == NO_REFERENCE:
            return "no placed record"
        if 0 <= contig < len(self.header.names):
            return f"a record of {shorten(self.header.names[contig], 60)}"
        return "a record of another reference sequence"

    def _first_fields(self, offsets: Sequence[int]) -> list[FirstFields | None]:
        """Returns the first fields of the records at virtual file offsets, which usually rise."""
        parts: list[list[int]] = []
        for offset in offsets:
            at = offset >> 16
            if (
                parts
                and 0 <= at - (parts[-1][-1] >> 16) < JOINED_BYTES
                and at - (parts[-1][0] >> 16) < PART_BYTES
            ):
                parts[-1].append(offset)
            else:
                parts.append([offset])
        read = in_threads if self.file.data.streamed else map
        return list(chain.from_iterable(read(self._first_fields_of_part, parts)))

    def _first_fields_of_part(self, offsets: Sequence[int]) -> list[FirstFields | None]:
        """Returns the first fields of records that are read with one request."""
        start = offsets[0] >> 16
        data = self.file.data.read(start, (offsets[-1] >> 16) - start + BLOCKS_BYTES)
        try:
            return first_fields(data, [offset - (start << 16) for offset in offsets])
        except BlockError as error:
            what = "no record can be read where the index has one"
            at = start + int(str(error))
            raise InputError(self.file.corrupt_or_mismatch(what), f"at byte {at}") from error

    def check_unread(self) -> tuple[str, ...]:
        """Checks what shows without counting whether the numbers of the index are right.

        The index must be consistent with itself, and the first record of each sequence, the one
        that begins its last chunk, and what follows the last of all must be where the index says.
        The records of a small file are counted, too, which takes no longer.

        Returns:
            What was found to agree, for the log.

        Raises:
            InputError: they do not agree, or there are records that are in no region.
        """
        expected, end = [], self.header.end or 0
        for number, (name, contig) in enumerate(self.contigs.items()):
            if contig.indexed.records == 0:
                continue
            first, last_chunk, behind = self._chunks(number, name)
            if first < end:
                raise self.file.contradiction(name, "its offsets are not in the order of the file")
            # As in check_index: what follows the last record of the sequence before is its first.
            expected += [Expected(at, number) for at in sorted({end, first, last_chunk})]
            # A virtual file offset has that of a block in the file, and one in the block's data.
            blocks, within = (behind >> 16) - (first >> 16), (behind & 0xFFFF) - (first & 0xFFFF)
            most = (blocks * MOST_DATA_PER_BYTE + within) // SMALLEST_RECORD
            if contig.indexed.records is not None and contig.indexed.records > most:
                raise self.file.contradiction(name, "it has more records than bytes for them")
            end = behind
        *placed, after = self._require([*expected, Expected(end, NO_REFERENCE)])
        self._require_none_at_position_0(expected, placed)
        if self.index.unplaced is not None and (after is None) != (self.index.unplaced == 0):
            there = "no record" if after is None else "an unplaced record"
            raise self.file.mismatch(
                f"the index has {plural(self.index.unplaced, 'unplaced record')}, and after the "
                f"last placed record the file has {there}"
            )
        agreed = (
            "the index agrees with itself, and the first and later records of each sequence are "
            "where it says"
        )
        if self.file.data.size > SMALL_BYTES:
            return agreed, NOT_COUNTED
        self._require_as_counted()
        return agreed, "the file is small: its records were counted, too, and match the index"

    def _require_as_counted(self) -> None:
        """Raises InputError unless the statistics are what the file has."""
        counted = self.tally(NO_FILTERS)
        for name, records in self._statistics.items():
            if counted.get(name, 0) != records:
                raise self.file.disagreement(name, counted.get(name, 0), records)

    def _chunks(self, number: int, name: str) -> tuple[int, int, int]:
        """Returns where the first record of a sequence, its last chunk and what follows begin."""
        if chunk := self.index.only_chunk(number):
            return chunk[0], chunk[0], chunk[1]
        offsets = self._record_offsets(name, self.index.bins(number))
        if offsets is None:
            raise self.file.contradiction(name, "it has records, but no offsets of them")
        return offsets.begin, offsets.last_chunk, offsets.end

    def _require_none_at_position_0(
        self, expected: Sequence[Expected], fields: Sequence[FirstFields | None]
    ) -> None:
        """Raises InputError for a sequence whose first record has no position on it."""
        for one, found in zip(expected, fields, strict=True):
            if found and found[1] == NO_POSITION:
                raise no_position(shorten(self.header.names[one.contig], 60), self.file.name)

    def unplaced(self) -> int | None:
        """Returns the unplaced records by the index; None where it does not say."""
        return self.index.unplaced

    def why_unknown(self, contigs: Sequence[str]) -> str:
        """Returns why the index has no number for these sequences: a sentence."""
        return f"the index {self.file.index_name} has no statistics for {some_of(contigs)}."

    @cached_property
    def _statistics(self) -> Mapping[str, int]:
        known = {
            name: contig.indexed.records
            for name, contig in self.contigs.items()
            if contig.indexed.records is not None
        }
        if self.index.unplaced is not None:
            known[UNPLACED.contig] = self.index.unplaced
        return known

    def statistics(self) -> Mapping[str, int]:
        """Returns the records of each reference sequence of which the index has statistics."""
        return self._statistics

    def tally(self, filters: Filters) -> Mapping[str, int]:
        """Returns the records of each reference sequence by reading the whole file."""
        return self.file.data.with_retries(partial(tally_all, self.file, filters))

    def total(self, placed_only: bool) -> None:
        """Returns None: the index has no number for the whole file."""

    def at_position_0(self, filters: Filters) -> Mapping[str, int]:
        """Returns records with a reference sequence but no position, by reading the file."""
        return self.file.data.with_retries(partial(tally_at_position_0, self.file, filters))

    def check_structure(self, regions: RegionList, runner: Runner | None) -> str:
        """Checks the index against itself, and the blocks of a downloaded BAM against the index.

        Only of the sequences that the regions are on, and where the regions are in the file.
        """
        used = set(regions.used_contigs())
        wanted = used - {UNPLACED.contig}
        bins = {
            name: self.index.bins(number)
            for number, name in enumerate(self.contigs)
            if name in wanted
        }
        offsets = {name: self._record_offsets(name, entry) for name, entry in bins.items()}
        agreed = f"the index of {plural(len(wanted), 'sequence')} agrees with itself"
        # The blocks of a streamed file would have to be read over the network.
        if runner is None or not isinstance(self.file.data, LocalFile):
            return agreed
        ranges = [
            found.of(region)
            for region in covering(regions)
            if region.placed and (found := offsets[region.contig])
        ]
        if UNPLACED.contig in used:
            begin = max((contig.indexed.end or 0 for contig in self.contigs.values()), default=0)
            ranges.append((begin, self.file.data.size << 16))
        self._follow_blocks(
            self.file.data, merge_ranges(ranges), named_offsets(bins.values()), runner
        )
        return f"{agreed}, and the blocks of the file begin where it says"

    def _record_offsets(self, name: str, bins: Bins) -> RecordOffsets | None:
        try:
            return record_offsets(bins)
        except ValueError as error:
            raise self.file.contradiction(name, str(error)) from error

    def _follow_blocks(
        self,
        data: LocalFile,
        ranges: Sequence[tuple[int, int]],
        named: Sequence[int],
        runner: Runner,
    ) -> None:
        size = sum(end - begin >> 16 for begin, end in ranges)
        tasks = PARTS_PER_PROCESS * len(runner.processes)
        parts = list(cut_between(ranges, named, size / tasks))
        # Where there are thousands of ranges, to pass each on takes longer than to follow it.
        dealt = [parts[first::tasks] for first in range(min(tasks, len(parts)))]
        try:
            for _ in runner.results(partial(_follow_parts, data.path), dealt):
                pass
        except BlockError as error:
            what = f"no BGZF block begins at byte {error}, where the index has one"
            raise InputError(self.file.corrupt_or_mismatch(what)) from error


def _follow_parts(path: Path, parts: Sequence[Sequence[int]]) -> None:
    """Follows the blocks of parts of a file, as follow_blocks does."""
    for offsets in parts:
        follow_blocks(path, offsets)
