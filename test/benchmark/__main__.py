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
    methods_for_intervals,
)
from benchmark.measure import Method, Run, cpu_of_children, run
from benchmark.schedule import Costs, our_schedule, tutorial_schedule
from benchmark.settings import BENCH, CONTIG_READS, CORES, READS, ROUNDS, SEED, show_progress
from readcount.source.header import read_header
from steps import ask, count_here, opened, planned

TITLES = {
    "human": "GRCh38-like header: 25 chromosomes, 3,341 decoy and HLA sequences with 1% of reads",
    "chromosomes": "25 sequences",
    "contigs": "200,000 contigs",
    "deep": "one deep sequence with 90% of reads, most of them in a fifth of its length",
}
# With more contigs the tutorial's algorithm takes hours.
MAX_CONTIGS = 10_000
SAMPLED_CALLS = 40
READS_OF_30X = 850_000_000


def methods_for_bam(bam: Path, contigs: int) -> list[Method]:
    """Returns the installed methods to count a BAM; the first is ours, the second samtools."""
    python, cores, path = sys.executable, str(CORES), str(bam)
    tutorial = [python, "-m", "benchmark.tutorial", path, cores]
    methods = [
        Method("this applet", [python, "-m", "benchmark.applet", path, cores]),
        Method("samtools view -c", ["samtools", "view", "-c", path]),
        Method(f"samtools view -@{cores} -c", ["samtools", "view", f"-@{cores}", "-c", path]),
        Method(f"sambamba view -c -t {cores}", ["sambamba", "view", "-c", "-t", cores, path]),
        Method(f"bgzip -dc -@{cores}", ["bgzip", "-dc", f"-@{cores}", path], keep=False),
        Method("tutorial's algorithm", tutorial)
        if contigs <= MAX_CONTIGS
        else Method(
            f"tutorial's algorithm, from {SAMPLED_CALLS} calls",
            [*tutorial, str(SAMPLED_CALLS)],
            keep=False,
            scale=contigs / SAMPLED_CALLS,
        ),
    ]
    return [method for method in methods if shutil.which(method.command[0])]


def methods_for_cram(cram: Path, bed: Path) -> list[list[Method]]:
    """Returns the methods to count a CRAM: all records, records with MAPQ 20, and intervals.

    samtools is told which fields to decode for each; samtools 1.17 and later choose them.
    """
    python, cores, path = sys.executable, str(CORES), str(cram)
    ours = [python, "-m", "benchmark.applet", path, cores]

    def samtools(fields: str, *options: str, keep: bool = True) -> Method:
        command = ["samtools", "view", f"-@{cores}", "-c", *options]
        command += ["--input-fmt-option", f"required_fields={fields}", path]
        name = " ".join(["samtools view", f"-@{cores} -c", *options, f"(fields {fields})"])
        return Method(name, command, keep)

    quality = [*ours, "", "min_mapping_quality=20"]
    # Here samtools decodes the same fields of the whole file, but does not count by interval.
    intervals = Method("this applet, intervals", [*ours, str(bed)], keep=False)
    return [
        [Method("this applet", [*ours, "", "include_unplaced=1"]), samtools("0x1e")],
        [Method("this applet, MAPQ 20", quality), samtools("0x1e", "-q", "20")],
        [intervals, samtools("0x3e", keep=False)],
    ]


def measure_cram() -> None:
    cram = cram_of_shape("human", READS, SEED, BENCH)
    for methods in methods_for_cram(cram, bed_of_intervals(100_000, BENCH)):
        show(f"CRAM: {methods[0].name}", cram, measure(cram, methods))
        sys.stdout.flush()


def measure(bam: Path, methods: list[Method]) -> list[Method]:
    """Runs all methods in turn in each round, and compares their counts."""
    for number in range(ROUNDS):
        for method in methods:
            method.runs.append(run(method.command, method.keep))
            show_progress(f"{bam.name}: round {number + 1} of {ROUNDS}, {method.name}")
    show_progress("")
    # samtools prints only the last of these, the sum.
    counts = totals(methods[0].runs[0].stdout)
    for method in methods:
        for done in method.runs:
            if method.keep and totals(done.stdout) not in (counts, counts[-1:]):
                raise SystemExit(f"{method.name} and the applet have different counts for {bam}")
    return methods


def totals(text: str) -> list[int]:
    """Returns the counts that a method prints, and their sum; bedcov and multicov print no sum."""
    counts = [int(re.split(r"[ \t]", line)[-1]) for line in text.splitlines()]
    return [*counts, sum(counts)] if "\t" in text else counts


def show(title: str, bam: Path, methods: list[Method]) -> None:
    ours, second = methods[0], methods[1]
    print(f"\n## {title}\n\n{bam.name}, {bam.stat().st_size / 1e6:,.0f} MB\n")
    heading = "method | wall, median (s) | min to max | relative to ours | CPU (s)"
    print(f"| {heading} | relative to {second.name} |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for method in methods:
        print(
            f"| {method.name} | {method.wall:,.2f} "
            f"| {min(method.walls):,.2f} to {max(method.walls):,.2f} "
            f"| {method.wall / ours.wall:,.2f} "
            f"| {method.cpu:,.2f} | {method.cpu / second.cpu:,.2f} |"
        )
    print(f"\nAll counts agree. Memory of our parent process: {memory_of(ours.runs):,.0f} MB.")


def measure_intervals(bam: Path) -> None:
    """Measures BED files of about 100,000 and 1,000,000 intervals, one also with few records."""
    exome = bam_of_shape("exome", READS, SEED, BENCH)
    few = bam_of_shape("chromosomes", READS // 30, SEED, BENCH)
    windows = bed_of_windows(BENCH)
    for title, counted, bed in (
        ("The exons of an exome", exome, bed_of_exons(BENCH)),
        ("100,000 intervals of 200 bases", bam, bed_of_intervals(100_000, BENCH)),
        ("A million windows", bam, windows),
        ("A million windows, few records", few, windows),
    ):
        methods = measure(counted, methods_for_intervals(counted, bed))
        show(title, counted, methods)
        if feature_counts_of(bed).exists():
            differ = different_from_feature_counts(bed, totals(methods[0].runs[0].stdout)[:-1])
            print(f"The counts of featureCounts differ for {differ:,} intervals.")
        sys.stdout.flush()


def show_profile(path: Path, methods: list[Method]) -> None:
    """Prints how our CPU time is divided between Python and the samtools calls."""
    alignments = opened(path)
    plan = planned(alignments, processes=CORES)
    in_calls = cpu_of_children(lambda: count_here(alignments, plan), times=3)
    python = statistics.median(float(done.stderr.split()[-2]) for done in methods[0].runs)
    print(
        f"\nCPU time of our parent process (Python): {python:.2f} s; of its {len(plan.tasks)} "
        f"samtools calls, one after another: {in_calls:.2f} s."
    )


def memory_of(runs: list[Run]) -> float:
    return max(int(done.stderr.split()[-1]) / 1e3 for done in runs)


def measure_costs(path: Path) -> Costs:
    """Measures the costs that plans are based on, with chr1 and a sequence without records."""
    alignments = opened(path)
    numbers, header = alignments.numbers, alignments.header
    empty = next(name for tid, name in enumerate(header.names) if numbers[tid] == 0)
    view = ["samtools", "view", "-c", str(path)]
    call = cpu_of_children(lambda: subprocess.run([*view, empty], capture_output=True, check=True))

    def cpu_of(region: str, costs: planning.Costs) -> float:
        plan = planned(alignments, ask(regions=[region]), costs=costs, processes=1)
        # These costs make a plan with a single call.
        return cpu_of_children(lambda: count_here(alignments, plan))

    counted = replace(planning.DOWNLOADED, call=1e-9, large_tasks_per_core=0.1)
    decoded = replace(counted, call=1e9)
    small, large = "chrM", "chr1"
    records = numbers[0] - numbers[24]
    task = cpu_of(small, counted)
    return Costs(
        call=call,
        task=task,
        record=(cpu_of(large, counted) - task) / records,
        decoded_record=(cpu_of(large, decoded) - cpu_of(small, decoded)) / records,
        record_bytes=path.stat().st_size / READS,
    )


def show_schedules(costs: Costs) -> None:
    lengths, shares = human(random.Random(SEED))
    reads = reads_per_contig(shares, READS_OF_30X)
    records = [reads.get(name, 0) for name in lengths]
    print(f"\n## Schedule for a 30x human genome: {READS_OF_30X:,} reads of 150 bases\n")
    print(
        f"Costs measured in this run: {1e3 * costs.call:.1f} ms per `samtools view -c`, "
        f"{1e3 * costs.task:.1f} ms per task of the applet; {1e6 * costs.record:.3f} us per "
        f"counted record, {1e6 * costs.decoded_record:.3f} us per decoded record. The ratio is "
        "makespan to total / cores, where total is the time of all records on one core.\n"
    )
    print("| cores | tutorial: calls | makespan (s) | ratio | ours: calls | makespan (s) | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for cores in (4, 8, 16, 32, 64, 96):
        row = f"| {cores} "
        for schedule in (tutorial_schedule, our_schedule):
            result = schedule(records, cores, costs)
            row += f"| {result.calls:,} | {result.makespan:,.1f} | {result.ratio:,.2f} "
        print(row + "|", flush=True)


def show_scaling(costs: Costs, bytes_per_record: float) -> None:
    print(
        "\n## Larger files\n\n"
        f"Measured in this run: {bytes_per_record:.0f} bytes and {1e6 * costs.record:.3f} us per "
        f"record. Assumed: {scaling.CONNECTION_BYTES_PER_SECOND / 1e6:.0f} MB/s per connection, "
        f"{scaling.WORKER_BYTES_PER_SECOND / 1e6:,.0f} MB/s per worker, "
        f"{scaling.START_SECONDS} s to start a worker.\n"
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
    print(f"Missing: {', '.join(missing)}." if missing else "All tools are installed.")
    if "samtools" in missing:
        raise SystemExit("samtools is required.")
    bams = {
        shape: bam_of_shape(shape, CONTIG_READS if shape == "contigs" else READS, SEED, BENCH)
        for shape in TITLES
    }
    for shape, title in TITLES.items():
        bam = bams[shape]
        methods = measure(bam, methods_for_bam(bam, len(read_header(bam).names)))
        show(title, bams[shape], methods)
        show_profile(bams[shape], methods)
        sys.stdout.flush()
    measure_intervals(bams["chromosomes"])
    measure_cram()
    costs = measure_costs(bams["human"])
    show_schedules(costs)
    show_scaling(costs, bams["human"].stat().st_size / READS)


if __name__ == "__main__":
    main()
