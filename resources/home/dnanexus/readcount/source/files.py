"""The input files: the BAM or CRAM, its index, and the BED file."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from readcount.errors import MORE_STORAGE, NEW_INDEX, DiskSpaceError, InputError
from readcount.source.readers import NAME_LENGTH, Reader
from readcount.text import plural, shorten

# Disk space for everything that is written in addition to the inputs.
SPARE_BYTES = 100 * 1000**2


@dataclass(frozen=True)
class InputFiles:
    """The files of the job's input.

    Attributes:
        mappings: the BAM or CRAM.
        index: absolute path of its index; None if there is none.
        bed: path of the BED file or interval list; None if there is none.
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
        index_given: whether the index is an input; otherwise it was created here.
    """

    mappings: Reader
    index: Path
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
        """Returns the error for an index that does not match the file; `what` is a clause."""
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

    def disagreement(
        self, contig: str, counted: int, expected: int, source: str = "index lists"
    ) -> InputError:
        """Returns the error for a count that does not match the index or the containers."""
        known = f"the {source} {plural(expected, 'record')} for {shorten(contig, 60)}"
        return self.corrupt_or_mismatch(f"{known}, but {counted:,} were counted")

    def not_sorted(self, details: str = "") -> InputError:
        """Returns the error for a file that is not coordinate-sorted."""
        name = self.mappings.name
        command = ["samtools", "sort", "-o", shorten(f"sorted_{name}", 80), shorten(name, 80)]
        return InputError(
            f"mappings_sorted_bam: {self.name} is not coordinate-sorted. Sort it with: "
            f"{shlex.join(command)}",
            details,
        )

    def corrupt_or_mismatch(self, what: str, details: str = "") -> InputError:
        """Returns the error for a file that does not match its index; either may be wrong."""
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


def check_disk(needed: int, free: int) -> None:
    """Raises DiskSpaceError unless this many bytes and SPARE_BYTES are free."""
    if needed + SPARE_BYTES > free:
        raise DiskSpaceError(
            f"mappings_sorted_bam: the inputs need {needed / 1e9:,.1f} GB of disk, but only "
            f"{free / 1e9:,.1f} GB are free on the worker. {MORE_STORAGE}"
        )
