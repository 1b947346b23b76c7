"""Benchmarks the applet's counting against other tools: `python -m benchmark`."""

import random
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import readcount.planning.costs as planning
from benchmark import scaling
from benchmark.bams import bam_of_shape, bed_of_exons, cram_of_shape, human, reads_per_contig
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
from readcount.source.header import read_header
from steps import ask, count_here, opened, planned

TITLES = {
    "human": "GRCh38-like header: 25 chromosomes, 3,341 decoy and HLA sequences with 1 % of reads",
    "chromosomes": "25 sequences",
    "contigs": "200,000 contigs",
    "deep": "one deep sequence with 90 % of reads, most of them in a fifth of its length",
}
# Beyond this the tutorial's way takes hours.
MAX_CONTIGS = 10_000
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
        if contigs <= MAX_CONTIGS
        else Way(
            f"the tutorial's way, from {SAMPLE} calls",
            [*tutorial, str(SAMPLE)],
            keep=False,
            scale=contigs / SAMPLE,
        ),
    ]
    return [way for way in made if shutil.which(way.command[0])]


def ways_for_cram(cram: Path, bed: Path) -> list[list[Way]]:
    """The ways to count a CRAM: all records, those of a mapping quality, and intervals.

    samtools gets the fields that each needs; from 1.17 on it chooses them itself.
    """
    python, cores, path = sys.executable, str(CORES), str(cram)
    ours = [python, "-m", "benchmark.applet", path, cores]

    def samtools(fields: str, *options: str, keep: bool = True) -> Way:
        command = ["samtools", "view", f"-@{cores}", "-c", *options]
        command += ["--input-fmt-option", f"required_fields={fields}", path]
        shown = " ".join(["samtools view", f"-@{cores} -c", *options, f"(fields {fields})"])
        return Way(shown, command, keep)

    quality = [*ours, "", "min_mapping_quality=20"]
    # samtools decodes the same fields of the whole file, and has no count of an interval.
    intervals = [Way("the applet's counting, intervals", [*ours, str(bed)], keep=False)]
    return [
        [Way("the applet's counting", [*ours, "", "include_unplaced=1"]), samtools("0x1e")],
        [Way("the applet's counting, MAPQ 20", quality), samtools("0x1e", "-q", "20")],
        [*intervals, samtools("0x3e", keep=False)],
    ]


def measure_cram() -> None:
    cram = cram_of_shape("human", READS, SEED, BENCH)
    for measured in ways_for_cram(cram, bed_of_intervals(100_000, BENCH)):
        show(f"CRAM: {measured[0].name}", cram, measure(cram, measured))
        sys.stdout.flush()


def measure(bam: Path, measured: list[Way]) -> list[Way]:
    """Runs every way in turn, round after round, and compares what they counted."""
    for number in range(ROUNDS):
        for way in measured:
            way.runs.append(run(way.command, way.keep))
            show_progress(f"{bam.name}: round {number + 1} of {ROUNDS}, {way.name}")
    show_progress("")
    # samtools has only the last, the sum of all.
    counts = totals(measured[0].runs[0].stdout)
    for way in measured:
        for done in way.runs:
            if way.keep and totals(done.stdout) not in (counts, counts[-1:]):
                raise SystemExit(f"{way.name} does not count what the applet counts in {bam}")
    return measured


def totals(text: str) -> list[int]:
    """Returns the counts on the lines of a way, and their sum; bedcov and multicov print no sum."""
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
    alignments = opened(path)
    plan, _ = planned(alignments, processes=CORES)
    in_calls = cpu_of_children(lambda: count_here(alignments, plan), times=3)
    python = statistics.median(float(done.stderr.split()[-2]) for done in measured[0].runs)
    print(
        f"\nOf our CPU time the parent process, Python, takes {python:.2f} s. The samtools calls, "
        f"{len(plan.tasks)}, take {in_calls:.2f} s one after the other."
    )


def memory_of(runs: list[Run]) -> float:
    return max(int(done.stderr.split()[-1]) / 1e3 for done in runs)


def measure_costs(path: Path) -> Costs:
    """Measures what the plan's costs stand for, on chr1 and on a sequence without records."""
    alignments = opened(path)
    numbers, header = alignments.evidence.numbers, alignments.header
    empty = next(name for tid, name in enumerate(header.names) if numbers[tid] == 0)
    view = ["samtools", "view", "-c", str(path)]
    call = cpu_of_children(lambda: subprocess.run([*view, empty], capture_output=True, check=True))

    def cpu_of(region: str, costs: planning.Costs) -> float:
        plan, _ = planned(alignments, ask(regions=[region]), costs=costs, processes=1)
        # One call, as a task of the size of the file has.
        return cpu_of_children(lambda: count_here(alignments, plan))

    counted = replace(planning.DOWNLOADED, call=1e-9, large_tasks_per_core=0.1)
    looked_at = replace(counted, call=1e9)
    small, large = "chrM", "chr1"
    records = numbers[0] - numbers[24]
    task = cpu_of(small, counted)
    return Costs(
        call=call,
        task=task,
        record=(cpu_of(large, counted) - task) / records,
        decoded_record=(cpu_of(large, looked_at) - cpu_of(small, looked_at)) / records,
        record_bytes=path.stat().st_size / READS,
    )


def show_schedules(costs: Costs) -> None:
    lengths, shares = human(random.Random(SEED))
    reads = reads_per_contig(shares, READS_OF_30X)
    records = [reads.get(name, 0) for name in lengths]
    print(f"\n## Schedule for a 30x human genome: {READS_OF_30X:,} reads of 150 bases\n")
    print(
        f"Costs measured in this run: {1e3 * costs.call:.1f} ms a call, "
        f"{1e3 * costs.task:.1f} ms one of ours; {1e6 * costs.record:.3f} us a record, "
        f"{1e6 * costs.decoded_record:.3f} if it is looked at. "
        "The ratio is to total / cores, where total is all records in one go on one core.\n"
    )
    print("| cores | tutorial: calls | makespan (s) | ratio | ours: calls | makespan (s) | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for cores in (4, 8, 16, 32, 64, 96):
        row = f"| {cores} "
        for schedule in (tutorial_schedule, our_schedule):
            made = schedule(records, cores, costs)
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
    measure_cram()
    costs = measure_costs(bams["human"])
    show_schedules(costs)
    show_scaling(costs, bams["human"].stat().st_size / READS)


if __name__ == "__main__":
    main()
