"""Counts a BAM as the applet does, but for the platform: `python -m benchmark.applet BAM CORES`.

The steps are those of src/samtools_count.py. The index lies beside the BAM, and the text of the
count file goes to standard output; the parent's highest memory use, in kB, to standard error.
"""

import multiprocessing
import sys
from functools import partial
from pathlib import Path

from readcount.counts import format_counts, merge_counts
from readcount.inputs import IndexedBam
from readcount.plan import plan_tasks
from readcount.regions import Region, read_contigs
from readcount.samtools import run_task


def main(bam_path: str, cores: int) -> None:
    with multiprocessing.get_context("fork").Pool(processes=cores) as pool:
        bam = IndexedBam(path=Path(bam_path).absolute(), name=bam_path)
        contigs = read_contigs(bam)
        regions = [Region(contig) for contig in contigs]
        plan = plan_tasks(regions, contigs, cores)
        counted = pool.imap_unordered(partial(run_task, bam), enumerate(plan.tasks), chunksize=1)
        counts = merge_counts(plan, counted)
    sys.stdout.write(format_counts(counts))
    print(highest_memory(), file=sys.stderr)


def highest_memory() -> int:
    # Not ru_maxrss, in which a process inherits that of the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
