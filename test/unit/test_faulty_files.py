"""Faulty input files are detected and rejected with a helpful message."""

import gzip
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest

from builders import Read, cram_of, make_bam, without_statistics, write_bam
from fuzz import bgzf
from fuzz.mutations import METADATA_BIN
from index_entries import bins_of
from messages import is_a_known_message
from readcount.errors import MESSAGE_LENGTH, DiskSpaceError, InputError
from readcount.formats.bam_index import read_index
from readcount.planning.merge import MergedCounts
from readcount.regions.counts import RegionCounts
from readcount.regions.region import Region
from readcount.regions.region_list import RegionList
from readcount.source.files import SPARE_BYTES, InputFiles, check_disk
from readcount.source.opening import open_alignments
from readcount.source.sequences import SequenceDictionary
from readcount.text import plural
from readcount.verification.verify import verify
from steps import ask, count_here, files_of, local_files, opened, planned

READS = {"chr1": 3, "empty": 0, "chr2": 2}


def count_and_verify(files: InputFiles) -> list[int]:
    """Counts each reference sequence; returns the counts after checking them against the index."""
    alignments = open_alignments(files)
    plan = planned(alignments)
    alignments.check_index(plan.edges)
    verified = verify(count_here(alignments, plan), alignments)
    return list(verified.counts.records)


def message_for(files: InputFiles) -> str:
    """Returns the error message for faulty files."""
    with pytest.raises(InputError) as error:
        count_and_verify(files)
    message = str(error.value)
    assert len(message) <= MESSAGE_LENGTH
    assert is_a_known_message(message, "AppError")
    return message


def convert_to_sam(folder: Path) -> None:
    bam = folder / "sample.bam"
    bam.write_bytes(subprocess.check_output(["samtools", "view", "-h", bam]))


def write_bam_of_sequences(folder: Path, *names: bytes) -> None:
    length = (100).to_bytes(4, "little")
    sequences = [(len(name) + 1).to_bytes(4, "little") + name + b"\0" + length for name in names]
    header = b"BAM\1" + bytes(4) + len(names).to_bytes(4, "little") + b"".join(sequences)
    (folder / "sample.bam").write_bytes(bgzf.pack(header) + bgzf.END_OF_FILE)


def truncate_the_header(folder: Path) -> None:
    bam = folder / "sample.bam"
    header, *blocks = bgzf.split(bam.read_bytes())
    truncated = bgzf.pack(bgzf.unpack(header)[:20])
    bam.write_bytes(b"".join([truncated, *blocks]))


BAM_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda folder: (folder / "sample.bam").write_bytes(b""), "an empty file, not a BAM"),
    "SAM": (convert_to_sam, "is SAM text, not a BAM or CRAM file"),
    "BAI": (
        lambda folder: (folder / "sample.bam.bai").replace(folder / "sample.bam"),
        "is a BAI index, not a BAM or CRAM file",
    ),
    "no end-of-file block": (
        lambda folder: (folder / "sample.bam").write_bytes(
            (folder / "sample.bam").read_bytes().removesuffix(bgzf.END_OF_FILE)
        ),
        "is truncated or corrupt",
    ),
    "truncated header": (truncate_the_header, "is corrupt: its header cannot be read"),
    "duplicate name": (
        lambda folder: write_bam_of_sequences(folder, b"chr1", b"chr1"),
        "has more than one reference sequence chr1",
    ),
    "a sequence named *": (
        lambda folder: write_bam_of_sequences(folder, b"chr1", b"*"),
        "has a reference sequence '*' in its header",
    ),
}


@pytest.mark.parametrize(("corrupt", "words"), BAM_FAULTS.values(), ids=BAM_FAULTS.keys())
def test_a_faulty_bam_is_rejected(
    tmp_path: Path, corrupt: Callable[[Path], object], words: str
) -> None:
    bam = make_bam(tmp_path, READS)
    good_index = Path(f"{bam}.bai").read_bytes()
    corrupt(tmp_path)
    Path(f"{bam}.bai").write_bytes(good_index)
    message = message_for(files_of(bam))
    assert message.startswith("mappings_sorted_bam: sample.bam ")
    assert words in message


@pytest.mark.parametrize("kind", ["gzip", "raw", "both"])
@pytest.mark.parametrize("name", ["sample.bam", "it's a.bam"])
def test_a_bam_without_bgzf_is_rejected_with_a_conversion_command(
    tmp_path: Path, kind: str, name: str
) -> None:
    bam = make_bam(tmp_path, READS).rename(tmp_path / name)
    content = bam.read_bytes() if kind == "both" else gzip.decompress(bam.read_bytes())
    bam.write_bytes(content if kind == "raw" else gzip.compress(content))
    message = message_for(files_of(bam, tmp_path / "sample.bam.bai"))
    command = message.partition("Convert it with: ")[2]
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    converted = tmp_path / f"bgzf_{name}"
    pysam.index(str(converted))
    assert count_and_verify(files_of(converted)) == list(READS.values())


OTHER_FILES = {
    "one byte": b"B",
    "two bytes": b"\x1f\x8b",
    "text": b"hello\n",
    "VCF": b"##fileformat=VCFv4.2\n",
    "zip": b"PK\3\4" + bytes(range(256)),
    "zeros": bytes(5000),
    "gzip": gzip.compress(b"hello" * 99),
    "truncated gzip": gzip.compress(b"hello" * 99)[:-9],
    "gzip of an empty file": gzip.compress(b""),
    "end-of-file block": bgzf.END_OF_FILE,
    "BAM magic only": b"BAM\1",
    "compressed BAM magic only": bgzf.pack(b"BAM\1") + bgzf.END_OF_FILE,
    "negative header length": bgzf.pack(b"BAM\1" + b"\xff" * 50) + bgzf.END_OF_FILE,
    "CRAM without containers": b"CRAM\3\0" + bytes(20),
    "CRAM of a future version": b"CRAM\5\0" + bytes(99),
    "truncated BAI": b"BAI\1\3",
    "BAI without sequences": b"BAI\1" + bytes(4),
    "truncated CSI": gzip.compress(b"CSI\1" + bytes(5)),
    "CSI with negative sizes": gzip.compress(b"CSI\1" + b"\xff" * 20),
    "CRAI": b"0\t1\t2\t26\t5\t6\n",
}


@pytest.mark.parametrize("content", OTHER_FILES.values(), ids=OTHER_FILES.keys())
def test_any_other_file_is_rejected_with_a_message(tmp_path: Path, content: bytes) -> None:
    """As a BAM with and without an index, and as the index of a BAM and of a CRAM."""
    bam = make_bam(tmp_path / "good.bam", READS)
    cram = cram_of(bam)
    other = tmp_path / "other"
    other.write_bytes(content)
    assert "mappings_sorted_bam: other " in message_for(local_files(str(other), None))
    assert "mappings_sorted_bam: other " in message_for(files_of(other, Path(f"{bam}.bai")))
    for file in (bam, cram):
        assert "mappings_sorted_bai: other " in message_for(files_of(file, other))


def end_of_records(index: bytes) -> bytes:
    """Returns the virtual file offset after the last record, from the last statistics."""
    return index[index.rindex(METADATA_BIN.to_bytes(4, "little") + b"\2\0\0\0") :][16:24]


INDEX_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda index: b"", "an empty file, not the index"),
    "text": (lambda index: b"see attachment", "is a file of an unknown kind, not the index"),
    "tabix": (lambda index: gzip.compress(b"TBI\1" + index), "is a tabix index, not the index"),
    "truncated": (lambda index: index[:-30], "is corrupt: it cannot be read to its end"),
    "truncated in the last offset": (
        lambda index: index[:-12],
        "is corrupt: it cannot be read to its end",
    ),
    "records after the end of the file": (
        lambda index: index.replace(end_of_records(index), b"\xff" * 8),
        "it has records after the end of the file",
    ),
    "trailing bytes": (lambda index: index + b"!", "is corrupt: 9 bytes follow after its end"),
    "fewer sequences": (
        lambda index: index[:4] + bytes(4),
        "it is for 0 reference sequences, and the file has 3",
    ),
}


@pytest.mark.parametrize(("corrupt", "words"), INDEX_FAULTS.values(), ids=INDEX_FAULTS.keys())
def test_a_faulty_index_is_rejected(
    tmp_path: Path, corrupt: Callable[[bytes], bytes], words: str
) -> None:
    bam = make_bam(tmp_path, READS)
    index = tmp_path / "my index.bai"
    index.write_bytes(corrupt(Path(f"{bam}.bai").read_bytes()))
    message = message_for(files_of(bam, index))
    assert message.startswith("mappings_sorted_bai: my index.bai ")
    assert words in message


def test_both_faults_are_reported(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS)
    message = message_for(files_of(Path(f"{bam}.bai"), bam))
    assert "mappings_sorted_bam: sample.bam.bai is a BAI index" in message
    assert "mappings_sorted_bai: sample.bam is a BAM file" in message


def records_at(*contigs: str) -> list[Read]:
    return [Read(contig, number) for number, contig in enumerate(contigs)]


@pytest.mark.parametrize(
    "contigs",
    [
        ["empty", "chr1", "chr2"],
        ["chr1", "empty", "chr2"],
        ["chr1", "chr2", "last"],
        ["chr1", "chr2", "last", "last"],
    ],
)
def test_records_missing_from_the_index_are_detected(tmp_path: Path, contigs: list[str]) -> None:
    """They would never be read, and the counts of all other sequences could be right."""
    lengths = dict.fromkeys(sorted({*contigs, "chr1", "empty", "chr2", "last"}), 1000)
    indexed = write_bam(tmp_path / "a.bam", lengths, records_at("chr1", "chr2"))
    bam = write_bam(tmp_path / "b.bam", lengths, [Read(contig, 5) for contig in contigs])
    assert "a.bam.bai" in message_for(files_of(bam, Path(f"{indexed}.bai")))


@pytest.mark.parametrize(
    ("reads", "unplaced", "csi"),
    [
        *((READS, unplaced, csi) for unplaced in (0, 4) for csi in (False, True)),
        *((reads, unplaced, unplaced == 0) for reads in ({}, {"chr1": 0}) for unplaced in (0, 4)),
        *(({"a": 0, "b": 70_000, "c": 1, "d": 0}, unplaced, unplaced > 0) for unplaced in (0, 4)),
    ],
)
def test_a_matching_index_is_accepted(
    tmp_path: Path, reads: dict[str, int], unplaced: int, csi: bool
) -> None:
    bam = make_bam(tmp_path, reads, unplaced=unplaced)
    if csi:
        pysam.index("-c", str(bam), f"{bam}.bai")
    assert count_and_verify(files_of(bam)) == list(reads.values())


def merged(reads: dict[str, int]) -> MergedCounts:
    """Returns counts as if all records of these sequences had been read."""
    counts = RegionCounts(RegionList.of_whole(reads), np.array([*reads.values()]))
    return MergedCounts(counts, list(enumerate(reads.values())))


def test_counts_that_match_the_index_are_accepted(tmp_path: Path) -> None:
    evidence = opened(make_bam(tmp_path, READS))
    assert verify(merged(READS), evidence).checks == ("counts of all 3 regions match the index",)


@pytest.mark.parametrize("wrong", [{"chr1": 2}, {"chr1": 4}, {"empty": 1}])
def test_counts_that_differ_from_the_index_are_rejected(
    tmp_path: Path, wrong: dict[str, int]
) -> None:
    evidence = opened(make_bam(tmp_path, READS))
    with pytest.raises(InputError, match="or one of them is corrupt") as error:
        verify(merged(READS | wrong), evidence)
    ((name, records),) = wrong.items()
    assert f"the index lists {plural(READS[name], 'record')} for {name}" in str(error.value)
    assert f"but {records} were counted" in str(error.value)
    assert is_a_known_message(str(error.value), "AppError")


def test_a_span_cannot_have_more_records_than_its_sequence(tmp_path: Path) -> None:
    evidence = opened(make_bam(tmp_path, READS))
    part = RegionList.of(SequenceDictionary(READS), [Region("chr1", 0, 50)])
    assert verify(MergedCounts(RegionCounts(part, np.array([3])), []), evidence)
    with pytest.raises(InputError, match=r"3 records for chr1:1-50, but 4 were counted"):
        verify(MergedCounts(RegionCounts(part, np.array([4])), []), evidence)


def test_records_without_a_position_are_in_the_index_but_not_counted(tmp_path: Path) -> None:
    reads = [Read("chr1", -1, cigar=None), Read("chr1", 5)]
    bam = write_bam(tmp_path, {"chr1": 1000}, reads)
    evidence = opened(bam)
    assert evidence.numbers[0] == 2
    assert count_and_verify(files_of(bam)) == [1]


def test_counts_are_not_compared_with_an_index_without_statistics(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS, unplaced=2)
    alignments = opened(bam, without_statistics(bam))
    assert alignments.numbers == {1: 0}
    plan = planned(alignments, ask(include_unplaced=True))
    verified = verify(count_here(alignments, plan), alignments)
    assert list(verified.counts.records) == [3, 0, 2, 2]
    assert verified.checks[-1] == (
        "counts of 3 regions include all records in the file; the index has no statistics to "
        "compare with"
    )


def test_records_that_an_old_index_omits_at_the_start_are_counted(tmp_path: Path) -> None:
    """Old indexes have no chunk for placed unmapped records at the start of a sequence."""
    reads = [Read("chr1", 5), *[Read("chr2", 5, None, 0x4)] * 3, Read("chr2", 40_000)]
    bam = write_bam(tmp_path, {"chr1": 100_000, "chr2": 100_000}, reads)
    index = without_statistics(bam)
    content = index.read_bytes()
    # Remove the bin of these records, and let the linear index start at the next record.
    bins = bins_of(read_index(index), 1)
    (first, second) = bins.bins
    first_bin = struct.pack("<I", 2) + struct.pack("<IIQQ", first[0], 1, *first[2])
    assert content.count(first_bin) == 1
    content = content.replace(first_bin, struct.pack("<I", 1))
    linear = struct.pack(f"<I{len(bins.linear)}Q", len(bins.linear), *bins.linear)
    later = struct.pack(f"<I{len(bins.linear)}Q", len(bins.linear), *[second[2][0]] * 3)
    index.write_bytes(content.replace(linear, later))
    assert count_and_verify(files_of(bam, index)) == [1, 4]


def test_inputs_larger_than_the_free_disk_space_are_rejected() -> None:
    check_disk(needed=10**9, free=10**9 + SPARE_BYTES)
    with pytest.raises(DiskSpaceError, match=r"need 85\.0 GB of disk, but only 3\.2 GB") as error:
        check_disk(needed=85 * 10**9, free=3_200_000_000)
    assert is_a_known_message(str(error.value), "AppInternalError")
