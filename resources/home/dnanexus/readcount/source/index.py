"""Reads the index of the input file, or creates it if none was given."""

import time
from pathlib import Path

from readcount.formats.bam_index import MAX_LENGTH, BamIndex, IndexFormatError, read_index
from readcount.formats.content import BAM_INDEXES, CRAM_INDEX, kind_of
from readcount.formats.cram import Slice, by_container, read_crai
from readcount.source.commands import make_index
from readcount.source.files import IndexedFile, InputFiles, corrupt_index, not_an_index
from readcount.source.header import Header
from readcount.source.readers import LocalFile
from readcount.text import Log, plural


def index_suffix(header: Header) -> str:
    """Returns the type of index to create: csi if a sequence is too long for BAI, else bai."""
    return "csi" if max(header.lengths, default=0) > MAX_LENGTH else "bai"


def with_index(files: InputFiles, suffix: str, log: Log, cores: int) -> IndexedFile:
    """Returns the file with its index, which is created if none was given."""
    is_cram = suffix == "crai"
    if files.index:
        return IndexedFile(files.mappings, files.index, is_cram)
    assert isinstance(files.mappings, LocalFile)
    path = files.mappings.path
    file = IndexedFile(files.mappings, Path(f"{path}.{suffix}"), is_cram, index_given=False)
    start = time.monotonic()
    make_index(file, path, cores)
    seconds = time.monotonic() - start
    log(
        f"no index given: created a {suffix.upper()} in {seconds:,.1f} s on {plural(cores, 'core')}"
    )
    return file


def open_bam_index(path: Path) -> BamIndex:
    """Reads the index of a BAM; raises InputError if it is not one, or is corrupt."""
    kind = kind_of(path)
    if kind not in BAM_INDEXES:
        raise not_an_index(path, kind, "BAM")
    try:
        return read_index(path)
    except IndexFormatError as error:
        raise corrupt_index(path, str(error)) from None


def open_cram_index(path: Path) -> dict[int, list[Slice]]:
    """Returns the lines of a CRAI by container offset.

    Raises:
        InputError: it is not a CRAI, or is corrupt.
    """
    kind = kind_of(path)
    # The index of a CRAM without records is empty, so its type cannot be recognized.
    if kind not in (CRAM_INDEX, "a gzip-compressed file"):
        raise not_an_index(path, kind, "CRAM")
    try:
        return by_container(read_crai(path))
    except IndexFormatError as error:
        raise corrupt_index(path, str(error)) from None
