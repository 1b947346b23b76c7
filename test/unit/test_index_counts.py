"""Counts from the index match the records, or the index is rejected."""

import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pysam
import pytest
from hypothesis import given

import readcount.source.bam_alignments as bam_alignments
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


def result_of(files: InputFiles, request: Request = FROM_INDEX) -> Result:
    with start_workers(1) as workers:
        return count_regions(files, workers, lambda line: None, request)


def counts_of(files: InputFiles, request: Request = FROM_INDEX) -> dict[str, int]:
    return {str(count.region): count.records for count in result_of(files, request).counts}


def message_for(files: InputFiles, request: Request = FROM_INDEX) -> str:
    with pytest.raises(InputError) as error:
        result_of(files, request)
    assert is_a_known_message(str(error.value), "AppError")
    return str(error.value)


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treats every file as large; in a small one the records would be counted as well."""
    monkeypatch.setattr(bam_alignments, "SMALL_FILE_BYTES", 0)
    monkeypatch.setattr(bam_alignments, "MIN_TRUSTED_BYTES", 0)


@pytest.mark.samtools
@given(case=cases())
@examples(60)
def test_counts_match_the_records_unless_some_have_no_position(
    tmp_path_factory: pytest.TempPathFactory, case: Case
) -> None:
    path = tmp_path_factory.mktemp("any") / "sample.bam"
    bam = write_bam(path, case.lengths, case.reads, csi=case.csi)
    tally = count_by_rname(bam)
    expected = {name: tally[name] for name in case.lengths}
    if any(read.contig and read.position < 0 for read in case.reads):
        assert "without a position, which the index" in message_for(files_of(bam, index_of(bam)))
    else:
        unplaced = sum(read.contig is None for read in case.reads)
        assert counts_of(files_of(bam, index_of(bam))) == expected | {"*": unplaced}


@pytest.mark.samtools
def test_counts_of_a_cram_are_those_in_its_containers(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3000, "chr2": 2000}, unplaced=7)
    cram = cram_of(bam, "no_ref=1", "seqs_per_slice=500", "multi_seq_per_slice=0")
    result = result_of(files_of(cram))
    assert {str(count.region): count.records for count in result.counts} == {
        "chr1": 3000,
        "chr2": 2000,
        "*": 7,
    }
    assert "all 11 containers; 0 multi-reference" in " ".join(result.verified.checks)


@pytest.mark.samtools
def test_multi_reference_containers_are_decoded(tmp_path: Path) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=3), "no_ref=1", "multi_seq_per_slice=1")
    result = result_of(files_of(cram))
    assert [count.records for count in result.counts] == [*READS.values(), 3]
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
def test_inputs_that_need_the_records_are_rejected_before_a_download(
    inputs: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words) as error:
        ask(counts_from="index", **inputs)
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("inputs", [{"counts_from": "header"}, {"counts_from": "index"}])
def test_an_invalid_source_of_counts_and_a_missing_index_are_rejected(
    inputs: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match=r"counts_from: 'header' is|'index' requires an") as error:
        Request(LINK, **inputs)
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.samtools
def test_whole_sequences_can_be_selected_but_not_spans(tmp_path: Path) -> None:
    files = files_of(make_bam(tmp_path, READS))
    named = ask(counts_from="index", regions=["chr2", "HLA-A*01:01"])
    assert counts_of(files, named) == {"chr2": 9, "HLA-A*01:01": 2}
    assert "no count for 'chr1:5-'" in message_for(files, replace(named, regions=["chr1:5"]))
    spans = ["chr2", "{HLA-A*01:01}:7-9"]
    assert "no count for 'HLA-A*01:01:7-9'" in message_for(files, replace(named, regions=spans))


def test_an_index_without_statistics_is_rejected(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS)
    message = message_for(files_of(bam, without_statistics(bam)))
    assert "old.bai has no statistics for chr1" in message


def set_record_count(bam: Path, old: int, new: int) -> None:
    """Replaces a record count in the statistics of the index."""
    index = Path(f"{bam}.bai")
    old_bytes, new_bytes = (struct.pack("<QQ", number, 0) for number in (old, new))
    content = index.read_bytes()
    assert content.count(old_bytes) == 1
    index.write_bytes(content.replace(old_bytes, new_bytes))


@pytest.mark.parametrize(
    ("copies", "factor"), [(1, 10), (2_000, 1 << 15)], ids=["one block", "many blocks"]
)
def test_a_count_too_large_for_the_size_of_the_records_is_rejected(
    tmp_path: Path, copies: int, factor: int
) -> None:
    """Within one block, the difference of two offsets is the exact size of the records."""
    records = READS["chr1"] * copies
    bam = make_bam(tmp_path, READS | {"chr1": records})
    set_record_count(bam, records, records + 1)
    assert counts_of(files_of(bam))["chr1"] == records + 1
    set_record_count(bam, records + 1, records * factor)
    assert "the number of its records is not that of" in message_for(files_of(bam))


def test_a_wrong_count_is_detected_in_a_small_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large file it is not: only counting the records would reveal it."""
    bam = make_bam(tmp_path, READS)
    set_record_count(bam, 30, 31)
    assert counts_of(files_of(bam))["chr1"] == 31
    monkeypatch.setattr(bam_alignments, "SMALL_FILE_BYTES", 1 << 20)
    assert "the index lists 31 records for chr1, but 30 were counted" in message_for(files_of(bam))


def test_an_index_of_another_file_is_rejected(tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "a.bam", READS)
    other = make_bam(tmp_path / "b.bam", {name: 2 * records for name, records in READS.items()})
    assert "does not match" in message_for(files_of(bam, Path(f"{other}.bai")))


@pytest.mark.parametrize(("unplaced", "in_index"), [(3, 0), (0, 3)])
def test_the_number_of_unplaced_records_must_match_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unplaced: int, in_index: int
) -> None:
    monkeypatch.setattr(bam_alignments, "MIN_TRUSTED_BYTES", 1 << 18)
    bam = make_bam(tmp_path, READS, unplaced=unplaced)
    index = Path(f"{bam}.bai")
    index.write_bytes(index.read_bytes()[:-8] + in_index.to_bytes(8, "little"))
    assert "sample.bam.bai" in message_for(files_of(bam))


def move_records(bam: Path, records: int) -> Path:
    """Writes a BAM of the same size in which the last records of chr1 are on chr2."""
    text = subprocess.check_output(
        ["samtools", "view", "-h", "--no-PG", bam], text=True
    ).splitlines()
    lines = [number for number, line in enumerate(text) if "\tchr1\t" in line and line[0] != "@"]
    for number in lines[-records:]:
        text[number] = text[number].replace("\tchr1\t", "\tchr2\t")
    path = bam.parent / "moved.bam"
    command = ["samtools", "view", "-u", "--no-PG", "-o", str(path), "-"]
    subprocess.run(command, input="\n".join(text) + "\n", text=True, check=True)
    return path


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
def test_the_index_of_an_earlier_version_of_the_file_is_rejected(
    tmp_path: Path, records: int, counts_from: str, regions: list[str], min_mapping_quality: int
) -> None:
    """Its offsets still point to records, with as many records between them as it lists."""
    reads = [Read(f"chr{tid}", 5, "10M") for tid in (1, 2, 3) for _ in range(2_600)]
    bam = write_bam(tmp_path, dict.fromkeys(["chr1", "chr2", "chr3"], 100), reads)
    uncompressed = tmp_path / "before.bam"
    subprocess.run(["samtools", "view", "-u", "--no-PG", "-o", uncompressed, bam], check=True)
    pysam.index(str(uncompressed))
    after = move_records(uncompressed, records)
    assert after.stat().st_size == uncompressed.stat().st_size
    request = ask(counts_from=counts_from, regions=regions, min_mapping_quality=min_mapping_quality)
    message = message_for(files_of(after, Path(f"{uncompressed}.bai")), request)
    if regions and not min_mapping_quality:
        assert "where the index has a record of chr" in message


def test_the_outputs_name_the_source_of_the_counts(tmp_path: Path) -> None:
    result = result_of(files_of(make_bam(tmp_path, READS)))
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
