"""The BAM or CRAM and its index."""

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

from readcount.content import BAI, BEGINNING_BYTES, CRAM, PACKED_BAI, kind_of, kind_of_bytes
from readcount.cram import Container, read_containers, read_containers_in_place, read_crai
from readcount.errors import INDEX_ANEW, InputError, shorten
from readcount.remote import patiently, read_url

T = TypeVar("T")

# How much of a file's name a message shows.
SHOWN = 80
# All that decides whether a record counts: FLAG, RNAME, POS, MAPQ and CIGAR (SAM_FLAG, ... in
# htslib/sam.h). Without the bases a CRAM is read without its reference, and faster.
CRAM_FIELDS = 0x3E
# The read group, without the other tags, some of which need the bases (SAM_RGAUX).
CRAM_READ_GROUP = 0x1000
_ANY_URL = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class IndexedBam:
    """A BAM or CRAM and its index, each under any name, in any folder.

    Attributes:
        path: absolute path of the BAM; an absolute one does not begin with a dash. Only its name
            counts where the file is read in place.
        index: absolute path of its BAI, CSI or CRAI index.
        cram: whether it is a CRAM.
        url: where to read it in place, if it is not at the path. Who has it can read the file, so
            it is in no log, error or output.
        url_size: of a file that is read in place, in bytes.
    """

    path: Path
    index: Path
    cram: bool = False
    url: str | None = field(default=None, repr=False)
    url_size: int = 0

    @property
    def in_place(self) -> bool:
        """Whether the file is read over the network."""
        return self.url is not None

    @property
    def size(self) -> int:
        """Of the BAM, in bytes."""
        return self.url_size if self.in_place else self.path.stat().st_size

    @property
    def location(self) -> str:
        """What samtools and pysam open."""
        return str(self.path) if self.url is None else self.url

    def read(self, start: int, size: int) -> bytes:
        """Reads bytes of the file; fewer where it ends. Raises NetworkError, OSError."""
        if self.url is not None:
            return patiently(partial(read_url, self.url, self.shown, start, size))
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def tried(self, work: Callable[[], T]) -> T:
        """Does work that reads the file; in place, more than once if it has to be."""
        return patiently(work) if self.in_place else work()

    def containers(self) -> list[Container]:
        """Gives the containers of a CRAM; raises as read_containers does, and NetworkError."""
        return _containers_in_place(self) if self.in_place else read_containers(self.path)

    def without_secret(self, text: str) -> str:
        """A text, such as what samtools says, with the file's name instead of the URL."""
        if self.url is None:
            return text
        return _ANY_URL.sub(self.path.name, text.replace(self.url, self.path.name))

    def as_samtools(self) -> str:
        """The two as one file name that samtools takes (samtools manual, "FILENAME")."""
        return f"{self.location}##idx##{self.index}"

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
    """Brings two downloaded files together; without an index, the place is where it is to be.

    The index may be packed.
    """
    path = Path(bam).absolute()
    cram = kind_of(path) == CRAM
    if index is None:
        return IndexedBam(path, Path(f"{path}.{'crai' if cram else 'bai'}"), cram)
    pair = IndexedBam(path, _unpacked(Path(index).absolute()), cram)
    # htslib warns of an index that is older than its BAM, but the times of two downloads only
    # tell which came first.
    pair.index.touch()
    return pair


def check_streaming(stream_bam: bool, subjobs: int, has_index: bool) -> None:
    """Raises InputError if the file cannot be read in place as it is asked for."""
    if subjobs < 0:
        raise InputError(f"subjobs: {subjobs} is no number of jobs. Give 0 for none.")
    if (stream_bam or subjobs) and not has_index:
        raise InputError(
            f"{'subjobs' if subjobs else 'stream_bam'}: a file that is read in place needs an "
            "index, as to make one would be to read all of it. Give mappings_sorted_bai, or leave "
            "this input out."
        )


def in_place(url: str, name: str, size: int, index: str) -> IndexedBam:
    """Brings a file that stays where it is and its index together; raises NetworkError.

    Args:
        url: where to read it.
        name: of the file.
        size: of the file in bytes.
        index: path of the index, packed or not.
    """
    pair = IndexedBam(Path(name), _unpacked(Path(index).absolute()), url=url, url_size=size)
    pair.index.touch()
    return replace(pair, cram=kind_of_bytes(pair.read(0, BEGINNING_BYTES)) == CRAM)


def packed(index: Path) -> Path | None:
    """Compresses a BAI, to about a third of its size; other indexes are compressed as they are.

    Gives the path of the smaller file, which has the same name; None if there is none.
    """
    if kind_of(index) != BAI:
        return None
    # Level 9 takes 40 times as long for one of 200,000 sequences, and comes to more bytes.
    return _beside(index, "packed", gzip.compress(index.read_bytes(), compresslevel=4))


def _unpacked(index: Path) -> Path:
    """Gives the path of an index as samtools reads it; raises InputError if it is damaged."""
    if kind_of(index) != PACKED_BAI:
        return index
    try:
        content = gzip.decompress(index.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(
            f"mappings_sorted_bai: {shorten(index.name, SHOWN)} is damaged: it cannot be read to "
            f"its end. {INDEX_ANEW}"
        ) from None
    return _beside(index, "unpacked", content)


def _beside(path: Path, folder: str, content: bytes) -> Path:
    """Writes a file of the same name, which is in messages, in a folder beside another one."""
    made = path.parent / folder / path.name
    made.parent.mkdir(exist_ok=True)
    made.write_bytes(content)
    return made


@lru_cache(maxsize=1)
def _containers_in_place(cram: IndexedBam) -> list[Container]:
    likely = sorted({part.container for part in read_crai(cram.index)})
    return read_containers_in_place(cram.read, cram.size, likely)
