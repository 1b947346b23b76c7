"""Settings of the benchmarks, from environment variables, and their progress messages."""

import os
import sys
from pathlib import Path

READS = int(os.environ.get("READS") or 6_000_000)
ROUNDS = int(os.environ.get("ROUNDS") or 5)
SEED = int(os.environ.get("SEED") or 1)
# Fewer reads suffice for the file with 200,000 contigs.
CONTIG_READS = min(READS, 1_000_000)
CORES = int(os.environ.get("CORES") or os.cpu_count() or 1)
# Folder in which the BAMs are kept.
BENCH = Path(os.environ.get("BENCH") or Path(__file__).parents[2] / ".bench")
# Bytes per second and latency, in seconds, of a connection to the local platform.
RATE = float(os.environ.get("RATE") or 50e6)
LATENCY = float(os.environ.get("LATENCY") or 0.02)


def show_progress(message: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{message}", end="", file=sys.stderr, flush=True)
