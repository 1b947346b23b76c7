"""The steps of the applet's entry script without the platform, for tests and measurements."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from readcount.counting.pool import Workers
from readcount.counting.tasks import count_tasks
from readcount.outputs.result import Result
from readcount.planning.costs import costs_for
from readcount.planning.merge import merge_counts
from readcount.planning.plan import plan_tasks
from readcount.request.filters import Filters
from readcount.request.regions import describe_regions, list_regions
from readcount.request.request import Request
from readcount.source.alignments import Alignments, open_alignments
from readcount.source.files import IndexedFile, InputFiles, local_files
from readcount.source.header import check_read_groups
from readcount.source.readers import LocalFile
from readcount.verification.index_counts import counts_of_index
from readcount.verification.verify import verify

LINK = {"$dnanexus_link": "file-0123456789BFGJKPQVXYZbfg"}


def ask(**inputs: Any) -> Request:
    """Returns what a user asks for who gives these inputs beside a BAM and its index."""
    return Request(LINK, LINK, **inputs)


def ask_for(filters: Filters, **inputs: Any) -> Request:
    """Returns what a user asks for who wants these filters."""
    return ask(
        min_mapping_quality=filters.min_mapping_quality,
        require_flags=str(filters.require_flags),
        exclude_flags=str(filters.exclude_flags),
        read_groups=filters.read_groups,
        **inputs,
    )


def files_of(bam: Path, index: Path | None = None, bed: Path | None = None) -> InputFiles:
    """Returns a BAM or CRAM with its index, by default the one beside it."""
    index = index or Path(f"{bam}{'.crai' if bam.suffix == '.cram' else '.bai'}")
    return local_files(str(bam), str(index), str(bed) if bed else None)


def indexed(bam: Path, index: Path | None = None) -> IndexedFile:
    """Returns a BAM with its index, by default the one beside it."""
    return IndexedFile(LocalFile(bam), index or Path(f"{bam}.bai"))


def opened(bam: Path, index: Path | None = None) -> Alignments:
    """Opens a BAM or CRAM with its index, by default the one beside it."""
    return open_alignments(files_of(bam, index))


def count_regions(
    files: InputFiles, workers: Workers, log: Callable[[str], None], request: Request | None = None
) -> Result:
    """Counts as main() does, from the files on."""
    request = request or ask()
    processes = len(workers.processes)
    alignments = open_alignments(files, log, find_unplaced=request.include_unplaced)
    check_read_groups(alignments.header, request.filters, alignments.file.name)
    regions = list_regions(request, files.bed, alignments.lengths)
    unplaced = alignments.unplaced or 0
    costs = costs_for(alignments.access, alignments.contigs, unplaced)
    plan = plan_tasks(regions, alignments.contigs, processes, unplaced=unplaced, costs=costs)
    alignments.evidence.check_index()
    log(str(plan))
    numbers = range(len(plan.tasks))
    counted = count_tasks(plan, numbers, alignments.file, request.filters, workers, log)
    counts = verify(merge_counts(plan, counted), alignments.evidence, request.filters, workers)
    for check in counts.checks:
        log(check)
    return Result(
        counts,
        alignments.lengths,
        str(request.filters),
        describe_regions(request, files.bed),
        alignments.unplaced,
    )


def count_from_index(files: InputFiles, request: Request) -> Result:
    """Takes the counts from the index as main() does, from the files on."""
    alignments = open_alignments(files)
    regions = list_regions(request, None, alignments.lengths, alignments.header.aliases)
    counts = counts_of_index(regions, alignments.evidence)
    return Result(
        counts,
        alignments.lengths,
        request.records_counted,
        describe_regions(request, None),
        alignments.unplaced,
        from_index=True,
    )
