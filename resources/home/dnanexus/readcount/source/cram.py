"""A CRAM and its CRAI index: opening the index, and what the two prove about counts."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from readcount.errors import NEW_INDEX, InputError
from readcount.formats.bam_index import ContigIndex, IndexFormatError
from readcount.formats.bgzf import NO_REFERENCE
from readcount.formats.content import CRAM_INDEX, kind_of
from readcount.formats.cram import (
    VERSION,
    Container,
    ContainerError,
    Slice,
    VersionError,
    cram_index,
    guess_containers,
    out_of_order,
    read_containers,
    read_containers_at,
    read_containers_streamed,
    read_crai,
    scatters_unplaced,
)
from readcount.request.filters import Filters
from readcount.request.region import UNPLACED, some_of
from readcount.request.region_list import RegionList
from readcount.source.commands import count_region, tally_at_position_0
from readcount.source.evidence import NOT_COUNTED, Runner, no_position
from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.readers import NAME_LENGTH, LocalFile, Reader
from readcount.text import shorten


def index_path(data: Reader) -> Path:
    """Returns where the index of a CRAM without one is to be created."""
    return Path(f"{data.location}.crai")


def open_index(path: Path) -> list[Slice]:
    """Reads the index of a CRAM; raises InputError if it is not one, or is corrupt."""
    field = f"mappings_sorted_bai: {shorten(path.name, NAME_LENGTH)}"
    kind = kind_of(path)
    # The index of a CRAM without records has no line to recognize it by.
    if kind not in (CRAM_INDEX, "a gzip-compressed file"):
        raise InputError(f"{field} is {kind}, not the index of a CRAM file. {NEW_INDEX}")
    try:
        return read_crai(path)
    except IndexFormatError as error:
        raise InputError(f"{field} is corrupt: {error}. {NEW_INDEX}") from None


def in_order(slices: Sequence[Slice]) -> bool:
    """Whether records are in the order of the header, which `samtools index` does not require."""
    # Unplaced records are last in a file that is sorted by position.
    starts = [(part.contig < 0, part.contig, part.start) for part in slices]
    return starts == sorted(starts)


@dataclass(frozen=True)
class CramEvidence:
    """What a CRAM and its index prove; see Evidence.

    Attributes:
        file: the CRAM with its index.
        header: of the CRAM.
        slices: the lines of the index.
    """

    file: IndexedFile
    header: Header
    slices: Sequence[Slice]

    source = "containers"
    has_total = True

    def entries(self) -> list[ContigIndex]:
        """Returns what is known of each reference sequence before counting.

        The headers of the containers of a streamed file are all over the file. They are read when
        counts are checked; until then the index alone has to do.

        Raises:
            InputError: the containers cannot be followed to the end, or do not match the index.
        """
        if self.file.data.streamed:
            return self._entries(guess_containers(self.slices))
        return self._known

    @cached_property
    def _known(self) -> list[ContigIndex]:
        return self._entries(self._containers)

    def _entries(self, containers: Sequence[Container]) -> list[ContigIndex]:
        try:
            return cram_index(self.slices, containers, len(self.header.names))
        except IndexFormatError as error:
            raise self.file.mismatch(str(error)) from None

    @cached_property
    def _containers(self) -> list[Container]:
        data = self.file.data
        try:
            if isinstance(data, LocalFile):
                return read_containers(data.path)
            likely = sorted({part.container for part in self.slices})
            return read_containers_streamed(data.read, data.size, likely)
        except ContainerError as error:
            raise self._not_readable(error) from None

    def _not_readable(self, error: ContainerError) -> InputError:
        if isinstance(error, VersionError):
            name = self.file.data.name
            convert = ["samtools", "view", "-T", "reference.fa", "-C", "-o"]
            command = shlex.join([*convert, shorten(f"new_{name}", 80), shorten(name, 80)])
            return InputError(
                f"mappings_sorted_bam: {self.file.name} is of CRAM version {error}, and only "
                f"version {VERSION} can be counted. Convert it with: {command}"
            )
        return InputError(
            f"mappings_sorted_bam: {self.file.name} cannot be read as a CRAM: {error}. Upload it "
            "again, or give it as a BAM."
        )

    def scatters_unplaced(self) -> bool:
        """Whether samtools cannot find all unplaced records by the index; raises InputError."""
        if not self.file.data.streamed:
            return scatters_unplaced(self.slices, self._containers)
        offsets = sorted({part.container for part in self.slices if part.contig == NO_REFERENCE})
        try:
            return scatters_unplaced(self.slices, read_containers_at(self.file.data.read, offsets))
        except ContainerError as error:
            raise self._not_readable(error) from None

    def check_index(self) -> None:
        """Does nothing: entries() has compared the index with the containers of the file."""

    def statistics(self) -> Mapping[str, int]:
        """Returns the records of each reference sequence that shares no container with others."""
        return {
            name: entry.records
            for name, entry in zip(self.header.names, self._known, strict=True)
            if entry.records is not None
        }

    def tally(self, filters: Filters) -> None:
        """Returns None: total() proves the same, and does not read the file."""

    def total(self, placed_only: bool) -> int:
        """Returns how many records the containers hold."""
        total = sum(container.records for container in self._containers)
        return total - self._count_unplaced() if placed_only else total

    def _count_unplaced(self) -> int:
        file = replace(self.file, unplaced_scattered=self.scatters_unplaced())
        return file.data.with_retries(partial(count_region, file, UNPLACED))

    def at_position_0(self, filters: Filters) -> Mapping[str, int]:
        """Returns records with a reference sequence but no position, by reading the file."""
        return self.file.data.with_retries(partial(tally_at_position_0, self.file, filters))

    def check_structure(self, regions: RegionList, runner: Runner | None) -> str:
        """Checks that the lines of the index are in the order of the file."""
        wrong = out_of_order(self.slices)
        if wrong is not None:
            name = self.header.names[wrong] if wrong >= 0 else UNPLACED.contig
            raise self.file.contradiction(name, "its lines are not in the order of the file")
        return "the index has the slices of the file in their order"

    def check_unread(self) -> tuple[str, ...]:
        """Checks the order of the index, and that no record is without a position on its sequence.

        statistics() has compared the index with the headers of all containers.
        """
        checks = self.check_structure(RegionList(), None)
        for part in self.slices:
            if part.contig != NO_REFERENCE and part.start < 1:
                name = shorten(self.header.names[part.contig], 60)
                raise no_position(name, self.file.name)
        return checks, NOT_COUNTED

    def unplaced(self) -> int | None:
        """Returns the records of the containers of unplaced ones; None if others may hold some."""
        if self.scatters_unplaced():
            return None
        return sum(one.records for one in self._containers if one.contig == NO_REFERENCE)

    def why_unknown(self, contigs: Sequence[str]) -> str:
        """Returns why the containers have no number for these sequences: a sentence."""
        return f"{some_of(contigs)} of {self.file.name} share containers with other sequences."
