"""What to count in which samtools call, so that all cores end together."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from readcount.collector import without_collector
from readcount.formats.bam_index import INTERVAL, Entry
from readcount.planning.costs import DOWNLOADED, Costs
from readcount.planning.density import edges, expected_records, share_out
from readcount.request.region import LAST_POSITION, Region, fits_bed, fits_span
from readcount.source.contigs import Contig
from readcount.text import plural

# So much of a sequence goes into large tasks.
SHARE_IN_LARGE_TASKS = 0.75
# What is known of the unplaced records, which have no reference sequence: nothing.
NO_CONTIG = Contig(0)


@dataclass(frozen=True)
class Call:
    """One `samtools view -c`, or two for a window that is not the first; see count_window.

    Attributes:
        number: index of the region in the list of regions, from 0.
        region: what it counts, or counts a part of.
        records: how many are expected.
        seconds: what it is expected to cost.
        window: the part; None for all of the region. Only records that begin in a window belong
            to it, except for the first window, to which all records belong that overlap it.
        entry: where the index holds the sequence, if it is worth being read alone.
        edge: whether what begins before the window is counted by a call of its own; else an
            expression keeps it out.
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
        """How many samtools calls it takes that read the file."""
        return 2 if self.edge else 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """The only number."""
        return (self.number,)


@dataclass(frozen=True)
class Group:
    """Several whole sequences that are counted in one pass over their records.

    It goes to another process, so long lists are tuples of plain values.

    Attributes:
        numbers: indexes of the regions in the list of regions, from 0.
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
        """How many samtools calls it takes that read the file."""
        return 1


@dataclass(frozen=True)
class SpanGroup:
    """Several spans that are counted in one pass over the records that overlap any of them.

    Attributes:
        numbers: indexes of the regions in the list of regions, from 0.
        contigs: names of the reference sequences, one for each span.
        starts: of each span, 0-based.
        ends: of each span, the position after it.
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
        """How many samtools calls it takes that read the file."""
        return 1


Task = Call | Group | SpanGroup


@dataclass(frozen=True)
class Plan:
    """All tasks of a count.

    Attributes:
        regions: the list of regions that numbers refer to.
        tasks: most expensive first; each counts one region, or a part of it, or several.
        empty: numbers of the regions that hold no records, and that no task counts.
    """

    regions: Sequence[Region]
    tasks: tuple[Task, ...]
    empty: tuple[int, ...]

    def __str__(self) -> str:
        regions, calls = len(self.regions), sum(task.calls for task in self.tasks)
        return (
            f"{plural(regions, 'region')} ({regions - len(self.empty):,} with records), "
            f"{plural(calls, 'samtools call')}"
        )


@without_collector()
def plan_tasks(
    regions: Sequence[Region],
    contigs: Mapping[str, Contig],
    processes: int,
    *,
    unplaced: int = 0,
    seconds: float | None = None,
    shortest: int = INTERVAL,
    costs: Costs = DOWNLOADED,
) -> Plan:
    """Divides the work: each region is empty, or in one group, or has one or more calls.

    - A sequence that has no records by the index gets no call: a call costs 5 to 10 ms, and half
      of the 3,366 sequences in a usual GRCh38 header may be empty.
    - A sequence is large if its own `samtools view -c` costs less than its share of a group: that
      is above some 37,000 records with a GRCh38 header, but above a million with 200,000
      sequences, where a call takes 0.24 s to read header and index. 2,120 small ones cost 0.05 s
      in one group instead of 19 s in as many calls.
    - A large one that would take longer than a task should is cut into windows, by file offset,
      large ones first and small ones last. Without windows chr1 alone, a twelfth of a genome,
      would take as long as all the rest takes 12 cores. With windows that are all alike, cores
      would be idle at the end for up to as long as one takes.
    - A group is a run of neighbours. Two groups that alternate in the file cost 13 times as much
      as two halves, because each reads the blocks that the other one needs.
    - The most expensive task goes first, so that small ones fill up what is left at the end.

    Where neither the index nor the containers of a CRAM say how many records there are, the length
    is used instead, and there is no group: nothing would show whether it had seen all records.

    Spans are treated alike, except for their groups: to find which of the spans a record overlaps
    costs as much again as a call does for each record, so that a span of more than some 10,000
    records gets calls of its own. Spans in one INTERVAL of the index share the records
    that it is expected to hold.

    Args:
        regions: in any order, each a whole sequence, a span, or UNPLACED.
        contigs: what is known of each reference sequence, by name.
        processes: that tasks run on at a time.
        unplaced: records to expect without a position.
        seconds: that a large task should take at most; computed if None.
        shortest: bases that a window has at least, where only the length says where to cut.
        costs: of the file; see costs_for.
    """
    call = costs.call + costs.call_per_contig * len(contigs)
    records = _expected(regions, contigs, unplaced)
    least = 0.0
    if seconds is None:
        least = costs.calls_per_task * call
        seconds = max(costs.record * sum(records) / (processes * costs.large_tasks_per_core), least)
    few = max(seconds / costs.small_tasks_per_large, least)
    most_in_group = _most(call, seconds, costs.group_record, costs.record)
    most_in_span = _most(call, seconds, costs.span_record, costs.record)

    tasks: list[Task] = []
    small: list[int] = []
    spans: list[int] = []
    empty: list[int] = []
    for number, region in enumerate(regions):
        contig = contigs[region.contig] if region.placed else NO_CONTIG
        if contig.indexed.records == 0:
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
    """Returns the records with which a region is still better counted together with others."""
    most = seconds / record_together
    if record_together > record_alone:
        most = min(most, call / (record_together - record_alone))
    return most


def _expected(
    regions: Sequence[Region], contigs: Mapping[str, Contig], unplaced: int
) -> list[float]:
    """Returns the records to expect of each region."""
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
    """Whether a group can be checked for having seen all records of a region."""
    return region.whole and contig.indexed.estimate is not None and fits_bed(region.contig)


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
    """Returns the calls for a region, or for each window of it."""
    windows = bool(cuts) and region.placed and fits_span(region.contig)
    between = edges(contig, region, cuts, shortest) if windows else []
    if not between:
        return [
            Call(number, region, records, call + costs.record * records, entry=contig.indexed.entry)
        ]
    bounds = [(region.start, 0.0), *between, (region.end, 1.0)]
    calls: list[Task] = []
    for (start, share_before), (end, share) in pairwise(bounds):
        part = records * (share - share_before)
        # The first window has all records that overlap it.
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
                entry=contig.indexed.entry,
                edge=edge,
            )
        )
    return calls


def _cuts(cost: float, large: float, small: float) -> list[float]:
    """Returns the shares of a cost at which to cut it into large parts and then small ones."""
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
    """Returns a group of whole sequences, or calls if they are too few."""
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
        in_index=tuple(contigs[name].indexed.records for name in names),
        records=total,
        seconds=costs.calls_per_group * call
        + costs.group_region * len(names)
        + costs.group_record * total,
    )
    return [group]


def _reach(contig: Contig) -> int:
    reach = contig.indexed.reach
    return LAST_POSITION if reach is None else max(contig.length, reach)


def _span_group(
    numbers: Sequence[int],
    regions: Sequence[Region],
    contigs: Mapping[str, Contig],
    records: Sequence[float],
    call: float,
    costs: Costs,
) -> list[Task]:
    """Returns a group of spans, or nothing if there are none."""
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
