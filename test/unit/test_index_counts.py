"""Counts from the index are those of the records, or are refused."""

import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pysam
import pytest
from hypothesis import given

import readcount.source.bam_evidence as bam_evidence
from builders import Read, cram_of, index_of, make_bam, without_statistics, write_bam
from messages import is_a_known_message
from oracle import count_by_rname
from readcount.counting.pool import start_workers
from readcount.errors import InputError
from readcount.outputs.multiqc import format_multiqc
from readcount.outputs.report import format_report
from readcount.outputs.result import Result
from readcount.outputs.text import format_counts, format_table
from readcount.request.request import Request
from readcount.source.files import InputFiles
from readcount.verification.verify import VerifiedCounts
from steps import LINK, ask, count_regions, files_of
from strategies import Case, cases, examples

READS = {"chr1": 30, "empty": 0, "HLA-A*01:01": 2, "chr2": 9}
FROM_INDEX = ask(counts_from="index", include_unplaced=True)


def counted(files: InputFiles, request: Request = FROM_INDEX) -> Result:
    with start_workers(1) as workers:
        return count_regions(files, workers, lambda line: None, request)


def counts_of(files: InputFiles, request: Request = FROM_INDEX) -> dict[str, int]:
    return {str(one.region): one.records for one in counted(files, request).counts}


def refusal_of(files: InputFiles, request: Request = FROM_INDEX) -> str:
    with pytest.raises(InputError) as refused:
        counted(files, request)
    assert is_a_known_message(str(refused.value), "AppError")
    return str(refused.value)


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The records of a small file would be counted: here every file is a large one."""
    monkeypatch.setattr(bam_evidence, "SMALL_FILE_BYTES", 0)
    monkeypatch.setattr(bam_evidence, "MIN_TRUSTED_BYTES", 0)


@pytest.mark.samtools
@given(case=cases())
@examples(60)
def test_they_are_those_of_the_records_or_some_have_no_position(
    tmp_path_factory: pytest.TempPathFactory, case: Case
) -> None:
    path = tmp_path_factory.mktemp("any") / "sample.bam"
    bam = write_bam(path, case.lengths, case.reads, csi=case.csi)
    tally = count_by_rname(bam)
    expected = {name: tally[name] for name in case.lengths}
    if any(read.contig and read.position < 0 for read in case.reads):
        assert "without a position, which the index" in refusal_of(files_of(bam, index_of(bam)))
    else:
        unplaced = sum(read.contig is None for read in case.reads)
        assert counts_of(files_of(bam, index_of(bam))) == expected | {"*": unplaced}


@pytest.mark.samtools
def test_of_a_cram_they_are_those_of_containers(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3000, "chr2": 2000}, unplaced=7)
    cram = cram_of(bam, "no_ref=1", "seqs_per_slice=500", "multi_seq_per_slice=0")
    result = counted(files_of(cram))
    assert {str(one.region): one.records for one in result.counts} == {
        "chr1": 3000,
        "chr2": 2000,
        "*": 7,
    }
    assert "all 11 containers; 0 multi-reference" in " ".join(result.verified.checks)


@pytest.mark.samtools
def test_containers_that_sequences_share_are_decoded(tmp_path: Path) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=3), "no_ref=1", "multi_seq_per_slice=1")
    result = counted(files_of(cram))
    assert [one.records for one in result.counts] == [*READS.values(), 3]
    assert "1 container; 1 multi-reference container was decoded" in " ".join(
        result.verified.checks
    )


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"min_mapping_quality": 1}, "min_mapping_quality"),
        ({"require_flags": "READ1"}, "require_flags"),
        ({"exclude_flags": "0x100", "windows": 5}, "exclude_flags, windows"),
        ({"read_groups": ["a"]}, "read_groups"),
        ({"regions_bed": LINK}, "regions_bed"),
        ({"subjobs": 2}, "subjobs"),
    ],
)
def test_what_the_index_has_no_number_for_is_refused_before_a_download(
    inputs: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        ask(counts_from="index", **inputs)
    assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.parametrize("given", [{"counts_from": "header"}, {"counts_from": "index"}])
def test_another_choice_and_a_missing_index_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(
        InputError, match=r"counts_from: 'header' is|'index' requires an"
    ) as refused:
        Request(LINK, **given)
    assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.samtools
def test_whole_sequences_may_be_named(tmp_path: Path) -> None:
    files = files_of(make_bam(tmp_path, READS))
    named = ask(counts_from="index", regions=["chr2", "HLA-A*01:01"])
    assert counts_of(files, named) == {"chr2": 9, "HLA-A*01:01": 2}
    assert "no count for 'chr1:5-'" in refusal_of(files, replace(named, regions=["chr1:5"]))
    spans = ["chr2", "{HLA-A*01:01}:7-9"]
    assert "no count for 'HLA-A*01:01:7-9'" in refusal_of(files, replace(named, regions=spans))


def test_an_index_without_statistics_is_refused(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS)
    message = refusal_of(files_of(bam, without_statistics(bam)))
    assert "old.bai has no statistics for chr1" in message


def with_number(bam: Path, records: int, new: int) -> Path:
    """Writes a number into the statistics of the index, in the place of another one."""
    index = Path(f"{bam}.bai")
    old_bytes, new_bytes = (struct.pack("<QQ", number, 0) for number in (records, new))
    content = index.read_bytes()
    assert content.count(old_bytes) == 1
    index.write_bytes(content.replace(old_bytes, new_bytes))
    return index


@pytest.mark.parametrize(
    ("times", "most"), [(1, 10), (2_000, 1 << 15)], ids=["one block", "many blocks"]
)
def test_a_number_that_the_bytes_cannot_hold_is_refused(
    tmp_path: Path, times: int, most: int
) -> None:
    """In one block an offset counts the bytes of the records themselves."""
    records = READS["chr1"] * times
    bam = make_bam(tmp_path, READS | {"chr1": records})
    with_number(bam, records, records + 1)
    assert counts_of(files_of(bam))["chr1"] == records + 1
    with_number(bam, records + 1, records * most)
    assert "the number of its records is not that of" in refusal_of(files_of(bam))


def test_a_wrong_number_is_found_in_a_small_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large one it is not: nothing but counting would show it."""
    bam = make_bam(tmp_path, READS)
    with_number(bam, 30, 31)
    assert counts_of(files_of(bam))["chr1"] == 31
    monkeypatch.setattr(bam_evidence, "SMALL_FILE_BYTES", 1 << 20)
    assert "the index lists 31 records for chr1, but 30 were counted" in refusal_of(files_of(bam))


def test_an_index_of_another_file_is_refused(tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "a.bam", READS)
    other = make_bam(tmp_path / "b.bam", {name: 2 * records for name, records in READS.items()})
    assert "does not match" in refusal_of(files_of(bam, Path(f"{other}.bai")))


@pytest.mark.parametrize(("unplaced", "by_index"), [(3, 0), (0, 3)])
def test_a_number_of_unplaced_records_must_fit_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unplaced: int, by_index: int
) -> None:
    monkeypatch.setattr(bam_evidence, "MIN_TRUSTED_BYTES", 1 << 18)
    bam = make_bam(tmp_path, READS, unplaced=unplaced)
    index = Path(f"{bam}.bai")
    index.write_bytes(index.read_bytes()[:-8] + by_index.to_bytes(8, "little"))
    assert "sample.bam.bai" in refusal_of(files_of(bam))


def moved(bam: Path, records: int) -> Path:
    """Moves the last records of chr1 to chr2; all have one size."""
    text = subprocess.check_output(
        ["samtools", "view", "-h", "--no-PG", bam], text=True
    ).splitlines()
    lines = [number for number, line in enumerate(text) if "\tchr1\t" in line and line[0] != "@"]
    for number in lines[-records:]:
        text[number] = text[number].replace("\tchr1\t", "\tchr2\t")
    made = bam.parent / "moved.bam"
    command = ["samtools", "view", "-u", "--no-PG", "-o", str(made), "-"]
    subprocess.run(command, input="\n".join(text) + "\n", text=True, check=True)
    return made


@pytest.mark.parametrize(
    ("records", "counts_from", "regions", "min_mapping_quality"),
    [
        (1, "index", [], 0),
        (100, "index", ["chr1"], 0),
        (1, "index", ["chr2"], 0),
        (100, "records", [], 0),
        (1, "records", ["chr1"], 0),
        (100, "records", ["chr2"], 0),
        (1, "records", ["chr2:1-40", "chr3"], 0),
        (100, "records", ["chr2:1-40", "chr3"], 0),
        (1, "records", [], 20),
        (100, "records", ["chr1"], 20),
        (1, "records", ["chr2"], 20),
        (100, "records", ["chr2:1-40", "chr3"], 20),
    ],
)
def test_the_index_of_an_earlier_version_of_the_file_is_refused(
    tmp_path: Path, records: int, counts_from: str, regions: list[str], min_mapping_quality: int
) -> None:
    """Each offset still begins a record, and each number is that of the records from there on."""
    reads = [Read(f"chr{tid}", 5, "10M") for tid in (1, 2, 3) for _ in range(2_600)]
    bam = write_bam(tmp_path, dict.fromkeys(["chr1", "chr2", "chr3"], 100), reads)
    uncompressed = tmp_path / "before.bam"
    subprocess.run(["samtools", "view", "-u", "--no-PG", "-o", uncompressed, bam], check=True)
    pysam.index(str(uncompressed))
    after = moved(uncompressed, records)
    assert after.stat().st_size == uncompressed.stat().st_size
    request = ask(counts_from=counts_from, regions=regions, min_mapping_quality=min_mapping_quality)
    message = refusal_of(files_of(after, Path(f"{uncompressed}.bai")), request)
    if regions and not min_mapping_quality:
        assert "where the index has a record of chr" in message


def test_the_outputs_say_where_the_counts_are_from(tmp_path: Path) -> None:
    result = counted(files_of(make_bam(tmp_path, READS)))
    by_records = replace(result, from_index=False, records_counted="all records")
    assert format_counts(result) == format_counts(by_records)
    rows = [line.split("\t") for line in format_table(result).splitlines()]
    assert rows[0][-1] == "counts_from"
    assert {row[-1] for row in rows[1:]} == {"index"}
    assert ["\t".join(row[:-1]) for row in rows] == format_table(by_records).splitlines()
    assert '# counts_from: "index"\n' in format_multiqc(result, "sample")
    assert "counts_from" not in format_multiqc(by_records, "sample")
    page = format_report(result, "sample.bam", "sample")
    assert "records (from the index)</div>" in page
    assert "the other records were not counted" in page
    assert isinstance(result.verified, VerifiedCounts)
