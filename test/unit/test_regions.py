"""Regions as text, and the header fields that the applet reads."""

from pathlib import Path

import pysam
import pytest

from builders import make_bam
from readcount.formats.bam_index import read_index
from readcount.regions.region import Region
from readcount.source.header import read_header


def regions_of(bam: Path) -> list[Region]:
    return [Region(contig) for contig in read_header(bam).names]


@pytest.mark.parametrize(
    ("region", "text"),
    [
        (Region("chr1"), "chr1"),
        (Region("HLA-A*01:01"), "HLA-A*01:01"),
        (Region("chr1", start=100, end=200), "chr1:101-200"),
        (Region("chr1", end=100), "chr1:1-100"),
        (Region("chr1", start=100), "chr1:101-"),
    ],
)
def test_the_text_of_a_region_is_1_based_and_inclusive(region: Region, text: str) -> None:
    assert str(region) == text


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (6, 5), (None, 0)])
def test_an_empty_or_negative_span_is_rejected(start: int | None, end: int | None) -> None:
    with pytest.raises(ValueError, match="chr1"):
        Region("chr1", start=start, end=end)


def test_there_is_one_region_per_reference_sequence_in_header_order(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr2": 1, "chr1": 0, "HLA-A*01:01": 2})
    assert regions_of(bam) == [Region("chr2"), Region("chr1"), Region("HLA-A*01:01")]


def test_names_in_other_header_lines_are_ignored(tmp_path: Path) -> None:
    bam = make_bam(
        tmp_path,
        {"chr1": 1},
        more_header=["@PG\tID:aligner\tCL:aligner SN:chr2 @SQ SN:chr3", "@CO\t@SQ\tSN:chr4\tLN:9"],
    )
    assert regions_of(bam) == [Region("chr1")]


def test_a_header_without_reference_sequences_has_no_regions(tmp_path: Path) -> None:
    assert regions_of(make_bam(tmp_path, unplaced=2)) == []


@pytest.mark.parametrize(
    ("first_line", "order"),
    [
        ("@HD\tVN:1.6\tSO:queryname", "queryname"),
        ("@HD\tVN:1.6\tSO:coordinate", "coordinate"),
        ("@HD\tVN:1.6", "unknown"),
        ("@CO\tSO:queryname", "unknown"),
    ],
)
def test_the_sort_order_is_read_from_the_hd_line(
    tmp_path: Path, first_line: str, order: str
) -> None:
    bam = tmp_path / "sample.bam"
    header = pysam.AlignmentHeader.from_text(f"{first_line}\n@SQ\tSN:chr1\tLN:9\n")
    pysam.AlignmentFile(str(bam), "wb", header=header).close()
    assert read_header(bam).sort_order == order


def test_alternative_names_may_be_anywhere_in_an_sq_line(tmp_path: Path) -> None:
    lines = ["@SQ\tAN:1\tSN:chr1\tLN:9", "@SQ\tSN:chr2\tAN:2,CM2\tLN:9", "@SQ\tSN:3\tLN:9\tAN:x"]
    header = pysam.AlignmentHeader.from_text("\n".join([*lines, "@CO\tSN:3\tAN:y"]) + "\n")
    bam = tmp_path / "sample.bam"
    pysam.AlignmentFile(str(bam), "wb", header=header).close()
    assert read_header(bam).aliases == {"1": "chr1", "2": "chr2", "CM2": "chr2", "x": "3"}


def test_the_header_ends_where_the_first_record_begins(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 2})
    (chr1,) = read_index(Path(f"{bam}.bai")).entries
    assert read_header(bam).end == chr1.begin
