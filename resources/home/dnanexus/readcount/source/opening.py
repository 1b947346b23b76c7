"""Opens the input file: header, index, and the evidence against which counts are checked."""

import atexit
import shlex
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from readcount.errors import NEW_INDEX, InputError
from readcount.formats.bam_index import MAX_LENGTH, BamIndex, IndexFormatError, read_index
from readcount.formats.bam_record import UNPLACED_NAME
from readcount.formats.content import (
    BAM,
    BAM_INDEXES,
    BEGINNING_BYTES,
    CRAM,
    CRAM_INDEX,
    GZIPPED_BAM,
    RAW_BAM,
    kind_of,
    kind_of_bytes,
)
from readcount.formats.cram import Slice, read_crai
from readcount.source.alignments import Alignments
from readcount.source.bam_alignments import BamAlignments
from readcount.source.bam_layout import BamLayout, in_order, stretches_of
from readcount.source.bam_parts import BamParts
from readcount.source.commands import (
    has_end,
    has_header,
    header_fault,
    make_index,
)
from readcount.source.cram_alignments import CramAlignments
from readcount.source.cram_parts import CramParts, read_head
from readcount.source.files import IndexedFile, InputFiles
from readcount.source.header import (
    Header,
    HeaderError,
    read_header,
    write_bam_header,
)
from readcount.source.parts import NO_SEQUENCE
from readcount.source.readers import NAME_LENGTH, LocalFile, Reader
from readcount.text import Log, plural, shorten

T = TypeVar("T")

NEW_HEADER = "Correct it with 'samtools reheader', or write the file again."


def open_alignments(
    files: InputFiles,
    log: Log = lambda line: None,
    *,
    cores: int = 1,
    folder: Path | None = None,
) -> Alignments:
    """Reads the header and the index, each once; creates the index if there is none.

    Args:
        files: the input files.
        log: writes a line to the job's log.
        cores: number of cores that samtools may use to create the index.
        folder: where to write a header for samtools, which has to exist until the file is counted;
            by default a temporary folder that is removed when this process ends.

    Raises:
        InputError: the files are not a coordinate-sorted BAM or CRAM and its index, or are corrupt,
            or do not match.
        ReadCountError: they cannot be read for another reason.
    """
    kind = kind_of_bytes(files.mappings.read(0, BEGINNING_BYTES))
    folder = folder or _removed_at_exit()
    try:
        header = _read_header(files.mappings, kind)
    except InputError as error:
        # If both files are wrong, one run of the job reports both.
        raise InputError("\n".join([str(error), *_faults_of_index(files, kind)])) from None
    if header.sort_order not in ("coordinate", "unknown"):
        # SO is not trusted. The actual order is checked against the index and while counting.
        log(f"the header says SO:{header.sort_order}; checking the order of records in the index")
    if kind == CRAM:
        return _open_cram(files, header, log, cores, folder)
    return _open_bam(files, header, log, cores, folder)


def _faults_of_index(files: InputFiles, kind: str) -> list[str]:
    """Returns the error message about the given index, if it is wrong too."""
    if files.index:
        try:
            (_open_cram_index if kind == CRAM else _open_bam_index)(files.index)
        except InputError as error:
            return [str(error)]
    return []


def _open_bam(files: InputFiles, header: Header, log: Log, cores: int, folder: Path) -> Alignments:
    # A BAI has no positions beyond MAX_LENGTH.
    suffix = "csi" if max(header.lengths, default=0) > MAX_LENGTH else "bai"
    file = _with_index(files, suffix, log, cores)
    index = _open_bam_index(file.index)
    if len(index.entries) != len(header.names):
        raise file.mismatch(
            f"it is for {len(index.entries):,} reference sequences, and the file has "
            f"{len(header.names):,}"
        )
    if not in_order(index) and not (file.index_given and header.sort_order == "coordinate"):
        raise file.not_sorted()
    made = folder / "header.bam"
    write_bam_header(made, header.names, header.lengths)
    parts = BamParts(file, made, header.end or 0)
    stretches = stretches_of(file, header, index)
    layout = BamLayout(file, header, index, stretches)
    return BamAlignments(parts, header, layout)


def _open_cram(files: InputFiles, header: Header, log: Log, cores: int, folder: Path) -> Alignments:
    head, end = read_head(files.mappings)
    file = _with_index(files, "crai", log, cores)
    lines = _open_cram_index(file.index)
    tids = {line.tid for its in lines.values() for line in its}
    if not tids <= set(range(NO_SEQUENCE, len(header.names))):
        raise file.mismatch("it has more reference sequences")
    made = folder / "header.cram"
    made.write_bytes(head)
    parts = CramParts(file, made)
    return CramAlignments(parts, header, lines, len(head), end)


def _with_index(files: InputFiles, suffix: str, log: Log, cores: int) -> IndexedFile:
    """Returns the file with its index, which is created if none was given."""
    if files.index:
        return IndexedFile(files.mappings, files.index)
    assert isinstance(files.mappings, LocalFile)
    path = files.mappings.path
    file = IndexedFile(files.mappings, Path(f"{path}.{suffix}"), index_given=False)
    start = time.monotonic()
    make_index(file, path, cores)
    seconds = time.monotonic() - start
    log(
        f"no index given: created a {suffix.upper()} in {seconds:,.1f} s on {plural(cores, 'core')}"
    )
    return file


def _open_bam_index(path: Path) -> BamIndex:
    """Reads the index of a BAM; raises InputError if it is not one, or is corrupt."""
    return _open_index(path, read_index, BAM_INDEXES, "BAM")


def _open_cram_index(path: Path) -> dict[int, list[Slice]]:
    """Returns the lines of a CRAI by container offset; raises as _open_bam_index."""
    # The index of a CRAM without records is empty, so its type cannot be recognized.
    return _open_index(path, read_crai, (CRAM_INDEX, "a gzip-compressed file"), "CRAM")


def _open_index(path: Path, read: Callable[[Path], T], kinds: Collection[str], of: str) -> T:
    kind = kind_of(path)
    field = f"mappings_sorted_bai: {shorten(path.name, NAME_LENGTH)} is"
    if kind not in kinds:
        raise InputError(f"{field} {kind}, not the index of a {of} file. {NEW_INDEX}")
    try:
        return read(path)
    except IndexFormatError as error:
        raise InputError(f"{field} corrupt: {error}. {NEW_INDEX}") from None


def _removed_at_exit() -> Path:
    """Creates a temporary folder that is removed when this process ends; returns its path."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _read_header(mappings: Reader, kind: str) -> Header:
    """Reads the header; raises InputError if the file is not a BAM or CRAM, or is corrupt."""
    field = f"mappings_sorted_bam: {shorten(mappings.name, NAME_LENGTH)}"
    if kind in (GZIPPED_BAM, RAW_BAM):
        raise InputError(f"{field} is {kind}. Convert it with: {_command_for_bgzf(mappings, kind)}")
    if kind not in (BAM, CRAM):
        raise InputError(
            f"{field} is {kind}, not a BAM or CRAM file. Provide a coordinate-sorted one."
        )
    with mappings.header_and_end(has_header) as path:
        if not has_end(path):
            end = "container" if kind == CRAM else "BGZF block"
            raise InputError(
                f"{field} is truncated or corrupt (no end-of-file {end}). Upload it again."
            )
        try:
            header = read_header(path)
        except HeaderError as error:
            raise InputError(f"{field} has a malformed header: {error}. {NEW_HEADER}") from None
        except (OSError, ValueError) as error:
            if fault := header_fault(path):
                raise InputError(f"{field} has a malformed header: {fault}. {NEW_HEADER}") from None
            reason = shorten(str(error), 100)
            raise InputError(
                f"{field} is corrupt: its header cannot be read ({reason}). Upload it again."
            ) from None
    if UNPLACED_NAME in header.names:
        # SAM specification, section 1.2.1; samtools uses this name for unplaced records.
        raise InputError(
            f"{field} has a reference sequence '*' in its header. Rename it with "
            "'samtools reheader'."
        )
    if repeated := next((name for name, times in Counter(header.names).items() if times > 1), None):
        # SAM specification, section 1.3; samtools could not address the second one.
        raise InputError(
            f"{field} has more than one reference sequence {shorten(repeated, 60)} in its "
            "header. Rename them with 'samtools reheader'."
        )
    return header


def _command_for_bgzf(mappings: Reader, kind: str) -> str:
    """Returns a command that recompresses a BAM with BGZF, for an error message."""
    name, new = shorten(mappings.name, 80), shorten(f"bgzf_{mappings.name}", 80)
    compress = ["samtools", "view", "-b", "-o", new]
    if kind == GZIPPED_BAM:
        return f"{shlex.join(['gzip', '-dc', name])} | {shlex.join([*compress, '-'])}"
    return shlex.join([*compress, name])
