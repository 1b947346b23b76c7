"""Plans which samtools call reads which parts, so that all cores finish together."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from readcount.planning.costs import DOWNLOADED, STREAMED, Costs
from readcount.planning.located import locate_spans
from readcount.planning.sizes import Sizes
from readcount.planning.spans import span_tasks
from readcount.planning.task import Pass, Plan, Task
from readcount.planning.whole import edges_around, whole_tasks
from readcount.regions.region_list import RegionList
from readcount.request.request import Request
from readcount.source.alignments import Alignments
from readcount.source.parts import Layout


def plan_count(
    alignments: Alignments, regions: RegionList, request: Request, processes: int
) -> Plan:
    """Locates the records of the regions and plans their count; see plan_tasks.

    Args:
        alignments: the file.
        regions: the regions to count.
        request: what the user asks for.
        processes: number of processes that run tasks.

    Raises:
        InputError: the index is inconsistent or does not match the file.
    """
    whole, spans = regions.tids_at(regions.whole), regions.tids_at(regions.spans)
    located = alignments.trust(whole) if request.from_index else alignments.locate(whole, spans)
    costs = STREAMED if alignments.file.mappings.streamed else DOWNLOADED
    plan = plan_tasks(regions, located.layout, processes, costs, located.numbers)
    return replace(plan, checks=located.checks)


def plan_tasks(
    regions: RegionList,
    layout: Layout,
    processes: int,
    costs: Costs,
    numbers: Sequence[int | None] = (),
) -> Plan:
    """Divides the work into tasks that cost about the same.

    - A sequence without records according to the index is not read.
    - A sequence with many records is counted by `samtools view -c`, in several calls if one would
      take longer than a task should: large ones first, then small ones to fill the remaining time.
    - Sequences with few records share a call that decodes the position of each record, because
      starting a call takes as long as reading some megabytes of the file.
    - Spans are counted in the same way, from the parts of the file that may contain overlapping
      records; see planning.spans.

    Args:
        regions: the regions to count, in any order.
        layout: record locations according to the index.
        processes: number of processes that run tasks.
        costs: cost estimates.
        numbers: known record counts of stretches, which are not counted; None where unknown.
    """
    wanted: dict[int, list[int]] = defaultdict(list)
    for region_id in regions.whole.tolist():
        wanted[int(regions.tids[region_id])].append(region_id)
    stretches = layout.stretches
    # Indexes of the stretches with records of whole sequences, and of those to be read.
    here = [at for at, one in enumerate(stretches) if not wanted.keys().isdisjoint(one.tids)]
    read = [at for at in here if not numbers or numbers[at] is None]
    known = Counter[int]()
    for at in set(here) - set(read):
        known[stretches[at].tid] += numbers[at] or 0
    total = costs.byte * sum(stretches[at].bytes for at in read)
    sizes = Sizes(costs, processes, len(regions.names_by_tid), total)
    spans = None
    if len(regions.whole) < len(regions):
        spans = locate_spans(regions, layout, sizes)
        sizes = replace(sizes, total=total + spans.cost)
    tasks = list(whole_tasks(read, wanted, layout, sizes))
    tids_here = {tid for at in here for tid in stretches[at].tids}
    empty = [one for tid in wanted.keys() - tids_here for one in wanted[tid]]
    tids_read = {tid for at in read for tid in stretches[at].tids} - known.keys()
    complete = {(Pass.WHOLE, tid) for tid in tids_read & wanted.keys()}
    asked = set(wanted)
    if spans:
        tasks += span_tasks(spans, layout, sizes)
        empty += spans.empty
        complete |= {(Pass.SPANS, tid) for tid in spans.complete}
        asked |= spans.tids
    with_records = {tid for one in stretches for tid in one.tids}
    edges = edges_around(asked - with_records, stretches, set(read))
    tasks = [replace(task, label=_label(task, regions)) for task in tasks]
    tasks.sort(key=lambda task: task.cost, reverse=True)
    of_regions = {region_id: known[tid] for tid in known for region_id in wanted.get(tid, ())}
    return Plan(regions, tuple(tasks), empty, edges, frozenset(complete), of_regions)


def _label(task: Task, regions: RegionList) -> str:
    """Returns a description of what a task counts, or what it reads if no region needs it."""
    if len(task.region_ids):
        first, last = (str(regions[task.region_ids[at]]) for at in (0, -1))
    else:
        first, last = (regions.names_by_tid[task.expected[at]] for at in (0, -1))
    return first if first == last else f"{first} to {last}"
