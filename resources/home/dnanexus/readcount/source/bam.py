"""A BAM and its BAI or CSI index: opening the index, and what the two prove about counts."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from readcount.errors import NEW_INDEX, InputError
from readcount.formats.bam_index import BamIndex, Bins, IndexFormatError, read_index
from readcount.formats.bgzf import (
    BLOCKS_BYTES,
    NO_REFERENCE,
    BlockError,
    follow_blocks,
    reference_of_record,
)
from readcount.formats.content import BAM_INDEXES, kind_of
from readcount.request.filters import Filters
from readcount.request.region import UNPLACED
from readcount.request.region_list import RegionList
from readcount.source.commands import tally_all, tally_at_position_0
from readcount.source.contigs import Contig
from readcount.source.evidence import Runner
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
        for number, (name, contig) in enumerate(self.contigs.items()):
            begin, end = contig.indexed.begin, contig.indexed.end
            if contig.indexed.records == 0:
                continue
            if at is not None and begin is not None and at != begin:
                self._require_record(at, number, f"the first record of {shorten(name, 60)}")
            at = end
        if at is not None:
            self._require_record(at, NO_REFERENCE, "no placed record")

    def _require_record(self, at: int, number: int, expected: str) -> None:
        """Raises InputError unless the record at an offset is of the reference sequence number."""
        blocks = self.file.data.read(at >> 16, BLOCKS_BYTES)
        try:
            found = reference_of_record(blocks, at & 0xFFFF)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                self.file.corrupt_or_mismatch(
                    f"no record can be read where the index has {expected}"
                ),
                f"at virtual file offset {at}: {error}",
            ) from error
        if found == number:
            return
        there = "none" if found == NO_REFERENCE else "a record of another reference sequence"
        if 0 <= found < len(self.header.names):
            there = f"a record of {shorten(self.header.names[found], 60)}"
        raise self.file.mismatch(f"where the index has {expected}, the file has {there}")

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
        wanted = {sequence.contig for sequence in regions.used_sequences() if sequence.placed}
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
        if UNPLACED in regions.used_sequences():
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
        parts = cut_between(ranges, named, size / (PARTS_PER_PROCESS * len(runner.processes)))
        try:
            for _ in runner.results(partial(follow_blocks, data.path), parts):
                pass
        except BlockError as error:
            what = f"no BGZF block begins at byte {error}, where the index has one"
            raise InputError(self.file.corrupt_or_mismatch(what)) from error
