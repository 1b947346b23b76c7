"""Regions come from the header's @SQ lines, and reach samtools unambiguously."""

import subprocess
from pathlib import Path

import pysam
import pytest

from builders import Read, make_bam, write_bam
from readcount.errors import InputError
from readcount.inputs import IndexedBam
from readcount.regions import Contig, Region, fits_bed, read_contigs


def regions_of(bam: Path) -> list[Region]:
    return [Region(contig) for contig in read_contigs(IndexedBam(path=bam, name=bam.name))]


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


def test_a_contig_has_its_length_and_the_records_that_the_index_has(tmp_path: Path) -> None:
    reads = [Read("chr1"), Read("chr1", flag=4, cigar=None), Read("chr3"), Read(None)]
    bam = write_bam(tmp_path, {"chr1": 1000, "chr2": 20, "chr3": 300}, reads)
    assert read_contigs(IndexedBam(path=bam, name=bam.name)) == {
        "chr1": Contig(length=1000, records=2),
        "chr2": Contig(length=20, records=0),
        "chr3": Contig(length=300, records=1),
    }


def test_an_index_of_another_number_of_sequences_says_nothing(tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "a.bam", {"chr1": 3})
    other = make_bam(tmp_path / "b.bam", {"chr1": 3, "chr2": 3})
    Path(f"{other}.bai").rename(f"{bam}.bai")
    assert read_contigs(IndexedBam(path=bam, name=bam.name)) == {"chr1": Contig(length=10_000)}


@pytest.mark.parametrize("contig", ["chr1", "HLA-A*01:01", "{a}", "a}:1", "x#", "größe", "tracks"])
def test_most_names_can_stand_in_a_bed_file(contig: str) -> None:
    assert fits_bed(contig)


@pytest.mark.parametrize(
    "contig", ["#x", "#", ".", "*", "a b", " a", "a\u00a0b", "track", "browser", ""]
)
def test_some_names_mean_something_else_in_a_bed_file(contig: str) -> None:
    assert not fits_bed(contig)
