"""Regions are parsed as samtools parses them; invalid ones are rejected with line and text."""

import gzip
import subprocess
from itertools import permutations
from pathlib import Path

import pytest

from builders import Read, write_bam
from messages import is_a_known_message
from readcount.errors import MESSAGE_LENGTH, InputError
from readcount.regions.bed import read_bed
from readcount.regions.list_regions import list_regions
from readcount.regions.primary_chromosomes import is_primary_chromosome
from readcount.regions.region import UNPLACED, Region, similar_name
from readcount.regions.samtools_syntax import parse_region
from readcount.source.sequences import SequenceDictionary
from steps import ask, count_here, opened, planned

LENGTHS = {
    "chr1": 1000,
    "chr2": 500,
    "HLA-A*01:01": 300,
    "chr1:1-100": 200,
    "{b}": 100,
    "a}b": 100,
    "#}": 100,
}


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("chr1", Region("chr1")),
        (" chr1 ", Region("chr1")),
        ("{chr1}", Region("chr1")),
        ("chr1:11-20", Region("chr1", 10, 20)),
        ("chr1:1-1,000", Region("chr1", 0, 1000)),
        ("chr1:1,0-2,0", Region("chr1", 9, 20)),
        ("chr1:500", Region("chr1", 499)),
        ("chr1:500-", Region("chr1", 499)),
        ("chr1:-20", Region("chr1", 0, 20)),
        ("chr1:1000-1000", Region("chr1", 999, 1000)),
        ("HLA-A*01:01", Region("HLA-A*01:01")),
        ("HLA-A*01:01:5-6", Region("HLA-A*01:01", 4, 6)),
        ("{HLA-A*01:01}:5-6", Region("HLA-A*01:01", 4, 6)),
        ("{chr1:1-100}", Region("chr1:1-100")),
        ("{chr1:1-100}:7-9", Region("chr1:1-100", 6, 9)),
        ("{chr1}:1-100", Region("chr1", 0, 100)),
        ("{{b}}", Region("{b}")),
        ("{a}b}", Region("a}b")),
        ("a}b:2-3", Region("a}b", 1, 3)),
    ],
)
def test_a_region_is_parsed_as_by_samtools(tmp_path: Path, text: str, region: Region) -> None:
    assert parse_region(text, SequenceDictionary(LENGTHS)) == region
    reads = [Read(name, at, "1M") for name, length in LENGTHS.items() for at in range(length)]
    bam = write_bam(tmp_path, LENGTHS, reads)
    if "}b:" not in text:
        # samtools does not accept a span after a name with a brace.
        expected = subprocess.check_output(["samtools", "view", "-c", str(bam), text.strip()])
        alignments = opened(bam)
        plan = planned(alignments, ask(regions=[text]))
        assert list(count_here(alignments, plan).counts.records) == [int(expected)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "chr3",
            "not in the header of the BAM or CRAM. It contains chr1, chr2, HLA-A*01:01 and 4 more",
        ),
        ("1:5-6", "not in the header of the BAM or CRAM. Did you mean chr1?"),
        ("CHR2:5-6", "not in the header of the BAM or CRAM. Did you mean chr2?"),
        (
            "chr1:1-100",
            "also a span of another one. Put the name in braces: {chr1:1-100} or {chr1}",
        ),
        ("chr1:0-5", "starts at 0, but positions in a region are 1-based"),
        ("chr1:9-8", "is empty: its end is not after its start"),
        ("chr1:1-1001", "extends beyond the end of chr1 (1,000 bp)"),
        ("chr1:1001", "extends beyond the end of chr1 (1,000 bp)"),
        ("chr1:", "is not a region. Write it as chr1:1000-2000"),
        ("chr1:-", "is not a region. Write it as chr1:1000-2000"),
        ("chr1:a-b", "is not a region. Write it as chr1:1000-2000"),
        ("chr1:1-2-3", "is not a region. Write it as chr1:1000-2000"),
        ("chr1:1.5", "is not a region. Write it as chr1:1000-2000"),
        ("{chr1}5", "not in the header of the BAM or CRAM"),
        ("", "not in the header of the BAM or CRAM"),
        (".", "not in the header of the BAM or CRAM"),
        ("*", "selects unplaced reads; set include_unplaced instead"),
        ("x" * 9999, "not in the header of the BAM or CRAM"),
    ],
)
def test_an_invalid_region_is_rejected_with_its_text(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_region(text, SequenceDictionary(LENGTHS))
    message = str(caught.value)
    assert message.startswith(f"regions: '{text[:20]}")
    assert problem in message
    assert len(message) <= MESSAGE_LENGTH
    assert is_a_known_message(message, "AppError")


@pytest.mark.parametrize(
    ("name", "known", "suggestion"),
    [
        ("1", ["chr1"], "chr1"),
        ("chr1", ["1"], "1"),
        ("C", ["a", "c"], "c"),
        ("chrX", ["x"], "x"),
        ("CHR1", ["chr1"], "chr1"),
        ("CHRUN_KI270302V1", ["chrUn_KI270302v1"], "chrUn_KI270302v1"),
        ("chr1", ["chr10", "chr2"], None),
        ("chr1", ["Chr1", "1"], "Chr1"),
        ("chr11", ["1", "11"], "11"),
        ("mtDNA", ["M", "MT"], None),
        ("", ["chr1"], None),
        ("chr1", [], None),
        *((name, [other], other) for name, other in permutations(["chrM", "MT", "M", "chrMT"], 2)),
    ],
)
def test_similar_names_are_found_across_naming_conventions(
    name: str, known: list[str], suggestion: str | None
) -> None:
    assert similar_name(name, known) == suggestion


def test_an_alternative_name_may_be_suggested() -> None:
    with pytest.raises(InputError, match=r"Did you mean chr1\? It contains NC_1\."):
        parse_region("Chr1", SequenceDictionary({"NC_1": 5}, {"chr1": "NC_1"}))


BED = (
    "track name=x\nbrowser hide all\n# a comment\n\n"
    "chr1\t0\t10\texon 1\t0\t+\r\nchr2 4 5\nchr1\t0\t10\nHLA-A*01:01\t299\t300\t\n"
)
INTERVALS = [
    Region("chr1", 0, 10, name="exon 1"),
    Region("chr2", 4, 5),
    Region("chr1", 0, 10),
    Region("HLA-A*01:01", 299, 300),
]


@pytest.mark.parametrize("compressed", [False, True])
def test_each_bed_interval_is_a_region_in_file_order(tmp_path: Path, compressed: bool) -> None:
    bed = tmp_path / "x.bed"
    bed.write_bytes(gzip.compress(BED.encode()) if compressed else BED.encode())
    assert read_bed(bed, SequenceDictionary(LENGTHS)) == INTERVALS


def quotable_parts(line: str) -> list[str]:
    """Returns what a message may quote of a line: all of it, its first columns, or one column."""
    return [line, " ".join(line.split("\t")[:3]), *line.split("\t")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("chr1\t5", "at least three columns (reference sequence, start, end)"),
        ("chr1", "at least three columns (reference sequence, start, end)"),
        ("chr1\tx\t9", "start and end (columns 2 and 3) must be whole numbers, found"),
        ("chr1\t-1\t9", "start and end (columns 2 and 3) must be whole numbers, found"),
        ("chr1\t1.5\t9", "start and end (columns 2 and 3) must be whole numbers, found"),
        ("chr1\t9\t8", "is empty: its end is not after its start"),
        ("chr1\t9\t9", "is empty, and tools disagree on what to count there. Extend it by a base."),
        ("chr1\t9\t1001", "extends beyond the end of chr1 (1,000 bp)"),
        ("chr3\t9\t10", "not in the header of the BAM or CRAM"),
        ("2\t9\t10", "Did you mean chr2?"),
        ("chr1:1-5", "at least three columns (reference sequence, start, end)"),
    ],
)
def test_an_invalid_bed_line_is_rejected_with_its_number_and_text(
    tmp_path: Path, line: str, problem: str
) -> None:
    bed = tmp_path / "x.bed"
    bed.write_text(f"# first\nchr1\t1\t2\n{line}\nchr1\t1\t2\n")
    with pytest.raises(InputError, match=r"^regions_bed: x\.bed, line 3: ") as caught:
        read_bed(bed, SequenceDictionary(LENGTHS))
    message = str(caught.value)
    assert any(repr(text) in message for text in quotable_parts(line))
    assert problem in message
    assert is_a_known_message(message, "AppError")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "contains no intervals"),
        (b"# nothing\n", "contains no intervals"),
        (b"\xff\xfe\0", "is not a text file"),
        (b"\xff\0", "is not a text file"),
        (gzip.compress(BED.encode(), mtime=0)[:-9], "is truncated or corrupt"),
    ],
    ids=["empty", "only a comment", "incomplete UTF-16", "binary", "truncated"],
)
def test_an_invalid_bed_file_is_rejected(tmp_path: Path, content: bytes, problem: str) -> None:
    bed = tmp_path / "x.bed"
    bed.write_bytes(content)
    with pytest.raises(InputError, match=rf"^regions_bed: x\.bed {problem}") as caught:
        read_bed(bed, SequenceDictionary(LENGTHS))
    assert is_a_known_message(str(caught.value), "AppError")


@pytest.mark.parametrize("name", ["chr1", "22", "chrX", "Y", "chrM", "MT", "chrMT", "10"])
def test_primary_chromosomes_are_recognized_with_and_without_chr(name: str) -> None:
    assert is_primary_chromosome(name)


@pytest.mark.parametrize(
    "name",
    ["chr0", "23", "chr1_random", "chrUn", "Chr1", "x", "01", "chr1\n", "NC_000025.1", "NC_000001"],
)
def test_other_names_are_not_primary_chromosomes(name: str) -> None:
    assert not is_primary_chromosome(name)


@pytest.mark.parametrize(
    "names",
    [
        [*(f"NC_{number:06}.11" for number in range(1, 25)), "NC_012920.1"],
        [f"CM{number:06}.2" for number in range(663, 687)] + ["J01415.2"],
        [f"CM{number:06}.1" for number in range(663, 687)],
        [f"NC_{number:06}.1" for number in range(60925, 60949)],
        [*(f"CP{number:06}.2" for number in range(68255, 68278)), "CP068254.1", "CP086569.2"],
    ],
    ids=["RefSeq", "GRCh38", "GRCh37", "RefSeq of T2T-CHM13", "T2T-CHM13"],
)
def test_primary_chromosomes_are_recognized_by_accession(names: list[str]) -> None:
    assert all(map(is_primary_chromosome, names))


ALIASES = {"1": "chr1", "CM000663.2": "chr1", "chr2": "chr1"}


@pytest.mark.parametrize(
    ("text", "contig", "shown"),
    [
        ("1", "chr1", "1"),
        ("1:5-6", "chr1", "1:5-6"),
        ("{CM000663.2}:5-6", "chr1", "CM000663.2:5-6"),
        ("chr1", "chr1", "chr1"),
        ("chr2", "chr2", "chr2"),
    ],
)
def test_a_region_may_use_an_alternative_name(text: str, contig: str, shown: str) -> None:
    """The name of a sequence takes precedence over the same alternative name of another one."""
    region = parse_region(text, SequenceDictionary(LENGTHS, ALIASES))
    assert (region.contig, str(region)) == (contig, shown)


@pytest.mark.parametrize(
    "text", ["chr1,chr2", "chr1 chr2", "chr1:1-5, chr2", "chr1:1,000;chr2", "1 2"]
)
def test_several_regions_in_one_value_are_rejected(text: str) -> None:
    with pytest.raises(InputError, match=r"-i regions=.* -i regions=") as caught:
        parse_region(text, SequenceDictionary(LENGTHS, {"1": "chr1", "2": "chr2"}))
    assert is_a_known_message(str(caught.value), "AppError")


def test_a_sequence_is_primary_if_its_alternative_name_is() -> None:
    request = ask(primary_chromosomes_only=True)
    lengths = {"a": 5, "b": 5}
    assert list_regions(request, None, SequenceDictionary(lengths, {"chr1": "b"})) == [Region("b")]


def test_by_default_every_reference_sequence_is_a_region() -> None:
    assert list_regions(ask(), None, SequenceDictionary(LENGTHS)) == [
        Region(name) for name in LENGTHS
    ]


def test_named_regions_come_first_then_bed_intervals_then_unplaced_records(tmp_path: Path) -> None:
    bed = tmp_path / "x.bed"
    bed.write_text(BED)
    request = ask(regions=["chr2:1-5", "chr1"], include_unplaced=True)
    named = [Region("chr2", 0, 5), Region("chr1")]
    assert list_regions(request, bed, SequenceDictionary(LENGTHS)) == [*named, *INTERVALS, UNPLACED]


def test_primary_chromosomes_only_excludes_other_sequences() -> None:
    request = ask(primary_chromosomes_only=True, include_unplaced=True)
    assert list_regions(request, None, SequenceDictionary(LENGTHS)) == [
        Region("chr1"),
        Region("chr2"),
        UNPLACED,
    ]


def test_a_file_without_primary_chromosomes_is_rejected() -> None:
    request = ask(primary_chromosomes_only=True, include_unplaced=True)
    expected = r"primary_chromosomes_only: .* NC_1, b, c and 1"
    with pytest.raises(InputError, match=expected) as caught:
        list_regions(request, None, SequenceDictionary({"NC_1": 5, "b": 1, "c": 1, "d": 1}))
    assert is_a_known_message(str(caught.value), "AppError")
