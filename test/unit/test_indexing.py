"""An index is created if none is given; files that cannot be indexed are rejected."""

import gzip
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pysam
import pytest

from builders import Read, cram_of, make_bam, write_bam
from fuzz import bgzf
from messages import is_a_known_message
from readcount.errors import MESSAGE_LENGTH, DiskSpaceError, InputError, ReadCountError
from readcount.formats.bam_index import MAX_LENGTH
from readcount.source.alignments import Alignments
from readcount.source.commands import make_index
from readcount.source.files import IndexedFile, InputFiles
from readcount.source.opening import open_alignments
from readcount.source.readers import LocalFile
from steps import ask, count_here, local_files, planned

pytestmark = pytest.mark.samtools


def without_index(bam: Path) -> InputFiles:
    """Moves a BAM or CRAM to a separate folder, without its index."""
    alone = bam.parent / "alone" / bam.name
    alone.parent.mkdir()
    return local_files(str(bam.rename(alone)), None)


def open_and_index(files: InputFiles, cores: int = 2) -> tuple[Alignments, list[str]]:
    """Opens a file, which creates its index; returns it and the log lines."""
    log: list[str] = []
    return open_alignments(files, log.append, cores=cores), log


def write_unsorted(path: Path, reads: Sequence[tuple[str | None, int]]) -> Path:
    """Writes a BAM with records in this order; its header has no sort order."""
    header = pysam.AlignmentHeader.from_text("@SQ\tSN:chr1\tLN:1000\n@SQ\tSN:chr2\tLN:1000\n")
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for contig, position in reads:
            record = pysam.AlignedSegment(header)
            record.query_name = "read"
            record.flag = 0 if contig else 4
            if contig:
                record.reference_name, record.reference_start = contig, position
                record.cigarstring = "10M"
            bam.write(record)
    return path


@pytest.mark.parametrize("cores", [1, 3])
def test_the_created_index_equals_that_of_samtools(tmp_path: Path, cores: int) -> None:
    bam = make_bam(tmp_path, {"chr1": 300, "empty": 0, "chr2": 20}, unplaced=3)
    expected = Path(f"{bam}.bai").read_bytes()
    alignments, log = open_and_index(without_index(bam), cores)
    index = alignments.file.index
    assert index == bam.parent / "alone" / "sample.bam.bai"
    assert index.read_bytes() == expected
    (line,) = log
    words = rf"no index given: created a BAI in [\d.]+ s on {cores} cores?"
    assert re.fullmatch(words, line)


@pytest.mark.parametrize(("longest", "suffix"), [(MAX_LENGTH, ".bai"), (MAX_LENGTH + 1, ".csi")])
def test_a_csi_is_created_for_a_sequence_too_long_for_a_bai(
    tmp_path: Path, longest: int, suffix: str
) -> None:
    reads = [Read("chr1", 5), Read("long", longest - 10)]
    bam = write_bam(tmp_path, {"chr1": 1000, "long": longest}, reads, csi=True)
    alignments, _ = open_and_index(without_index(bam))
    assert alignments.file.index.suffix == suffix
    assert list(count_here(alignments, planned(alignments)).counts.records) == [1, 1]


def test_a_crai_is_created_for_a_cram(tmp_path: Path) -> None:
    lengths = {"chr1": MAX_LENGTH + 1}
    cram = cram_of(write_bam(tmp_path, lengths, [Read("chr1", 7), Read(None)], csi=True))
    expected = Path(f"{cram}.crai").read_bytes()
    alignments, log = open_and_index(without_index(cram))
    index = alignments.file.index
    assert index == cram.parent / "alone" / "sample.cram.crai"
    assert gzip.decompress(index.read_bytes()) == gzip.decompress(expected)
    assert log[0].startswith("no index given: created a CRAI in ")


@pytest.mark.parametrize(
    "reads",
    [
        [("chr1", 10), ("chr2", 10), ("chr1", 20)],
        [("chr2", 10), ("chr1", 10)],
        [("chr1", 10), (None, 0), ("chr2", 10)],
    ],
    ids=["interleaved sequences", "sequences not in header order", "unplaced before placed"],
)
@pytest.mark.parametrize("slices", ["multi_seq_per_slice=0", "multi_seq_per_slice=1"])
def test_a_cram_need_not_be_sorted(
    tmp_path: Path, reads: list[tuple[str | None, int]], slices: str
) -> None:
    cram = cram_of(write_unsorted(tmp_path / "sample.bam", reads), slices)
    alignments, _ = open_and_index(without_index(cram))
    request = ask(regions=["chr1", "chr2", "chr1:15-40"], include_unplaced=True)
    assert list(count_here(alignments, planned(alignments, request)).counts.records) == [
        sum(name == "chr1" for name, _ in reads),
        1,
        sum(name == "chr1" and at + 10 > 14 for name, at in reads),
        sum(name is None for name, _ in reads),
    ]


@pytest.mark.parametrize(
    "reads",
    [
        [("chr1", 20), ("chr1", 10)],
        [("chr1", 10), ("chr2", 10), ("chr1", 20)],
        [("chr2", 10), ("chr1", 10)],
        [("chr1", 10), (None, 0), ("chr2", 10)],
    ],
    ids=[
        "decreasing positions",
        "interleaved sequences",
        "sequences not in header order",
        "unplaced before placed",
    ],
)
def test_an_unsorted_bam_is_rejected_with_the_sort_command(
    tmp_path: Path, reads: list[tuple[str | None, int]]
) -> None:
    files = without_index(write_unsorted(tmp_path / "my sample.bam", reads))
    with pytest.raises(InputError) as error:
        open_and_index(files)
    message = str(error.value)
    command = "samtools sort -o 'sorted_my sample.bam' 'my sample.bam'"
    assert message.endswith(f"Sort it with: {command}")
    assert is_a_known_message(message, "AppError")

    folder = tmp_path / "alone"
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)
    open_and_index(local_files(str(folder / "sorted_my sample.bam"), None))


def corrupt_a_block(bam: Path) -> None:
    blocks = bgzf.split(bam.read_bytes())
    blocks[1] = blocks[1][:20] + bytes(len(blocks[1]) - 20)
    bam.write_bytes(b"".join(blocks))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda bam: os.truncate(bam, bam.stat().st_size // 2), "is truncated or corrupt"),
    "corrupt block": (
        corrupt_a_block,
        "samtools failed while creating the index of sample.bam: exit status",
    ),
    "not a BAM": (
        lambda bam: bam.write_bytes(b"@HD\tVN:1.6\n"),
        "is SAM text, not a BAM or CRAM file",
    ),
}


@pytest.mark.parametrize(("corrupt", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_no_index_is_created_for_a_faulty_file(
    tmp_path: Path, corrupt: Callable[[Path], object], words: str
) -> None:
    bam = make_bam(tmp_path, {"chr1": 5000})
    corrupt(bam)
    files = without_index(bam)
    with pytest.raises(InputError, match=words) as error:
        open_and_index(files)
    assert str(error.value).startswith("mappings_sorted_bam: ")
    assert "sample.bam" in str(error.value)
    assert "Upload it again" in str(error.value) or "Provide a" in str(error.value)
    assert is_a_known_message(str(error.value), "AppError")
    assert not list((tmp_path / "alone").glob("*.bai"))


def test_an_index_that_cannot_be_written_raises_a_disk_space_error(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 5})
    unwritable = IndexedFile(LocalFile(bam), tmp_path / "no folder" / "sample.bam.bai")
    with pytest.raises(DiskSpaceError, match="storage") as error:
        make_index(unwritable, bam, threads=2)
    assert is_a_known_message(str(error.value), "AppInternalError")


def test_error_messages_stay_short_for_long_names(tmp_path: Path) -> None:
    path = tmp_path / f"{'it is ' * 40}.bam"
    files = without_index(write_unsorted(path, [("chr1", 20), ("chr1", 10)]))
    with pytest.raises(ReadCountError) as error:
        open_and_index(files)
    assert len(str(error.value)) <= MESSAGE_LENGTH
