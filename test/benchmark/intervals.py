"""Methods to count many intervals: the applet and other tools."""

import shutil
import sys
from pathlib import Path

from benchmark.bams import CHROMOSOMES
from benchmark.measure import Method
from benchmark.settings import CORES

WINDOW = 3000
INTERVAL = 200
# Tools that look up each interval in the index count only about this many of them.
SAMPLED_INTERVALS = 2_000


def bed_of_intervals(number: int, folder: Path) -> Path:
    """Returns a BED file of about this many intervals of 200 bases, evenly spaced."""
    path = folder / f"intervals-{number}.bed"
    step = sum(CHROMOSOMES.values()) // number
    return _bed(path, step, INTERVAL)


def bed_of_windows(folder: Path) -> Path:
    """Returns a BED file of windows that cover the whole genome."""
    return _bed(folder / f"windows-{WINDOW}.bed", WINDOW, WINDOW)


def _bed(path: Path, step: int, size: int) -> Path:
    path.write_text(
        "".join(
            f"{name}\t{start}\t{min(start + size, length)}\n"
            for name, length in CHROMOSOMES.items()
            for start in range(0, length, step)
        )
    )
    return path


def methods_for_intervals(bam: Path, bed: Path) -> list[Method]:
    """Returns the installed methods to count the intervals of a BED file; the first is ours."""
    lines = bed.read_text().splitlines(keepends=True)
    every = max(1, len(lines) // SAMPLED_INTERVALS)
    sample = bed.with_suffix(".sample.bed")
    sample.write_text("".join(lines[::every]))
    scale = len(lines) / len(lines[::every])
    part = f", from {len(lines[::every]):,} intervals" if every > 1 else ""
    cores, path = str(CORES), str(bam)
    bedcov = ["samtools", "bedcov", "-c", str(sample), path]
    multicov = ["bedtools", "multicov", "-bams", path, "-bed", str(sample)]
    methods = [
        Method(
            "this applet",
            [sys.executable, "-m", "benchmark.applet", path, cores, str(bed)],
        ),
        Method(
            f"featureCounts -T {cores} -p -O -M -f -F SAF",
            [
                *["featureCounts", "-T", cores, "-p", "-O", "-M", "-f", "-F", "SAF"],
                *["-a", str(saf_of(bed)), "-o", str(feature_counts_of(bed)), path],
            ],
            keep=False,
        ),
        Method(f"samtools bedcov -c{part}", bedcov, keep=False, scale=scale),
        Method(f"bedtools multicov{part}", multicov, keep=False, scale=scale),
    ]
    return [method for method in methods if shutil.which(method.command[0])]


def saf_of(bed: Path) -> Path:
    """Writes the intervals in the SAF format of featureCounts: named, 1-based, inclusive."""
    saf = bed.with_suffix(".saf")
    with saf.open("w") as file:
        for number, line in enumerate(bed.read_text().splitlines()):
            contig, start, end = line.split("\t")
            file.write(f"{number}\t{contig}\t{int(start) + 1}\t{end}\t+\n")
    return saf


def feature_counts_of(bed: Path) -> Path:
    """Returns the path of the counts written by featureCounts."""
    return bed.with_suffix(".featurecounts")


def different_from_feature_counts(bed: Path, counts: list[int]) -> int:
    """Returns the number of intervals for which featureCounts has a different count."""
    lines = feature_counts_of(bed).read_text().splitlines()[2:]
    others = [int(line.rpartition("\t")[2]) for line in lines]
    return sum(count != other for count, other in zip(counts, others, strict=True))
