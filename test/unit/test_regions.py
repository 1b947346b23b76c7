"""Regions come from the header's @SQ lines, and reach samtools unambiguously."""

import subprocess
from pathlib import Path

import pysam
import pytest

from builders import Read, make_bam, write_bam
from readcount.errors import InputError
from readcount.inputs import IndexedBam
from readcount.regions import Region, regions_from_header


def regions_of(bam: Path) -> list[Region]:
    return regions_from_header(IndexedBam(path=bam, name=bam.name))


@pytest.mark.parametrize(
    ("region", "text"),
    [
        (Region("chr1"), "{chr1}"),
        (Region("HLA-A*01:01"), "{HLA-A*01:01}"),
        (Region("chr1", start=0, end=100), "{chr1}:1-100"),
        (Region("chr1", start=100, end=200), "{chr1}:101-200"),
        (Region("chr1", end=100), "{chr1}:1-100"),
        (Region("chr1", start=100), "{chr1}:101-"),
    ],
)
def test_samtools_gets_the_name_in_braces_and_positions_from_one_inclusive(
    region: Region, text: str
) -> None:
    assert region.as_samtools() == text


def test_samtools_reads_a_span_as_it_is_meant(tmp_path: Path) -> None:
    bam = write_bam(tmp_path, {"c:1-2": 1000}, [Read("c:1-2", at, "1M") for at in range(10)])
    spans = [
        Region("c:1-2", start=3, end=7),
        Region("c:1-2", end=7),
        Region("c:1-2", start=3),
    ]
    counted = [
        int(subprocess.check_output(["samtools", "view", "-c", bam, span.as_samtools()]))
        for span in spans
    ]
    assert counted == [4, 7, 7]


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (6, 5), (None, 0)])
def test_an_empty_or_negative_span_is_refused(start: int | None, end: int | None) -> None:
    with pytest.raises(ValueError, match="chr1"):
        Region("chr1", start=start, end=end)


def test_there_is_one_region_per_reference_sequence_in_header_order(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr2": 1, "chr1": 0, "HLA-A*01:01": 2})
    assert regions_of(bam) == [Region("chr2"), Region("chr1"), Region("HLA-A*01:01")]


def test_names_in_other_header_lines_are_no_regions(tmp_path: Path) -> None:
    bam = make_bam(
        tmp_path,
        {"chr1": 1},
        more_header=["@PG\tID:aligner\tCL:aligner SN:chr2 @SQ SN:chr3", "@CO\t@SQ\tSN:chr4\tLN:9"],
    )
    assert regions_of(bam) == [Region("chr1")]


def test_a_header_without_reference_sequences_has_no_regions(tmp_path: Path) -> None:
    assert regions_of(make_bam(tmp_path, unplaced=2)) == []


@pytest.mark.parametrize("content", [b"", b"not a BAM\n", bytes(range(256)) * 9])
def test_a_file_that_is_no_bam_is_named_by_input_and_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "sample.bam"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"mappings_sorted_bam: sample\.bam cannot be read"):
        regions_of(file)


def test_a_name_that_the_header_has_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sample.bam"
    name = (5).to_bytes(4, "little") + b"chr1\0" + (100).to_bytes(4, "little")
    with pysam.BGZFile(str(file), "wb", index=None) as bam:
        bam.write(b"BAM\1" + bytes(4) + (2).to_bytes(4, "little") + 2 * name)
    with pytest.raises(InputError, match=r"the header of sample\.bam names chr1 more than once"):
        regions_of(file)
