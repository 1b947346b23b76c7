"""Measures the count of many intervals beside the tools that people use for it."""

import shutil
import sys
from pathlib import Path

from benchmark.bams import CHROMOSOMES
from benchmark.measure import Way
from benchmark.settings import CORES

WINDOW = 3000
INTERVAL = 200
# The tools that make a look-up in the index for each interval get a part of the intervals.
SAMPLED_INTERVALS = 2_000


def bed_of_intervals(number: int, folder: Path) -> Path:
    """Returns a BED file of about this many intervals of 200 bases, evenly spaced."""
    path = folder / f"intervals-{number}.bed"
    step = sum(CHROMOSOMES.values()) // number
    return _bed(path, step, INTERVAL)


def bed_of_windows(folder: Path) -> Path:
    """Returns a BED file of the windows of the whole genome."""
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


def ways_for_intervals(bam: Path, bed: Path) -> list[Way]:
    """Returns the ways that are installed to count the intervals; the first is ours."""
    lines = bed.read_text().splitlines(keepends=True)
    every = max(1, len(lines) // SAMPLED_INTERVALS)
    sample = bed.with_suffix(".sample.bed")
    sample.write_text("".join(lines[::every]))
    scale = len(lines) / len(lines[::every])
    part = f", from {len(lines[::every]):,} intervals" if every > 1 else ""
    cores, path = str(CORES), str(bam)
    bedcov = ["samtools", "bedcov", "-c", str(sample), path]
    multicov = ["bedtools", "multicov", "-bams", path, "-bed", str(sample)]
    made = [
        Way(
            "the applet's counting",
            [sys.executable, "-m", "benchmark.applet", path, cores, str(bed)],
        ),
        Way(
            f"featureCounts -T {cores} -p -O -M -f -F SAF",
            [
                *["featureCounts", "-T", cores, "-p", "-O", "-M", "-f", "-F", "SAF"],
                *["-a", str(saf_of(bed)), "-o", str(feature_counts_of(bed)), path],
            ],
            keep=False,
        ),
        Way(f"samtools bedcov -c{part}", bedcov, keep=False, scale=scale),
        Way(f"bedtools multicov{part}", multicov, keep=False, scale=scale),
    ]
    return [way for way in made if shutil.which(way.command[0])]


def saf_of(bed: Path) -> Path:
    """Returns the intervals as featureCounts takes them: 1-based, inclusive, with a name."""
    saf = bed.with_suffix(".saf")
    with saf.open("w") as file:
        for number, line in enumerate(bed.read_text().splitlines()):
            contig, start, end = line.split("\t")
            file.write(f"{number}\t{contig}\t{int(start) + 1}\t{end}\t+\n")
    return saf


def feature_counts_of(bed: Path) -> Path:
    """Returns where featureCounts writes its counts."""
    return bed.with_suffix(".featurecounts")


def different_from_feature_counts(bed: Path, counts: list[int]) -> int:
    """Returns how many intervals have another count by featureCounts."""
    lines = feature_counts_of(bed).read_text().splitlines()[2:]
    theirs = [int(line.rpartition("\t")[2]) for line in lines]
    return sum(ours != other for ours, other in zip(counts, theirs, strict=True))
