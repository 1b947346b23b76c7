"""Runs the steps of the applet without the platform, for tests and benchmarks."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from readcount.counting.pool import Workers
from readcount.counting.tasks import count_tasks, run_task
from readcount.outputs.result import Result
from readcount.planning.costs import DOWNLOADED, STREAMED, Costs
from readcount.planning.merge import MergedCounts, merge_counts
from readcount.planning.plan import plan_tasks
from readcount.planning.task import Plan
from readcount.regions.counts import RegionCount, RegionCounts
from readcount.regions.list_regions import describe_regions, list_regions
from readcount.regions.region_list import RegionList
from readcount.request.filters import NO_FILTERS, Filters
from readcount.request.request import Request
from readcount.source.alignments import Alignments
from readcount.source.files import InputFiles
from readcount.source.header import check_read_groups
from readcount.source.opening import open_alignments
from readcount.source.parts import NO_SEQUENCE
from readcount.source.readers import LocalFile
from readcount.source.sequences import SequenceDictionary
from readcount.verification.verify import verify

LINK = {"$dnanexus_link": "file-0123456789BFGJKPQVXYZbfg"}


def ask(**inputs: Any) -> Request:
    """Returns a request with these inputs in addition to a BAM and its index."""
    return Request(LINK, LINK, **inputs)


def ask_for(filters: Filters, **inputs: Any) -> Request:
    """Returns a request with these filters and further inputs."""
    return ask(
        min_mapping_quality=filters.min_mapping_quality,
        require_flags=str(filters.require_flags),
        exclude_flags=str(filters.exclude_flags),
        read_groups=filters.read_groups,
        **inputs,
    )


def local_files(mappings: str, index: str | None, bed: Path | None = None) -> InputFiles:
    """Returns the input files at these paths, as a job that has downloaded them has them."""
    absolute = Path(index).absolute() if index else None
    return InputFiles(LocalFile(Path(mappings).absolute()), absolute, bed)


def files_of(bam: Path, index: Path | None = None, bed: Path | None = None) -> InputFiles:
    """Returns a BAM or CRAM with its index, by default the index next to it."""
    index = index or Path(f"{bam}{'.crai' if bam.suffix == '.cram' else '.bai'}")
    return local_files(str(bam), str(index), bed)


def opened(bam: Path, index: Path | None = None) -> Alignments:
    """Opens a BAM or CRAM with its index, by default the index next to it."""
    return open_alignments(files_of(bam, index))


def planned(
    alignments: Alignments,
    request: Request | None = None,
    *,
    bed: Path | None = None,
    processes: int = 2,
    costs: Costs | None = None,
) -> Plan:
    """Returns the plan, as prepare() does."""
    request = request or ask()
    check_read_groups(alignments.header, request.filters, alignments.file.name)
    regions = list_regions(request, bed, alignments.sequences)
    whole, spans = regions.tids_at(regions.whole), regions.tids_at(regions.spans)
    located = alignments.trust(whole) if request.from_index else alignments.locate(whole, spans)
    costs = costs or (STREAMED if alignments.file.mappings.streamed else DOWNLOADED)
    plan = plan_tasks(regions, located.layout, processes, costs, located.numbers)
    return replace(plan, checks=located.checks)


def region_counts(counts: Iterable[RegionCount], contigs: Iterable[str] = ()) -> RegionCounts:
    """Returns counts as columns; the header lists these sequences, then those of the counts."""
    counts = list(counts)
    named = (one.region.contig for one in counts if one.region.placed)
    sequences = SequenceDictionary(dict.fromkeys([*contigs, *named], 0))
    regions = RegionList.of(sequences, (one.region for one in counts))
    return RegionCounts(regions, np.array([one.records for one in counts], np.int64))


def count_here(alignments: Alignments, plan: Plan, filters: Filters = NO_FILTERS) -> MergedCounts:
    """Counts all tasks of a plan in this process."""
    counted = [run_task(alignments.parts, task, filters) for task in enumerate(plan.tasks)]
    return merge_counts(plan, counted)


def count_regions(
    files: InputFiles, workers: Workers, log: Callable[[str], None], request: Request | None = None
) -> Result:
    """Counts as main() does, starting from the input files."""
    request = request or ask()
    alignments = open_alignments(files, log)
    plan = planned(alignments, request, bed=files.bed, processes=len(workers.processes))
    alignments.check_index(plan.edges)
    log(str(plan))
    numbers = range(len(plan.tasks))
    counted = count_tasks(plan, numbers, alignments.parts, request.filters, workers, log)
    merged = merge_counts(plan, counted)
    verified = verify(merged, alignments, request.filters)
    for check in verified.checks:
        log(check)
    return Result(
        verified,
        alignments.sequences.lengths,
        request.records_counted,
        describe_regions(request, files.bed),
        alignments.numbers.get(NO_SEQUENCE),
        from_index=request.from_index,
    )
