"""Samples of a cohort: paired by name, listed in sheets, from existing tables, or rejected."""

import json
from pathlib import Path
from typing import Any

import pytest

from builders import index_of, make_bam
from cohort import CohortApplet, CohortRun, Uploaded, links
from dx_client import Applet, text_of
from local_platform import LocalPlatform
from local_platform.job import Job
from local_platform.specs import MAX_CHARACTERS
from messages import is_a_known_message

pytestmark = pytest.mark.usefixtures("clear_faults")


def write_samples(folder: Path, *names: str) -> list[Path]:
    """Writes samples whose counts are derived from their names and therefore differ."""
    return [
        make_bam(folder / f"{name}.bam", {"chr1": sum(name.encode()), "chr2": len(name)})
        for name in names
    ]


def counts_of(run: CohortRun) -> dict[str, list[int]]:
    """Returns the counts of each sample in the matrix."""
    lines = [line.split("\t") for line in run.matrix_text.splitlines()]
    return {
        name: [int(line[at]) for line in lines[1:]] for at, name in enumerate(lines[0][5:], start=5)
    }


def expected(*names: str) -> dict[str, list[int]]:
    """Returns the counts of samples written by write_samples()."""
    return {name: [sum(name.encode()), len(name)] for name in names}


def assert_rejected(run: CohortRun, *words: str) -> None:
    """Asserts that the inputs were rejected before counting, with a message with these words."""
    assert run.failure[0] == "AppError", run.log
    for word in words:
        assert word in run.failure[1]
    assert is_a_known_message(run.failure[1], "AppError"), run.failure[1]
    assert "counting" not in run.log, "samples were counted"


@pytest.fixture(scope="module")
def uploaded(cohort_applet: CohortApplet, tmp_path_factory: pytest.TempPathFactory) -> Uploaded:
    return cohort_applet.upload(write_samples(tmp_path_factory.mktemp("abc"), "a", "b", "c"))


def sheet_of(uploaded: Uploaded, *names: str) -> str:
    """Returns a sample sheet of uploaded files with these sample names."""
    rows = zip(names, uploaded.mappings, uploaded.indexes, strict=False)
    return "sample\tmappings\tindex\n" + "".join("\t".join(row) + "\n" for row in rows)


def upload_text(applet: CohortApplet, path: Path, text: str) -> list[dict[str, str]]:
    path.write_text(text)
    return links([applet.dx.upload(path)])


def test_invalid_inputs_are_rejected_before_counting(
    cohort_applet: CohortApplet, uploaded: Uploaded, tmp_path: Path
) -> None:
    _, b, c = uploaded.indexes
    inputs = {"mappings": links(uploaded.mappings), "mappings_indexes": links([b, c, b])}
    run = cohort_applet.run(inputs)
    assert_rejected(
        run, "there is no index of", "/a.bam. Provide an index", "/b.bam has more than one"
    )
    (bed,) = upload_text(cohort_applet, tmp_path / "x.bed", "chr1\t0\t99999999\n")
    run = cohort_applet.run(uploaded.inputs(), regions_bed=bed)
    assert_rejected(run, "regions_bed: x.bed, line 1")


def test_a_sheet_names_the_samples_and_unreadable_ones_fail(
    cohort_applet: CohortApplet, uploaded: Uploaded, platform: LocalPlatform, tmp_path: Path
) -> None:
    removed, archived = (
        cohort_applet.upload(write_samples(tmp_path, name)) for name in ("removed", "archived")
    )
    text = sheet_of(uploaded, "one", "", "three")
    for files, name in ((removed, "removed"), (archived, "old")):
        text += sheet_of(files, name).split("\n", 1)[1]
    sheet = upload_text(cohort_applet, tmp_path / "s.tsv", text)
    cohort_applet.dx.ok("rm", removed.mappings[0])
    cohort_applet.dx.ok("archive", "-y", archived.indexes[0])
    run = cohort_applet.run({"sample_sheets": sheet})
    assert run.samples == ["one", "b", "three"]
    assert list(counts_of(run).values()) == list(expected("a", "b", "c").values())
    assert list(run.failed()) == ["removed", "old"]
    assert "cannot be found, or the job has no access" in run.failed()["removed"]
    assert "mappings_indexes: archived.bam.bai is archived. Run 'dx unar" in run.failed()["old"]


def test_a_sheet_of_dx_generate_batch_inputs_is_accepted_unchanged(
    cohort_applet: CohortApplet, tmp_path: Path
) -> None:
    dx = cohort_applet.dx
    paths = write_samples(tmp_path, "x1", "x2", "x3")
    cohort_applet.dx.ok(
        *("upload", "--brief", "-p", "--path", f"{dx.folder}/batch/"),
        *map(str, [*paths, *map(index_of, paths)]),
    )
    patterns = [
        *("-i", r"mappings_sorted_bam=(.*)\.bam$", "-i", r"mappings_sorted_bai=(.*)\.bam\.bai$")
    ]
    prefix = str(tmp_path / "dx_batch")
    dx.ok("generate_batch_inputs", "--path", f"{dx.folder}/batch", *patterns, "-o", prefix)
    sheet = links([dx.upload(Path(f"{prefix}.0000.tsv"))])
    assert counts_of(cohort_applet.run({"sample_sheets": sheet})) == expected("x1", "x2", "x3")


def test_existing_count_tables_become_columns(
    applet: Applet, cohort_applet: CohortApplet, uploaded: Uploaded, tmp_path: Path
) -> None:
    """Tables of samtools_count and of a cohort, with and without other samples."""
    filters: dict[str, Any] = {"min_mapping_quality": 1}
    (path,) = write_samples(tmp_path, "single")
    single = applet.run(path, index_of(path), "min_mapping_quality=1").job["output"]["counts_table"]
    first = cohort_applet.run(uploaded.inputs(), **filters).output["counts_matrix"]
    more = cohort_applet.upload(write_samples(tmp_path, "d", "e"))
    run = cohort_applet.run(more.inputs(), counts_tables=[single, first], subjobs=2, **filters)
    assert list(counts_of(run)) == ["d", "e", "single", "a", "b", "c"]
    assert counts_of(run) == expected("d", "e", "single", "a", "b", "c")
    assert run.output["counted_samples"] == 6
    assert {row["message"] for row in run.rows.values()} == {""}
    assert run.rows["single"]["file"] == "single_count.tsv"

    # A table that does not say which filters were used.
    text = "region\tcontig\tstart\tend\tlength\trecords\n"
    text += "chr1\tchr1\t0\t10000\t10000\t5\nchr2\tchr2\t0\t10000\t10000\t6\n"
    (old,) = upload_text(cohort_applet, tmp_path / "old_count.tsv", text)
    only_tables = cohort_applet.run({"counts_tables": [first, old]}, **filters)
    assert counts_of(only_tables) == {**expected("a", "b", "c"), "old": [5, 6]}
    assert only_tables.rows["old"]["message"] == "the table does not say which filters were used"

    assert_rejected(
        cohort_applet.run({"counts_tables": [first]}),
        "was made with other filters (samtools view -q 1) than this job (none)",
    )


def subjobs_of(platform: LocalPlatform, run: CohortRun) -> list[Job]:
    jobs = platform.jobs.by_id.values()
    return [job for job in jobs if job.parent and job.parent.id == run.job["id"]]


def test_a_matrix_that_lacks_3_of_100_samples_is_completed_by_a_retry(
    cohort_applet: CohortApplet, platform: LocalPlatform, tmp_path: Path
) -> None:
    """The job returns 97 columns, 3 rows with error messages, and a sheet for the retry."""
    names = [f"n{number:03}{'x' * (number % 7)}" for number in range(100)]
    paths = write_samples(tmp_path, *names)
    faulty = {7: "is truncated", 50: "does not match", 99: "is corrupt"}
    originals = {
        number: (paths[number].read_bytes(), index_of(paths[number]).read_bytes())
        for number in faulty
    }
    paths[7].write_bytes(originals[7][0][:-30])
    index_of(paths[50]).write_bytes(index_of(paths[51]).read_bytes())
    index_of(paths[99]).write_bytes(originals[99][1][:50])
    uploaded = cohort_applet.upload(paths)
    sheet = upload_text(cohort_applet, tmp_path / "s.tsv", sheet_of(uploaded, *names))
    run = cohort_applet.run({"sample_sheets": sheet}, subjobs=4)
    valid = [name for number, name in enumerate(names) if number not in faulty]
    assert run.samples == valid
    assert counts_of(run) == expected(*valid)
    assert list(run.rows) == names
    assert (run.output["counted_samples"], run.output["failed_samples"]) == (97, 3)
    for (name, message), (number, words) in zip(run.failed().items(), faulty.items(), strict=True):
        assert name == names[number]
        assert words in message
    shares = [job for job in subjobs_of(platform, run) if job.function == "count_share"]
    assert len(shares) == 4
    for job in subjobs_of(platform, run):
        assert len(json.dumps([job.input, job.output])) < MAX_CHARACTERS / 50

    # The returned sheet, with the IDs of the corrected files.
    retry = text_of(run.dx, run.output["samples_to_retry"])
    assert retry is not None
    assert [line.split("\t")[0] for line in retry.splitlines()[1:]] == list(run.failed())
    for number, contents in originals.items():
        for path, content in zip((paths[number], index_of(paths[number])), contents, strict=True):
            path.write_bytes(content)
    fixed = cohort_applet.upload([paths[number] for number in faulty])
    for at, number in enumerate(faulty):
        retry = retry.replace(uploaded.mappings[number], fixed.mappings[at])
        retry = retry.replace(uploaded.indexes[number], fixed.indexes[at])
    sheet = upload_text(cohort_applet, tmp_path / "retry.tsv", retry)
    completed = cohort_applet.run(
        {"sample_sheets": sheet, "counts_tables": [run.output["counts_matrix"]]}
    )
    assert completed.output["failed_samples"] == 0
    assert counts_of(completed) == expected(*names)
