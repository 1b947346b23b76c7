"""Measures the applet's counting beside other ways: `python -m benchmark`."""

import random
import re
import shutil
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from benchmark import scaling
from benchmark.bams import bam_of_shape, bed_of_exons, human, reads_per_contig
from benchmark.intervals import (
    bed_of_intervals,
    bed_of_windows,
    different_from_feature_counts,
    feature_counts_of,
    ways_for_intervals,
)
from benchmark.measure import Run, Way, cpu_of_children, run
from benchmark.schedule import Costs, our_schedule, tutorial_schedule
from benchmark.settings import BENCH, CONTIG_READS, CORES, READS, ROUNDS, SEED, show_progress
from builders import contig_of
from readcount.counting.tasks import count_group, run_task
from readcount.planning.plan import plan_tasks
from readcount.planning.task import Call, Group
from readcount.request.region import Region
from readcount.source.commands import count_region
from readcount.source.header import read_header
from steps import indexed, opened

TITLES = {
    "human": "GRCh38-like header: 25 chromosomes, 3,341 decoy and HLA sequences with 1 % of reads",
    "chromosomes": "25 sequences",
    "contigs": "200,000 contigs",
    "deep": "one deep sequence with 90 % of reads, most of them in a fifth of its length",
}
# Beyond this the tutorial's way takes hours.
MOST_CONTIGS = 10_000
SAMPLE = 40
READS_OF_30X = 850_000_000


def ways(bam: Path, contigs: int) -> list[Way]:
    """The ways to count this BAM that are installed; the first is ours, the second samtools."""
    python, cores, path = sys.executable, str(CORES), str(bam)
    tutorial = [python, "-m", "benchmark.tutorial", path, cores]
    made = [
        Way("the applet's counting", [python, "-m", "benchmark.applet", path, cores]),
        Way("samtools view -c", ["samtools", "view", "-c", path]),
        Way(f"samtools view -@{cores} -c", ["samtools", "view", f"-@{cores}", "-c", path]),
        Way(f"sambamba view -c -t {cores}", ["sambamba", "view", "-c", "-t", cores, path]),
        Way(f"bgzip -dc -@{cores}", ["bgzip", "-dc", f"-@{cores}", path], keep=False),
        Way("the tutorial's way", tutorial)
        if contigs <= MOST_CONTIGS
        else Way(
            f"the tutorial's way, from {SAMPLE} calls",
            [*tutorial, str(SAMPLE)],
            keep=False,
            scale=contigs / SAMPLE,
        ),
    ]
    return [way for way in made if shutil.which(way.command[0])]


def measure(bam: Path, measured: list[Way]) -> list[Way]:
    """Runs every way in turn, round after round, and compares what they counted."""
    for number in range(ROUNDS):
        for way in measured:
            way.runs.append(run(way.command, way.keep))
            show_progress(f"{bam.name}: round {number + 1} of {ROUNDS}, {way.name}")
    show_progress("")
    counts = totals(measured[0].runs[0].stdout)
    for way in measured:
        for done in way.runs:
            if way.keep and totals(done.stdout) not in (counts, counts[-1:]):
                raise SystemExit(f"{way.name} does not count what the applet counts in {bam}")
    return measured


def totals(text: str) -> list[int]:
    """Gives the counts on the lines of a way, and their sum; bedcov and multicov print no sum."""
    counts = [int(re.split(r"[ \t]", line)[-1]) for line in text.splitlines()]
    return [*counts, sum(counts)] if "\t" in text else counts


def show(title: str, bam: Path, measured: list[Way]) -> None:
    ours, samtools = measured[0], measured[1]
    print(f"\n## {title}\n\n{bam.name}, {bam.stat().st_size / 1e6:,.0f} MB\n")
    print("| way | wall, median (s) | least to most | ours is faster | CPU (s) | to samtools |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for way in measured:
        print(
            f"| {way.name} | {way.wall:,.2f} | {min(way.walls):,.2f} to {max(way.walls):,.2f} "
            f"| {way.wall / ours.wall:,.2f} times "
            f"| {way.cpu:,.2f} | {way.cpu / samtools.cpu:,.2f} |"
        )
    print(f"\nAll counts agree. Memory of our parent process: {memory_of(ours.runs):,.0f} MB.")


def measure_intervals(bam: Path) -> None:
    """Measures BED files of about 100,000 and 1,000,000 intervals, and few records in many."""
    exome = bam_of_shape("exome", READS, SEED, BENCH)
    few = bam_of_shape("chromosomes", READS // 30, SEED, BENCH)
    windows = bed_of_windows(BENCH)
    for title, counted, bed in (
        ("The exons of an exome", exome, bed_of_exons(BENCH)),
        ("100,000 intervals of 200 bases", bam, bed_of_intervals(100_000, BENCH)),
        ("A million windows", bam, windows),
        ("A million windows, few records", few, windows),
    ):
        measured = measure(counted, ways_for_intervals(counted, bed))
        show(title, counted, measured)
        if feature_counts_of(bed).exists():
            differ = different_from_feature_counts(bed, totals(measured[0].runs[0].stdout)[:-1])
            print(f"featureCounts has another count for {differ:,} intervals.")
        sys.stdout.flush()


def show_profile(path: Path, measured: list[Way]) -> None:
    """Says where our CPU time goes that a single samtools does not need."""
    bam, contigs = indexed(path), opened(path).contigs
    plan = plan_tasks([Region(contig) for contig in contigs], contigs, CORES)
    calls = [(0, task) for task in plan.tasks if isinstance(task, Call)]
    groups = [(0, task) for task in plan.tasks if isinstance(task, Group)]

    def nothing_of(call: Call) -> tuple[int, Call]:
        return 0, replace(call, region=Region(call.region.contig, 0, 1), window=None)

    def cpu_of(tasks: list[tuple[int, Call]] | list[tuple[int, Group]]) -> float:
        return cpu_of_children(lambda: [run_task(bam, task) for task in tasks], times=3)

    in_calls, in_groups = cpu_of(calls), cpu_of(groups)
    to_start = cpu_of([nothing_of(task) for _, task in calls])
    python = statistics.median(float(done.stderr.split()[-2]) for done in measured[0].runs)
    print(
        f"\nOf our CPU time the parent process, Python, takes {python:.2f} s. By themselves the "
        f"calls, {len(calls)}, take {in_calls:.2f} s, of which {to_start:.2f} s to start and to "
        f"read header and index; the groups, {len(groups)}, take {max(0, in_groups):.2f} s."
    )


def memory_of(runs: list[Run]) -> float:
    return max(int(done.stderr.split()[-1]) / 1e3 for done in runs)


def measure_costs(path: Path) -> Costs:
    """Measures what the plan's costs stand for, on chr1 and on a sequence without records."""
    bam, contigs = indexed(path), opened(path).contigs
    empty = next(name for name, contig in contigs.items() if contig.indexed.records == 0)

    def group_of(name: str) -> Group:
        contig = contigs[name]
        return Group((0,), (name,), (contig.length,), (contig.indexed.records or 0,), 0, 0)

    records = contigs["chr1"].indexed.records or 1
    call = cpu_of_children(lambda: count_region(bam, Region(empty)))
    group = cpu_of_children(lambda: count_group(bam, group_of(empty)))
    whole = cpu_of_children(lambda: count_region(bam, Region("chr1")))
    grouped = cpu_of_children(lambda: count_group(bam, group_of("chr1")))
    return Costs(
        call=call,
        tally=group - call,
        record=(whole - call) / records,
        group_record=(grouped - group) / records,
    )


def show_schedules(costs: Costs) -> None:
    lengths, shares = human(random.Random(SEED))
    reads = reads_per_contig(shares, READS_OF_30X)
    contigs = {name: contig_of(length, reads.get(name, 0)) for name, length in lengths.items()}
    print(f"\n## Schedule for a 30x human genome: {READS_OF_30X:,} reads of 150 bases\n")
    print(
        f"Costs measured in this run: {1e3 * costs.call:.1f} ms a call, "
        f"{1e3 * costs.tally:.1f} ms more for a group; {1e6 * costs.record:.3f} us a record, "
        f"{1e6 * costs.group_record:.3f} in a group. "
        "The ratio is to total / cores, where total is all records in one go on one core.\n"
    )
    print("| cores | tutorial: calls | makespan (s) | ratio | ours: calls | makespan (s) | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for cores in (4, 8, 16, 32, 64, 96):
        row = f"| {cores} "
        for schedule in (tutorial_schedule, our_schedule):
            made = schedule(contigs, cores, costs)
            row += f"| {made.calls:,} | {made.makespan:,.1f} | {made.ratio:,.2f} "
        print(row + "|", flush=True)


def show_scaling(costs: Costs, bytes_per_record: float) -> None:
    print(
        "\n## Larger files\n\n"
        f"Measured in this run: {bytes_per_record:.0f} bytes and {1e6 * costs.record:.3f} us a "
        f"record. Supposed: {scaling.CONNECTION_BYTES_PER_SECOND / 1e6:.0f} MB/s a connection, "
        f"{scaling.WORKER_BYTES_PER_SECOND / 1e6:,.0f} MB/s a worker, "
        f"{scaling.START_SECONDS} s to start one.\n"
    )
    for row in scaling.rows(bytes_per_record, costs):
        print(row)


def main() -> None:
    print(f"# Benchmark: {READS:,} reads, {CORES} cores, {ROUNDS} rounds, seed {SEED}")
    missing = [
        tool
        for tool in ("samtools", "sambamba", "bgzip", "bedtools", "featureCounts")
        if not shutil.which(tool)
    ]
    print(f"Missing: {', '.join(missing)}." if missing else "No tool is missing.")
    if "samtools" in missing:
        raise SystemExit("Nothing can be measured without samtools.")
    bams = {
        shape: bam_of_shape(shape, CONTIG_READS if shape == "contigs" else READS, SEED, BENCH)
        for shape in TITLES
    }
    for shape, title in TITLES.items():
        bam = bams[shape]
        measured = measure(bam, ways(bam, len(read_header(bam).names)))
        show(title, bams[shape], measured)
        show_profile(bams[shape], measured)
        sys.stdout.flush()
    measure_intervals(bams["chromosomes"])
    costs = measure_costs(bams["human"])
    show_schedules(costs)
    show_scaling(costs, bams["human"].stat().st_size / READS)


if __name__ == "__main__":
    main()
