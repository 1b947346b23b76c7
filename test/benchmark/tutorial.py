"""Counts a BAM as the tutorial does: `python -m benchmark.tutorial BAM CORES [SAMPLE [BED]]`.

It runs one `samtools view -c` per reference sequence, with Pool.map. With SAMPLE it makes only this
many calls, for sequences spread over the header or intervals spread over a BED file, and prints no
counts.
"""

import multiprocessing
import subprocess
import sys
from pathlib import Path


def main(bam: str, cores: str, sample: str = "0", bed: str = "") -> None:
    header = subprocess.check_output(["samtools", "view", "-H", bam], text=True)
    regions = [
        field.removeprefix("SN:")
        for line in header.splitlines()
        if line.startswith("@SQ\t")
        for field in line.split("\t")
        if field.startswith("SN:")
    ]
    if bed:
        intervals = [line.split("\t") for line in Path(bed).read_text().splitlines()]
        regions = [f"{name}:{int(start) + 1}-{end}" for name, start, end in intervals]
    if int(sample):
        regions = regions[:: len(regions) // int(sample)][: int(sample)]
    with multiprocessing.get_context("fork").Pool(processes=int(cores)) as pool:
        counts = pool.map(count, [["samtools", "view", "-c", bam, region] for region in regions])
    if not int(sample):
        for region, records in zip(regions, counts, strict=True):
            print(f"Region {region}: {records}")
        print(f"Total reads: {sum(counts)}", end="")


def count(command: list[str]) -> int:
    return int(subprocess.check_output(command))


if __name__ == "__main__":
    main(*sys.argv[1:])
