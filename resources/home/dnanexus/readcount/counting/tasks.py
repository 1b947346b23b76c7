"""Counts tasks: the function that the Pool runs, and the calls that it makes."""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from readcount.counting.pool import Workers
from readcount.formats.bam_index import index_of_one
from readcount.planning.merge import TaskCounts
from readcount.planning.task import Call, Group, Plan, SpanGroup, Task
from readcount.request.filters import NO_FILTERS, Filters
from readcount.request.region import Region
from readcount.source.alignments import Log
from readcount.source.commands import bed_line, count_region, failure, selected, tally
from readcount.source.files import IndexedFile

# Sequences of a group that may have to be counted again, each by a call.
RECOUNTED = 100


def count_tasks(
    plan: Plan,
    numbers: Iterable[int],
    file: IndexedFile,
    filters: Filters,
    workers: Workers,
    log: Log,
) -> Iterator[TaskCounts]:
    """Counts the tasks of these numbers, on every core; yields what each counted as it comes.

    Args:
        plan: all tasks.
        numbers: which of them.
        file: the BAM or CRAM with its index.
        filters: which records count.
        workers: the Pool.
        log: takes a line for the job's log, for each tenth of the records and at the end.

    Raises:
        ReadCountError: as run_task, or WorkerDiedError.
    """
    start = time.monotonic()
    numbered = [(number, plan.tasks[number]) for number in numbers]
    counted = workers.results(partial(run_task, file, filters=filters), numbered)
    records = 0
    for counts in _log_tenths(counted, dict(numbered), log):
        records += sum(counts.records)
        yield counts
    log(f"counted {records:,} records in {time.monotonic() - start:,.1f} s")


def _log_tenths(
    counted: Iterable[TaskCounts], tasks: Mapping[int, Task], log: Log
) -> Iterator[TaskCounts]:
    """Passes counts on, with a line of log for each tenth of the records."""
    start = time.monotonic()
    expected = sum(task.records for task in tasks.values())
    done, records, logged = 0.0, 0, 0
    for counts in counted:
        done += tasks[counts.task].records
        records += sum(counts.records)
        # The 1e-9 is for sums of parts that fall short of the whole in the last digit.
        tenths = int(10 * done / expected + 1e-9) if expected else 0
        if tenths > logged:
            logged = tenths
            rate = records / max(time.monotonic() - start, 1e-9)
            log(f"{10 * tenths} %: {records:,} records counted, {rate:,.0f} per second")
        yield counts


def run_task(
    file: IndexedFile, numbered: tuple[int, Task], filters: Filters = NO_FILTERS
) -> TaskCounts:
    """Counts the records of the task's regions, or of the window that the task is.

    Without filters every record counts, secondary, supplementary, duplicate and placed unmapped
    ones too. A region gets what `samtools view -c` returns for it: that leaves out records at
    position 0 that do not reach position 1.

    Args:
        file: the BAM or CRAM with its index.
        numbered: the task, with its number in the plan.
        filters: which records count.

    Raises:
        InputError: samtools failed, complained or returned no number.
        SamtoolsKilledError: samtools was killed, crashed, or had not enough memory.
        NetworkError: the file is streamed, and cannot be reached.
        MissingToolError: there is no samtools.
    """
    number, task = numbered
    return TaskCounts(number, file.data.with_retries(partial(_count_task, file, task, filters)))


def _count_task(file: IndexedFile, task: Task, filters: Filters) -> Sequence[int]:
    """Returns a number for each region of the task; raises as run_task does."""
    if isinstance(task, Group):
        return tuple(count_group(file, task, filters))
    if isinstance(task, SpanGroup):
        return count_spans(file, task, filters)
    with _with_own_index(file, task) as alone:
        return (count_window(alone, task, filters),)


def count_window(file: IndexedFile, call: Call, filters: Filters = NO_FILTERS) -> int:
    """Counts the records of a region that begin in a window of it, raising as run_task does.

    The region's first window also has those that only overlap its beginning. For the others, what
    overlaps the position before the window is counted by a call of its own and taken off, which
    reads little; or an expression keeps it out, which costs a sixth of the time for each record.
    """
    window = call.window or call.region
    start = window.start
    if start is None or start == call.region.start:
        return count_region(file, window, filters)
    if not call.edge:
        # To samtools the first position is 1.
        return count_region(file, window, filters, f"pos > {start}")
    # A record that overlaps the window and the position before it began before the window.
    before = count_region(file, Region(window.contig, start - 1, start), filters)
    return count_region(file, Region(window.contig, start - 1, window.end), filters) - before


def count_group(file: IndexedFile, group: Group, filters: Filters = NO_FILTERS) -> list[int]:
    """Counts the records of each sequence of a group, all in one pass.

    A line of a BED file makes samtools look up every bin of the index up to its end: 2 ms and
    1 MB for each line if that is the last position possible. So a line ends where the index says
    that no record reaches. If every record counts, a sequence whose count is not that of the index
    (it has records at position 0) is counted again by a call of its own. If that would be many,
    the index does not match the file.

    Raises:
        InputError: more than RECOUNTED sequences differ from the index, or as run_task.
    """
    bed = "".join(
        bed_line(contig, 0, reach)
        for contig, reach in zip(group.contigs, group.reaches, strict=True)
    )
    doing = f"counting {group.contigs[0]} to {group.contigs[-1]} of"
    records = tally(file, doing, ["-M", "-L", "-"], bed, filters)
    counts = [records.get(contig, 0) for contig in group.contigs]
    if not filters.none:
        return counts
    recounted = 0
    for at, (contig, in_index) in enumerate(zip(group.contigs, group.in_index, strict=True)):
        if in_index is not None and counts[at] != in_index:
            recounted += 1
            if recounted > RECOUNTED:
                raise file.disagreement(contig, counts[at], in_index)
            counts[at] = count_region(file, Region(contig))
    return counts


def count_spans(
    file: IndexedFile, group: SpanGroup, filters: Filters = NO_FILTERS
) -> Sequence[int]:
    """Counts the records that overlap each span of a group, all in one pass.

    One call returns the records on the lines of the group, each once. Raises as run_task does.
    """
    # Here, as to load numpy takes 0.1 s, and only spans need it.
    import numpy as np

    from readcount.counting.overlaps import count_overlaps
    from readcount.formats.bam_stream import read_positions

    lines = [(group.contigs[on], start, end) for on, start, end in group.lines]
    bed = "".join(bed_line(*line) for line in lines)
    doing = f"counting {Region(*lines[0])} to {Region(*lines[-1])} of"
    with selected(file, doing, ["-M", "-L", "-"], bed, filters) as stream:
        try:
            names, records = read_positions(stream)
            numbers = {name: number for number, name in enumerate(names)}
            contigs = np.array([numbers[contig] for contig in group.contigs])
            on = contigs[np.array(group.on)]
            return count_overlaps(records, on, group.starts, group.ends)
        except (OSError, ValueError, LookupError) as error:
            raise failure(file, doing, ["samtools", "view"], 0, str(error)) from error


@contextmanager
def _with_own_index(file: IndexedFile, call: Call) -> Iterator[IndexedFile]:
    """Yields the file with an index that has only the call's sequence, if there is such an entry.

    To load the whole index takes more than half of the 9 ms that a call costs before it reads a
    record, and of the 27 ms with the index of a 30x genome.
    """
    if call.entry is None:
        yield file
        return
    with tempfile.NamedTemporaryFile(suffix=".bai") as alone:
        alone.write(index_of_one(file.index, call.entry))
        alone.flush()
        yield replace(file, index=Path(alone.name))
