"""The BAM and its index, brought together."""

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class IndexedBam:
    """A BAM whose index lies beside it, where samtools and pysam look for it.

    Attributes:
        path: absolute path of the BAM; the index is at the same path with .bai after it.
        name: the name by which the user knows the file, for messages.
    """

    path: Path
    name: str


def side_by_side(bam: Path, index: Path, folder: Path) -> IndexedBam:
    """Puts a BAM and its index, wherever they are, side by side under plain names.

    samtools and pysam find an index by the name of its BAM. The plain names also keep what is
    special in the user's file names (blanks, quotes, a leading dash) away from any command.

    Args:
        bam: the BAM, under any name.
        index: its BAI or CSI index, under any name.
        folder: where to put them; made here, and must not exist yet.

    Returns:
        The BAM in its new place.
    """
    folder.mkdir()
    linked_bam = folder.absolute() / "input.bam"
    linked_bam.symlink_to(bam.absolute())
    # A copy is newer than the BAM. htslib warns of an older index, but the times of two downloads
    # only tell which came first.
    shutil.copyfile(index, f"{linked_bam}.bai")
    return IndexedBam(path=linked_bam, name=bam.name)
