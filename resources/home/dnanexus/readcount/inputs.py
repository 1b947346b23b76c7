"""The BAM or CRAM and its index."""

from dataclasses import dataclass
from pathlib import Path

from readcount.content import CRAM, kind_of
from readcount.errors import shorten

# How much of a file's name a message shows.
SHOWN = 80
# All that decides whether a record counts: FLAG, RNAME, POS, MAPQ and CIGAR (SAM_FLAG, ... in
# htslib/sam.h). Without the bases a CRAM is read without its reference, and faster.
CRAM_FIELDS = 0x3E
# The read group, without the other tags, some of which need the bases (SAM_RGAUX).
CRAM_READ_GROUP = 0x1000


@dataclass(frozen=True)
class IndexedBam:
    """A BAM or CRAM and its index, each under any name, in any folder.

    Attributes:
        path: absolute path of the BAM; an absolute one does not begin with a dash.
        index: absolute path of its BAI, CSI or CRAI index.
        cram: whether it is a CRAM.
    """

    path: Path
    index: Path
    cram: bool = False

    def as_samtools(self) -> str:
        """The two as one file name that samtools takes (samtools manual, "FILENAME")."""
        return f"{self.path}##idx##{self.index}"

    def read_options(self, read_group: bool = False) -> list[str]:
        """What samtools needs to be told before it can read the file.

        Args:
            read_group: whether that of each record is needed, too.
        """
        fields = CRAM_FIELDS | (CRAM_READ_GROUP if read_group else 0)
        return ["--input-fmt-option", f"required_fields={fields:#x}"] if self.cram else []

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
    cram = kind_of(path) == CRAM
    if index is None:
        return IndexedBam(path, Path(f"{path}.{'crai' if cram else 'bai'}"), cram)
    pair = IndexedBam(path, Path(index).absolute(), cram)
    # htslib warns of an index that is older than its BAM, but the times of two downloads only
    # tell which came first.
    pair.index.touch()
    return pair
