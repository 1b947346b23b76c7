"""Measures cohorts: `python -m benchmark.cohort`.

It measures counts from indexes and of records on the local platform, ten files in small windows
without it, and writing a matrix of 500 samples by 300,000 windows.
"""

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.bams import CHROMOSOMES, bam_of_shape
from benchmark.measure import run
from benchmark.settings import BENCH, CORES, LATENCY, RATE, SEED
from builders import index_of
from cohort import CohortApplet, build_cohort_applet, copy_of_cohort_applet, links
from dx_client import Applet, Dx, build_applet, copy_of_applet
from local_platform import LocalPlatform
from local_platform.__main__ import client_environment
from local_platform.ids import new_id
from local_platform.network import Network
from readcount.cohort.columns import ColumnStore
from readcount.cohort.count import (
    Counted,
    count_in_one_process,
    reference_of,
    write_reference,
)
from readcount.cohort.matrix import REGION_HEADING, write_matrix
from readcount.cohort.rows import Rows
from readcount.counting.pool import start_workers
from readcount.regions.region_list import RegionList
from readcount.regions.windows import cut_into_windows
from steps import ask, files_of

# Reads of the file for counts from the index; its header has 3,366 sequences.
INDEX_READS = int(os.environ.get("READS") or 2_000_000)
INDEX_SAMPLES = (2, 22)
SMALL_READS, SMALL_FILES, WINDOW = 200_000, 10, 10_000
MATRIX_SAMPLES, MATRIX_WINDOWS = 500, 300_000


def copies(platform: LocalPlatform, file_id: str, names: Sequence[str]) -> list[str]:
    """Creates files that share the content of one through hard links; returns their IDs."""
    original = platform.store.find_object(file_id)
    ids = []
    for name in names:
        copy = deepcopy(original)
        copy.id = new_id("file")
        for placement in copy.placements.values():
            placement.name, placement.folder = name, "/"
        platform.store.objects[copy.id] = copy
        path = platform.store.content(copy)
        path.parent.mkdir()
        os.link(platform.store.content(original), path)
        ids.append(copy.id)
    return ids


class Seconds(NamedTuple):
    """Run time of a job, from the start of its program, and its CPU time."""

    wall: float
    cpu: float


def run_job(platform: LocalPlatform, applet_id: str, dx: Dx, inputs: dict[str, Any]) -> Seconds:
    """Runs a job to its end. Its CPU time includes `dx run`."""
    before = cpu_of_ended_processes()
    done = CohortApplet(dx, applet_id).run(inputs)
    assert done.state == "done", done.log
    job = platform.jobs.by_id[done.job["id"]]
    assert job.started_running is not None
    return Seconds((job.modified - job.started_running) / 1e3, cpu_of_ended_processes() - before)


def cpu_of_ended_processes() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def on_the_platform() -> Iterator[str]:
    """Yields rows of a table: time per sample, in a cohort and as a single job."""
    with LocalPlatform() as platform, tempfile.TemporaryDirectory() as folder:
        dx = Dx(client_environment(platform, os.environ), "/")
        single = build_applet(dx, copy_of_applet(Path(folder)))
        (Path(folder) / "cohort").mkdir()
        cohort = build_cohort_applet(dx, copy_of_cohort_applet(Path(folder) / "cohort"))
        yield from from_indexes(platform, dx, cohort)
        yield from by_records(platform, dx, single, cohort)


def from_indexes(platform: LocalPlatform, dx: Dx, cohort: CohortApplet) -> Iterator[str]:
    bam = bam_of_shape("human", INDEX_READS, SEED, BENCH)
    ids = dx.ok("upload", "--wait", "--brief", str(bam), str(index_of(bam))).splitlines()
    names = [f"s{number:03}" for number in range(max(INDEX_SAMPLES))]
    mappings = copies(platform, ids[0], [f"{name}.bam" for name in names])
    indexes = copies(platform, ids[1], [f"{name}.bam.bai" for name in names])
    platform.network = Network(RATE, LATENCY)
    few, many = (
        run_job(
            platform,
            cohort.id,
            dx,
            {
                "mappings": links(mappings[:number]),
                "mappings_indexes": links(indexes[:number]),
                "counts_from": "index",
            },
        )
        for number in INDEX_SAMPLES
    )
    additional = INDEX_SAMPLES[1] - INDEX_SAMPLES[0]
    size = index_of(bam).stat().st_size
    yield (
        f"| `counts_from=index`, BAI of {size / 1e6:.1f} MB, {INDEX_SAMPLES[1]} samples "
        f"| {many.wall:.1f} s | {(many.wall - few.wall) / additional:.2f} s "
        f"| {(many.cpu - few.cpu) / additional:.2f} s |"
    )


def by_records(
    platform: LocalPlatform, dx: Dx, single: Applet, cohort: CohortApplet
) -> Iterator[str]:
    for shape, reads, number in (("human", INDEX_READS, 4), ("human", SMALL_READS, 20)):
        bam = bam_of_shape(shape, reads, SEED, BENCH)
        platform.network = Network()
        ids = dx.ok("upload", "--wait", "--brief", str(bam), str(index_of(bam))).splitlines()
        names = [f"r{reads}_{at}" for at in range(number)]
        mappings = copies(platform, ids[0], [f"{name}.bam" for name in names])
        indexes = copies(platform, ids[1], [f"{name}.bam.bai" for name in names])
        platform.network = Network(RATE, LATENCY)
        inputs = {"mappings": links(mappings), "mappings_indexes": links(indexes)}
        cohort_wall = run_job(platform, cohort.id, dx, inputs).wall
        single_inputs = {
            "mappings_sorted_bam": links(mappings)[0],
            "mappings_sorted_bai": links(indexes)[0],
            "stream_bam": True,
            "report": False,
        }
        tables = {"counts_tables": links([table_of(dx)])}
        start = run_job(platform, cohort.id, dx, tables).wall
        single_wall = min(run_job(platform, single.id, dx, single_inputs).wall for _ in range(2))
        expected = number * (single_wall - start)
        yield (
            f"| {number} BAMs of {reads:,} reads ({bam.stat().st_size / 1e6:,.0f} MB) "
            f"| {cohort_wall:.1f} s | {cohort_wall / number:.2f} s; single job "
            f"{single_wall:.1f} s; ratio to the sum of single jobs without their start "
            f"({start:.1f} s) {cohort_wall / expected:.2f} | |"
        )


def table_of(dx: Dx) -> str:
    """Uploads a table of one region, for a job that only starts and ends; returns its ID."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x_count.tsv"
        path.write_text("region\tcontig\tstart\tend\tlength\trecords\nchr1\tchr1\t0\t9\t9\t1\n")
        return dx.ok("upload", "--wait", "--brief", str(path))


def in_windows() -> Iterator[str]:
    """Yields rows of a table: ten local files in windows, together and one after another."""
    bams = [
        bam_of_shape("chromosomes", SMALL_READS, SEED + number, BENCH)
        for number in range(SMALL_FILES)
    ]
    paths = list(map(str, bams))
    python = sys.executable
    single = [python, "-m", "benchmark.applet"]
    methods = {
        "this applet, together": [[python, "-m", "benchmark.cohort", "windows", *paths]],
        "this package, one after another": [
            [*single, path, str(CORES), "", f"windows={WINDOW}"] for path in paths
        ],
    }
    if shutil.which("featureCounts"):
        saf = saf_of_windows(bams[0])
        methods[f"featureCounts -T {CORES}"] = [
            [
                *("featureCounts", "-T", str(CORES), "-p", "-O", "-M", "-f", "-F", "SAF"),
                *("-a", str(saf), "-o", "/dev/null", *paths),
            ]
        ]
    for name, commands in methods.items():
        runs = [run(command) for command in commands]
        wall, cpu = sum(done.wall for done in runs), sum(done.cpu for done in runs)
        yield f"| {name} | {wall:.1f} s | {cpu:.1f} s |"


def saf_of_windows(bam: Path) -> Path:
    path = BENCH / "windows.saf"
    reference = reference_of(files_of(bam), ask(windows=WINDOW), lambda line: None)
    rows = Rows.of(reference.regions, reference.sequences.lengths)
    with path.open("w") as file:
        file.write("GeneID\tChr\tStart\tEnd\tStrand\n")
        for number, place in enumerate(rows.places(rows.order())):
            contig, start, end = place.split("\t")
            file.write(f"w{number}\t{contig}\t{int(start) + 1}\t{end}\t.\n")
    return path


def count_here(paths: Sequence[str]) -> None:
    """Counts files in windows and writes the matrix, like the applet but without the platform."""
    with start_workers(CORES) as workers, tempfile.TemporaryDirectory() as folder:
        files = [files_of(Path(path)) for path in paths]
        reference = reference_of(files[0], ask(windows=WINDOW), lambda line: None)
        store = ColumnStore(Path(folder) / "columns", len(reference.regions))
        count = partial(count_in_one_process, write_reference(reference, Path(folder)))
        for number, result in workers.results(count, enumerate(files)):
            assert isinstance(result, Counted), result
            store.add(number, np.array(result.records, np.int64))
        names = {number: Path(path).stem for number, path in enumerate(paths)}
        rows = Rows.of(reference.regions, reference.sequences.lengths)
        write_matrix(
            Path(folder) / "m.gz", REGION_HEADING, rows.texts(), None, names, store, workers
        )


def large_matrix() -> Iterator[str]:
    """Yields a row of a table: time and memory of writing a large matrix."""
    done = run([sys.executable, "-m", "benchmark.cohort", "matrix"])
    yield f"| {done.stdout.strip()} |"


def write_large_matrix() -> None:
    from benchmark.applet import peak_memory

    rng = np.random.default_rng(SEED)
    size = sum(CHROMOSOMES.values()) // MATRIX_WINDOWS + 1
    with start_workers(CORES) as workers, tempfile.TemporaryDirectory(dir=BENCH) as folder:
        regions = cut_into_windows(RegionList.of_whole(CHROMOSOMES), size, CHROMOSOMES)
        store = ColumnStore(Path(folder) / "columns", len(regions))
        for number in range(MATRIX_SAMPLES):
            store.add(number, rng.poisson(rng.integers(20, 400), len(regions)).astype(np.int64))
        start = time.monotonic()
        names = {number: f"sample{number}" for number in range(MATRIX_SAMPLES)}
        rows = Rows.of(regions, CHROMOSOMES)
        path = Path(folder) / "m.gz"
        write_matrix(path, REGION_HEADING, rows.texts(), None, names, store, workers)
        seconds = time.monotonic() - start
        print(
            f"{MATRIX_SAMPLES} samples, {len(regions):,} windows | {seconds:.0f} s | "
            f"{path.stat().st_size / 1e6:,.0f} MB | {peak_memory() / 1e3:,.0f} MB"
        )


# Seconds until a worker has started.
START = 180
# Seconds per sample on 2 cores: from its index, and for the records of a streamed file of 1 GB.
FROM_INDEX, BY_RECORDS = 0.15, 6.0


def costs() -> Iterator[str]:
    """Yields rows of a table: cost of many samples in single jobs, and in a cohort."""
    for samples in (500, 10_000):
        for source, per_sample in (
            ("from indexes", FROM_INDEX),
            ("1 GB each, by records", BY_RECORDS),
        ):
            # Batch: a job of 2 cores per sample, 100 at a time. Cohorts: jobs of 4 cores.
            batch = samples * 2 * (START + per_sample) / 3600
            rounds = -(-samples // 100)
            cells = [f"{rounds * (START + per_sample) / 60:,.0f} min, {batch:,.0f} core-hours"]
            for jobs in (1, 10):
                seconds = START + samples * per_sample / 2 / jobs + (2 * START if jobs > 1 else 0)
                counting = samples * per_sample * 2 / 3600
                starts = 4 * START * (jobs + 2 if jobs > 1 else 1) / 3600
                cells.append(f"{seconds / 60:,.0f} min, {starts + counting:,.1f}")
            yield f"| {samples:,}, {source} | {' | '.join(cells)} |"


def main() -> None:
    print(f"# Cohorts: {RATE / 1e6:,.0f} MB/s per connection, {1e3 * LATENCY:,.0f} ms latency\n")
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "| job | wall | per sample | CPU |\n| --- | ---: | ---: | ---: |": on_the_platform,
        f"| {SMALL_FILES} BAMs, {SMALL_READS:,} reads, windows of {WINDOW:,} bases | wall | CPU |\n"
        "| --- | ---: | ---: |": in_windows,
        "| matrix | wall | size | memory of the parent |\n| --- | ---: | ---: | ---: |": (
            large_matrix
        ),
    }
    parts["| samples | batch | one job | `subjobs=10` |\n| --- | ---: | ---: | ---: |"] = costs
    selected = os.environ.get("PART")
    for heading, rows in parts.items():
        if selected in (None, "", rows.__name__):
            print(heading, flush=True)
            for row in rows():
                print(row, flush=True)
            print()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["windows", *paths]:
            count_here(paths)
        case ["matrix"]:
            write_large_matrix()
        case _:
            main()
