"""Interval files are read as other programs write them: BED files and interval lists."""

import codecs
import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest

from messages import is_a_known_message
from readcount.errors import InputError
from readcount.regions.bed import read_bed
from readcount.regions.interval_list import is_interval_list, read_interval_list
from readcount.regions.list_regions import list_regions
from readcount.regions.region import Region
from readcount.regions.region_list import RegionList
from readcount.source.sequences import SequenceDictionary
from steps import ask

LENGTHS = {"chr1": 1000, "chr2": 500}
ALIASES = {"1": "chr1", "CM000663.2": "chr1"}
INTERVALS = [Region("chr1", 99, 200, name="exon 1"), Region("chr2", 0, 500, name="b")]
HEADER = "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:1000\n@SQ\tSN:chr2\tLN:500\n"
BED = "chr1\t99\t200\texon 1\nchr2\t0\t500\tb\n"


def regions_of(path: Path, lengths: Mapping[str, int] = LENGTHS) -> RegionList:
    return list_regions(ask(), path, SequenceDictionary(lengths, ALIASES))


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + BED.encode(),
        BED.encode("utf-16"),
        BED.replace("\n", "\r\n").encode(),
        BED.replace("\n", "\r").encode(),
        BED.replace("\n", "  \n").encode(),
        BED.replace("\t200\t", " \t200 \t").encode(),
        BED.encode().rstrip(),
        gzip.compress(codecs.BOM_UTF8 + BED.encode()),
    ],
    ids=[
        "byte order mark",
        "UTF-16",
        "CR LF",
        "CR",
        "trailing spaces",
        "spaces around fields",
        "no final newline",
        "compressed",
    ],
)
def test_a_bed_file_of_any_platform_is_read(tmp_path: Path, content: bytes) -> None:
    bed = tmp_path / "x.bed"
    bed.write_bytes(content)
    assert regions_of(bed) == INTERVALS


@pytest.mark.parametrize(
    ("encoded", "name"),
    [
        ("größe é".encode("latin-1"), "größe é"),
        ("größe é".encode(), "größe é"),
        ("exon 5 … €".encode("cp1252"), "exon 5 … €"),
        (b"no letter: \x81", "no letter: \ufffd"),
        (b"both: \xe9 \xc3\xa9", "both: é é"),
    ],
    ids=["Latin-1", "UTF-8", "Windows-1252", "not in Windows-1252", "mixed"],
)
@pytest.mark.parametrize("lines_before", [0, 9000])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_interval_name_need_not_be_utf_8(
    tmp_path: Path, encoded: bytes, name: str, lines_before: int, compressed: bool
) -> None:
    bed = tmp_path / "x.bed"
    content = b"chr2\t0\t5\n" * lines_before + b"chr1\t0\t5\t" + encoded + b"\nchr1\t0\t9\n"
    bed.write_bytes(gzip.compress(content) if compressed else content)
    *before, named, last = regions_of(bed)
    assert len(before) == lines_before
    assert (named, last) == (Region("chr1", 0, 5, name=name), Region("chr1", 0, 9))


def test_a_sequence_name_in_latin_1_is_recognized(tmp_path: Path) -> None:
    bed = tmp_path / "x.bed"
    bed.write_bytes("größe\t0\t5\n".encode("latin-1"))
    assert regions_of(bed, {"größe": 9}) == [Region("größe", 0, 5)]


def test_the_names_in_an_interval_list_need_not_be_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "x.bed"
    text = f"{HEADER}@CO\tgrößer\nchr1\t1\t5\t+\tgröße\n"
    path.write_bytes(text.encode("latin-1"))
    assert is_interval_list(path)
    assert regions_of(path) == [Region("chr1", 0, 5, name="größe")]


@pytest.mark.parametrize(
    "content",
    [
        b"chr1\t0\t5\ta\xe9\x01\n",
        b"chr1\t1\t5\n" * 9000 + b"PK\3\4\xff",
        "chr1\t0\t5\n".encode("utf-16-le"),
        codecs.BOM_UTF16_LE + b"c\0h",
    ],
    ids=["control character", "zip after text", "UTF-16 without a mark", "incomplete UTF-16"],
)
@pytest.mark.parametrize("name", ["x.bed", "x.interval_list"])
def test_a_binary_file_is_rejected(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a text file") as error:
        regions_of(path)
    assert is_a_known_message(str(error.value), "AppError")


def test_trailing_spaces_after_three_columns_are_ignored(tmp_path: Path) -> None:
    bed = tmp_path / "x.bed"
    bed.write_text("chr1\t100\t200 \n")
    assert read_bed(bed, SequenceDictionary(LENGTHS)) == [Region("chr1", 100, 200)]


def test_a_bed_file_may_use_alternative_names(tmp_path: Path) -> None:
    bed = tmp_path / "x.bed"
    bed.write_text("1\t0\t10\nchr1\t0\t10\n")
    first, second = regions_of(bed)
    assert (first.contig, str(first)) == ("chr1", "1:1-10")
    assert str(second) == "chr1:1-10"


@pytest.mark.parametrize("name", ["x.interval_list", "x.bed", "x.interval_list.gz"])
def test_an_interval_list_is_detected_from_its_content(tmp_path: Path, name: str) -> None:
    text = f"{HEADER}chr1\t100\t200\t+\texon 1\nchr2\t1\t500\t-\tb\n".encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert is_interval_list(path)
    assert regions_of(path) == INTERVALS


def test_an_interval_list_without_a_header_is_detected_from_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.interval_list"
    path.write_text("chr1\t100\t200\n")
    assert regions_of(path) == [Region("chr1", 99, 200)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("chr1\t0\t5\t+\ta", "line 4: 'chr1 0 5' starts at 0"),
        ("chr1\t9\t1001\t+\ta", "extends beyond the end of chr1"),
        ("chr3\t9\t10\t+\ta", "not in the header of the BAM or CRAM"),
        ("chr1\tx\t10\t+\ta", "a line of an interval list has"),
        ("chr1 1 10", "a line of an interval list has"),
        ("@SQ\tSN:chr1\tLN:999", "'chr1' is 999 bp long in this file but 1000 bp in the BAM"),
        ("", "contains no intervals"),
    ],
)
def test_a_faulty_interval_list_is_rejected(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "x.interval_list"
    path.write_text(f"{HEADER}{line}\n")
    with pytest.raises(InputError) as error:
        read_interval_list(path, SequenceDictionary(LENGTHS))
    assert words in str(error.value)
    assert is_a_known_message(str(error.value), "AppError")


GTF = 'chr1\thavana\texon\t100\t200\t.\t+\t.\tgene_id "g1";\n'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"chrom start end\nchr1 1 2\n", "line 1: looks like a header line"),
        (b"#x\nchrom\tchromStart\tchromEnd\nchr1\t1\t2\n", "line 2: looks like a header line"),
        (b"##gff-version 3\n" + GTF.encode(), "is GFF text"),
        (b"#!genome-build x\n" + GTF.encode(), "line 2: looks like a line of a GFF or GTF file"),
        (gzip.compress(b"##gff-version 3\n", mtime=0), "is compressed GFF text"),
        (b"##fileformat=VCFv4.2\n#CHROM\n", "is VCF text"),
        (gzip.compress(b"##fileformat=VCFv4.2\n", mtime=0), "is compressed VCF text"),
        (gzip.compress(b"BAM\1", mtime=0), "is a BAM file"),
        (b"chr1\t5\t5\n", "line 1: 'chr1 5 5' is empty, and tools disagree"),
        (b"chr1\t6\t5\n", "line 1: 'chr1 6 5' is empty: its end is not after its start"),
    ],
)
def test_an_invalid_bed_file_is_rejected_with_the_reason(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "x.bed"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^regions_bed: x\.bed") as error:
        regions_of(path)
    assert words in str(error.value)
    assert is_a_known_message(str(error.value), "AppError")
