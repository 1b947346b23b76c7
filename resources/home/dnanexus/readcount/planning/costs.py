"""What counting costs, so that tasks can be made that cost about the same.

Costs are seconds of one core of 2020s hardware for 150-base reads, measured with samtools 1.16.
Only their ratios matter: they decide what shares a call and what is cut, never what is counted.
`make bench` measures them anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

from readcount.planning.density import expected_records
from readcount.source.contigs import Access, Contig


@dataclass(frozen=True)
class Costs:
    """What counting takes, and how fine to cut it.

    Attributes:
        call: to start samtools, and to read the header and the index.
        call_per_contig: what they grow by with each sequence.
        record: of `samtools view -c`.
        window_record: of `samtools view -c` with an expression that keeps out what begins before
            a window. Where a call costs less than that, what begins before is counted by itself;
            see counting.tasks.count_window. Infinite where no expression may be used.
        group_record: of a group, which a second process tallies.
        group_region: each sequence of a group.
        span_record: of a group of spans, which numpy looks up.
        span: each span of such a group.
        gap: each gap between spans that samtools skips.
        calls_per_group: a group takes two processes that both read the header.
        large_tasks_per_core: a core's share of the time is that of so many large tasks.
        small_tasks_per_large: a large task takes the time of so many small ones, which fill up
            what is left at the end.
        calls_per_task: minimum cost of a task, in calls that read nothing.
    """

    call: float
    call_per_contig: float
    record: float
    window_record: float
    group_record: float
    group_region: float
    span_record: float
    span: float
    gap: float
    calls_per_group: int
    large_tasks_per_core: float
    small_tasks_per_large: float
    calls_per_task: float


# By the schedules that `make bench` prints a 30x genome on 96 cores takes 1.09 times total / cores
# with large tasks and small ones, and 1.21 times with tasks that are all alike.
DOWNLOADED = Costs(
    call=5e-3,
    call_per_contig=1.2e-6,
    record=0.39e-6,
    window_record=0.46e-6,
    group_record=0.63e-6,
    group_region=1e-6,
    span_record=0.83e-6,
    span=1e-6,
    gap=2e-5,
    calls_per_group=2,
    large_tasks_per_core=2,
    small_tasks_per_large=6,
    calls_per_task=2,
)
# Over a connection of 50 MB/s. A call takes four requests, one after the other, and a megabyte that
# it does not need: what is in transfer when samtools, which has read the header, goes elsewhere. A
# call's records cost what the network takes. Four connections share a core: where a core takes
# longer than a fourth of that, as for the records of groups (0.7 us with reading from a connection)
# and spans (0.8 us), they wait for it. An expression is cheap beside a megabyte: only above two
# million records an edge has a call of its own.
STREAMED = Costs(
    call=0.1,
    call_per_contig=5e-6,
    record=1.8e-6,
    window_record=1.86e-6,
    group_record=2.8e-6,
    group_region=4e-6,
    span_record=3.3e-6,
    span=4e-6,
    gap=8e-5,
    calls_per_group=1,
    large_tasks_per_core=2,
    small_tasks_per_large=2,
    calls_per_task=6,
)
# The size of a record for which these are the costs, in bytes of the BAM.
RECORD_BYTES = 90


def costs_for(access: Access, contigs: Mapping[str, Contig], unplaced: int = 0) -> Costs:
    """Returns the costs of a file.

    Args:
        access: how its records are read.
        contigs: what is known of each reference sequence, by name.
        unplaced: records to expect without a position.
    """
    costs = STREAMED if access.streamed else DOWNLOADED
    if not access.expressions:
        costs = replace(costs, window_record=inf)
    records = sum(map(expected_records, contigs.values())) + unplaced
    if records and access.bytes is not None:
        costs = costs_of_size(costs, access.bytes / records)
    return costs


def costs_of_size(costs: Costs, record_bytes: float) -> Costs:
    """Returns the costs of records of another size.

    To read and decompress a long read of 10 kB takes a hundred times as long as a short one, and
    so does passing it on to another process; to check its flags or to look it up does not.
    """
    times = record_bytes / RECORD_BYTES
    more = costs.record * (times - 1)
    return replace(
        costs,
        record=costs.record + more,
        window_record=costs.window_record + more,
        group_record=costs.group_record * times,
        span_record=costs.span_record + more,
    )
