"""Counting by samtools: the function that the Pool runs, and the calls that it makes."""

import functools
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence

from readcount.counts import TaskCounts
from readcount.errors import CountError, MissingToolError
from readcount.inputs import IndexedBam
from readcount.plan import Group, Task
from readcount.regions import Region, fits_bed

# The highest position in a BAM, where positions are 32-bit (SAM specification, section 4.2).
LAST_POSITION = 2**31 - 1
# How far behind the end of its sequence a record of a group may begin and be seen at once.
MARGIN = 1 << 16


def run_task(bam: IndexedBam, numbered: tuple[int, Task]) -> TaskCounts:
    """Counts every record of the task's regions, or of the window that the task is.

    Secondary, supplementary, duplicate and placed unmapped records count too; no flag and no
    mapping quality is filtered by. A region gets what `samtools view -c` gives for it: that
    leaves out records at position 0 that do not reach position 1.

    Args:
        bam: the BAM with its index.
        numbered: the task, with its number in the plan.

    Raises:
        CountError: samtools failed, complained or gave no number.
        MissingToolError: there is no samtools.
    """
    number, task = numbered
    if isinstance(task, Group):
        return TaskCounts(number, tuple(count_group(bam, task)))
    window = task.window or task.region
    return TaskCounts(number, (count_region(bam, window, window.start != task.region.start),))


def count_region(bam: IndexedBam, region: Region, only_beginning: bool = False) -> int:
    """Counts the records of one region with one `samtools view -c`; raises as run_task does.

    Args:
        bam: the BAM with its index.
        region: a whole sequence, or a window.
        only_beginning: leave out the records that begin before the region.
    """
    options: list[str] = []
    bed = ""
    if only_beginning and region.start is not None:
        # To samtools the first position is 1.
        options += ["-e", f"pos >= {region.start + 1}"]
    if _needs_bed(region):
        options += ["-M", "-L", "-"]
        bed = _bed_line(region.contig, LAST_POSITION)
    command = [samtools_path(), "view", "-c", *options, str(bam.path)]
    if not bed:
        command.append(region.as_samtools())

    ended = subprocess.run(command, input=bed.encode(), capture_output=True, check=False)
    answer = ended.stdout.decode(errors="replace").strip()
    complaints = ended.stderr.decode(errors="replace").strip()
    # Exit status 0 is not enough: samtools also gives it for a region that it does not know
    # (up to 1.16 at least) and for records before the place where a file was cut off.
    if ended.returncode != 0 or complaints or not answer.isdecimal():
        raise CountError(bam.name, str(region), command, ended.returncode, complaints or answer)
    return int(answer)


def count_group(bam: IndexedBam, group: Group) -> list[int]:
    """Counts the records of each sequence of a group, all in one pass.

    A line of a BED file makes samtools look up every bin of the index up to its end: 2 ms and
    1 MB for each line if that is the last position possible. So a line ends soon after its
    sequence, and a sequence whose count is not what the index says (a record lies far behind the
    end, or at position 0) is counted again by a call of its own.
    """
    bed = "".join(
        _bed_line(contig, length + MARGIN)
        for contig, length in zip(group.contigs, group.lengths, strict=True)
    )
    tally = _tally(bam, group, bed.encode())
    counts = []
    for contig, in_index in zip(group.contigs, group.in_index, strict=True):
        records = tally.get(contig, 0)
        if records != in_index:
            records = count_region(bam, Region(contig))
        counts.append(records)
    return counts


def _tally(bam: IndexedBam, group: Group, bed: bytes) -> dict[str, int]:
    """Gives the records on each reference sequence that has some, within the lines of the BED.

    The records go from `samtools view` to `samtools idxstats`, which counts whatever it reads
    from a stream: a fifth of the time that lines of SAM text take to write and to split.
    """
    region = f"{group.contigs[0]} to {group.contigs[-1]}"
    view = [samtools_path(), "view", "-u", "-M", "-L", "-", str(bam.path)]
    idxstats = [samtools_path(), "idxstats", "-"]
    with tempfile.TemporaryFile() as lines, tempfile.TemporaryFile() as view_stderr:
        lines.write(bed)
        lines.seek(0)
        with (
            subprocess.Popen(
                view, stdin=lines, stdout=subprocess.PIPE, stderr=view_stderr
            ) as viewing,
            subprocess.Popen(
                idxstats, stdin=viewing.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as tallying,
        ):
            assert viewing.stdout is not None
            # The reader's copy is left alone, so that view ends if idxstats does.
            viewing.stdout.close()
            answer, complaints = tallying.communicate()
        view_stderr.seek(0)
        view_complaints = view_stderr.read()

    def fail(command: Sequence[str], exit_status: int, said: str) -> CountError:
        return CountError(bam.name, region, command, exit_status, said)

    said = view_complaints.decode(errors="replace").strip()
    if said or viewing.returncode not in (0, -signal.SIGPIPE):
        raise fail(view, viewing.returncode, said)
    said = _without_missing_index(complaints.decode(errors="replace")).strip()
    if said or tallying.returncode != 0:
        raise fail(idxstats, tallying.returncode, said)
    if viewing.returncode != 0:
        raise fail(view, viewing.returncode, said)

    tally = {}
    for line in answer.decode(errors="replace").split("\n"):
        if not line or line.endswith("\t0\t0"):
            continue
        try:
            name, _, mapped, unmapped = line.split("\t")
            tally[name] = int(mapped) + int(unmapped)
        except ValueError:
            raise fail(idxstats, tallying.returncode, line) from None
    return tally


def _bed_line(contig: str, end: int) -> str:
    return f"{contig}\t0\t{end}\n"


def _without_missing_index(complaints: str) -> str:
    """Leaves out what idxstats says because a stream, `-`, has no index."""
    return re.sub(r"(?m)^.*\bindex\b.*['\"]-['\"].*\n?", "", complaints)


@functools.cache
def samtools_path() -> str:
    """The absolute path of samtools; raises MissingToolError if it is not on the PATH."""
    path = shutil.which("samtools")
    if path is None:
        raise MissingToolError("samtools is not installed on this worker.")
    return path


def _needs_bed(region: Region) -> bool:
    """Whether samtools would misread the region as an argument, but not in a BED file.

    htslib takes the first brace that a colon follows for the end of the name.
    """
    return "}:" in region.contig and fits_bed(region.contig)
