"""A file without an index gets one, and one that cannot have an index is refused."""

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
from readcount.source.alignments import Alignments, open_alignments
from readcount.source.commands import make_index
from readcount.source.files import IndexedFile, InputFiles, local_files
from readcount.source.readers import LocalFile
from steps import ask, count_here, planned

pytestmark = pytest.mark.samtools


def without_index(bam: Path) -> InputFiles:
    """The file alone in a folder of its own."""
    alone = bam.parent / "alone" / bam.name
    alone.parent.mkdir()
    return local_files(str(bam.rename(alone)), None)


def open_and_index(files: InputFiles, cores: int = 2) -> tuple[Alignments, list[str]]:
    """Opens a file without an index; returns it with the log."""
    log: list[str] = []
    return open_alignments(files, log.append, cores=cores), log


def unsorted(path: Path, reads: Sequence[tuple[str | None, int]]) -> Path:
    """Writes records in this order, under a header that does not tell."""
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
def test_the_index_is_the_one_that_samtools_makes(tmp_path: Path, cores: int) -> None:
    made = make_bam(tmp_path, {"chr1": 300, "empty": 0, "chr2": 20}, unplaced=3)
    expected = Path(f"{made}.bai").read_bytes()
    alignments, log = open_and_index(without_index(made), cores)
    index = alignments.file.index
    assert index == made.parent / "alone" / "sample.bam.bai"
    assert index.read_bytes() == expected
    (line,) = log
    words = rf"no index given: created a BAI in [\d.]+ s on {cores} cores?"
    assert re.fullmatch(words, line)


@pytest.mark.parametrize(("longest", "suffix"), [(MAX_LENGTH, ".bai"), (MAX_LENGTH + 1, ".csi")])
def test_a_sequence_that_no_bai_can_hold_gets_a_csi(
    tmp_path: Path, longest: int, suffix: str
) -> None:
    reads = [Read("chr1", 5), Read("long", longest - 10)]
    made = write_bam(tmp_path, {"chr1": 1000, "long": longest}, reads, csi=True)
    alignments, _ = open_and_index(without_index(made))
    assert alignments.file.index.suffix == suffix
    assert list(count_here(alignments, planned(alignments)[0]).counts.records) == [1, 1]


def test_a_cram_gets_a_crai(tmp_path: Path) -> None:
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
    ids=["sequences in turns", "sequences in another order", "unplaced before placed"],
)
@pytest.mark.parametrize("shared", ["multi_seq_per_slice=0", "multi_seq_per_slice=1"])
def test_a_cram_need_not_be_sorted(
    tmp_path: Path, reads: list[tuple[str | None, int]], shared: str
) -> None:
    cram = cram_of(unsorted(tmp_path / "sample.bam", reads), shared)
    alignments, _ = open_and_index(without_index(cram))
    asked = ask(regions=["chr1", "chr2", "chr1:15-40"], include_unplaced=True)
    assert list(count_here(alignments, planned(alignments, asked)[0]).counts.records) == [
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
    ids=["positions", "sequences in turns", "sequences in another order", "unplaced before placed"],
)
def test_what_is_not_sorted_is_refused_with_the_command_that_sorts_it(
    tmp_path: Path, reads: list[tuple[str | None, int]]
) -> None:
    bam = without_index(unsorted(tmp_path / "my sample.bam", reads))
    with pytest.raises(InputError) as refused:
        open_and_index(bam)
    message = str(refused.value)
    command = "samtools sort -o 'sorted_my sample.bam' 'my sample.bam'"
    assert message.endswith(f"Sort it with: {command}")
    assert is_a_known_message(message, "AppError")

    folder = tmp_path / "alone"
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)
    open_and_index(local_files(str(folder / "sorted_my sample.bam"), None))


def spoil_a_block(bam: Path) -> None:
    blocks = bgzf.split(bam.read_bytes())
    blocks[1] = blocks[1][:20] + bytes(len(blocks[1]) - 20)
    bam.write_bytes(b"".join(blocks))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda bam: os.truncate(bam, bam.stat().st_size // 2), "is truncated or corrupt"),
    "a block": (
        spoil_a_block,
        "samtools failed while creating the index of sample.bam: exit status",
    ),
    "not a BAM": (
        lambda bam: bam.write_bytes(b"@HD\tVN:1.6\n"),
        "is SAM text, not a BAM or CRAM file",
    ),
}


@pytest.mark.parametrize(("spoil", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_file_gets_no_index(
    tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    made = make_bam(tmp_path, {"chr1": 5000})
    spoil(made)
    bam = without_index(made)
    with pytest.raises(InputError, match=words) as refused:
        open_and_index(bam)
    assert str(refused.value).startswith("mappings_sorted_bam: ")
    assert "sample.bam" in str(refused.value)
    assert "Upload it again" in str(refused.value) or "Provide a" in str(refused.value)
    assert is_a_known_message(str(refused.value), "AppError")
    assert not list((tmp_path / "alone").glob("*.bai"))


def test_a_disk_without_room_for_the_index_is_not_the_users_fault(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 5})
    nowhere = IndexedFile(LocalFile(bam), tmp_path / "no folder" / "sample.bam.bai")
    with pytest.raises(DiskSpaceError, match="storage") as refused:
        make_index(nowhere, bam, threads=2)
    assert is_a_known_message(str(refused.value), "AppInternalError")


def test_long_names_leave_the_message_short(tmp_path: Path) -> None:
    path = tmp_path / f"{'it is ' * 40}.bam"
    bam = without_index(unsorted(path, [("chr1", 20), ("chr1", 10)]))
    with pytest.raises(ReadCountError) as refused:
        open_and_index(bam)
    assert len(str(refused.value)) <= MESSAGE_LENGTH
