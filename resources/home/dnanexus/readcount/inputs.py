"""The BAM and its index."""

from dataclasses import dataclass
from pathlib import Path

from readcount.errors import shorten

# How much of a file's name a message shows.
SHOWN = 80


@dataclass(frozen=True)
class IndexedBam:
    """A BAM and its index, each under any name, in any folder.

    Attributes:
        path: absolute path of the BAM; an absolute one does not begin with a dash.
        index: absolute path of its BAI or CSI index.
    """

    path: Path
    index: Path

    def as_samtools(self) -> str:
        """The two as one file name that samtools takes (samtools manual, "FILENAME")."""
        return f"{self.path}##idx##{self.index}"

    @property
    def shown(self) -> str:
        """The name of the BAM, short enough for a message."""
        return shorten(self.path.name, SHOWN)

    @property
    def index_shown(self) -> str:
        """The name of the index, short enough for a message."""
        return shorten(self.index.name, SHOWN)


def downloaded(bam: str, index: str | None) -> IndexedBam:
    """Brings two downloaded files together; without an index, the place is where it is to be."""
    path = Path(bam).absolute()
    if index is None:
        return IndexedBam(path, Path(f"{path}.bai"))
    pair = IndexedBam(path, Path(index).absolute())
    # htslib warns of an index that is older than its BAM, but the times of two downloads only
    # tell which came first.
    pair.index.touch()
    return pair
