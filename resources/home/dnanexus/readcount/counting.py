"""From a BAM with its index to counts that were checked: the steps in order."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from readcount.checks import (
    check_counts,
    check_coverage,
    check_read_groups,
    not_held,
    read_files,
    with_containers,
)
from readcount.counts import Counts, TaskCounts, merge_counts
from readcount.density import expected_records
from readcount.inputs import IndexedBam
from readcount.plan import (
    IN_PLACE,
    ON_DISK,
    Plan,
    Task,
    costs_for,
    plan_tasks,
    without_expressions,
)
from readcount.pool import Workers
from readcount.regions import Contig, Header
from readcount.samtools import run_task
from readcount.selection import EVERYTHING, Selection
from readcount.structure import check_structure
from readcount.targets import EVERYWHERE, Targets, list_regions

Log = Callable[[str], None]


@dataclass(frozen=True)
class Work:
    """What is to be counted, and what is known of it before.

    Attributes:
        bam: a sorted BAM with its index.
        selection: the records to count.
        header: of the BAM.
        contigs: what is known of each reference sequence, by name.
        targets: the regions to count, as they were asked for.
        plan: what is counted in which task. The same files, targets, selection and number of
            processes give the same plan, on any machine.
    """

    bam: IndexedBam
    selection: Selection
    header: Header
    contigs: Mapping[str, Contig]
    targets: Targets
    plan: Plan


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keeps Python's collector of garbage from looking for cycles.

    There are none among what is known of each sequence, which with 200,000 of them is a million
    objects that live until the end: to look through them again and again is a quarter of our time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collector()
def count_regions(
    bam: IndexedBam,
    workers: Workers,
    log: Log,
    targets: Targets = EVERYWHERE,
    selection: Selection = EVERYTHING,
) -> Counts:
    """Counts records by region: unless told otherwise, every record of each reference sequence.

    Args:
        bam: a sorted BAM with its index.
        workers: the processes to share the work.
        log: takes a line for the job's log.
        targets: the regions to count; their order is that of the header, or as they were given.
        selection: the records to count.

    Raises:
        InputError: the BAM or its index is at fault, or they do not belong together, or what is
            asked for is not in them.
        ReadCountError: counting failed for another reason.
    """
    processes = len(workers.processes)
    work = plan_work(bam, processes, targets, selection)
    check_coverage(bam, work.header, work.contigs)
    if not selection.everything:
        log(f"counting records: {selection}")
    log(f"{processes} {'connections' if bam.in_place else 'cores'}; {work.plan}")
    counted = count_tasks(work, range(len(work.plan.tasks)), workers, log)
    return merge_work(work, counted, log, workers)


@_without_collector()
def plan_work(
    bam: IndexedBam,
    processes: int,
    targets: Targets = EVERYWHERE,
    selection: Selection = EVERYTHING,
) -> Work:
    """Reads header and index, and divides the work; takes and raises what count_regions does."""
    header, contigs = read_files(bam)
    regions = list_regions(targets, {name: contig.length for name, contig in contigs.items()})
    check_read_groups(bam, header, selection)
    unplaced = header.unplaced or 0
    records = sum(map(expected_records, contigs.values())) + unplaced
    costs = IN_PLACE if bam.in_place else ON_DISK
    if bam.cram:
        costs = without_expressions(costs)
    # Of a CRAM the bases are left out on disk, and in place its records are told by their bytes.
    elif records:
        header_size = (header.end or 0) >> 16
        costs = costs_for(costs, (bam.size - header_size) / records)
    plan = plan_tasks(regions, contigs, processes, unplaced=unplaced, costs=costs)
    return Work(bam, selection, header, contigs, targets, plan)


def count_tasks(
    work: Work, numbers: Iterable[int], workers: Workers, log: Log
) -> Iterator[TaskCounts]:
    """Counts the tasks of these numbers; gives what each came to, and tells the log how fast."""
    start = time.monotonic()
    numbered = [(number, work.plan.tasks[number]) for number in numbers]
    counted = workers.results(partial(run_task, work.bam, selection=work.selection), numbered)
    records = 0
    for counts in _log_tenths(counted, dict(numbered), log):
        records += sum(counts.records)
        yield counts
    seconds = time.monotonic() - start
    log(f"counted {records:,} records of {work.bam.path.name} in {seconds:,.1f} s")


@_without_collector()
def merge_work(
    work: Work, counted: Iterable[TaskCounts], log: Log, workers: Workers | None = None
) -> Counts:
    """Puts the counts of all tasks together and checks them; raises as count_regions does.

    Args:
        work: what was counted.
        counted: what each task came to, in any order.
        log: takes a line for the job's log.
        workers: the processes to share the checks, if there are some.
    """
    bam, contigs, unplaced = work.bam, work.contigs, work.header.unplaced
    counts = merge_counts(work.plan, counted)
    if bam.cram and bam.in_place:
        contigs = with_containers(bam, work.header)
    checks = check_counts(bam, counts, contigs, work.selection, unplaced)
    for agreed in checks:
        log(agreed)
    if untold := not_held(bam, counts, contigs, work.selection):
        # The blocks of a file that is read in place are all over the network.
        log(check_structure(bam, untold, contigs, None if bam.in_place else workers))
    return Counts(
        counts,
        {name: contig.length for name, contig in contigs.items()},
        records_asked=str(work.selection),
        regions_asked=str(work.targets),
        unplaced=unplaced,
        checks=tuple(checks),
    )


def _log_tenths(
    counted: Iterable[TaskCounts], tasks: Mapping[int, Task], log: Log
) -> Iterator[TaskCounts]:
    """Passes counts on, with a line of log for each tenth of the records that has come in."""
    start = time.monotonic()
    expected = sum(task.records for task in tasks.values())
    come, records, logged = 0.0, 0, 0
    for counts in counted:
        come += tasks[counts.task].records
        records += sum(counts.records)
        # The 1e-9 is for sums of parts that fall short of the whole in the last digit.
        tenths = int(10 * come / expected + 1e-9) if expected else 0
        if tenths > logged:
            logged = tenths
            rate = records / max(time.monotonic() - start, 1e-9)
            log(f"{10 * tenths} %: {records:,} records counted, {rate:,.0f} per second")
        yield counts
