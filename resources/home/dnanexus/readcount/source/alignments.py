"""Opens the input file: header, index, and the evidence against which counts are checked."""

import atexit
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from readcount.errors import InputError
from readcount.formats.bam_record import UNPLACED_NAME
from readcount.formats.content import (
    BAM,
    BEGINNING_BYTES,
    CRAM,
    GZIPPED_BAM,
    RAW_BAM,
    kind_of_bytes,
)
from readcount.source.bam_evidence import BamEvidence
from readcount.source.bam_layout import BamLayout, in_order, stretches_of
from readcount.source.bam_parts import BamParts
from readcount.source.commands import (
    has_end,
    has_header,
    header_fault,
)
from readcount.source.cram_evidence import CramEvidence
from readcount.source.cram_parts import CramParts, read_head
from readcount.source.evidence import Evidence
from readcount.source.files import IndexedFile, InputFiles
from readcount.source.header import (
    Header,
    HeaderError,
    read_header,
    repeated_name,
    write_bam_header,
)
from readcount.source.index import index_suffix, open_bam_index, open_cram_index, with_index
from readcount.source.parts import NO_SEQUENCE, Parts
from readcount.source.readers import NAME_LENGTH, Reader
from readcount.source.sequences import SequenceDictionary
from readcount.text import Log, shorten

NEW_HEADER = "Correct it with 'samtools reheader', or write the file again."


@dataclass(frozen=True)
class Alignments:
    """An input file that has been opened.

    Attributes:
        header: header of the file.
        parts: the file as parts that samtools can decode.
        evidence: record locations, and the evidence against which counts are checked.
    """

    header: Header
    parts: Parts
    evidence: Evidence

    @property
    def file(self) -> IndexedFile:
        """The BAM or CRAM with its index."""
        return self.parts.file

    @cached_property
    def sequences(self) -> SequenceDictionary:
        """The reference sequences, by name."""
        return self.header.sequences


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
            (open_cram_index if kind == CRAM else open_bam_index)(files.index)
        except InputError as error:
            return [str(error)]
    return []


def _open_bam(files: InputFiles, header: Header, log: Log, cores: int, folder: Path) -> Alignments:
    file = with_index(files, index_suffix(header), log, cores)
    index = open_bam_index(file.index)
    _require_same_number(file, header, len(index.entries))
    if not in_order(index) and not (file.index_given and header.sort_order == "coordinate"):
        raise file.not_sorted()
    made = folder / "header.bam"
    write_bam_header(made, header.names, header.lengths)
    parts = BamParts(file, made, header.end or 0)
    stretches = stretches_of(file, header, index)
    layout = BamLayout(file, header, index, stretches)
    return Alignments(header, parts, BamEvidence(parts, header, layout))


def _open_cram(files: InputFiles, header: Header, log: Log, cores: int, folder: Path) -> Alignments:
    head, end = read_head(files.mappings)
    file = with_index(files, "crai", log, cores)
    lines = open_cram_index(file.index)
    tids = {line.tid for its in lines.values() for line in its}
    if not tids <= set(range(NO_SEQUENCE, len(header.names))):
        raise file.mismatch("it has more reference sequences")
    made = folder / "header.cram"
    made.write_bytes(head)
    parts = CramParts(file, made)
    return Alignments(header, parts, CramEvidence(parts, header, lines, len(head), end))


def _removed_at_exit() -> Path:
    """Creates a temporary folder that is removed when this process ends; returns its path."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _require_same_number(file: IndexedFile, header: Header, sequences: int) -> None:
    if sequences != len(header.names):
        raise file.mismatch(
            f"it is for {sequences:,} reference sequences, and the file has {len(header.names):,}"
        )


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
    if repeated := repeated_name(header):
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
