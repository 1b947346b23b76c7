"""The input of a cohort job as one value."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

from readcount.errors import InputError
from readcount.request.request import RECORDS, Link, Request, check_streaming
from readcount.text import shorten

# What to do if a sample cannot be counted.
LEAVE_OUT, FAIL = "leave_out", "fail"
# Placeholder for the file links in a request that applies to every sample.
_ANY_FILE: Link = {"$dnanexus_link": "file-any"}


@dataclass(frozen=True)
class CohortRequest:
    """What the user asks for: the inputs of dxapp.json, by name, with their defaults.

    The other attributes are described in Request.

    Attributes:
        mappings: links to coordinate-sorted BAM or CRAM files.
        mappings_indexes: links to their indexes, in any order.
        sample_sheets: links to tables with sample names and file IDs.
        counts_tables: links to existing count tables.
        on_failed_sample: LEAVE_OUT to return the other samples, or FAIL.
        output_prefix: base name of the output files.
        report: whether to create the HTML report.
        subjobs: maximum number of subjobs to distribute the samples over; 0 to count in one job.

    Raises:
        InputError: a value is not valid, or values cannot be combined.
    """

    mappings: Sequence[Link] = ()
    mappings_indexes: Sequence[Link] = ()
    sample_sheets: Sequence[Link] = ()
    counts_tables: Sequence[Link] = ()
    regions: Sequence[str] = ()
    regions_bed: Link | None = None
    windows: int = 0
    primary_chromosomes_only: bool = False
    include_unplaced: bool = False
    min_mapping_quality: int = 0
    require_flags: str = ""
    exclude_flags: str = ""
    read_groups: Sequence[str] = ()
    counts_from: str = RECORDS
    on_failed_sample: str = LEAVE_OUT
    output_prefix: str = "cohort"
    report: bool = True
    subjobs: int = 0

    def __post_init__(self) -> None:
        _ = self.of_sample
        check_streaming(stream_bam=False, subjobs=self.subjobs, has_index=True)
        if self.on_failed_sample not in (LEAVE_OUT, FAIL):
            value = shorten(repr(self.on_failed_sample), 40)
            raise InputError(
                f"on_failed_sample: {value} is not a valid value. Use '{LEAVE_OUT}' or '{FAIL}'."
            )

    def require_samples(self) -> None:
        """Raises InputError if no input provides samples."""
        if not (self.mappings or self.sample_sheets or self.counts_tables):
            raise no_samples()

    @cached_property
    def of_sample(self) -> Request:
        """The request for one sample, the same for each; its file links are placeholders."""
        names = {field.name for field in fields(Request)} & {field.name for field in fields(self)}
        shared = {name: getattr(self, name) for name in names}
        of_files = {"mappings_sorted_bam": _ANY_FILE, "mappings_sorted_bai": _ANY_FILE}
        return Request(**{**shared, **of_files, "report": False, "stream_bam": True, "subjobs": 0})

    @property
    def fail_on_failed_sample(self) -> bool:
        """Whether a failed sample makes the job fail."""
        return self.on_failed_sample == FAIL

    @property
    def depth_matrix(self) -> bool:
        """Whether the matrix is also written sorted and indexed, as for windows and intervals."""
        return self.of_sample.bedgraph


def no_samples() -> InputError:
    """Returns the error for inputs without samples."""
    return InputError(
        "mappings: there are no samples. Provide mappings, sample_sheets or counts_tables."
    )
