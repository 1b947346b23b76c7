"""What to count in which samtools call, so that all cores end together.

Costs are seconds of one core of 2020s hardware for 150-base reads, measured with samtools 1.16.
Only their ratios matter: they decide what shares a call and what is cut, never what is counted.
`make bench` measures them anew.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from readcount.density import edges, expected_records, share_out, told_records
from readcount.index import INTERVAL, Entry
from readcount.regions import LAST_POSITION, Contig, Region, fits_bed, fits_span

# To start samtools, and to read the header and the index, which grow with the sequences.
CALL = 5e-3
CALL_PER_CONTIG = 1.2e-6
# `samtools view -c`.
RECORD = 0.39e-6
# A window takes two calls, but for the first of a sequence; see samtools.count_window.
CALLS_PER_WINDOW = 2
# Records and sequences of a group, which a second process tallies.
GROUP_RECORD = 0.63e-6
GROUP_REGION = 1e-6
# Records and spans of a group of spans, whose ends Python looks up.
SPAN_RECORD = 1.3e-6
SPAN = 2e-5
# A group takes two processes that both read the header.
CALLS_PER_GROUP = 2
# A large task is a core's work for half of the time; a small one, with which the others fill up
# what is left at the end, is a sixth of that. So much of a sequence goes into large ones. By the
# schedules that `make bench` prints a 30x genome on 96 cores then takes 1.09 times total / cores,
# and with tasks that are all alike 1.21 times.
LARGE_TASKS_PER_CORE = 2
SMALL_TASKS_PER_LARGE = 6
SHARE_IN_LARGE_TASKS = 0.75
# Of what is no reference sequence nothing is known.
UNKNOWN = Contig(0)
# What a task has to cost at least, in calls that read nothing, to be worth a call of its own.
CALLS_PER_TASK = 2


@dataclass(frozen=True)
class Call:
    """One `samtools view -c`, or two for a window that is not the first.

    Attributes:
        number: place of the region in the list of regions, from 0.
        region: what it counts, or counts a part of.
        records: how many are expected.
        seconds: what it is expected to cost.
        window: the part; None for all of the region. Only records that begin in a window belong
            to it, but for the first one, to which all belong that reach into it.
        entry: where the index has the sequence, if it is worth being read alone.
    """

    number: int
    region: Region
    records: float
    seconds: float
    window: Region | None = None
    entry: Entry | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The only number."""
        return (self.number,)

    @property
    def calls(self) -> int:
        """How many calls it takes."""
        first = self.window is None or self.window.start == self.region.start
        return 1 if first else CALLS_PER_WINDOW


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


def plan_tasks(
    regions: Sequence[Region],
    contigs: Mapping[str, Contig],
    cores: int,
    *,
    unplaced: int = 0,
    seconds: float | None = None,
    shortest: int = INTERVAL,
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
    """
    call = CALL + CALL_PER_CONTIG * len(contigs)
    records = _expected(regions, contigs, unplaced)
    least = 0.0
    if seconds is None:
        least = CALLS_PER_TASK * call
        seconds = max(RECORD * sum(records) / (cores * LARGE_TASKS_PER_CORE), least)
    few = max(seconds / SMALL_TASKS_PER_LARGE, least)
    most_in_group = min(call / (GROUP_RECORD - RECORD), seconds / GROUP_RECORD)
    most_in_span = min(call / (SPAN_RECORD - RECORD), seconds / SPAN_RECORD)

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
            cuts = _cuts(RECORD * records[number], seconds, few)
            tasks += _calls(number, region, contig, records[number], call, cuts, shortest)

    order = {name: number for number, name in enumerate(contigs)}
    small.sort(key=lambda number: order[regions[number].contig])
    spans.sort(key=lambda number: (order[regions[number].contig], regions[number].start or 0))
    costs = [GROUP_REGION + GROUP_RECORD * records[number] for number in small]
    span_costs = [SPAN + SPAN_RECORD * records[number] for number in spans]
    for run in _runs(small, costs, few):
        tasks += _group(run, regions, contigs, records, call)
    for run in _runs(spans, span_costs, few):
        tasks += _span_group(run, regions, contigs, records, call)
    tasks.sort(key=lambda task: task.seconds, reverse=True)
    return Plan(regions, tuple(tasks), tuple(empty))


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
) -> list[Task]:
    """Gives the calls for a region, or for each window of it."""
    windows = bool(cuts) and region.placed and fits_span(region.contig)
    between = edges(contig, region, cuts, shortest) if windows else []
    if not between:
        return [Call(number, region, records, call + RECORD * records, entry=contig.entry)]
    bounds = [(region.start, 0.0), *between, (region.end, 1.0)]
    calls: list[Task] = []
    for (start, share_before), (end, share) in pairwise(bounds):
        part = records * (share - share_before)
        calls.append(
            Call(
                number,
                region,
                records=part,
                seconds=(CALLS_PER_WINDOW if calls else 1) * call + RECORD * part,
                window=Region(region.contig, start, end),
                entry=contig.entry,
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
) -> list[Task]:
    """Gives a group of whole sequences, or calls if they are too few."""
    names = tuple(regions[number].contig for number in numbers)
    if len(numbers) <= CALLS_PER_GROUP:
        return [
            task
            for number, name in zip(numbers, names, strict=True)
            for task in _calls(number, regions[number], contigs[name], records[number], call, [], 0)
        ]
    total = sum(records[number] for number in numbers)
    group = Group(
        numbers=tuple(numbers),
        contigs=names,
        reaches=tuple(_reach(contigs[name]) for name in names),
        in_index=tuple(contigs[name].records for name in names),
        records=total,
        seconds=CALLS_PER_GROUP * call + GROUP_REGION * len(names) + GROUP_RECORD * total,
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
        seconds=call + SPAN * len(spans) + SPAN_RECORD * total,
    )
    return [group]
