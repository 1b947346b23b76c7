"""Counting by samtools: the function that the Pool runs, and the calls that it makes."""

import functools
import re
import shutil
import subprocess

from readcount.counts import RegionCount
from readcount.errors import CountError, MissingToolError
from readcount.inputs import IndexedBam
from readcount.plan import Task
from readcount.regions import Region

# The highest position in a BAM, where positions are 32-bit (SAM specification, section 4.2).
LAST_POSITION = 2**31 - 1


def run_task(bam: IndexedBam, task: Task) -> list[RegionCount]:
    """Counts every record of the task's regions.

    Secondary, supplementary, duplicate and placed unmapped records count too; no flag and no
    mapping quality is filtered by.

    Returns:
        One count per region, in the order of the task.

    Raises:
        CountError: samtools failed, complained or gave no number.
        MissingToolError: there is no samtools.
    """
    return [count_region(bam, region) for region in task.regions]


def count_region(bam: IndexedBam, region: Region) -> RegionCount:
    """Counts the records of one region with one `samtools view -c`; raises as run_task does."""
    command = [samtools_path(), "view", "-c", str(bam.path)]
    if _needs_bed(region):
        command[-1:-1] = ["-M", "-L", "-"]
        bed = f"{region.contig}\t0\t{LAST_POSITION}\n"
    else:
        command.append(region.as_samtools())
        bed = ""

    call = subprocess.run(command, input=bed.encode(), capture_output=True, check=False)
    answer = call.stdout.decode(errors="replace").strip()
    complaints = call.stderr.decode(errors="replace").strip()
    # Exit status 0 is not enough: samtools also gives it for a region that it does not know
    # (up to 1.16 at least) and for records before the place where a file was cut off.
    if call.returncode != 0 or complaints or not answer.isdecimal():
        raise CountError(bam.name, str(region), command, call.returncode, complaints or answer)
    return RegionCount(region, int(answer))


@functools.cache
def samtools_path() -> str:
    """The absolute path of samtools; raises MissingToolError if it is not on the PATH."""
    path = shutil.which("samtools")
    if path is None:
        raise MissingToolError("samtools is not installed on this worker.")
    return path


def _needs_bed(region: Region) -> bool:
    """Whether samtools would misread the region as an argument, but not in a BED file.

    htslib takes the first brace that a colon follows for the end of the name. A BED file can say
    such a name unless it looks like a comment or has blanks. It is not the way for every name:
    `*` and `.` mean something else there.
    """
    return "}:" in region.contig and re.fullmatch(r"[^#\s]\S*", region.contig) is not None
