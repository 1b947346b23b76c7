#!/usr/bin/env python3
"""Sorts a BAM by position and indexes it: the stage before the counting in the README's example."""

import os
import subprocess
from typing import Any

import dxpy

DXLink = dict[str, Any]


@dxpy.entry_point("main")
def main(mappings_bam: DXLink) -> dict[str, DXLink]:
    """Returns links to NAME.sorted.bam and its index, for a BAM of the name NAME.bam."""
    inputs = dxpy.download_all_inputs()
    unsorted, name = inputs["mappings_bam_path"][0], inputs["mappings_bam_prefix"][0]
    bam = f"{name}.sorted.bam"
    threads = str(os.cpu_count() or 1)
    subprocess.run(["samtools", "sort", "-@", threads, "-o", f"./{bam}", unsorted], check=True)
    subprocess.run(["samtools", "index", f"./{bam}"], check=True)
    return {
        "sorted_bam": dxpy.dxlink(dxpy.upload_local_file(bam)),
        "sorted_bai": dxpy.dxlink(dxpy.upload_local_file(f"{bam}.bai")),
    }


dxpy.run()
