"""Counting by samtools: the function that the Pool runs, and the calls that it makes."""

import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import IO

from readcount.counts import TaskCounts
from readcount.cram import read_crai, scatters_unplaced
from readcount.errors import (
    MORE_MEMORY,
    MORE_STORAGE,
    CallError,
    DiskSpaceError,
    InputError,
    MissingToolError,
    ReadCountError,
    SamtoolsKilledError,
    shorten,
)
from readcount.index import index_of_one
from readcount.inputs import IndexedBam
from readcount.plan import Call, Group, SpanGroup, Task
from readcount.regions import LAST_POSITION, Region, fits_bed, fits_span
from readcount.remote import unreachable
from readcount.selection import EVERYTHING, Selection
from readcount.spans import count_overlaps, read_records

# Sequences of a group that may have to be counted again, each by a call.
RECOUNTED = 100
# What `samtools index` says of records that are not in the order of the header.
_NOT_SORTED = re.compile(
    "Unsorted positions|Chromosome blocks not continuous|not in a single block at the end"
)
_CANNOT_WRITE = "failed to create or write index"
_NO_SUCH_REGION = "specifies an invalid region or unknown reference"
# What samtools says when a connection breaks or cannot be had, and not of a damaged file.
_NETWORK = re.compile("ailed to open|hread returned -1|fail to read the header|bgzf_check_EOF")
_OUT_OF_MEMORY = re.compile("cannot allocate memory|out of memory", re.IGNORECASE)


def run_task(
    bam: IndexedBam, numbered: tuple[int, Task], selection: Selection = EVERYTHING
) -> TaskCounts:
    """Counts the records of the task's regions, or of the window that the task is.

    Without a selection every record counts, secondary, supplementary, duplicate and placed
    unmapped ones too. A region gets what `samtools view -c` gives for it: that leaves out records
    at position 0 that do not reach position 1.

    Args:
        bam: the BAM with its index.
        numbered: the task, with its number in the plan.
        selection: which records count.

    Raises:
        InputError: samtools failed, complained or gave no number.
        SamtoolsKilledError: samtools did not end by itself, or had not enough memory.
        MissingToolError: there is no samtools.
    """
    number, task = numbered
    return TaskCounts(number, bam.tried(partial(_count_task, bam, task, selection)))


def _count_task(bam: IndexedBam, task: Task, selection: Selection) -> tuple[int, ...]:
    """Gives a number for each region of the task; raises as run_task does."""
    if isinstance(task, Group):
        return tuple(count_group(bam, task, selection))
    if isinstance(task, SpanGroup):
        return tuple(count_spans(bam, task, selection))
    with _with_own_index(bam, task) as alone:
        return (count_window(alone, task, selection),)


def count_window(bam: IndexedBam, call: Call, selection: Selection = EVERYTHING) -> int:
    """Counts the records of a region that begin in a window of it, raising as run_task does.

    The region's first window also has those that only overlap its beginning. For the others, what
    overlaps the position before the window is counted by a call of its own and taken off, which
    reads little; or an expression keeps it out, which costs a sixth of the time for each record.
    """
    window = call.window or call.region
    start = window.start
    if start is None or start == call.region.start:
        return count_region(bam, window, selection)
    if not call.edge:
        # To samtools the first position is 1.
        return count_region(bam, window, selection, f"pos > {start}")
    # A record that overlaps the window and the position before it began before the window.
    before = count_region(bam, Region(window.contig, start - 1, start), selection)
    return count_region(bam, Region(window.contig, start - 1, window.end), selection) - before


def count_region(
    bam: IndexedBam,
    region: Region,
    selection: Selection = EVERYTHING,
    expression: str = "",
) -> int:
    """Counts the records of one region with one `samtools view -c`; raises as run_task does.

    Args:
        bam: the BAM with its index.
        region: a whole sequence, a span, or UNPLACED.
        selection: which records count.
        expression: a filter expression of samtools, to count only records for which it holds. None
            for a CRAM: since 1.17 `view -c` then decodes every field, for which it needs the
            reference.
    """
    if not region.placed and bam.cram and _scatters_unplaced(bam):
        return tally_all(bam, selection).get(region.contig, 0)
    options: list[str] = []
    bed = ""
    if expression:
        options += ["-e", expression]
    if _needs_bed(region):
        options += ["-M", "-L", "-"]
        bed = _bed_line(region.contig, region.start or 0, region.end or LAST_POSITION)
    command = [samtools_path(), "view", "-c", *_which(bam, selection), *options, bam.as_samtools()]
    if not bed:
        command.append(region.as_samtools())

    ended = subprocess.run(command, input=bed.encode(), capture_output=True, check=False)
    answer, complaints = _text(ended.stdout), _text(ended.stderr)
    if not region.placed and _NO_SUCH_REGION in complaints:
        # By the index there are no records at all.
        return tally_all(bam, selection).get(region.contig, 0)
    # Exit status 0 is not enough: samtools also gives it for a region that it does not know
    # (up to 1.16 at least) and for records before the place where a file was cut off.
    if ended.returncode != 0 or complaints or not answer.isdecimal():
        raise _failure(bam, str(region), command, ended.returncode, complaints or answer)
    return int(answer)


def count_group(bam: IndexedBam, group: Group, selection: Selection = EVERYTHING) -> list[int]:
    """Counts the records of each sequence of a group, all in one pass.

    A line of a BED file makes samtools look up every bin of the index up to its end: 2 ms and
    1 MB for each line if that is the last position possible. So a line ends where the index says
    that no record reaches. If every record counts, a sequence whose count is not what the index
    says (it has records at position 0) is counted again by a call of its own. Where that would be
    many, the index is not the file's.

    Raises:
        InputError: more than RECOUNTED sequences have not what the index says, or as run_task.
    """
    bed = "".join(
        _bed_line(contig, 0, reach)
        for contig, reach in zip(group.contigs, group.reaches, strict=True)
    )
    where = f"{group.contigs[0]} to {group.contigs[-1]}"
    tally = _tally(bam, where, ["-M", "-L", "-"], bed, selection)
    counts = [tally.get(contig, 0) for contig in group.contigs]
    if not selection.everything:
        return counts
    recounted = 0
    for at, (contig, in_index) in enumerate(zip(group.contigs, group.in_index, strict=True)):
        if in_index is not None and counts[at] != in_index:
            recounted += 1
            if recounted > RECOUNTED:
                raise disagreement(bam, contig, counts[at], in_index)
            counts[at] = count_region(bam, Region(contig))
    return counts


def count_spans(bam: IndexedBam, group: SpanGroup, selection: Selection = EVERYTHING) -> list[int]:
    """Counts the records that reach into each span of a group, all in one pass.

    One call gives the records that lie in any of the spans, each once; which of them it reaches
    into is looked up here. Raises as run_task does.
    """
    spans = list(zip(group.contigs, group.starts, group.ends, strict=True))
    bed = "".join(_bed_line(*span) for span in spans)
    where = f"{Region(*spans[0])} to {Region(*spans[-1])}"
    with _selected(bam, where, ["-M", "-L", "-"], bed, selection) as records:
        try:
            return count_overlaps(read_records(records), spans)
        except (OSError, ValueError) as error:
            raise _failure(bam, where, ["samtools", "view"], 0, str(error)) from error


def tally_all(bam: IndexedBam, selection: Selection = EVERYTHING) -> dict[str, int]:
    """Gives the records on each reference sequence that has some, without the index's help.

    Reads the whole file; raises as run_task does.
    """
    return _tally(bam, "all of it", [], "", selection)


def tally_before_first_position(
    bam: IndexedBam, selection: Selection = EVERYTHING
) -> dict[str, int]:
    """Gives the records at position 0 that do not reach position 1, by reference sequence.

    They have a reference sequence, so they are in the statistics of the index, but no place on
    it, so no region has them. Records without a reference sequence are at position 0 too: those
    are below `*`. Reads the whole file; raises as run_task does.
    """
    return _tally(bam, "position 0", ["-e", "pos == 0 && endpos < 1"], "", selection)


def disagreement(bam: IndexedBam, contig: str, records: int, in_index: int) -> InputError:
    """The error for a sequence that has not the records that the index says, or the containers."""
    if bam.cram:
        return InputError(
            f"mappings_sorted_bai: by {bam.index_shown}, {shorten(contig, 60)} has {records:,} "
            f"records, but the containers of {bam.shown} hold {in_index:,}. The index was made "
            "from another file, or one of the two is damaged. Upload the CRAM again, and give no "
            "index: the applet then makes one."
        )
    return InputError(
        f"mappings_sorted_bai: {bam.index_shown} says that {shorten(contig, 60)} has "
        f"{in_index:,} records, but {bam.shown} has {records:,} there. The index was made from "
        "another file, or one of the two is damaged. Upload the BAM again, and an index made from "
        "it with 'samtools index'."
    )


def quickcheck(bam: IndexedBam, path: Path) -> str:
    """Gives what `samtools quickcheck` has to say against a file, nothing if it passes.

    Args:
        bam: the file.
        path: where its header and its end are, with or without the rest.
    """
    command = [samtools_path(), "quickcheck", "-u", str(path)]
    ended = subprocess.run(command, capture_output=True, check=False)
    if ended.returncode < 0:
        raise _failure(bam, "its beginning and end", command, ended.returncode, _text(ended.stderr))
    complaints = _text(ended.stderr) or f"exit status {ended.returncode}"
    return complaints if ended.returncode else ""


def has_header(bam: IndexedBam, path: Path) -> bool:
    """Whether all of the header is in what there is of the file at a path."""
    command = [samtools_path(), "view", "-H", *bam.read_options(), str(path)]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return ended.returncode == 0


def make_index(bam: IndexedBam, threads: int, csi: bool) -> None:
    """Writes the index of a file to where it is to be: a CSI, or else a BAI or CRAI.

    Raises:
        InputError: the file is not sorted by position, or cannot be read.
        DiskSpaceError: the index cannot be written.
        SamtoolsKilledError, MissingToolError: as in run_task.
    """
    # To samtools the number is that of threads beside the first.
    command = [samtools_path(), "index", "-@", str(threads - 1), *(["-c"] if csi else [])]
    command += [str(bam.path), str(bam.index)]
    ended = subprocess.run(command, capture_output=True, check=False)
    said = _text(ended.stderr)
    if ended.returncode == 0 and not said:
        return
    details = f"{shlex.join(command)} said:\n{said}"
    if _NOT_SORTED.search(said):
        raise not_sorted(bam, details)
    if _CANNOT_WRITE in said:
        raise DiskSpaceError(
            f"mappings_sorted_bam: the index of {bam.shown} cannot be written. {MORE_STORAGE}",
            details,
        )
    raise _failure(bam, "some place, to index it", command, ended.returncode, said)


def not_sorted(bam: IndexedBam, details: str = "") -> InputError:
    """The error for a file without an index whose records are not in the order of the header."""
    return InputError(
        f"mappings_sorted_bam: {bam.shown} is not sorted by position, so it cannot be indexed. "
        f"{sort_it(bam)}",
        details,
    )


def sort_it(bam: IndexedBam) -> str:
    """Says how to sort a file."""
    name = bam.path.name
    command = ["samtools", "sort", "-o", shorten(f"sorted_{name}", 80), shorten(name, 80)]
    return f"Sort it with: {shlex.join(command)}"


def _tally(
    bam: IndexedBam, where: str, options: list[str], bed: str, selection: Selection
) -> dict[str, int]:
    """Gives the records on each reference sequence that has some, of those that view selects.

    The records go from `samtools view` to `samtools idxstats`, which counts whatever it reads
    from a stream: half of the time that lines of SAM text take to write and to split.
    """
    command = [samtools_path(), "idxstats", "-"]
    with _selected(bam, where, options, bed, selection) as records:
        ended = subprocess.run(command, stdin=records, capture_output=True, check=False)
        said = _text(_without_missing_index(ended.stderr))
        if said or ended.returncode:
            raise _failure(bam, where, command, ended.returncode, said)

    tally = {}
    for line in _text(ended.stdout).split("\n"):
        if not line or line.endswith("\t0\t0"):
            continue
        try:
            name, _, mapped, unmapped = line.split("\t")
            tally[name] = int(mapped) + int(unmapped)
        except ValueError:
            raise _failure(bam, where, command, ended.returncode, line) from None
    return tally


def _which(bam: IndexedBam, selection: Selection) -> list[str]:
    """The options of view for what to read of a record, and which records count."""
    return [*bam.read_options(bool(selection.read_groups)), *selection.as_samtools()]


@contextmanager
def _selected(
    bam: IndexedBam, where: str, options: list[str], bed: str, selection: Selection
) -> Iterator[IO[bytes]]:
    """Gives the records that `samtools view` selects, as a stream of BAM without compression.

    Args:
        bam: the BAM with its index.
        where: what is read, for an error.
        options: for view.
        bed: what it gets on its standard input.
        selection: which records.

    Raises:
        ReadCountError: view failed or complained, which then is the error even if what reads the
            stream failed, too; or it was not read to its end.
    """
    command = [samtools_path(), "view", "-u", *_which(bam, selection), *options, bam.as_samtools()]
    failed = None
    with tempfile.TemporaryFile() as lines, tempfile.TemporaryFile() as stderr:
        lines.write(bed.encode())
        lines.seek(0)
        with subprocess.Popen(command, stdin=lines, stdout=subprocess.PIPE, stderr=stderr) as view:
            assert view.stdout is not None
            try:
                yield view.stdout
            except ReadCountError as error:
                failed = error
        stderr.seek(0)
        said = _text(stderr.read())
    # If the reader fails, the pipe breaks.
    if said or view.returncode not in (0, -signal.SIGPIPE):
        raise _failure(bam, where, command, view.returncode, said) from failed
    if failed:
        raise failed
    if view.returncode:
        raise _failure(bam, where, command, view.returncode, said)


@contextmanager
def _with_own_index(bam: IndexedBam, call: Call) -> Iterator[IndexedBam]:
    """Gives the BAM with an index that has only the call's sequence, if there is such an entry.

    To load the whole index takes up more than half of the 9 ms that a call costs before it reads
    a record, and of the 27 ms with the index of a 30x genome.
    """
    if call.entry is None:
        yield bam
        return
    with tempfile.NamedTemporaryFile(suffix=".bai") as alone:
        alone.write(index_of_one(bam.index, call.entry))
        alone.flush()
        yield replace(bam, index=Path(alone.name))


def _bed_line(contig: str, start: int, end: int) -> str:
    return f"{contig}\t{start}\t{end}\n"


def _scatters_unplaced(cram: IndexedBam) -> bool:
    return scatters_unplaced(read_crai(cram.index), cram.containers())


def _without_missing_index(complaints: bytes) -> bytes:
    """Leaves out what idxstats says because a stream, `-`, has no index."""
    return re.sub(rb"(?m)^.*\bindex\b.*['\"]-['\"].*\n?", b"", complaints)


def _text(output: bytes) -> str:
    return output.decode(errors="replace").strip()


def _failure(
    bam: IndexedBam, where: str, command: list[str], exit_status: int, said: str
) -> ReadCountError:
    """The error for a call that failed: the input's fault, unless something ended the call."""
    said = bam.without_secret(said)
    command_shown = bam.without_secret(shlex.join(command))
    details = f"{command_shown} ended with exit status {exit_status} and said:\n{said}"
    where, first = shorten(where, 60), shorten(said.partition("\n")[0] or "nothing", 120)
    if exit_status == -signal.SIGKILL or _OUT_OF_MEMORY.search(said):
        return SamtoolsKilledError(
            f"mappings_sorted_bam: samtools was killed, or ran out of memory, while it counted "
            f"{where} of {bam.shown}. {MORE_MEMORY}",
            details,
        )
    if exit_status < 0:
        return SamtoolsKilledError(
            f"mappings_sorted_bam: samtools crashed ({signal.strsignal(-exit_status)}) while it "
            f"counted {where} of {bam.shown}. The file may be damaged in a way that samtools does "
            "not notice: upload it again.",
            details,
        )
    if bam.in_place and _NETWORK.search(said):
        return unreachable(bam.shown, first, details)
    return CallError(
        f"mappings_sorted_bam: {bam.shown} cannot be read at {where}; samtools ended with exit "
        f"status {exit_status} and said: {first}. The file is damaged, or the index is not the one "
        "made from it. Upload the file again, and an index made from it with 'samtools index'.",
        details,
    )


@cache
def samtools_path() -> str:
    """The absolute path of samtools; raises MissingToolError if it is not on the PATH."""
    path = shutil.which("samtools")
    if path is None:
        raise MissingToolError(
            "samtools is not installed on this worker. The applet was built without its "
            "execDepends; build it again with 'dx build'."
        )
    return path


def _needs_bed(region: Region) -> bool:
    """Whether samtools would misread the region as an argument, but not in a BED file.

    htslib takes the first brace that a colon follows, or of a span the first one at all, for the
    end of the name.
    """
    misread = "}:" in region.contig if region.whole else not fits_span(region.contig)
    return region.placed and misread and fits_bed(region.contig)
