"""The samtools commands that read the input file, and what their failure means."""

import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from readcount.errors import (
    MORE_MEMORY,
    MORE_STORAGE,
    CallError,
    DiskSpaceError,
    InputError,
    ReadCountError,
    SamtoolsKilledError,
)
from readcount.request.filters import NO_FILTERS, Filters
from readcount.request.region import LAST_POSITION, Region, fits_bed, fits_span
from readcount.samtools import samtools_path
from readcount.source.files import IndexedFile
from readcount.source.readers import NAME_LENGTH, Reader, network_error
from readcount.text import shorten

# What `samtools index` says of records that are not in the order of the header.
_NOT_SORTED = re.compile(
    "Unsorted positions|Chromosome blocks not continuous|not in a single block at the end"
    "|not sorted by chromosome"
)
_CANNOT_WRITE = "failed to create or write index"
_NO_SUCH_REGION = "specifies an invalid region or unknown reference"
# The htslib of samtools 1.24 writes a line for each attempt to connect, also if the next succeeds.
_RETRYING = re.compile(r"(?m)^\[W::libcurl_\w+\] Retrying .*\n?")
# Bits of the exit status of quickcheck: no end-of-file block, and a failure to close the file.
_NO_END = 16 | 32
# What htslib says of the lines of a header, with or without the number of the line.
_MALFORMED_HEADER = re.compile(r"\[E::sam_h(?:dr|recs)_\w+\] (.*)")
_OUT_OF_MEMORY = re.compile("cannot allocate memory|out of memory", re.IGNORECASE)


def count_region(
    file: IndexedFile, region: Region, filters: Filters = NO_FILTERS, expression: str = ""
) -> int:
    """Counts the records of one region with one `samtools view -c`.

    Args:
        file: the BAM or CRAM with its index.
        region: a whole sequence, a span, or UNPLACED.
        filters: which records count.
        expression: a filter expression of samtools, to count only records for which it holds. None
            for a CRAM: since 1.17 `view -c` then decodes every field, for which it needs the
            reference.

    Raises:
        InputError: samtools failed, complained or returned no number.
        SamtoolsKilledError: samtools was killed, crashed, or had not enough memory.
        NetworkError: the file is streamed, and cannot be reached.
        MissingToolError: there is no samtools.
    """
    if not region.placed and file.unplaced_scattered:
        return tally_all(file, filters).get(region.contig, 0)
    options = ["-e", expression] if expression else []
    bed = ""
    if _needs_bed(region):
        options += ["-M", "-L", "-"]
        bed = bed_line(region.contig, region.start or 0, region.end or LAST_POSITION)
    command = [samtools_path(), "view", "-c", *_which(file, filters), *options, file.as_samtools()]
    if not bed:
        command.append(region.as_samtools())

    ended = subprocess.run(command, input=bed.encode(), capture_output=True, check=False)
    answer, complaints = _text(ended.stdout), _text(ended.stderr)
    if not region.placed and _NO_SUCH_REGION in complaints:
        # By the index there are no records at all.
        return tally_all(file, filters).get(region.contig, 0)
    # Exit status 0 is not enough: samtools also returns it for a region that it does not know
    # (up to 1.16 at least) and for records before the place where a file was truncated.
    if ended.returncode != 0 or complaints or not answer.isdecimal():
        raise failure(
            file, f"counting {region} of", command, ended.returncode, complaints or answer
        )
    return int(answer)


def tally_all(file: IndexedFile, filters: Filters = NO_FILTERS) -> dict[str, int]:
    """Returns the records on each reference sequence that has some, without the index's help.

    Reads the whole file; raises as count_region does.
    """
    return tally(file, "reading all of", [], "", filters)


def tally_at_position_0(file: IndexedFile, filters: Filters = NO_FILTERS) -> dict[str, int]:
    """Returns the records at position 0 that do not reach position 1, by reference sequence.

    They have a reference sequence, so they are in the statistics of the index, but no position on
    it, so no region has them. Records without a reference sequence are at position 0 too: those
    are below `*`. Reads the whole file; raises as count_region does.
    """
    expression = ["-e", "pos == 0 && endpos < 1"]
    return tally(file, "looking for records at position 0 of", expression, "", filters)


def tally(
    file: IndexedFile, doing: str, options: list[str], bed: str, filters: Filters
) -> dict[str, int]:
    """Returns the records on each reference sequence that has some, of those that view selects.

    The records go from `samtools view` to `samtools idxstats`, which counts what it reads from a
    stream: half of the time that it takes to write and to split lines of SAM text.
    """
    command = [samtools_path(), "idxstats", "-"]
    with selected(file, doing, options, bed, filters) as records:
        ended = subprocess.run(command, stdin=records, capture_output=True, check=False)
        said = _text(_without_missing_index(ended.stderr))
        if said or ended.returncode:
            raise failure(file, doing, command, ended.returncode, said)

    counts = {}
    for line in _text(ended.stdout).split("\n"):
        if not line or line.endswith("\t0\t0"):
            continue
        try:
            name, _, mapped, unmapped = line.split("\t")
            counts[name] = int(mapped) + int(unmapped)
        except ValueError:
            raise failure(file, doing, command, ended.returncode, line) from None
    return counts


@contextmanager
def selected(
    file: IndexedFile, doing: str, options: list[str], bed: str, filters: Filters
) -> Iterator[IO[bytes]]:
    """Yields the records that `samtools view` selects, as a stream of uncompressed BAM.

    Args:
        file: the BAM or CRAM with its index.
        doing: what this is for, for an error.
        options: for view.
        bed: what it gets on its standard input.
        filters: which records.

    Raises:
        ReadCountError: view failed or complained, which then is the error even if what reads the
            stream failed, too; or it was not read to its end.
    """
    command = [samtools_path(), "view", "-u", *_which(file, filters), *options, file.as_samtools()]
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
        raise failure(file, doing, command, view.returncode, said) from failed
    if failed:
        raise failed
    if view.returncode:
        raise failure(file, doing, command, view.returncode, said)


def bed_line(contig: str, start: int, end: int) -> str:
    """Returns a line of a BED file; 0-based and half-open."""
    return f"{contig}\t{start}\t{end}\n"


def has_end(path: Path) -> bool:
    """Whether `samtools quickcheck` finds the end of a BAM or CRAM, if it can open the file.

    Args:
        path: where the header and the end are, with or without the rest.

    Raises:
        SamtoolsKilledError: samtools was killed or crashed.
    """
    command = [samtools_path(), "quickcheck", "-u", str(path)]
    ended = subprocess.run(command, capture_output=True, check=False)
    if ended.returncode < 0:
        raise _killed(path.name, "checking the end of", command, ended.returncode)
    return not ended.returncode & _NO_END


def has_header(path: Path) -> bool:
    """Whether a part of a BAM or CRAM, at a path, has all of the header."""
    exit_status, said = _view_header(path)
    return exit_status == 0 or bool(_malformed(said))


def header_fault(path: Path) -> str:
    """Returns what htslib says of a malformed header that it refuses; empty if of none.

    It refuses a BAM with a line that does not begin with @, and a CRAM whose lines it cannot parse.
    """
    return _malformed(_view_header(path)[1])


def _view_header(path: Path) -> tuple[int, str]:
    """Returns the exit status of `samtools view -H`, and what it wrote on its standard error."""
    command = [samtools_path(), "view", "-H", "--no-PG", str(path)]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return ended.returncode, _text(ended.stderr)


def _malformed(said: str) -> str:
    found = _MALFORMED_HEADER.search(said)
    return found[1] if found else ""


def make_index(file: IndexedFile, threads: int, csi: bool) -> None:
    """Writes the index of a file to where it is to be: a CSI, or else a BAI or CRAI.

    Raises:
        InputError: the file is not sorted by position, or cannot be read.
        DiskSpaceError: the index cannot be written.
        SamtoolsKilledError, MissingToolError: as in count_region.
    """
    # To samtools the number is that of threads beside the first.
    command = [samtools_path(), "index", "-@", str(threads - 1), *(["-c"] if csi else [])]
    command += [file.data.location, str(file.index)]
    ended = subprocess.run(command, capture_output=True, check=False)
    said = _text(ended.stderr)
    if ended.returncode == 0 and not said:
        return
    details = f"{shlex.join(command)} said:\n{said}"
    if _NOT_SORTED.search(said):
        raise not_sorted(file.data, details)
    if _CANNOT_WRITE in said:
        raise DiskSpaceError(
            f"mappings_sorted_bam: the index of {file.name} cannot be written. {MORE_STORAGE}",
            details,
        )
    raise failure(file, "creating the index of", command, ended.returncode, said)


def not_sorted(data: Reader, details: str = "") -> InputError:
    """Returns the error for a file whose records are not in the order of the header."""
    name = data.name
    command = ["samtools", "sort", "-o", shorten(f"sorted_{name}", 80), shorten(name, 80)]
    return InputError(
        f"mappings_sorted_bam: {shorten(name, NAME_LENGTH)} is not coordinate-sorted. "
        f"Sort it with: {shlex.join(command)}",
        details,
    )


def failure(
    file: IndexedFile, doing: str, command: list[str], exit_status: int, said: str
) -> ReadCountError:
    """Returns the error for a call that failed: the input is wrong, unless something killed it.

    Args:
        file: what the call reads.
        doing: what the call is for: a clause that ends before the file's name.
        command: the call.
        exit_status: of it; negative for a signal.
        said: what it wrote on its standard error.
    """
    said = file.data.without_secrets(said)
    shown = file.data.without_secrets(shlex.join(command))
    details = f"{shown} ended with exit status {exit_status} and said:\n{said}"
    doing, first = shorten(doing, 80), shorten(said.partition("\n")[0] or "nothing", 120)
    if exit_status < 0 or _OUT_OF_MEMORY.search(said):
        killed = -signal.SIGKILL if exit_status >= 0 else exit_status
        return _killed(file.name, doing, command, killed, details)
    if file.data.is_network_error(said):
        return network_error(file.name, first, details)
    remedy = (
        "The file is corrupt, or the index does not match it. Upload the file again, and an index "
        "made from it with 'samtools index'."
        if file.index_given
        else "The file is corrupt. Upload it again."
    )
    return CallError(
        f"mappings_sorted_bam: samtools failed while {doing} {file.name}: exit status "
        f"{exit_status}, {first}. {remedy}",
        details,
    )


def _killed(
    name: str, doing: str, command: list[str], exit_status: int, details: str = ""
) -> SamtoolsKilledError:
    """Returns the error for a call that a signal ended; out of memory counts as SIGKILL."""
    name = shorten(name, NAME_LENGTH)
    if exit_status == -signal.SIGKILL:
        return SamtoolsKilledError(
            f"mappings_sorted_bam: samtools was killed or ran out of memory while {doing} {name}. "
            f"{MORE_MEMORY}",
            details,
        )
    return SamtoolsKilledError(
        f"mappings_sorted_bam: samtools crashed ({signal.strsignal(-exit_status)}) while {doing} "
        f"{name}. The file may be corrupt: upload it again.",
        details or shlex.join(command),
    )


def _which(file: IndexedFile, filters: Filters) -> list[str]:
    """Returns the options of view for what to read of a record, and which records count."""
    return [*file.read_options(bool(filters.read_groups)), *filters.as_samtools()]


def _without_missing_index(complaints: bytes) -> bytes:
    """Leaves out what idxstats says because a stream, `-`, has no index."""
    return re.sub(rb"(?m)^.*\bindex\b.*['\"]-['\"].*\n?", b"", complaints)


def _text(output: bytes) -> str:
    return _RETRYING.sub("", output.decode(errors="replace")).strip()


def _needs_bed(region: Region) -> bool:
    """Whether samtools would misread the region as an argument, but not in a BED file.

    htslib takes the first brace that a colon follows, or in a span the first one, for the end of
    the name.
    """
    misread = "}:" in region.contig if region.whole else not fits_span(region.contig)
    return region.placed and misread and fits_bed(region.contig)
