"""The samtools commands that read the input file, and how their failures are reported."""

import re
import shlex
import signal
import subprocess
from pathlib import Path

from readcount.errors import (
    MORE_MEMORY,
    MORE_STORAGE,
    CallError,
    DiskSpaceError,
    ReadCountError,
    SamtoolsCrashedError,
    SamtoolsKilledError,
)
from readcount.samtools import samtools_path
from readcount.source.files import IndexedFile
from readcount.source.readers import NAME_LENGTH
from readcount.text import shorten

# Messages of `samtools index` about unsorted records.
_NOT_SORTED = re.compile(
    "Unsorted positions|Chromosome blocks not continuous|not in a single block at the end"
    "|not sorted by chromosome"
)
_CANNOT_WRITE = "failed to create or write index"
# Messages of htslib 1.16 to 1.24 about a header or a CRAM's reference that do not affect counts:
# duplicate names (with [E:: they concern reference sequences, and are not harmless), missing @PG
# lines, and bases that are not decoded.
_HARMLESS = re.compile(
    r"""(?x) \[W:: (?:
        sam_hrecs_update_hashes\]\ (?:
            Duplicate\ entry\ ".*"\ in\ sam\ header
          | PG\ line\ with\ multiple\ ID\ tags\..*
          | Ref\ name\ SN:".*"\ is\ a\ duplicate\ of\ an\ existing\ AN\ key
        )
      | sam_hrecs_add_ref_altnames\]\ Duplicate\ entry\ AN:".*"\ in\ sam\ header
      | sam_hdr_link_pg\]\ PG\ line\ with\ (?:PN|ID):.*\ has\ a\ PP\ link\ to\ .*
      | sam_hdr_sanitise\]\ (?:
            Missing\ trailing\ newline\ on\ SAM\ header
          | Unexpected\ NUL\ character\ in\ header
        )\.\ Possibly\ truncated
      | cram_decode_seq\]\ Ref\ pos\ outside\ of\ ref\ sequence\ boundary
    )"""
)
# Bits of the exit status of quickcheck: no end-of-file block, and a failure to close the file.
_NO_END = 16 | 32
# Messages of htslib about header lines, with or without line number.
_MALFORMED_HEADER = re.compile(r"\[E::sam_h(?:dr|recs)_\w+\] (.*)")
_OUT_OF_MEMORY = re.compile("cannot allocate memory|out of memory", re.IGNORECASE)


def has_end(path: Path) -> bool:
    """Whether `samtools quickcheck` finds the end of a BAM or CRAM, if it can open the file.

    The file at the path may consist of only the header and the end. Raises SamtoolsKilledError.
    """
    command = [samtools_path(), "quickcheck", "-u", str(path)]
    ended = subprocess.run(command, capture_output=True, check=False)
    if ended.returncode < 0:
        raise _killed(path.name, "checking the end of", command, ended.returncode)
    return not ended.returncode & _NO_END


def has_header(path: Path) -> bool:
    """Whether the first part of a BAM or CRAM, at a path, contains the complete header."""
    exit_status, said = _view_header(path)
    return exit_status == 0 or bool(_malformed(said))


def header_fault(path: Path) -> str:
    """Returns htslib's message about a malformed header; empty if it accepts the header.

    It rejects a BAM with a line that does not begin with @, and a CRAM whose lines it cannot parse.
    """
    return _malformed(_view_header(path)[1])


def _view_header(path: Path) -> tuple[int, str]:
    """Returns the exit status and standard error of `samtools view -H`."""
    command = [samtools_path(), "view", "-H", "--no-PG", str(path)]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return ended.returncode, _text(ended.stderr)


def _malformed(said: str) -> str:
    found = _MALFORMED_HEADER.search(said)
    return found[1] if found else ""


def make_index(file: IndexedFile, path: Path, threads: int) -> None:
    """Creates the index of a file at a path: CSI if the suffix says so, else BAI or CRAI.

    Raises:
        InputError: the file is not coordinate-sorted, or cannot be read.
        DiskSpaceError: the index cannot be written.
        SamtoolsKilledError: samtools was killed, crashed, or ran out of memory.
    """
    # samtools index -@ is the number of additional threads.
    csi = ["-c"] if file.index.suffix == ".csi" else []
    command = [samtools_path(), "index", "-@", str(threads - 1), *csi, str(path), str(file.index)]
    ended = subprocess.run(command, capture_output=True, check=False)
    said = _text(ended.stderr)
    if ended.returncode == 0 and not complaints_in(said):
        return
    details = f"{shlex.join(command)} said:\n{said}"
    if _NOT_SORTED.search(said):
        raise file.not_sorted(details)
    if _CANNOT_WRITE in said:
        raise DiskSpaceError(
            f"mappings_sorted_bam: the index of {file.name} cannot be written. {MORE_STORAGE}",
            details,
        )
    raise failure(file, "creating the index of", command, ended.returncode, said)


def failure(
    file: IndexedFile, doing: str, command: list[str], exit_status: int, said: str
) -> ReadCountError:
    """Returns the error for a failed call: the input is wrong, unless the call was killed.

    Args:
        file: the input file.
        doing: what the call was doing: a clause that is followed by the file's name.
        command: the command line.
        exit_status: its exit status; negative for a signal.
        said: its standard error.
    """
    details = f"{shlex.join(command)} ended with exit status {exit_status} and said:\n{said}"
    doing, first = shorten(doing, 80), shorten(said.partition("\n")[0] or "without a message", 120)
    if exit_status < 0 or _OUT_OF_MEMORY.search(said):
        killed = -signal.SIGKILL if exit_status >= 0 else exit_status
        return _killed(file.name, doing, command, killed, details)
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
    """Returns the error for a call ended by a signal; out of memory is treated as SIGKILL."""
    name = shorten(name, NAME_LENGTH)
    if exit_status == -signal.SIGKILL:
        return SamtoolsKilledError(
            f"mappings_sorted_bam: samtools was killed or ran out of memory while {doing} {name}. "
            f"{MORE_MEMORY}",
            details,
        )
    return SamtoolsCrashedError(
        f"mappings_sorted_bam: samtools crashed ({signal.strsignal(-exit_status)}) while {doing} "
        f"{name}. The file may be corrupt: upload it again.",
        details or shlex.join(command),
    )


def _text(output: bytes) -> str:
    return output.decode(errors="replace").strip()


def complaints_in(said: str) -> str:
    """Returns the lines of samtools' messages that may mean a wrong count."""
    return "\n".join(line for line in said.splitlines() if not _HARMLESS.fullmatch(line))


def harmless_in(said: str) -> tuple[str, ...]:
    """Returns all other lines of samtools' messages."""
    return tuple(line for line in said.splitlines() if _HARMLESS.fullmatch(line))
