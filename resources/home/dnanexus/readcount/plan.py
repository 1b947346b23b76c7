"""What to count in which samtools call, so that all cores end together.

Costs are seconds of one core of 2020s hardware for 150-base reads, measured with samtools 1.16.
Only their ratios matter: they decide what shares a call and what is cut, never what is counted.
`make bench` measures them anew.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapreplace
from itertools import pairwise
from math import ceil, inf

from readcount.density import edges, expected_records, share_out, told_records
from readcount.index import INTERVAL, Entry
from readcount.regions import LAST_POSITION, Contig, Region, fits_bed, fits_span


@dataclass(frozen=True)
class Costs:
    """What counting takes, and how fine to cut it.

    Attributes:
        call: to start samtools, and to read the header and the index.
        call_per_contig: what they grow by with each sequence.
        record: of `samtools view -c`.
        window_record: of `samtools view -c` with an expression that keeps out what overlaps a
            window over its edge. Where a call costs less than that, what reaches in is counted by
            itself; see samtools.count_window.
        group_record: of a group, which a second process tallies.
        group_region: each sequence of a group.
        span_record: of a group of spans, whose ends Python looks up.
        span: each span of such a group.
        calls_per_group: a group takes two processes that both read the header.
        large_tasks_per_core: a large task is a core's work for one part of so many of the time.
        small_tasks_per_large: a small one, with which the others fill up what is left at the end,
            is one part of so many of that.
        calls_per_task: what a task has to cost at least, in calls that read nothing, to be worth a
            call of its own.
    """

    call: float
    call_per_contig: float
    record: float
    window_record: float
    group_record: float
    group_region: float
    span_record: float
    span: float
    calls_per_group: int
    large_tasks_per_core: float
    small_tasks_per_large: float
    calls_per_task: float


# By the schedules that `make bench` prints a 30x genome on 96 cores takes 1.09 times total / cores
# with large tasks and small ones, and 1.21 times with tasks that are all alike.
ON_DISK = Costs(
    call=5e-3,
    call_per_contig=1.2e-6,
    record=0.39e-6,
    window_record=0.46e-6,
    group_record=0.63e-6,
    group_region=1e-6,
    span_record=1.3e-6,
    span=2e-5,
    calls_per_group=2,
    large_tasks_per_core=2,
    small_tasks_per_large=6,
    calls_per_task=2,
)
# Processes that each read over a connection of their own, for each core: one that only waits for
# the network leaves the core to another.
STREAMS_PER_CORE = 4
# Over a connection of 50 MB/s. A call takes four requests, one after the other, and a megabyte that
# it does not need: what is on its way when samtools, which has read the header, goes elsewhere. A
# call's records cost what the network takes. Where a core takes longer than a STREAMS_PER_CORE-th
# of that, as for the records of groups (0.7 us with reading from a connection) and spans (1.3 us),
# so many connections wait for it. An expression is cheap beside a megabyte: only above two million
# records an edge has a call of its own.
IN_PLACE = Costs(
    call=0.1,
    call_per_contig=5e-6,
    record=1.8e-6,
    window_record=1.86e-6,
    group_record=2.8e-6,
    group_region=4e-6,
    span_record=5.2e-6,
    span=8e-5,
    calls_per_group=1,
    large_tasks_per_core=2,
    small_tasks_per_large=2,
    calls_per_task=6,
)
# The size of a record for which these are the costs, in bytes of the BAM.
RECORD_BYTES = 90
# What the largest shard may cost, in shards that are all alike; bytes and seconds, which differ
# from what was expected, come to somewhat more.
MOST_IN_SHARD = 1.05
# So much of a sequence goes into large tasks.
SHARE_IN_LARGE_TASKS = 0.75
# Of what is no reference sequence nothing is known.
UNKNOWN = Contig(0)


@dataclass(frozen=True)
class Call:
    """One `samtools view -c`, or two for a window that is not the first; see count_window.

    Attributes:
        number: place of the region in the list of regions, from 0.
        region: what it counts, or counts a part of.
        records: how many are expected.
        seconds: what it is expected to cost.
        window: the part; None for all of the region. Only records that begin in a window belong
            to it, but for the first one, to which all belong that reach into it.
        entry: where the index has the sequence, if it is worth being read alone.
        edge: whether a call of its own counts what reaches into the window over its edge, which
            is kept out by an expression if not.
    """

    number: int
    region: Region
    records: float
    seconds: float
    window: Region | None = None
    entry: Entry | None = None
    edge: bool = False

    @property
    def calls(self) -> int:
        """How many calls it takes that read the BAM."""
        return 2 if self.edge else 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """The only number."""
        return (self.number,)


@dataclass(frozen=True)
class Group:
    """Several whole sequences that are counted in one pass over their records.

    It goes to another process, so what there can be much of is in tuples of plain values.

    Attributes:
        numbers: places of the regions in the list of regions, from 0.
        contigs: their names; neighbours in the file, as far as they have records at all.
        reaches: a position that no record of the sequence reaches, for each.
        in_index: the records that the index has for each; None where it does not say.
        records: how many are expected in all.
        seconds: what it is expected to cost.
    """

    numbers: tuple[int, ...]
    contigs: tuple[str, ...]
    reaches: tuple[int, ...]
    in_index: tuple[int | None, ...]
    records: float
    seconds: float

    @property
    def calls(self) -> int:
        """How many calls it takes that read the BAM."""
        return 1


@dataclass(frozen=True)
class SpanGroup:
    """Several spans that are counted in one pass over the records that lie in any of them.

    Attributes:
        numbers: places of the regions in the list of regions, from 0.
        contigs: names of the reference sequences, one for each span.
        starts: of each span, 0-based.
        ends: of each span, the position behind it.
        records: how many are expected in all.
        seconds: what it is expected to cost.
    """

    numbers: tuple[int, ...]
    contigs: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    records: float
    seconds: float

    @property
    def calls(self) -> int:
        """How many calls it takes that read the BAM."""
        return 1


Task = Call | Group | SpanGroup


@dataclass(frozen=True)
class Plan:
    """All that there is to do.

    Attributes:
        regions: the list of regions that numbers refer to.
        tasks: most expensive first; each counts one region, or a part of it, or several.
        empty: numbers of the regions that hold no records, and that no task counts.
    """

    regions: Sequence[Region]
    tasks: tuple[Task, ...]
    empty: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"{len(self.regions):,} regions, "
            f"{len(self.regions) - len(self.empty):,} with records; "
            f"{sum(task.calls for task in self.tasks):,} samtools calls"
        )


def costs_for(costs: Costs, record_bytes: float) -> Costs:
    """Gives the costs of records of another size.

    To read and inflate a long read of 10 kB takes a hundred times as long as a short one, and so
    does passing it on to another process; to look at its flags or to look it up does not.
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


def without_expressions(costs: Costs) -> Costs:
    """Returns the costs for a CRAM, of which no call has an expression; see count_region."""
    return replace(costs, window_record=inf)


def plan_tasks(
    regions: Sequence[Region],
    contigs: Mapping[str, Contig],
    cores: int,
    *,
    unplaced: int = 0,
    seconds: float | None = None,
    shortest: int = INTERVAL,
    costs: Costs = ON_DISK,
) -> Plan:
    """Divides the work: each region is empty, or in one group, or has one or more calls.

    - A sequence that has no records by the index is not looked at: a call costs 5 to 10 ms, and
      half of the 3,366 sequences in a usual GRCh38 header may be empty.
    - A sequence is large if its own `samtools view -c` costs less than its share of a group: that
      is above some 37,000 records with a GRCh38 header, but above a million with 200,000
      sequences, where a call takes 0.24 s to read header and index. 2,120 small ones cost 0.05 s
      in one group instead of 19 s in as many calls.
    - A large one that would take longer than a task should is cut into windows, by their place
      in the file, large ones first and small ones last. Without windows chr1 alone, a twelfth of
      a genome, would take as long as all the rest takes 12 cores. Windows that are all alike
      would leave cores idle at the end for up to as long as one takes.
    - A group is a run of neighbours. Two groups that take turns in the file cost 13 times as much
      as two halves, because each reads the blocks that the other one needs.
    - The most expensive task goes first, so that small ones fill up what is left at the end.

    Where neither the index nor the containers of a CRAM say how many records there are, the length
    stands for them, and there is no group: nothing would tell whether it had seen all records.

    Spans are treated alike, but for their groups: to find in Python which of the spans a record
    reaches into costs three times as much as a call does for each record, so that a span of above
    some 10,000 records gets calls of its own. Spans that share an INTERVAL of the index share
    what it is expected to hold.

    Args:
        regions: in any order, each a whole sequence, a span, or UNPLACED.
        contigs: what is known of each, by name.
        cores: that tasks run on at a time.
        unplaced: records to expect without a place.
        seconds: that a large task should take at most; worked out if None.
        shortest: bases that a window has at least, where only the length says where to cut.
        costs: of files on disk, or of those that are read in place.
    """
    call = costs.call + costs.call_per_contig * len(contigs)
    records = _expected(regions, contigs, unplaced)
    least = 0.0
    if seconds is None:
        least = costs.calls_per_task * call
        seconds = max(costs.record * sum(records) / (cores * costs.large_tasks_per_core), least)
    few = max(seconds / costs.small_tasks_per_large, least)
    most_in_group = _most(call, seconds, costs.group_record, costs.record)
    most_in_span = _most(call, seconds, costs.span_record, costs.record)

    tasks: list[Task] = []
    small: list[int] = []
    spans: list[int] = []
    empty: list[int] = []
    for number, region in enumerate(regions):
        contig = contigs[region.contig] if region.placed else UNKNOWN
        if contig.records == 0:
            empty.append(number)
        elif _fits_group(region, contig) and records[number] < most_in_group:
            small.append(number)
        elif _fits_span_group(region) and records[number] < most_in_span:
            spans.append(number)
        else:
            cuts = _cuts(costs.record * records[number], seconds, few)
            tasks += _calls(number, region, contig, records[number], call, cuts, shortest, costs)

    order = {name: number for number, name in enumerate(contigs)}
    small.sort(key=lambda number: order[regions[number].contig])
    spans.sort(key=lambda number: (order[regions[number].contig], regions[number].start or 0))
    in_group = [costs.group_region + costs.group_record * records[number] for number in small]
    in_span = [costs.span + costs.span_record * records[number] for number in spans]
    for run in _runs(small, in_group, few):
        tasks += _group(run, regions, contigs, records, call, costs)
    for run in _runs(spans, in_span, few):
        tasks += _span_group(run, regions, contigs, records, call, costs)
    tasks.sort(key=lambda task: task.seconds, reverse=True)
    return Plan(regions, tuple(tasks), tuple(empty))


def _most(call: float, seconds: float, record_together: float, record_alone: float) -> float:
    """Gives the records with which a region is still better counted together with others."""
    most = seconds / record_together
    if record_together > record_alone:
        most = min(most, call / (record_together - record_alone))
    return most


def _expected(
    regions: Sequence[Region], contigs: Mapping[str, Contig], unplaced: int
) -> list[float]:
    """Gives the records to expect of each region."""
    records = [
        expected_records(contigs[region.contig]) if region.placed else float(unplaced)
        for region in regions
    ]
    spans: dict[str, list[int]] = defaultdict(list)
    for number, region in enumerate(regions):
        if region.placed and not region.whole:
            spans[region.contig].append(number)
    for contig, numbers in spans.items():
        shares = share_out(contigs[contig], [regions[number] for number in numbers])
        for number, share in zip(numbers, shares, strict=True):
            records[number] = share
    return records


def _fits_group(region: Region, contig: Contig) -> bool:
    """Whether a group can tell whether it has seen all records of a region."""
    return region.whole and told_records(contig) is not None and fits_bed(region.contig)


def _fits_span_group(region: Region) -> bool:
    # A span without an end would need a line of a BED file that has one.
    return region.end is not None and fits_bed(region.contig)


def _calls(
    number: int,
    region: Region,
    contig: Contig,
    records: float,
    call: float,
    cuts: Sequence[float],
    shortest: int,
    costs: Costs,
) -> list[Task]:
    """Gives the calls for a region, or for each window of it."""
    windows = bool(cuts) and region.placed and fits_span(region.contig)
    between = edges(contig, region, cuts, shortest) if windows else []
    if not between:
        return [Call(number, region, records, call + costs.record * records, entry=contig.entry)]
    bounds = [(region.start, 0.0), *between, (region.end, 1.0)]
    calls: list[Task] = []
    for (start, share_before), (end, share) in pairwise(bounds):
        part = records * (share - share_before)
        # The first window has all that reaches into it.
        cost, edge = call + costs.record * part, False
        if calls:
            cost, edge = min((call + costs.window_record * part, False), (call + cost, True))
        calls.append(
            Call(
                number,
                region,
                records=part,
                seconds=cost,
                window=Region(region.contig, start, end),
                entry=contig.entry,
                edge=edge,
            )
        )
    return calls


def _cuts(cost: float, large: float, small: float) -> list[float]:
    """Gives the shares of a cost at which to cut it into large parts and then small ones."""
    if cost <= large:
        return []
    first = round(cost * SHARE_IN_LARGE_TASKS / large)
    rest = cost - first * large
    parts = max(1, ceil(rest / small))
    return [
        *(number * large / cost for number in range(1, first + 1)),
        *(1 - rest * (parts - number) / parts / cost for number in range(1, parts)),
    ]


def _runs(
    numbers: Sequence[int], costs: Sequence[float], seconds: float
) -> Iterator[Sequence[int]]:
    """Cuts a list into runs that cost about the same, about seconds at most."""
    total = sum(costs)
    most = total / max(1, ceil(total / seconds))
    first, runs, spent = 0, 0, 0.0
    for end, cost in enumerate(costs, start=1):
        spent += cost
        if spent >= most * (runs + 1):
            yield numbers[first:end]
            first, runs = end, runs + 1
    yield numbers[first:]


def _group(
    numbers: Sequence[int],
    regions: Sequence[Region],
    contigs: Mapping[str, Contig],
    records: Sequence[float],
    call: float,
    costs: Costs,
) -> list[Task]:
    """Gives a group of whole sequences, or calls if they are too few."""
    names = tuple(regions[number].contig for number in numbers)
    if len(numbers) <= costs.calls_per_group:
        return [
            task
            for number, name in zip(numbers, names, strict=True)
            for task in _calls(
                number, regions[number], contigs[name], records[number], call, [], 0, costs
            )
        ]
    total = sum(records[number] for number in numbers)
    group = Group(
        numbers=tuple(numbers),
        contigs=names,
        reaches=tuple(_reach(contigs[name]) for name in names),
        in_index=tuple(contigs[name].records for name in names),
        records=total,
        seconds=costs.calls_per_group * call
        + costs.group_region * len(names)
        + costs.group_record * total,
    )
    return [group]


def _reach(contig: Contig) -> int:
    return LAST_POSITION if contig.reach is None else max(contig.length, contig.reach)


def _span_group(
    numbers: Sequence[int],
    regions: Sequence[Region],
    contigs: Mapping[str, Contig],
    records: Sequence[float],
    call: float,
    costs: Costs,
) -> list[Task]:
    """Gives a group of spans, or nothing if there are none."""
    if not numbers:
        return []
    spans = [regions[number] for number in numbers]
    total = sum(records[number] for number in numbers)
    group = SpanGroup(
        numbers=tuple(numbers),
        contigs=tuple(span.contig for span in spans),
        starts=tuple(span.start or 0 for span in spans),
        ends=tuple(span.end or 0 for span in spans),
        records=total,
        seconds=call + costs.span * len(spans) + costs.span_record * total,
    )
    return [group]


def divide(tasks: Sequence[Task], shards: int) -> list[tuple[int, ...]]:
    """Gives the numbers of the tasks for each shard; shards cost about the same.

    There are as many shards as are wanted, or fewer: one more that has little to do would not let
    the largest one end any earlier.
    """
    for number in range(min(shards, len(tasks)), 0, -1):
        shares, most = _divide(tasks, number)
        if most * number <= MOST_IN_SHARD * sum(task.seconds for task in tasks):
            return shares
    return []


def _divide(tasks: Sequence[Task], shards: int) -> tuple[list[tuple[int, ...]], float]:
    """Gives each task, most expensive first, to the shard that has least to do.

    Returns:
        The numbers of the tasks for each shard, and what the largest shard costs.
    """
    shares: list[list[int]] = [[] for _ in range(shards)]
    spent = [(0.0, number) for number in range(shards)]
    for number, task in enumerate(tasks):
        seconds, share = spent[0]
        shares[share].append(number)
        heapreplace(spent, (seconds + task.seconds, share))
    return [tuple(share) for share in shares], max(spent)[0]
