"""From a BAM with its index to counts that were checked: the steps in order."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from readcount.checks import check_counts, check_coverage, read_files
from readcount.counts import RegionCount, TaskCounts, merge_counts
from readcount.inputs import IndexedBam
from readcount.plan import Task, plan_tasks
from readcount.pool import Workers
from readcount.regions import Region
from readcount.samtools import run_task

Log = Callable[[str], None]


def count_regions(bam: IndexedBam, workers: Workers, log: Log) -> list[RegionCount]:
    """Counts every record that has a place, for each reference sequence in header order.

    Args:
        bam: a sorted BAM with its index.
        workers: the processes to share the work.
        log: takes a line for the job's log.

    Raises:
        InputError: the BAM or its index is at fault, or they do not belong together.
        ReadCountError: counting failed for another reason.
    """
    header, contigs = read_files(bam)
    check_coverage(bam, header, contigs)
    cores = len(workers.processes)
    plan = plan_tasks([Region(contig) for contig in contigs], contigs, cores)
    log(f"{cores} cores; {plan}")

    start = time.monotonic()
    counted = workers.results(partial(run_task, bam), enumerate(plan.tasks))
    counts = merge_counts(plan, _log_tenths(counted, plan.tasks, log))
    records, seconds = sum(count.records for count in counts), time.monotonic() - start
    log(f"counted {records:,} records of {bam.path.name} in {seconds:,.1f} s")
    log(check_counts(bam, counts, contigs))
    return counts


def _log_tenths(
    counted: Iterable[TaskCounts], tasks: Sequence[Task], log: Log
) -> Iterator[TaskCounts]:
    """Passes counts on, with a line of log for each tenth of the records that has come in."""
    start = time.monotonic()
    expected = sum(task.records for task in tasks)
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
