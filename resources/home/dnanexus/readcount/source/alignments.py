"""Opens the input file once: header, index, and the evidence that counts are compared with."""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from readcount.collector import without_collector
from readcount.errors import InputError
from readcount.formats.bam_index import ContigIndex
from readcount.formats.content import (
    BAM,
    BEGINNING_BYTES,
    CRAM,
    GZIPPED_BAM,
    RAW_BAM,
    kind_of_bytes,
)
from readcount.request.region import UNPLACED
from readcount.source import bam, cram
from readcount.source.commands import (
    has_end,
    has_header,
    header_fault,
    make_index,
    not_sorted,
)
from readcount.source.contigs import Access, Contig
from readcount.source.evidence import Evidence
from readcount.source.files import IndexedFile, InputFiles
from readcount.source.header import Header, HeaderError, read_header, repeated_name
from readcount.source.readers import NAME_LENGTH, Reader
from readcount.text import plural, shorten

Log = Callable[[str], None]

NEW_HEADER = "Correct it with 'samtools reheader', or write the file again."


@dataclass(frozen=True)
class Alignments:
    """An input file that has been opened.

    Attributes:
        file: the BAM or CRAM with its index, for samtools.
        header: of the file.
        contigs: what is known of each reference sequence, by name, in the header's order.
        unplaced: records without a position by the index; None where it does not say.
        access: how records are read, for the plan.
        evidence: what counts are compared with.
    """

    file: IndexedFile
    header: Header
    contigs: Mapping[str, Contig]
    unplaced: int | None
    access: Access
    evidence: Evidence

    @property
    def lengths(self) -> dict[str, int]:
        """Of the reference sequences in bases, by name, in the header's order."""
        return {name: contig.length for name, contig in self.contigs.items()}


@without_collector()
def open_alignments(
    files: InputFiles,
    log: Log = lambda line: None,
    *,
    cores: int = 1,
    find_unplaced: bool = False,
) -> Alignments:
    """Reads the header and the index, each once; creates the index if there is none.

    Args:
        files: the input files.
        log: takes a line for the job's log.
        cores: that samtools may use to create the index.
        find_unplaced: whether unplaced records will be counted.

    Raises:
        InputError: the files are not a coordinate-sorted BAM or CRAM and its index, or are corrupt,
            or do not match.
        ReadCountError: they could not be read for another reason.
    """
    kind = kind_of_bytes(files.data.read(0, BEGINNING_BYTES))
    try:
        header = _read_header(files.data, kind)
    except InputError as error:
        # Both files may be wrong; then one run of the job says so.
        raise InputError("\n".join([str(error), *_faults_of_index(files, kind)])) from None
    if header.sort_order not in ("coordinate", "unknown"):
        # Only a claim. The order of the records shows in the index, and when they are counted.
        log(f"the header says SO:{header.sort_order}; the index has to show the order of records")
    if kind == CRAM:
        return _open_cram(files, header, log, cores, find_unplaced)
    return _open_bam(files, header, log, cores)


def _faults_of_index(files: InputFiles, kind: str) -> list[str]:
    """Returns the message about the index that the user gave, if it is wrong, too."""
    if files.index:
        try:
            (cram if kind == CRAM else bam).open_index(files.index)
        except InputError as error:
            return [str(error)]
    return []


def _open_bam(files: InputFiles, header: Header, log: Log, cores: int) -> Alignments:
    file = _with_index(files, bam.index_path(files.data, header), False, log, cores)
    index = bam.open_index(file.index)
    if _order_unknown(file, header) and not bam.in_order(index):
        raise not_sorted(file.data)
    contigs = _contigs(file, header, index.entries)
    evidence = bam.BamEvidence(file, header, contigs, index)
    records_bytes = file.data.size - ((header.end or 0) >> 16)
    access = Access(file.data.streamed, expressions=True, bytes=records_bytes)
    return Alignments(file, header, contigs, index.unplaced, access, evidence)


def _open_cram(
    files: InputFiles, header: Header, log: Log, cores: int, find_unplaced: bool
) -> Alignments:
    file = _with_index(files, cram.index_path(files.data), True, log, cores)
    slices = cram.open_index(file.index)
    if _order_unknown(file, header) and not cram.in_order(slices):
        raise not_sorted(file.data)
    evidence = cram.CramEvidence(file, header, slices)
    contigs = _contigs(file, header, evidence.entries())
    if find_unplaced:
        file = replace(file, unplaced_scattered=evidence.scatters_unplaced())
    access = Access(file.data.streamed, expressions=False)
    return Alignments(file, header, contigs, None, access, evidence)


def _order_unknown(file: IndexedFile, header: Header) -> bool:
    """Whether nobody has said that the records are in order; samtools index takes some others."""
    return not file.index_given or header.sort_order != "coordinate"


def _with_index(files: InputFiles, made: Path, is_cram: bool, log: Log, cores: int) -> IndexedFile:
    """Returns the file with its index, which is created at a path if the user gave none."""
    if files.index:
        return IndexedFile(files.data, files.index, is_cram)
    file = IndexedFile(files.data, made, is_cram, index_given=False)
    start = time.monotonic()
    make_index(file, cores, csi=file.index.suffix == ".csi")
    kind, seconds = file.index.suffix[1:].upper(), time.monotonic() - start
    log(f"no index given: created a {kind} in {seconds:,.1f} s on {plural(cores, 'core')}")
    return file


def _read_header(data: Reader, kind: str) -> Header:
    """Reads the header; raises InputError if the file is not a BAM or CRAM, or is corrupt."""
    field = f"mappings_sorted_bam: {shorten(data.name, NAME_LENGTH)}"
    if kind in (GZIPPED_BAM, RAW_BAM):
        raise InputError(f"{field} is {kind}. Convert it with: {_command_for_bgzf(data, kind)}")
    if kind not in (BAM, CRAM):
        raise InputError(
            f"{field} is {kind}, not a BAM or CRAM file. Give one that is coordinate-sorted."
        )
    with data.header_and_end(has_header) as path:
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
    if UNPLACED.contig in header.names:
        # SAM specification, section 1.2.1; to samtools the name stands for unplaced records.
        raise InputError(
            f"{field} has a reference sequence '*' in its header. Give it another name, with "
            "'samtools reheader'."
        )
    if repeated := repeated_name(header):
        # SAM specification, section 1.3; samtools could not be asked for the second one.
        raise InputError(
            f"{field} has more than one reference sequence {shorten(repeated, 60)} in its "
            "header. Give each a name of its own, with 'samtools reheader'."
        )
    return header


def _command_for_bgzf(data: Reader, kind: str) -> str:
    """Returns the command that compresses a BAM with BGZF, for a message."""
    name, new = shorten(data.name, 80), shorten(f"bgzf_{data.name}", 80)
    compress = ["samtools", "view", "-b", "-o", new]
    if kind == GZIPPED_BAM:
        return f"{shlex.join(['gzip', '-dc', name])} | {shlex.join([*compress, '-'])}"
    return shlex.join([*compress, name])


def _contigs(
    file: IndexedFile, header: Header, entries: Sequence[ContigIndex]
) -> dict[str, Contig]:
    if len(entries) != len(header.names):
        raise file.mismatch(
            f"it is for {len(entries):,} reference sequences, and the file has "
            f"{len(header.names):,}"
        )
    return dict(zip(header.names, map(Contig, header.lengths, entries), strict=True))
