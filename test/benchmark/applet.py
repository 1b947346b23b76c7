"""Counts a BAM as the applet does, without the platform.

`python -m benchmark.applet BAM CORES [BED [INPUT=NUMBER]]` counts reference sequences, or the
intervals of a BED file, with these values of other inputs.

The index is next to the BAM. The count file is written to standard output; CPU seconds and peak
memory in kB, of the parent process only, to standard error.
"""

import gc
import sys
import time
from pathlib import Path

from readcount.counting.pool import start_workers
from readcount.outputs.text import format_counts
from steps import ask, count_regions, files_of


def main(bam: str, cores: int, bed: str = "", *inputs: str) -> None:
    numbers = {name: int(number) for name, number in (one.split("=") for one in inputs)}
    with start_workers(cores) as workers:
        files = files_of(Path(bam), bed=Path(bed) if bed else None)
        result = count_regions(files, workers, lambda line: None, ask(**numbers))
    sys.stdout.write(format_counts(result))
    print(time.process_time(), peak_memory(), file=sys.stderr)


def peak_memory() -> int:
    # Not ru_maxrss, which a process inherits from its parent.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    gc.disable()
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
