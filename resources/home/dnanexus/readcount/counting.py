"""From a BAM with its index to counts that were checked: the steps in order."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from readcount.checks import check_counts, check_coverage, check_read_groups, not_held, read_files
from readcount.counts import Counts, TaskCounts, merge_counts
from readcount.inputs import IndexedBam
from readcount.plan import Task, plan_tasks
from readcount.pool import Workers
from readcount.samtools import run_task
from readcount.selection import EVERYTHING, Selection
from readcount.structure import check_structure
from readcount.targets import EVERYWHERE, Targets, list_regions

Log = Callable[[str], None]


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
    header, contigs = read_files(bam)
    lengths = {name: contig.length for name, contig in contigs.items()}
    regions = list_regions(targets, lengths)
    check_read_groups(bam, header, selection)
    check_coverage(bam, header, contigs)
    cores = len(workers.processes)
    plan = plan_tasks(regions, contigs, cores, unplaced=header.unplaced or 0)
    if not selection.everything:
        log(f"counting records: {selection}")
    log(f"{cores} cores; {plan}")

    start = time.monotonic()
    counted = workers.results(partial(run_task, bam, selection=selection), enumerate(plan.tasks))
    merged = merge_counts(plan, _log_tenths(counted, plan.tasks, log))
    records, seconds = sum(count.records for count in merged), time.monotonic() - start
    log(f"counted {records:,} records of {bam.path.name} in {seconds:,.1f} s")
    checks = check_counts(bam, merged, contigs, selection, header.unplaced)
    if untold := not_held(bam, merged, contigs, selection):
        checks.append(check_structure(bam, untold, contigs, workers))
    for agreed in checks:
        log(agreed)
    return Counts(merged, lengths, str(selection), str(targets), header.unplaced, tuple(checks))


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
