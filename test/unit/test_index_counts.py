"""Counts from the index are those of the records, or are refused."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import readcount.source.bam as bam_module
from builders import cram_of, index_of, make_bam, write_bam
from messages import is_a_known_message
from oracle import count_by_rname
from readcount.errors import InputError
from readcount.outputs.multiqc import format_multiqc
from readcount.outputs.report import format_report
from readcount.outputs.text import format_counts, format_table
from readcount.request.region_list import RegionList
from readcount.request.request import Request
from readcount.source.bam import BamEvidence
from readcount.source.cram import CramEvidence
from readcount.source.files import InputFiles
from readcount.verification.index_counts import counts_of_index
from readcount.verification.verify import VerifiedCounts
from steps import LINK, ask, count_from_index, files_of, opened
from strategies import Case, cases, examples

pytestmark = pytest.mark.samtools

READS = {"chr1": 30, "empty": 0, "HLA-A*01:01": 2, "chr2": 9}
FROM_INDEX = ask(counts_from="index", include_unplaced=True)


def counts_of(files: InputFiles, request: Request = FROM_INDEX) -> dict[str, int]:
    return {str(one.region): one.records for one in count_from_index(files, request).regions}


def refusal_of(files: InputFiles, request: Request = FROM_INDEX) -> str:
    with pytest.raises(InputError) as refused:
        count_from_index(files, request)
    assert is_a_known_message(str(refused.value), "AppError")
    return str(refused.value)


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The records of a small file would be counted: here every file is a large one."""
    monkeypatch.setattr(bam_module, "SMALL_BYTES", 0)


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
        assert "records without a position" in refusal_of(files_of(bam, index_of(bam)))
    else:
        unplaced = sum(read.contig is None for read in case.reads)
        assert counts_of(files_of(bam, index_of(bam))) == expected | {"*": unplaced}


def test_of_a_cram_they_are_those_of_containers_of_one_sequence(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3000, "chr2": 2000}, unplaced=7)
    cram = cram_of(bam, "no_ref=1", "seqs_per_slice=500", "multi_seq_per_slice=0")
    assert counts_of(files_of(cram)) == {"chr1": 3000, "chr2": 2000, "*": 7}


def test_sequences_that_share_containers_are_named(tmp_path: Path) -> None:
    cram = cram_of(make_bam(tmp_path, READS), "no_ref=1", "multi_seq_per_slice=1")
    message = refusal_of(files_of(cram))
    assert message.startswith("counts_from: chr1, HLA-A*01:01, chr2")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"min_mapping_quality": 1}, "min_mapping_quality"),
        ({"require_flags": "READ1"}, "require_flags"),
        ({"exclude_flags": "0x100", "windows": 5}, "exclude_flags, windows"),
        ({"read_groups": ["a"]}, "read_groups"),
        ({"regions_bed": LINK}, "regions_bed"),
        ({"subjobs": 2}, "subjobs"),
        ({"regions": ["chr2", "chr1:1-5"]}, "'chr1:1-5'"),
        ({"regions": ["{HLA-A*01:01}:7"]}, r"'\{HLA-A\*01:01\}:7'"),
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
    with pytest.raises(InputError, match=r"counts_from: 'header' is|'index' needs an") as refused:
        Request(LINK, **given)
    assert is_a_known_message(str(refused.value), "AppError")


def test_whole_sequences_may_be_named(tmp_path: Path) -> None:
    files = files_of(make_bam(tmp_path, READS))
    named = ask(counts_from="index", regions=["chr2", "HLA-A*01:01"])
    assert counts_of(files, named) == {"chr2": 9, "HLA-A*01:01": 2}
    assert "no number for 'chr1:5-'" in refusal_of(files, replace(named, regions=["chr1:5"]))


def test_an_index_without_statistics_is_refused(tmp_path: Path) -> None:
    evidence = opened(make_bam(tmp_path, READS)).evidence
    assert isinstance(evidence, BamEvidence)
    contigs = {
        name: contig._replace(indexed=contig.indexed._replace(records=None))
        for name, contig in evidence.contigs.items()
    }
    with pytest.raises(InputError, match="no statistics for chr1, empty, HLA") as refused:
        counts_of_index(RegionList.of_whole(READS), replace(evidence, contigs=contigs))
    assert is_a_known_message(str(refused.value), "AppError")


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
    assert "more records than bytes" in refusal_of(files_of(bam))


def test_a_wrong_number_is_found_in_a_small_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large one it is not: nothing but counting would show it."""
    bam = make_bam(tmp_path, READS)
    with_number(bam, 30, 31)
    assert counts_of(files_of(bam))["chr1"] == 31
    monkeypatch.setattr(bam_module, "SMALL_BYTES", 1 << 20)
    assert "chr1 has 31 records in the index, but the count is 30" in refusal_of(files_of(bam))


def test_an_index_of_another_file_is_refused(tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "a.bam", READS)
    other = make_bam(tmp_path / "b.bam", {name: 2 * records for name, records in READS.items()})
    assert "does not match" in refusal_of(files_of(bam, Path(f"{other}.bai")))


@pytest.mark.parametrize(("unplaced", "by_index"), [(3, 0), (0, 3)])
def test_a_number_of_unplaced_records_must_fit_what_follows(
    tmp_path: Path, unplaced: int, by_index: int
) -> None:
    bam = make_bam(tmp_path, READS, unplaced=unplaced)
    index = Path(f"{bam}.bai")
    index.write_bytes(index.read_bytes()[:-8] + by_index.to_bytes(8, "little"))
    assert "after the last placed record" in refusal_of(files_of(bam))


def test_the_records_between_are_not_read(tmp_path: Path) -> None:
    """Of a damaged block that holds no sequence's first record nothing is seen."""
    evidence = opened(make_bam(tmp_path, READS)).evidence
    assert isinstance(evidence, BamEvidence)

    class Counting:
        streamed, size, name = True, 1 << 40, "sample.bam"

        def __init__(self) -> None:
            self.ranges: list[tuple[int, int]] = []

        def read(self, start: int, size: int) -> bytes:
            self.ranges.append((start, size))
            return evidence.file.data.read(start, size)

    data = Counting()
    file = replace(evidence.file, data=data)  # type: ignore[arg-type]
    counts = counts_of_index(RegionList.of_whole(READS), replace(evidence, file=file))
    assert list(counts.regions.records) == list(READS.values())
    # What is near is read with one request: the records, what is behind, and the end.
    assert len(data.ranges) <= 3


def test_a_slice_without_a_position_is_refused(tmp_path: Path) -> None:
    evidence = opened(cram_of(make_bam(tmp_path, {"chr1": 3}), "no_ref=1")).evidence
    assert isinstance(evidence, CramEvidence)
    slices = [part._replace(start=0) for part in evidence.slices]
    with pytest.raises(InputError, match=r"chr1 of .* has records without a position"):
        replace(evidence, slices=slices).check_unread()


def test_the_outputs_say_where_the_counts_are_from(tmp_path: Path) -> None:
    result = count_from_index(files_of(make_bam(tmp_path, READS)), FROM_INDEX)
    counted = replace(result, from_index=False, records_counted="every record")
    assert format_counts(result) == format_counts(counted)
    rows = [line.split("\t") for line in format_table(result).splitlines()]
    assert rows[0][-1] == "counts_from"
    assert {row[-1] for row in rows[1:]} == {"index"}
    assert ["\t".join(row[:-1]) for row in rows] == format_table(counted).splitlines()
    assert '# counts_from: "index"\n' in format_multiqc(result, "sample")
    assert "counts_from" not in format_multiqc(counted, "sample")
    page = format_report(result, "sample.bam", "sample")
    assert "records, by the index</div>" in page
    assert "the records were not counted" in page
    assert isinstance(result.counts, VerifiedCounts)
