"""Measures time and memory of statistics and report: `python -m validation.measure`.

Each size is measured in a separate process. The counts reuse a few random blocks, so they take
little time to simulate.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from readcount.cohort.layout import RegionColumns
from readcount.cohort.multiqc_statistics import format_copies, format_general_statistics
from readcount.cohort.report import format_cohort_report
from readcount.cohort.samples_table import COUNTED, SampleRow
from readcount.cohort.statistics import statistics_of
from validation.simulation import whole_chromosomes, windows_of

# (number of samples, window size); 0: whole chromosomes.
SIZES = ((3, 0), (100, 0), (1000, 0), (10_000, 0), (100, 10_000), (500, 10_300), (2000, 100_000))
BLOCK = 4096


def blocks_of(regions: RegionColumns, samples: int) -> Iterator[NDArray[np.int64]]:
    """Yields blocks of counts, 20 reads per 100 bases; every second sample has Y."""
    random = np.random.default_rng(1)
    depth = 2 ** random.normal(0, 0.2, samples)
    noise = [random.normal(1, 0.02, (BLOCK, samples)) for _ in range(2)]
    lengths = np.array(regions.ends) - np.array(regions.starts)
    copies = np.array([{"chrX": 1, "chrY": 0.5}.get(contig, 2.0) for contig in regions.contigs])
    on_y = np.array([contig == "chrY" for contig in regions.contigs])
    for number, start in enumerate(range(0, len(lengths), BLOCK)):
        rows = slice(start, start + BLOCK)
        means = (0.1 * lengths[rows] * copies[rows])[:, None] * depth
        block = means * noise[number % 2][: len(means)]
        block[on_y[rows], 1::2] *= 0.01
        yield block.astype(np.int64)


def measure(samples: int, size: int) -> str:
    """Returns a row of the table. The time of the statistics includes simulating the counts."""
    regions = windows_of(size) if size else whole_chromosomes()
    totals = np.zeros(samples, np.int64)
    for block in blocks_of(regions, samples):
        totals += block.sum(axis=0)
    start = time.perf_counter()
    statistics = statistics_of(regions, blocks_of(regions, samples), samples)
    calculated = time.perf_counter()
    rows = [
        SampleRow(f"sample{at:05}", COUNTED, records=int(total)) for at, total in enumerate(totals)
    ]
    names = [row.sample for row in rows]
    page = format_cohort_report(rows, statistics, "cohort")
    statistics.columns()
    format_general_statistics(names, statistics)
    format_copies(names, statistics)
    done = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (
        f"| {samples:,} | {len(regions.names):,} | {calculated - start:.1f} s "
        f"| {done - calculated:.1f} s | {memory:.2f} GB | {len(page.encode()) / 1e6:.1f} MB |"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(measure(*map(int, sys.argv[1:])))
    else:
        print("| samples | regions | statistics | report | memory | page |")
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        for each in SIZES:
            subprocess.run(
                [sys.executable, "-m", "validation.measure", *map(str, each)], check=True
            )
