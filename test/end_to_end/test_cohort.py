"""Jobs of samtools_count_cohort: columns equal the tables of samtools_count, no sample is lost."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pysam
import pytest

from builders import Read, cram_of, index_of, write_bam
from cohort import CohortApplet, CohortRun, Uploaded, links
from dx_client import Applet, text_of
from local_platform import LocalPlatform
from local_platform.faults import lose_request
from local_platform.job import Job
from messages import is_a_known_message
from readcount.counting.pool import Workers, start_workers
from readcount.outputs.text import format_table
from steps import ask, count_regions, files_of

pytestmark = pytest.mark.usefixtures("clear_faults")

CONTIGS = {"chr1": 30_000, "chr2": 20_000, "chrX": 10_000, "HLA-A*01:01:01:01": 3_000}
BED = "chr2\t100\t900\tsecond\nchr1\t0\t5000\tfirst\nchr1\t4000\t30000\toverlap\n"


def write_sample(path: Path, number: int, header: tuple[str, ...] = ()) -> Path:
    """Writes a sample; samples with different numbers have different counts."""
    reads = [
        Read(
            contig,
            position=(97 * read + 13 * number) % (length - 500),
            cigar="100M" if read % 3 else "50M200N50M",
            flag=(0, 16, 1024, 256, 4)[(read + number) % 5],
            mapping_quality=(0, 10, 30, 60)[read % 4],
            read_group="lane",
        )
        for place, (contig, length) in enumerate(CONTIGS.items())
        for read in range(40 + 7 * number + place * (number + 3))
    ]
    reads += [Read(None)] * (number + 1)
    return write_bam(path, CONTIGS, reads, more_header=["@RG\tID:lane\tSM:" + path.stem, *header])


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with start_workers(2) as workers:
        yield workers


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six samples; every second one is a CRAM."""
    folder = tmp_path_factory.mktemp("samples")
    bams = [write_sample(folder / f"s{number}.bam", number) for number in range(6)]
    return [cram_of(bam) if number % 2 else bam for number, bam in enumerate(bams)]


@pytest.fixture(scope="module")
def uploaded(cohort_applet: CohortApplet, paths: list[Path]) -> Uploaded:
    return cohort_applet.upload(paths)


def tables(
    paths: list[Path], workers: Workers, bed: Path | None = None, **inputs: Any
) -> dict[str, str]:
    """Returns the table that samtools_count writes for each file."""
    request = ask(**inputs)
    return {
        path.stem: format_table(
            count_regions(files_of(path, bed=bed), workers, lambda line: None, request)
        )
        for path in paths
    }


def columns(run: CohortRun) -> dict[str, str]:
    """Returns the column of each sample in the format of a table of samtools_count."""
    return {sample: run.table_of(sample) for sample in run.samples}


SETTINGS: dict[str, dict[str, Any]] = {
    "all records of all sequences": {"include_unplaced": True},
    "filters, regions and windows": {
        "regions": ["chrX:100-2000", "{HLA-A*01:01:01:01}", "chr1"],
        "windows": 777,
        "min_mapping_quality": 20,
        "exclude_flags": "SECONDARY,DUP",
        "read_groups": ["lane"],
    },
    "counts from the index": {
        "counts_from": "index",
        "primary_chromosomes_only": True,
        "report": False,
    },
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS.keys())
def test_each_column_equals_the_table_of_samtools_count(
    cohort_applet: CohortApplet,
    uploaded: Uploaded,
    paths: list[Path],
    workers: Workers,
    options: dict[str, Any],
) -> None:
    run = cohort_applet.run(uploaded.inputs(), **options)
    # A table of counts from the index has an additional column that says so.
    expected = {
        name: text.replace("\tcounts_from\n", "\n").replace("\tindex\n", "\n")
        for name, text in tables(paths, workers, **options).items()
    }
    assert len(set(expected.values())) == len(paths), "samples have the same counts"
    assert columns(run) == expected
    assert run.samples == [path.stem for path in paths]
    assert (run.output["counted_samples"], run.output["failed_samples"]) == (len(paths), 0)
    assert "samples_to_retry" not in run.output
    assert ("report_file" in run.output) is options.get("report", True)
    for name, row in run.rows.items():
        total = sum(int(line.split("\t")[5]) for line in expected[name].splitlines()[1:])
        assert (row["status"], row["message"], row["sm"]) == ("counted", "", name)
        assert row["records"] == str(total)


def test_a_column_equals_the_output_of_a_samtools_count_job(
    applet: Applet, cohort_applet: CohortApplet, uploaded: Uploaded, paths: list[Path]
) -> None:
    run = cohort_applet.run(uploaded.inputs(), windows=1000)
    path = paths[3]
    single = applet.run(path, index_of(path), "windows=1000")
    assert run.table_of(path.stem) == single.table
    # The MultiQC files have the same section and categories.
    of_cohort = text_of(run.dx, run.output["multiqc_file"]) or ""
    of_single = text_of(run.dx, single.job["output"]["multiqc_file"]) or ""
    assert [line for line in of_single.splitlines() if line not in of_cohort.splitlines()] == []


def test_bed_intervals_are_counted_and_returned_sorted_with_a_tabix_index(
    cohort_applet: CohortApplet,
    uploaded: Uploaded,
    paths: list[Path],
    workers: Workers,
    tmp_path: Path,
) -> None:
    bed = tmp_path / "exons.bed"
    bed.write_text(BED)
    bed_id = cohort_applet.dx.upload(bed)
    # The order of samples only affects the order of columns.
    reverse = links(uploaded.mappings[::-1])
    rotated = links([*uploaded.indexes[3:], *uploaded.indexes[:3]])
    run = cohort_applet.run(
        {"mappings": reverse, "mappings_indexes": rotated},
        regions_bed=links([bed_id])[0],
        output_prefix="exons",
    )
    assert run.samples == [path.stem for path in reversed(paths)]
    assert columns(run) == tables(paths, workers, bed, regions_bed=links([bed_id])[0])
    matrix = run.download("counts_matrix", tmp_path)
    depth = run.download("depth_matrix", tmp_path)
    index = run.download("depth_matrix_index", tmp_path)
    assert [path.name for path in (matrix, depth, index)] == [
        *("exons_counts.tsv.gz", "exons.rd.txt.gz", "exons.rd.txt.gz.tbi")
    ]
    with pysam.TabixFile(str(depth), index=str(index)) as table:
        assert list(table.header) == ["\t".join(["#Chr", "Start", "End", *run.samples])]
        lines = [line.split("\t") for line in table.fetch("chr1", 4500, 4600)]
    rows = {line.split("\t")[0]: line.split("\t")[5:] for line in run.matrix_text.splitlines()}
    assert lines == [
        ["chr1", "0", "5000", *rows["first"]],
        ["chr1", "4000", "30000", *rows["overlap"]],
    ]
    with pysam.BGZFile(str(matrix), "r", None) as compressed:
        assert b"".join(line + b"\n" for line in compressed).decode() == run.matrix_text


def test_subjobs_return_each_sample_in_its_column(
    cohort_applet: CohortApplet,
    uploaded: Uploaded,
    paths: list[Path],
    workers: Workers,
    platform: LocalPlatform,
) -> None:
    run = cohort_applet.run(uploaded.inputs(), subjobs=4, windows=777)
    assert columns(run) == tables(paths, workers, windows=777)
    assert run.samples == [path.stem for path in paths]
    jobs = [job for job in platform.jobs.by_id.values() if job.parent]
    subjobs = [job for job in jobs if job.parent and job.parent.id == run.job["id"]]
    assert [job.function for job in subjobs].count("count_share") == 4
    # Subjobs only exchange links to files.
    for job in subjobs:
        assert set(job.input) <= {"plan", "subjob", "counts"}
        assert job.function != "count_share" or set(job.output or {}) == {"counts"}
    for name, row in run.rows.items():
        assert (row["status"], row["message"], row["sm"]) == ("counted", "", name)
        assert float(row["records_per_mb"]) > 0
    page = text_of(run.dx, run.output["report_file"]) or ""
    assert all(sample in page for sample in run.samples)
    statistics = text_of(run.dx, run.output["multiqc_statistics"][0]) or ""
    assert [line.split("\t")[0] for line in statistics.splitlines()[-6:]] == [
        f'"{sample}"' for sample in run.samples
    ]
    assert text_of(run.dx, run.output["samples_to_retry"]) == "sample\tmappings\tindex\n"


# Samples with one fault each, in a cohort with valid samples.


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20] = bytes(20)
    path.write_bytes(content)


def use_index_of_another_file(path: Path) -> None:
    other = write_sample(path.with_name("other.bam"), 17)
    index_of(path).write_bytes(index_of(other).read_bytes())


def truncate_index(path: Path) -> None:
    index_of(path).write_bytes(index_of(path).read_bytes()[:100])


def change_length(path: Path) -> None:
    write_bam(path, {**CONTIGS, "chr2": 20_001}, [])


def rename_sequences(path: Path) -> None:
    write_bam(path, {name.removeprefix("chr"): length for name, length in CONTIGS.items()}, [])


def add_sequence(path: Path) -> None:
    write_bam(path, {**CONTIGS, "chrY": 100}, [])


def sort_by_name(path: Path) -> None:
    pysam.sort("-n", "-o", str(path), str(path))


NOT_MATCHING = r"^mappings_indexes: {}\.bam\.bai (does not match|is inconsistent)"
FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, r"^mappings: truncated\.bam is truncated or corrupt"),
    "corrupt": (corrupt, r"^mappings(_indexes)?: .*corrupt\.bam"),
    "other_index": (use_index_of_another_file, NOT_MATCHING.format("other_index")),
    "truncated_index": (
        truncate_index,
        r"^mappings_indexes: truncated_index\.bam\.bai is corrupt",
    ),
    "longer": (
        change_length,
        r"longer\.bam has another reference genome than a\.bam: chr2 is 20,001 bp long in this "
        r"file, but 20,000 bp in that one\.",
    ),
    "no_chr": (
        rename_sequences,
        r"no_chr\.bam has another reference genome .* has no sequence chr1\. It has 1 instead\.",
    ),
    "with_y": (add_sequence, r"another reference genome .*: it also has chrY\."),
    "name_sorted": (sort_by_name, r"^mappings(_indexes)?: name_sorted\.bam"),
    # The faulty fixture swaps the indexes of these two.
    "swapped_1": (lambda path: None, NOT_MATCHING.format("swapped_1")),
    "swapped_2": (lambda path: None, NOT_MATCHING.format("swapped_2")),
}
VALID = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def faulty(cohort_applet: CohortApplet, tmp_path_factory: pytest.TempPathFactory) -> Uploaded:
    """The truncated sample, the valid ones, then all other faulty ones."""
    folder = tmp_path_factory.mktemp("faulty")
    names = ["truncated", *VALID, *list(FAULTS)[1:]]
    paths = [write_sample(folder / f"{name}.bam", number) for number, name in enumerate(names)]
    for path in paths:
        if path.stem in FAULTS:
            FAULTS[path.stem][0](path)
    one, two = index_of(paths[-1]), index_of(paths[-2])
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    return cohort_applet.upload(paths)


@pytest.mark.parametrize("subjobs", [0, 3])
def test_a_failed_sample_has_a_row_but_no_column_and_all_others_are_counted(
    cohort_applet: CohortApplet, faulty: Uploaded, tmp_path: Path, workers: Workers, subjobs: int
) -> None:
    """The first sample also fails, so that the second one defines the reference sequences."""
    run = cohort_applet.run(faulty.inputs(), subjobs=subjobs)
    paths = [
        write_sample(tmp_path / f"{name}.bam", number) for number, name in enumerate(VALID, start=1)
    ]
    assert columns(run) == tables(paths, workers)
    assert list(run.rows) == ["truncated", *VALID, *list(FAULTS)[1:]]
    assert (run.output["counted_samples"], run.output["failed_samples"]) == (4, len(FAULTS))
    assert list(run.failed()) == list(FAULTS)
    for name, message in run.failed().items():
        assert re.search(FAULTS[name][1], message), message
        assert not re.search("mappings_sorted|stream_bam|omit|leave .* out", message)
        assert (run.rows[name]["records"], run.rows[name]["file"]) == ("", f"{name}.bam")
        assert run.rows[name]["records_per_mb"] == ""
        assert subjobs or f"{name} failed: {message}" in run.log
    sheet = (text_of(run.dx, run.output["samples_to_retry"]) or "").splitlines()
    assert sheet[1] == f"truncated\t{faulty.mappings[0]}\t{faulty.indexes[0]}"
    assert [line.split("\t")[0] for line in sheet[1:]] == list(FAULTS)


@pytest.mark.parametrize("subjobs", [0, 2])
def test_one_failed_sample_fails_the_job_if_on_failed_sample_is_fail(
    cohort_applet: CohortApplet, faulty: Uploaded, subjobs: int
) -> None:
    valid_and_corrupt = Uploaded(faulty.mappings[1:6], faulty.indexes[1:6])
    run = cohort_applet.run(valid_and_corrupt.inputs(), on_failed_sample="fail", subjobs=subjobs)
    assert run.failure[0] == "AppError"
    assert "cannot be counted (corrupt). corrupt: mappings" in run.failure[1]
    assert is_a_known_message(run.failure[1], "AppError")
    assert run.job["output"] is None


def test_a_job_fails_if_all_its_samples_fail(cohort_applet: CohortApplet, faulty: Uploaded) -> None:
    run = cohort_applet.run(Uploaded(faulty.mappings[:1], faulty.indexes[:1]).inputs())
    assert run.failure[0] == "AppError"
    assert "1 of 1 sample cannot be counted (truncated)" in run.failure[1]
    assert is_a_known_message(run.failure[1], "AppError")


def test_a_network_failure_fails_no_sample_and_restarts_the_job(
    cohort_applet: CohortApplet,
    uploaded: Uploaded,
    paths: list[Path],
    workers: Workers,
    platform: LocalPlatform,
) -> None:
    # The number of attempts for each request.
    lost = platform.faults.add(r"/F/D/.*s2\.bam", lose_request, times=4)
    run = cohort_applet.run(uploaded.inputs())
    assert lost.times == 0
    assert run.job["try"] == 1
    assert columns(run) == tables(paths, workers)
    assert run.failed() == {}


def test_only_a_subjob_that_loses_its_worker_is_restarted(
    cohort_applet: CohortApplet,
    uploaded: Uploaded,
    paths: list[Path],
    workers: Workers,
    platform: LocalPlatform,
) -> None:
    dx = cohort_applet.dx
    text = json.dumps({**uploaded.inputs(), "subjobs": 3})
    run = ["run", cohort_applet.id, "--input-json", text, "--destination", dx.folder]
    job_id = dx.ok(*run, "--brief", "-y")
    deadline = time.monotonic() + 120
    counting: list[Job] = []
    while not any(job.state == "running" and job.worker is not None for job in counting):
        assert time.monotonic() < deadline, "no subjob started"
        time.sleep(0.01)
        jobs = [job for job in platform.jobs.by_id.values() if job.function == "count_share"]
        counting = [job for job in jobs if job.parent and job.parent.id == job_id]
    lost = next(job for job in counting if job.state == "running" and job.worker is not None)
    platform.jobs.lose_worker(lost.id)
    done = cohort_applet.finished(job_id)
    assert columns(done) == tables(paths, workers)
    jobs = [job for job in platform.jobs.by_id.values() if job.parent]
    tries = [job.try_number for job in jobs if job.parent and job.parent.id == job_id]
    assert (lost.try_number, sorted(tries)) == (1, [0, 0, 0, 1])
