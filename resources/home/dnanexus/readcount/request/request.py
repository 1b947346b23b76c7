"""The job's input as one value."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from readcount.errors import InputError
from readcount.request.filters import Filters, make_filters
from readcount.text import shorten

# A DNAnexus link to a file, as in the job's input.
Link = dict[str, Any]

# A file name has at most 255 bytes; this leaves room for the suffix.
MAX_PREFIX_LENGTH = 100
_NOT_IN_A_NAME = re.compile(r"[/\x00-\x1f\x7f]")
# dxCompiler starts no more jobs at a time (dnanexus/dxCompiler, Constants.scala).
MAX_SUBJOBS = 500
# Source of counts.
RECORDS, INDEX = "records", "index"
# Connections per core: while one process waits for the network, another can use the core.
STREAMS_PER_CORE = 4


@dataclass(frozen=True)
class Request:
    """What the user asks for: the inputs of dxapp.json, by name, with their defaults.

    Attributes:
        mappings_sorted_bam: link to a coordinate-sorted BAM or CRAM.
        mappings_sorted_bai: link to its index; created if not given.
        regions: samtools syntax, 1-based and inclusive; with regions_bed empty, each reference
            sequence is a region.
        regions_bed: link to a BED file; 0-based and half-open.
        windows: window size in bases, into which each region is split; 0 for whole regions.
        primary_chromosomes_only: whether to omit regions on other sequences.
        include_unplaced: whether to add a region for records without a position.
        min_mapping_quality: see Filters, as for the next three.
        require_flags: number or names of FLAG bits that must be set.
        exclude_flags: number or names of FLAG bits that must not be set.
        read_groups: IDs of the read groups to count.
        output_prefix: base name of the output files; if empty, that of the input.
        report: whether to create the HTML report.
        counts_from: RECORDS to count records, or INDEX to use the per-sequence counts stored in the
            index.
        stream_bam: whether to stream the file instead of downloading it.
        subjobs: maximum number of subjobs, which stream the file; 0 to count in one job.

    Raises:
        InputError: a value is not valid, or values cannot be combined.
    """

    mappings_sorted_bam: Link
    mappings_sorted_bai: Link | None = None
    regions: Sequence[str] = ()
    regions_bed: Link | None = None
    windows: int = 0
    primary_chromosomes_only: bool = False
    include_unplaced: bool = False
    min_mapping_quality: int = 0
    require_flags: str = ""
    exclude_flags: str = ""
    read_groups: Sequence[str] = ()
    output_prefix: str = ""
    report: bool = True
    counts_from: str = RECORDS
    stream_bam: bool = False
    subjobs: int = 0

    def __post_init__(self) -> None:
        _ = self.filters
        check_output_prefix(self.output_prefix)
        check_windows(self.windows)
        check_streaming(self.stream_bam, self.subjobs, self.mappings_sorted_bai is not None)
        check_counts_from(self)

    @cached_property
    def filters(self) -> Filters:
        """Which records count."""
        return make_filters(
            self.min_mapping_quality, self.require_flags, self.exclude_flags, self.read_groups
        )

    @property
    def records_counted(self) -> str:
        """Description of the records counted."""
        return f"{self.filters} (from the index)" if self.from_index else str(self.filters)

    @property
    def bedgraph(self) -> bool:
        """Whether the counts are also written as bedGraph, as for windows and intervals."""
        return self.windows > 0 or self.regions_bed is not None

    @property
    def streamed(self) -> bool:
        """Whether the BAM or CRAM is streamed."""
        return self.stream_bam or self.subjobs > 0 or self.from_index

    @property
    def from_index(self) -> bool:
        """Whether the counts are taken from the index."""
        return self.counts_from == INDEX

    def processes(self, cores: int) -> int:
        """Returns the number of Pool processes that keep this many cores busy."""
        return cores * STREAMS_PER_CORE if self.streamed else cores


def check_output_prefix(prefix: str) -> None:
    """Raises InputError if the text is not a valid file name prefix."""
    if len(prefix) > MAX_PREFIX_LENGTH or _NOT_IN_A_NAME.search(prefix) or prefix != prefix.strip():
        raise InputError(
            f"output_prefix: {shorten(repr(prefix), 60)} is not a valid file name prefix. "
            f"Use at most {MAX_PREFIX_LENGTH} characters, no slash and no leading or trailing "
            "spaces."
        )


def check_windows(size: int) -> None:
    """Raises InputError if the window size is not valid."""
    if size < 0:
        raise InputError(
            f"windows: must be 0 (whole regions) or a positive number of bases, found {size:,}."
        )


def check_streaming(stream_bam: bool, subjobs: int, has_index: bool) -> None:
    """Raises InputError if the streaming inputs are not valid."""
    if not 0 <= subjobs <= MAX_SUBJOBS:
        raise InputError(f"subjobs: must be from 0 (one job) to {MAX_SUBJOBS}, found {subjobs:,}.")
    if (stream_bam or subjobs) and not has_index:
        field = "subjobs" if subjobs else "stream_bam"
        raise InputError(
            f"{field}: requires an index. Provide mappings_sorted_bai, or omit {field}."
        )


def check_counts_from(request: Request) -> None:
    """Raises InputError if the index cannot provide the requested counts."""
    if request.counts_from == RECORDS:
        return
    if not request.from_index:
        value = shorten(repr(request.counts_from), 40)
        raise InputError(f"counts_from: {value} is not a valid value. Use 'records' or 'index'.")
    others = {
        "min_mapping_quality": request.min_mapping_quality > 0,
        "require_flags": request.filters.require_flags > 0,
        "exclude_flags": request.filters.exclude_flags > 0,
        "read_groups": len(request.read_groups) > 0,
        "regions_bed": request.regions_bed is not None,
        "windows": request.windows > 0,
        "subjobs": request.subjobs > 0,
    }
    given = [name for name, is_given in others.items() if is_given]
    if given:
        raise InputError(
            f"counts_from: 'index' cannot be combined with {', '.join(given)}: the index "
            "only has the number of all records of each reference sequence. Set counts_from to "
            "'records'."
        )
    if request.mappings_sorted_bai is None:
        raise InputError(
            "counts_from: 'index' requires an index. Provide mappings_sorted_bai, or set "
            "counts_from to 'records'."
        )
