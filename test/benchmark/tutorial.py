"""Counts a BAM as the tutorial applet does: `python -m benchmark.tutorial BAM CORES [SAMPLE]`.

One `samtools view -c` for each reference sequence of the header, through Pool.map. With SAMPLE it
makes only so many calls, for sequences from all over the header, and prints no counts.
"""

import multiprocessing
import subprocess
import sys


def main(bam: str, cores: int, sample: int | None = None) -> None:
    header = subprocess.check_output(["samtools", "view", "-H", bam], text=True)
    regions = [
        field.removeprefix("SN:")
        for line in header.splitlines()
        if line.startswith("@SQ\t")
        for field in line.split("\t")
        if field.startswith("SN:")
    ]
    if sample:
        regions = regions[:: len(regions) // sample][:sample]
    with multiprocessing.get_context("fork").Pool(processes=cores) as pool:
        counts = pool.map(count, [["samtools", "view", "-c", bam, region] for region in regions])
    if not sample:
        for region, records in zip(regions, counts, strict=True):
            print(f"Region {region}: {records}")
        print(f"Total reads: {sum(counts)}", end="")


def count(command: list[str]) -> int:
    return int(subprocess.check_output(command))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:]))
