"""The entry script: from the input files to the uploaded outputs, or to an error."""

import errno
import json
import multiprocessing
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import dxpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import samtools_count
from builders import Read, make_bam, write_bam
from oracle import expected_count_file
from readcount.request.request import Request
from steps import LINK
from strategies import examples

BAM, INDEX = ({"$dnanexus_link": f"file-{letter * 24}"} for letter in "BJ")


class Job:
    """Stands in for the platform: downloads copy local files, and uploads are kept."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replaces the calls to the platform; `home` is the worker's home and working directory."""
        self.uploaded: dict[str, str] = {}
        self.tables: dict[str, str] = {}
        self.reports: dict[str, str] = {}
        self.media_types: dict[str, str | None] = {}
        self.indexes: dict[str, bytes] = {}
        self.inputs: dict[str, Path] = {}
        # Size of each input file according to its description.
        self.size = 0
        # Called before each download.
        self.on_download: Callable[[], None] = lambda: None
        monkeypatch.setattr(Path, "home", lambda: home)
        monkeypatch.setattr(dxpy.api, "system_describe_data_objects", self.describe)
        monkeypatch.setattr(dxpy.api, "file_download", lambda *arguments: {"url": "https://x"})
        monkeypatch.setattr(dxpy, "download_dxfile", self.download_dxfile)
        monkeypatch.setattr(dxpy, "upload_local_file", self.upload_local_file)
        monkeypatch.chdir(home)

    def describe(self, body: dict[str, Any]) -> dict[str, Any]:
        ids = [item["id"] for item in body["objects"]]
        return {
            "results": [
                {"describe": {"id": id, "name": self.inputs[id].name, "size": self.size}}
                for id in ids
            ]
        }

    def download_dxfile(self, dxid: str, filename: str, describe_output: dict[str, Any]) -> None:
        self.on_download()
        shutil.copy2(self.inputs[dxid], filename)

    def upload_local_file(
        self,
        filename: str,
        name: str,
        media_type: str | None,
        write_buffer_size: int,
        details: dict[str, object] | None = None,
    ) -> dxpy.DXFile:
        content = Path(filename).read_bytes()
        self.media_types[name] = media_type
        if name.endswith(".txt"):
            self.uploaded[name] = content.decode()
        elif name.endswith(".html"):
            self.reports[name] = content.decode()
        elif name.endswith(".tsv"):
            self.tables[name] = content.decode()
        else:
            self.indexes[name] = content
        return dxpy.DXFile(LINK["$dnanexus_link"])

    def run(self, bam: Path, index: Path | None = None, **options: Any) -> dict[str, Any]:
        self.inputs = {
            BAM["$dnanexus_link"]: bam,
            INDEX["$dnanexus_link"]: index or Path(f"{bam}.bai"),
        }
        output: dict[str, Any] = samtools_count.main(
            mappings_sorted_bam=BAM, mappings_sorted_bai=INDEX, **options
        )
        return output

    def run_without_index(self, bam: Path) -> dict[str, Any]:
        self.inputs = {BAM["$dnanexus_link"]: bam}
        output: dict[str, Any] = samtools_count.main(mappings_sorted_bam=BAM)
        return output


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    home = tmp_path / "home"
    home.mkdir()
    return Job(home, monkeypatch)


def test_the_request_has_the_inputs_that_dxapp_json_declares() -> None:
    dxapp = json.loads((Path(__file__).parents[2] / "dxapp.json").read_text())
    declared = [field["name"] for field in dxapp["inputSpec"]]
    assert [field.name for field in fields(Request)] == declared


def test_the_outputs_are_uploaded_and_linked(job: Job, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "ex1.bam", {"chr1": 3, "chr2": 0, "HLA-A*01:01": 2}, unplaced=4)

    output = job.run(bam)

    assert output == {
        "count_file": LINK,
        "counts_table": LINK,
        "multiqc_file": LINK,
        "report_file": LINK,
        "total_records": 5,
    }
    assert job.uploaded == {
        "ex1_count.txt": "Region chr1: 3\nRegion chr2: 0\nRegion HLA-A*01:01: 2\nTotal reads: 5"
    }


def test_the_tables_and_the_report_have_the_right_names_and_media_type(
    job: Job, tmp_path: Path
) -> None:
    job.run(make_bam(tmp_path / "ex1.bam", {"chr1": 3}, unplaced=4), output_prefix="other")
    assert set(job.tables) == {"other_count.tsv", "other_count_mqc.tsv"}
    (page,) = job.reports.values()
    assert job.media_types["other_count.html"] == "text/html"
    # The page shows the name of the input file, independently of the output names.
    assert "<title>ex1.bam: records by region</title>" in page
    assert "<b>4</b> unplaced records in the file (index statistics)" in page
    assert "<li>counts of 1 region match the index</li>" in page


def test_omitting_the_report_does_not_change_the_other_files(job: Job, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "ex1.bam", {"chr1": 3, "chr2": 1})
    job.run(bam)
    files = (dict(job.uploaded), dict(job.tables))
    job.reports.clear()
    output = job.run(bam, report=False)
    assert "report_file" not in output
    assert job.reports == {}
    assert (job.uploaded, job.tables) == files


def test_two_runs_create_byte_identical_files(job: Job, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "ex1.bam", {f"chr{n}": n for n in range(60)}, unplaced=2)
    job.run(bam)
    files = (dict(job.uploaded), dict(job.tables), dict(job.reports))
    job.run(bam)
    assert (job.uploaded, job.tables, job.reports) == files


def test_nothing_is_uploaded_if_the_report_cannot_be_created(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> str:
        raise RuntimeError("no template")

    monkeypatch.setattr("readcount.outputs.report.rows_that_fit", fail)
    with pytest.raises(RuntimeError, match="no template"):
        job.run(make_bam(tmp_path / "ex1.bam", {"chr1": 3}))
    assert (job.uploaded, job.tables, job.reports) == ({}, {}, {})


def test_a_created_index_is_also_uploaded_and_linked(job: Job, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "ex1.bam", {"chr1": 3, "chr2": 0}, unplaced=4)
    index = Path(f"{bam}.bai").read_bytes()
    Path(f"{bam}.bai").unlink()

    output = job.run_without_index(bam)

    assert (output["index_file"], output["total_records"]) == (LINK, 3)
    assert job.uploaded == {"ex1_count.txt": "Region chr1: 3\nRegion chr2: 0\nTotal reads: 3"}
    assert job.indexes == {"ex1.bam.bai": index}


def test_a_file_that_cannot_be_indexed_fails_the_job(job: Job, tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    bam.write_bytes(bam.read_bytes()[:-20])
    with pytest.raises(dxpy.AppError, match=r"mappings_sorted_bam: sample\.bam is truncated"):
        job.run_without_index(bam)
    assert (job.uploaded, job.indexes) == ({}, {})


@pytest.mark.parametrize(
    ("reads", "unplaced", "text"),
    [
        ({}, 0, "Total reads: 0"),
        ({}, 3, "Total reads: 0"),
        ({"chr1": 0}, 0, "Region chr1: 0\nTotal reads: 0"),
        ({"chr1": 0}, 3, "Region chr1: 0\nTotal reads: 0"),
        ({"chr1": 1, "chr1:1-100": 2}, 0, "Region chr1: 1\nRegion chr1:1-100: 2\nTotal reads: 3"),
        ({"chr1": 1, ".": 2}, 0, "Region chr1: 1\nRegion .: 2\nTotal reads: 3"),
        ({"chr1": 1, "{chr1}": 2}, 0, "Region chr1: 1\nRegion {chr1}: 2\nTotal reads: 3"),
        ({"größe": 1}, 0, "Region größe: 1\nTotal reads: 1"),
    ],
    ids=[
        "empty",
        "only unplaced, no sequences",
        "no reads",
        "only unplaced",
        "a name like a span",
        "a dot",
        "braces",
        "not ASCII",
    ],
)
def test_the_count_file_has_exactly_the_expected_text(
    job: Job, tmp_path: Path, reads: dict[str, int], unplaced: int, text: str
) -> None:
    job.run(make_bam(tmp_path, reads, unplaced=unplaced))
    assert job.uploaded == {"sample_count.txt": text}


@pytest.mark.parametrize(
    ("name", "index_name"),
    [
        ("SAMPLE.BAM", "{name}.bai"),
        ("-c.bam", "{stem}.bai"),
        ("a b.bam", "{name}.bai"),
        ('it\'s "so".bam', "{stem}.bai"),
        ("größe.bam", "{stem}.bai"),
        ("$(false).bam", "{name}.bai"),
        (".bam", "{stem}.bai"),
    ],
)
def test_unusual_file_names_do_not_change_the_counts(
    job: Job, tmp_path: Path, name: str, index_name: str
) -> None:
    original = make_bam(tmp_path, {"chr1": 3})
    text = expected_count_file(original)
    (tmp_path / "in").mkdir()
    bam = original.rename(tmp_path / "in" / name)
    (tmp_path / "index").mkdir()
    index_name = index_name.format(name=name, stem=Path(name).stem)
    index = Path(f"{original}.bai").rename(tmp_path / "index" / index_name)

    job.run(bam, index)

    assert list(job.uploaded.values()) == [text]


def test_a_corrupt_block_fails_the_job_with_the_message_of_samtools(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bam = make_bam(tmp_path, {"chr1": 30_000, "chr2": 30_000})
    content = bytearray(bam.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100] = bytes(100)
    bam.write_bytes(content)

    with pytest.raises(dxpy.AppError) as caught:
        job.run(bam)

    message = str(caught.value)
    assert re.match(
        r"mappings_sorted_bam: samtools failed while counting (chr[12]|\S+ to)", message
    )
    assert re.search(r"exit status \d+, \[", message)
    assert "b'" not in message
    assert re.search(r"/samtools view (-c|-u) .*\n?.*ended with exit", capsys.readouterr().out)
    assert job.uploaded == {}
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("defect", ["not a BAM", "truncated"])
def test_a_bam_that_cannot_be_read_is_an_app_error(job: Job, tmp_path: Path, defect: str) -> None:
    bam = make_bam(tmp_path, {"chr1": 30_000, "chr2": 30_000})
    content = bam.read_bytes()
    bam.write_bytes(content[: len(content) // 2] if defect == "truncated" else b"not a BAM")

    with pytest.raises(dxpy.AppError, match=r"mappings_sorted_bam: sample\.bam is "):
        job.run(bam)

    assert job.uploaded == {}
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"min_mapping_quality": 300}, "min_mapping_quality: 300 is not a mapping quality"),
        ({"require_flags": "PAIRD"}, "require_flags: unknown flag in 'PAIRD'"),
        ({"exclude_flags": "70000"}, "exclude_flags: '70000' is too large"),
        ({"read_groups": ["lane3"]}, "read_groups: sample.bam has no read group 'lane3'"),
        ({"regions": ["chr9"]}, "regions: 'chr9' refers to 'chr9', which is not in the header"),
        ({"regions": ["chr1:1-10001"]}, "regions: 'chr1:1-10001' extends beyond the end of chr1"),
        ({"output_prefix": "a/b"}, "output_prefix: 'a/b' is not a valid file name prefix"),
    ],
    ids=lambda value: str(next(iter(value.values()))) if isinstance(value, dict) else "",
)
def test_an_invalid_input_fails_the_job_with_its_name(
    job: Job, tmp_path: Path, inputs: dict[str, Any], words: str
) -> None:
    with pytest.raises(dxpy.AppError, match=re.escape(words)):
        job.run(make_bam(tmp_path, {"chr1": 3}), **inputs)
    assert job.uploaded == {}


def test_too_little_disk_space_is_an_internal_error(job: Job, tmp_path: Path) -> None:
    job.size = 10**18
    with pytest.raises(dxpy.AppInternalError, match=r"need 2,000,000,000\.0 GB of disk"):
        job.run(make_bam(tmp_path, {"chr1": 1}))


def test_a_disk_that_fills_up_is_reported_as_full(job: Job, tmp_path: Path) -> None:
    def fill_the_disk() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    job.on_download = fill_the_disk
    with pytest.raises(dxpy.AppInternalError, match="instance type with more storage"):
        job.run(make_bam(tmp_path, {"chr1": 1}))


def test_the_pool_is_started_before_downloads_start_threads(job: Job, tmp_path: Path) -> None:
    workers = []
    job.on_download = lambda: workers.append(len(multiprocessing.active_children()))
    job.run(make_bam(tmp_path, {"chr1": 3}))

    assert workers == [multiprocessing.cpu_count()] * 2


def test_the_log_shows_the_plan_and_the_total_but_no_small_regions(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job.run(make_bam(tmp_path, {f"chr{n}": n % 2 for n in range(100)}))
    versions, downloaded, request, plan, *progress, total, checked = (
        line for line in capsys.readouterr().out.splitlines() if not line.startswith("uploaded ")
    )
    assert re.match(r"samtools 1\.\d+\S*, htslib 1\.\d+\S*, pysam [\d.]+, Python 3\.", versions)
    assert downloaded.startswith("downloaded sample.bam: ")
    assert request == "counting all records in all reference sequences"
    cores = multiprocessing.cpu_count()
    assert plan == f"100 regions (50 with records), 1 samtools call on {cores} cores"
    assert [line.split(":")[0] for line in progress] == ["100%"]
    assert re.fullmatch(r"counted 50 records in [\d.]+ s", total)
    assert checked == "counts of all 100 regions match the index"


def is_visible_to_oracle(contig: str) -> bool:
    """Whether the oracle can distinguish this name from no name in SAM text."""
    return contig not in ("*", "=")


contigs = st.text(
    st.sampled_from("abc019:*,{}.-=#|'\"") | st.characters(min_codepoint=33, categories=["L"]),
    min_size=1,
    max_size=8,
).filter(is_visible_to_oracle)


@st.composite
def bams(draw: st.DrawFn) -> tuple[dict[str, int], list[Read]]:
    """Returns lengths of reference sequences in header order, and records in any order."""
    lengths = draw(st.dictionaries(contigs, st.integers(1, 100_000), max_size=6))
    records = [st.just(Read(None))]
    for contig, length in lengths.items():
        records.append(
            st.builds(
                Read,
                contig=st.just(contig),
                position=st.integers(0, length - 1),
                cigar=st.sampled_from([None, "10M", "3S5M", "2M40000N2M", "5I"]),
                flag=st.sampled_from([0, 0x4, 0x10, 0x100, 0x200, 0x400, 0x800]),
            )
        )
    return lengths, draw(st.lists(st.one_of(records), max_size=40))


@given(bams())
@settings(parent=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_counts_of_any_bam_match_those_of_the_oracle(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    bam: tuple[dict[str, int], list[Read]],
) -> None:
    folder = tmp_path_factory.mktemp("any")
    lengths, reads = bam
    path = write_bam(folder, lengths, reads)
    home = folder / "home"
    home.mkdir()
    job = Job(home, monkeypatch)

    job.run(path)

    assert job.uploaded == {"sample_count.txt": expected_count_file(path)}
