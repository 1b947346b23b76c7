"""What to count in which samtools call, so that all cores end together.

Costs are seconds of one core of 2020s hardware for 150-base reads, measured with samtools 1.16.
Only their ratios matter: they decide what shares a call and what is cut, never what is counted.
`make bench` measures them anew.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import ceil

from readcount.index import INTERVAL, Entry
from readcount.regions import Contig, Region, fits_bed, fits_span

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
# A group takes two processes that both read the header.
CALLS_PER_GROUP = 2
# Where there are no statistics: 30 reads of 150 bases over each base.
RECORDS_PER_BASE = 0.2
# A large task is a core's work for half of the time; a small one, with which the others fill up
# what is left at the end, is a sixth of that. So much of a sequence goes into large ones. By the
# schedules that `make bench` prints a 30x genome on 96 cores then takes 1.09 times total / cores,
# and with tasks that are all alike 1.21 times.
LARGE_TASKS_PER_CORE = 2
SMALL_TASKS_PER_LARGE = 6
SHARE_IN_LARGE_TASKS = 0.75
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
        return 1 if self.window is None or self.window.start is None else CALLS_PER_WINDOW


@dataclass(frozen=True)
class Group:
    """Several whole sequences that are counted in one pass over their records.

    It goes to another process, so what there can be much of is in tuples of plain values.

    Attributes:
        numbers: places of the regions in the list of regions, from 0.
        contigs: their names; neighbours in the file, as far as they have records at all.
        lengths: of each sequence, in bases, or more if the index has records beyond.
        in_index: the records that the index has for each; None where it does not say.
        records: how many are expected in all.
        seconds: what it is expected to cost.
    """

    numbers: tuple[int, ...]
    contigs: tuple[str, ...]
    lengths: tuple[int, ...]
    in_index: tuple[int | None, ...]
    records: float
    seconds: float

    @property
    def calls(self) -> int:
        """How many calls it takes that read the BAM."""
        return 1


Task = Call | Group


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

    Args:
        regions: whole reference sequences, in header order.
        contigs: what is known of each, by name.
        cores: that tasks run on at a time.
        seconds: that a large task should take at most; worked out if None.
        shortest: bases that a window has at least, where only the length says where to cut.
    """
    call = CALL + CALL_PER_CONTIG * len(contigs)
    records = [_records(contigs[region.contig]) for region in regions]
    least = 0.0
    if seconds is None:
        least = CALLS_PER_TASK * call
        seconds = max(RECORD * sum(records) / (cores * LARGE_TASKS_PER_CORE), least)
    few = max(seconds / SMALL_TASKS_PER_LARGE, least)
    most_in_group = min(call / (GROUP_RECORD - RECORD), seconds / GROUP_RECORD)

    tasks: list[Task] = []
    small: list[int] = []
    empty: list[int] = []
    for number, region in enumerate(regions):
        contig = contigs[region.contig]
        if contig.records == 0:
            empty.append(number)
        elif _told(contig) and records[number] < most_in_group and fits_bed(region.contig):
            small.append(number)
        else:
            cuts = _cuts(RECORD * records[number], seconds, few)
            edges = _edges(contig, cuts, shortest) if fits_span(region.contig) else []
            tasks += _calls(number, region, contig, call, edges)
    for run in _runs(small, records, few):
        if len(run) > CALLS_PER_GROUP:
            tasks.append(_group(run, regions, contigs, call))
        else:
            for number in run:
                region = regions[number]
                tasks += _calls(number, region, contigs[region.contig], call, edges=[])
    tasks.sort(key=lambda task: task.seconds, reverse=True)
    return Plan(regions, tuple(tasks), tuple(empty))


def _records(contig: Contig) -> float:
    told = _told(contig)
    return contig.length * RECORDS_PER_BASE if told is None else told


def _told(contig: Contig) -> float | None:
    """The records that the index has, or that the containers of a CRAM make likely."""
    return contig.expected if contig.records is None else contig.records


def _calls(
    number: int, region: Region, contig: Contig, call: float, edges: Sequence[tuple[int, float]]
) -> list[Task]:
    """Gives the calls for a region, or for each window between edges."""
    records = _records(contig)
    if not edges:
        return [Call(number, region, records, call + RECORD * records, entry=contig.entry)]
    bounds = [(None, 0.0), *edges, (None, 1.0)]
    calls: list[Task] = []
    for (start, share_before), (end, share) in pairwise(bounds):
        part = records * (share - share_before)
        calls.append(
            Call(
                number,
                region,
                records=part,
                seconds=(1 if start is None else CALLS_PER_WINDOW) * call + RECORD * part,
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


def _edges(contig: Contig, cuts: Sequence[float], shortest: int) -> list[tuple[int, float]]:
    """Gives the positions between windows, each with the share of the records before it.

    By the index's offsets where there are some: depth is far from even in exomes, panels and
    RNA. No edge lies within an INTERVAL, as a window that begins there has to read it from its
    beginning. By length alone otherwise.
    """
    begin, end = next(filter(None, contig.offsets), 0), contig.offsets[-1] if contig.offsets else 0
    if begin < end:
        rising = list(accumulate(contig.offsets[:-1], max, initial=begin))[1:]
        found = {bisect_left(rising, begin + cut * (end - begin)) for cut in cuts}
        return [
            (number * INTERVAL, min(1.0, (rising[number] - begin) / (end - begin)))
            for number in sorted(found)
            if 0 < number < len(rising)
        ]
    edges = []
    last = 0
    for cut in cuts:
        position = int(contig.length * cut)
        if min(position - last, contig.length - position) >= shortest:
            edges.append((position, cut))
            last = position
    return edges


def _runs(
    numbers: Sequence[int], records: Sequence[float], seconds: float
) -> Iterator[Sequence[int]]:
    """Cuts a list of small regions into runs that cost about the same, about seconds at most."""
    costs = [GROUP_REGION + GROUP_RECORD * records[number] for number in numbers]
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
    numbers: Sequence[int], regions: Sequence[Region], contigs: Mapping[str, Contig], call: float
) -> Group:
    names = tuple(regions[number].contig for number in numbers)
    in_index = tuple(contigs[name].records for name in names)
    records = sum(_records(contigs[name]) for name in names)
    return Group(
        numbers=tuple(numbers),
        contigs=names,
        lengths=tuple(
            max(contigs[name].length, INTERVAL * (len(contigs[name].offsets) - 1)) for name in names
        ),
        in_index=in_index,
        records=records,
        seconds=CALLS_PER_GROUP * call + GROUP_REGION * len(names) + GROUP_RECORD * records,
    )
