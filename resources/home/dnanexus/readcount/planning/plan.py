"""What to count in which samtools call, so that all cores end together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from readcount.collector import without_collector
from readcount.formats.bam_index import INTERVAL
from readcount.planning.costs import DOWNLOADED, Costs
from readcount.planning.density import edges, expected_records
from readcount.planning.task import Call, Group, Plan, Task
from readcount.request.region import LAST_POSITION, UNPLACED, Region, fits_bed, fits_span
from readcount.request.region_list import RegionList
from readcount.source.contigs import Contig

# So much of a sequence goes into large tasks.
SHARE_IN_LARGE_TASKS = 0.75
# What is known of the unplaced records, which have no reference sequence: nothing.
NO_CONTIG = Contig(0)


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
    records gets calls of its own; see planning.spans.

    Args:
        regions: in any order, each a whole sequence, a span, or UNPLACED.
        contigs: what is known of each reference sequence, by name.
        processes: that tasks run on at a time.
        unplaced: records to expect without a position.
        seconds: that a large task should take at most; computed if None.
        shortest: bases that a window has at least, where only the length says where to cut.
        costs: of the file; see costs_for.
    """
    regions = regions if isinstance(regions, RegionList) else RegionList(regions)
    call = costs.call + costs.call_per_contig * len(contigs)
    sizes = Sizes(processes, call, costs, seconds)
    records = _expected_in_whole(regions, contigs, unplaced)
    spans = None
    if len(records) < len(regions):
        # Here, as to load numpy takes 0.1 s, and only spans need it.
        from readcount.planning.spans import divide_spans, group_spans, spans_of

        spans = spans_of(regions, contigs)
    expected = sum(records.values()) + (spans.total if spans else 0.0)
    large = sizes.large(costs.record * expected)
    most = _most(call, large, costs.group_record, costs.record)
    empty, small, alone = _divide_whole(regions, contigs, records, most)

    tasks: list[Task] = []
    if spans:
        most = _most(call, large, costs.span_record, costs.record)
        without, together, others = divide_spans(spans, contigs, most)
        empty += without.numbers.tolist()
        alone += others.numbers.tolist()
        records |= others.expected()
        tasks += group_spans(together, list(contigs), call, costs, sizes.cuts)
    for number in alone:
        region = regions[number]
        contig = contigs[region.contig] if region.placed else NO_CONTIG
        cuts = sizes.cuts(costs.record * records[number], large)
        tasks += _calls(number, region, contig, records[number], call, cuts, shortest, costs)
    in_group = [costs.group_region + costs.group_record * records[number] for number in small]
    for run in _runs(small, in_group, sizes.small(large)):
        tasks += _group(run, regions, contigs, records, call, costs)
    tasks.sort(key=lambda task: task.seconds, reverse=True)
    return Plan(regions, tuple(tasks), tuple(empty))


@dataclass(frozen=True)
class Sizes:
    """What tasks should cost.

    Attributes:
        processes: that tasks run on at a time.
        call: cost of a samtools call that reads nothing.
        costs: of the file.
        seconds: that a large task should take at most; computed if None.
    """

    processes: int
    call: float
    costs: Costs
    seconds: float | None = None

    @property
    def least(self) -> float:
        """The minimum cost of a task."""
        return 0.0 if self.seconds is not None else self.costs.calls_per_task * self.call

    def large(self, cost: float) -> float:
        """Returns what a large task should cost where all cost so much."""
        if self.seconds is not None:
            return self.seconds
        return max(cost / (self.processes * self.costs.large_tasks_per_core), self.least)

    def small(self, large: float) -> float:
        """Returns what a small task should cost beside large ones."""
        return max(large / self.costs.small_tasks_per_large, self.least)

    def cuts(self, cost: float, large: float | None = None) -> list[float]:
        """Returns the shares of a cost at which to cut it into large parts and then small ones."""
        large = self.large(cost) if large is None else large
        if cost <= large:
            return []
        first = round(cost * SHARE_IN_LARGE_TASKS / large)
        rest = cost - first * large
        parts = max(1, ceil(rest / self.small(large)))
        return [
            *(number * large / cost for number in range(1, first + 1)),
            *(1 - rest * (parts - number) / parts / cost for number in range(1, parts)),
        ]


def _divide_whole(
    regions: RegionList,
    contigs: Mapping[str, Contig],
    records: Mapping[int, float],
    most_in_group: float,
) -> tuple[list[int], list[int], list[int]]:
    """Returns the whole sequences without records, those for groups in file order, and all others.

    Args:
        regions: all regions.
        contigs: what is known of each reference sequence, by name.
        records: to expect in each whole sequence and in UNPLACED, by the index of the region.
        most_in_group: records that a sequence of a group may have.
    """
    empty: list[int] = []
    small: list[int] = []
    others: list[int] = []
    for number, expected in records.items():
        name = regions.contig_of(number)
        contig = NO_CONTIG if name == UNPLACED.contig else contigs[name]
        if contig.indexed.records == 0:
            empty.append(number)
        elif _fits_group(name, contig) and expected < most_in_group:
            small.append(number)
        else:
            others.append(number)
    order = {name: number for number, name in enumerate(contigs)}
    small.sort(key=lambda number: order[regions.contig_of(number)])
    return empty, small, others


def _most(call: float, seconds: float, record_together: float, record_alone: float) -> float:
    """Returns the records with which a region is still better counted together with others."""
    most = seconds / record_together
    if record_together > record_alone:
        most = min(most, call / (record_together - record_alone))
    return most


def _expected_in_whole(
    regions: RegionList, contigs: Mapping[str, Contig], unplaced: int
) -> dict[int, float]:
    """Returns the records to expect of each whole sequence, and of UNPLACED, by its index."""
    expected = [
        float(unplaced) if contig == UNPLACED.contig else expected_records(contigs[contig])
        for contig in regions.contigs
    ]
    return {number: expected[regions.numbers[number]] for number in regions.whole}


def _fits_group(name: str, contig: Contig) -> bool:
    """Whether a group can be checked for having seen all records of a sequence of this name."""
    return contig.indexed.estimate is not None and fits_bed(name)


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
    regions: RegionList,
    contigs: Mapping[str, Contig],
    records: Mapping[int, float],
    call: float,
    costs: Costs,
) -> list[Task]:
    """Returns a group of whole sequences, or calls if they are too few."""
    names = tuple(map(regions.contig_of, numbers))
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
