"""The input files: the BAM or CRAM, its index, and the BED file."""

import gzip
import shlex
import zlib
from dataclasses import dataclass
from pathlib import Path

from readcount.errors import MORE_STORAGE, NEW_INDEX, DiskSpaceError, InputError
from readcount.formats.content import BAI, COMPRESSED_BAI, kind_of
from readcount.source.readers import NAME_LENGTH, LocalFile, Reader, StreamedFile
from readcount.text import plural, shorten

# Room for what is written beside the inputs.
SPARE_BYTES = 100 * 1000**2


@dataclass(frozen=True)
class InputFiles:
    """The files of the job's input.

    Attributes:
        mappings: the BAM or CRAM.
        index: absolute path of its index; None if there is none.
        bed: path of the BED file; None if there is none.
    """

    mappings: Reader
    index: Path | None
    bed: Path | None = None


@dataclass(frozen=True)
class IndexedFile:
    """A BAM or CRAM and its index, for samtools; it goes to the processes of the Pool.

    Attributes:
        mappings: the BAM or CRAM, under any name, in any folder.
        index: absolute path of its BAI, CSI or CRAI index.
        cram: whether it is a CRAM.
        index_given: whether the user gave the index; else it was created here.
    """

    mappings: Reader
    index: Path
    cram: bool = False
    index_given: bool = True

    @property
    def name(self) -> str:
        """The name of the BAM or CRAM, short enough for a message."""
        return shorten(self.mappings.name, NAME_LENGTH)

    @property
    def index_name(self) -> str:
        """The name of the index, short enough for a message."""
        return shorten(self.index.name, NAME_LENGTH)

    def mismatch(self, what: str) -> InputError:
        """Returns the error for an index that does not match the file.

        Args:
            what: how the two differ: a clause about "the index" and the file's name.
        """
        if self.index_given:
            return InputError(
                f"mappings_sorted_bai: {self.index_name} does not match {self.name}: {what}. "
                f"{NEW_INDEX}"
            )
        return corrupt_mappings(self.mappings, what)

    def contradiction(self, contig: str, what: str) -> InputError:
        """Returns the error for an index that is inconsistent for a reference sequence."""
        clause = f"is inconsistent for {shorten(contig, 60)}: {what}"
        if self.index_given:
            return InputError(f"mappings_sorted_bai: {self.index_name} {clause}. {NEW_INDEX}")
        what = f"its index, which was created here, {clause}"
        return corrupt_mappings(self.mappings, what)

    def disagreement(self, contig: str, counted: int, expected: int) -> InputError:
        """Returns the error for a count that is not that of the index, or of the containers."""
        source = "containers list" if self.cram else "index lists"
        known = f"the {source} {plural(expected, 'record')} for {shorten(contig, 60)}"
        return self.corrupt_or_mismatch(f"{known}, but {counted:,} were counted")

    def not_sorted(self, details: str = "") -> InputError:
        """Returns the error for a file whose records are not in the order of the header."""
        name = self.mappings.name
        command = ["samtools", "sort", "-o", shorten(f"sorted_{name}", 80), shorten(name, 80)]
        return InputError(
            f"mappings_sorted_bam: {self.name} is not coordinate-sorted. Sort it with: "
            f"{shlex.join(command)}",
            details,
        )

    def corrupt_or_mismatch(self, what: str, details: str = "") -> InputError:
        """Returns the error for a file that is not what its index says; either may be wrong."""
        if not self.index_given:
            return corrupt_mappings(self.mappings, what, details)
        return InputError(
            f"mappings_sorted_bai: {self.index_name} does not match {self.name}, or one of them "
            f"is corrupt: {what}. Upload the file again, and an index made from it with 'samtools "
            "index'.",
            details,
        )


def corrupt_mappings(mappings: Reader, what: str, details: str = "") -> InputError:
    """Returns the error for a BAM or CRAM that cannot be read."""
    name = shorten(mappings.name, NAME_LENGTH)
    return InputError(f"mappings_sorted_bam: {name} is corrupt: {what}. Upload it again.", details)


def corrupt_index(index: Path, what: str) -> InputError:
    """Returns the error for an index that cannot be read."""
    name = shorten(index.name, NAME_LENGTH)
    return InputError(f"mappings_sorted_bai: {name} is corrupt: {what}. {NEW_INDEX}")


def not_an_index(index: Path, kind: str, of: str) -> InputError:
    """Returns the error for a file of another kind in the place of the index of a BAM or CRAM."""
    name = shorten(index.name, NAME_LENGTH)
    return InputError(
        f"mappings_sorted_bai: {name} is {kind}, not the index of a {of} file. {NEW_INDEX}"
    )


def local_files(mappings: str, index: str | None, bed: str | None = None) -> InputFiles:
    """Returns files that were downloaded; the index may be compressed.

    Raises:
        InputError: the index is compressed, and corrupt.
    """
    file = LocalFile(Path(mappings).absolute())
    return InputFiles(file, _usable_index(index), Path(bed) if bed else None)


def streamed_files(
    url: str, name: str, size: int, index: str, bed: str | None = None
) -> InputFiles:
    """Returns a file that is streamed, with files that were downloaded; raises as local_files.

    Args:
        url: where to read it.
        name: of the file.
        size: of the file in bytes.
        index: path of the index, compressed or not.
        bed: path of the BED file.
    """
    return InputFiles(
        StreamedFile(name, size, url), _usable_index(index), Path(bed) if bed else None
    )


def check_disk(needed: int, free: int) -> None:
    """Raises DiskSpaceError unless so many bytes fit, with some to spare."""
    if needed + SPARE_BYTES > free:
        raise DiskSpaceError(
            f"mappings_sorted_bam: the inputs need {needed / 1e9:,.1f} GB of disk, and the worker "
            f"has {free / 1e9:,.1f} GB free. {MORE_STORAGE}"
        )


def compress_index(index: Path) -> Path | None:
    """Compresses a BAI, to about a third of its size; other indexes are compressed as they are.

    Returns the path of the smaller file, which has the same name; None if there is none.
    """
    if kind_of(index) != BAI:
        return None
    # Level 9 takes 40 times as long for one of 200,000 sequences, and comes to more bytes.
    return _beside(index, "compressed", gzip.compress(index.read_bytes(), compresslevel=4))


def _usable_index(index: str | None) -> Path | None:
    """Returns the path of an index as samtools reads it; raises InputError if it is corrupt."""
    if index is None:
        return None
    path = _decompressed(Path(index).absolute())
    # htslib warns of an index that is older than its BAM, but the times of two downloads only
    # tell which came first.
    path.touch()
    return path


def _decompressed(index: Path) -> Path:
    if kind_of(index) != COMPRESSED_BAI:
        return index
    try:
        content = gzip.decompress(index.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise corrupt_index(index, "it cannot be read to its end") from None
    return _beside(index, "decompressed", content)


def _beside(path: Path, folder: str, content: bytes) -> Path:
    """Writes a file of the same name, which messages show, in a folder beside another one."""
    made = path.parent / folder / path.name
    made.parent.mkdir(exist_ok=True)
    made.write_bytes(content)
    return made
