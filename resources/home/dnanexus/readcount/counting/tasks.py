"""Counts tasks: the function run by the Pool, and its samtools calls."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from readcount.counting.decoding import decoding
from readcount.counting.overlaps import count_overlaps, in_order, tallied, within_extents
from readcount.counting.pool import Workers
from readcount.formats.bam_stream import read_positions
from readcount.planning.task import Pass, Plan, Task
from readcount.regions.counts import TaskCounts
from readcount.request.filters import NO_FILTERS, Filters
from readcount.source.commands import failure
from readcount.source.header import record_of
from readcount.source.parts import Extent, NotOnlySpanError, Parts
from readcount.text import Log


def count_tasks(
    plan: Plan,
    numbers: Iterable[int],
    parts: Parts,
    filters: Filters,
    workers: Workers,
    log: Log,
) -> Iterator[TaskCounts]:
    """Counts tasks using all cores; yields the counts of each task in order of completion.

    Args:
        plan: the plan with all tasks.
        numbers: indexes of the tasks to count.
        parts: the input file.
        filters: which records to count.
        workers: the Pool.
        log: writes a line to the job's log after each tenth of the bytes and at the end.

    Raises:
        ReadCountError: as for run_task, or WorkerDiedError.
    """
    start = time.monotonic()
    tasks = {number: plan.tasks[number] for number in numbers}
    total = sum(task.bytes for task in tasks.values())
    done, records, logged = 0, 0, 0
    warnings: set[str] = set()
    for counts in workers.results(partial(run_task, parts, filters=filters), tasks.items()):
        done += tasks[counts.task].bytes
        records += int(np.sum(counts.records))
        tenths = 10 * done // total
        if tenths > logged:
            logged = tenths
            rate = records / max(time.monotonic() - start, 1e-9)
            log(f"{10 * tenths}%: {records:,} records counted, {rate:,.0f} per second")
        for warning in set(counts.warnings) - warnings:
            log(warning)
        warnings.update(counts.warnings)
        yield counts
    log(f"counted {records:,} records in {time.monotonic() - start:,.1f} s")


def run_task(parts: Parts, numbered: tuple[int, Task], filters: Filters = NO_FILTERS) -> TaskCounts:
    """Counts the records in the task's parts of the file that overlap its regions.

    Without filters every record counts, including secondary, supplementary, duplicate and placed
    unmapped ones. The count of a whole sequence equals `samtools view -c` with its name as the
    region: records with an RNAME but no POS are counted only if they overlap the first base.

    Args:
        parts: the input file.
        numbered: the task's index in the plan, and the task.
        filters: which records to count.

    Raises:
        InputError: samtools failed or reported an error, or the file does not match its index.
        SamtoolsKilledError: samtools was killed, crashed, or ran out of memory.
        NetworkError: a streamed file cannot be read over the network.
    """
    number, task = numbered
    return parts.file.mappings.with_retries(partial(_count, parts, number, task, filters))


def _count(parts: Parts, number: int, task: Task, filters: Filters) -> TaskCounts:
    if task.only and (parts.can_count_read_groups or not filters.read_groups):
        try:
            return count_all(parts, number, task, filters)
        except NotOnlySpanError:
            # A record starts outside the span, or has no position: decode the position of each.
            pass
    return count_overlapping(parts, number, task, filters)


def count_all(parts: Parts, number: int, task: Task, filters: Filters) -> TaskCounts:
    """Counts all records in the task's parts with one `samtools view -c`; raises as run_task.

    Raises:
        NotOnlySpanError: some records may start outside the task's span.
    """
    assert task.only
    with decoding(parts, task, ["-c"], task.only, filters) as view:
        answer = view.stdout.read().decode().strip()
    if not answer.isdecimal():
        raise failure(parts.file, f"counting {task.label} of", ["samtools", "view"], 0, answer)
    records = int(answer)
    _check_number(parts, task, records, view.sent, filters)
    decoded = {task.only.tid: records} if filters.is_empty else None
    return TaskCounts(number, [records] * len(task.region_ids), decoded, view.warnings)


def count_overlapping(parts: Parts, number: int, task: Task, filters: Filters) -> TaskCounts:
    """Counts the records that overlap each region of the task; raises as run_task.

    One `samtools view` decodes all records of the parts, each once.
    """
    decoded: Counter[int] = Counter()
    with decoding(parts, task, ["-u", "--no-PG"], None, filters) as view:
        try:
            records = read_positions(view.stdout)
            if filters.is_empty:
                records = within_extents(records, view.sent)
            if task.why is Pass.SPANS and parts.require_order:
                records = in_order(records)
            counts = count_overlaps(tallied(records, decoded), *task.spans)
        except (OSError, ValueError, LookupError) as error:
            doing = f"counting {task.label} of"
            raise failure(parts.file, doing, ["samtools", "view"], 0, str(error)) from error
    _check_number(parts, task, decoded.total(), view.sent, filters)
    if unexpected := decoded.keys() - set(task.expected):
        found = record_of(parts.header, min(unexpected))
        raise parts.file.mismatch(f"the file has {found} where the index has none")
    return TaskCounts(number, counts, decoded if filters.is_empty else None, view.warnings)


def _check_number(
    parts: Parts, task: Task, records: int, sent: Sequence[Extent], filters: Filters
) -> None:
    """Raises InputError if samtools read more or fewer records than were sent."""
    there = sum(extent.records for extent in sent)
    if sent and (records > there or (filters.is_empty and records < there)):
        raise parts.file.disagreement(task.label, records, there, "containers list")
