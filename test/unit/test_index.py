"""Record counts and file offsets are read from BAI and CSI indexes; invalid ones are rejected."""

import contextlib
import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Read, make_bam, write_bam
from index_entries import bins_of
from readcount.formats.bam_index import (
    ContigIndex,
    IndexFormatError,
    read_index,
)
from strategies import INTERVAL

READS = {"chr1": 3, "empty": 0, "chr2": 2}
STATISTICS = 37450


def csi_of(bam: Path) -> Path:
    pysam.index("-c", str(bam))
    return Path(f"{bam}.csi")


def bai_of(bam: Path) -> Path:
    return Path(f"{bam}.bai")


def compressed_bai_of(bam: Path) -> Path:
    path = Path(f"{bam}.bai.gz")
    path.write_bytes(gzip.compress(bai_of(bam).read_bytes()))
    return path


@pytest.mark.samtools
@pytest.mark.parametrize("index_of", [bai_of, compressed_bai_of, csi_of])
def test_record_counts_are_read_from_bai_and_csi(
    tmp_path: Path, index_of: Callable[[Path], Path]
) -> None:
    bam = make_bam(tmp_path, READS, unplaced=9)
    assert [entry.records for entry in read_index(index_of(bam)).entries] == [3, 0, 2]


@pytest.mark.samtools
@pytest.mark.parametrize("index_of", [bai_of, compressed_bai_of, csi_of])
def test_record_counts_match_pysam(tmp_path: Path, index_of: Callable[[Path], Path]) -> None:
    reads = [Read("chr1", 7), Read("chr1", 9, flag=4, cigar=None), Read("chr3", 2**20), Read(None)]
    bam = write_bam(tmp_path, {"chr1": 10, "chr2": 20, "chr3": 2**28}, reads)
    index = index_of(bam)
    with pysam.AlignmentFile(str(bam), index_filename=str(index)) as alignments:
        expected = [contig.total for contig in alignments.get_index_statistics()]
    assert [entry.records for entry in read_index(index).entries] == expected == [2, 0, 1]


@pytest.mark.samtools
def test_the_linear_index_of_a_bai_has_record_offsets(tmp_path: Path) -> None:
    reads = [Read("chr1", at) for at in (5, 100, 3 * INTERVAL + 5)]
    bam = write_bam(tmp_path, {"chr1": 2**20, "chr2": 2**20}, reads)
    with pysam.AlignmentFile(str(bam)) as alignments:
        first = alignments.tell()
        starts = [alignments.tell() for _ in alignments]
    index = read_index(bai_of(bam))
    linear = bins_of(index, 0).linear
    assert (linear[0], linear[3]) == (first, starts[1])
    assert len(linear) == 4
    assert index.entries[1] == ContigIndex(records=0)


@pytest.mark.samtools
@pytest.mark.parametrize("index_of", [bai_of, compressed_bai_of, csi_of])
def test_chunks_begin_at_record_offsets(tmp_path: Path, index_of: Callable[[Path], Path]) -> None:
    reads = [Read("chr1", at) for at in (5, 100, 3 * INTERVAL + 5)]
    bam = write_bam(tmp_path, {"chr0": 9, "chr1": 2**20}, reads)
    with pysam.AlignmentFile(str(bam)) as alignments:
        starts = [alignments.tell(), *(alignments.tell() for _ in alignments)]
    index = read_index(index_of(bam))
    begins, ends = bins_of(index, 1).chunk_begins(), bins_of(index, 1).chunk_ends()
    assert set(begins) <= {*starts[:-1]}
    assert (min(begins), max(ends)) == (starts[0], starts[-1])
    assert bins_of(index, 0).chunk_begins() == []


def bai(*contigs: list[tuple[int, list[tuple[int, int]]]]) -> bytes:
    data = b"BAI\1" + struct.pack("<I", len(contigs))
    for bins in contigs:
        data += struct.pack("<I", len(bins))
        for number, chunks in bins:
            data += struct.pack("<II", number, len(chunks))
            data += b"".join(struct.pack("<QQ", *chunk) for chunk in chunks)
        data += struct.pack("<I", 0)
    return data


def test_no_bins_mean_no_records_but_no_statistics_mean_unknown(tmp_path: Path) -> None:
    index = tmp_path / "old.bai"
    index.write_bytes(
        bai(
            [],
            [(4681, [(1, 2)])],
            [(STATISTICS, [(1, 2), (0, 0)])],
            [(4681, [(1, 2)]), (STATISTICS, [(1, 2), (3, 4)])],
            [(4681, [(1, 2)]), (STATISTICS, [(1, 2), (0, 0)])],
        )
    )
    assert [entry.records for entry in read_index(index).entries] == [0, None, 0, 7, None]


@pytest.mark.samtools
def test_record_offsets_of_sequences_are_read_from_bai_and_csi(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS, unplaced=1)
    with pysam.AlignmentFile(str(bam)) as alignments:
        offsets = [alignments.tell(), *(alignments.tell() for _ in alignments)]
    expected = [(offsets[0], offsets[3]), (None, None), (offsets[3], offsets[5])]
    for index in (bai_of(bam), csi_of(bam)):
        assert [(entry.begin, entry.end) for entry in read_index(index).entries] == expected


@pytest.mark.parametrize("content", [b"", b"BAI\1", b"CSI\1", b"no index", b"\x1f\x8b\x08"])
def test_a_file_that_is_not_an_index_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.bai").write_bytes(content)
    with pytest.raises(IndexFormatError):
        read_index(tmp_path / "x.bai")


@pytest.mark.parametrize("index_of", [bai_of, csi_of])
def test_truncated_indexes_and_trailing_bytes_are_rejected(
    tmp_path: Path, index_of: Callable[[Path], Path]
) -> None:
    index = index_of(make_bam(tmp_path, READS))
    data = index.read_bytes()
    data = data if data.startswith(b"BAI") else gzip.decompress(data)
    for end in range(len(data)):
        # The last eight bytes, the number of unplaced records, are optional.
        if end != len(data) - 8:
            index.write_bytes(data[:end] if data.startswith(b"BAI") else gzip.compress(data[:end]))
            with pytest.raises(IndexFormatError):
                read_index(index)
    index.write_bytes(data + b"x" if data.startswith(b"BAI") else gzip.compress(data + b"x"))
    with pytest.raises(IndexFormatError, match="follow after its end"):
        read_index(index)


@given(st.data())
def test_a_corrupt_index_is_read_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("corrupt")
    index = data.draw(st.sampled_from([bai_of, csi_of]))(make_bam(folder, READS))
    content = bytearray(index.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    index.write_bytes(content)
    with contextlib.suppress(IndexFormatError):
        for entry in read_index(index).entries:
            assert entry.records is None or entry.records >= 0
