"""Subjobs: the files with their counts, and the plan that all of them share."""

import pickle
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import make_bam
from messages import is_a_known_message
from readcount.counting.counts_file import read_counts, write_counts
from readcount.errors import SubjobError
from readcount.planning.divide import Share
from readcount.planning.task import Plan
from readcount.regions.counts import TaskCounts
from readcount.request.request import Request
from readcount.source.files import InputFiles
from readcount.source.readers import LocalFile
from readcount.subjobs import divide_plan, fetch_counts
from steps import LINK, ask, files_of, opened, planned

SHARE = Share("a digest", 3, 100, (7, 2, 40))
COUNTED = [
    TaskCounts(2, (5,), {}),
    TaskCounts(40, array("q", range(1000))),
    TaskCounts(7, (1 << 40, 0), {4: 1 << 40, 9: 1}),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_counts(tmp_path / "counts.npz", SHARE, COUNTED)
    return tmp_path / "counts.npz"


def test_counts_are_read_as_they_were_written(path: Path) -> None:
    counted = [replace(task, records=list(task.records)) for task in read_counts(path, SHARE)]
    assert counted == [replace(task, records=list(task.records)) for task in COUNTED]


def test_a_subjob_without_tasks_writes_a_file_without_counts(tmp_path: Path) -> None:
    path = tmp_path / "counts.npz"
    write_counts(path, replace(SHARE, tasks=()), [])
    assert list(read_counts(path, replace(SHARE, tasks=()))) == []


def test_counts_are_stored_compactly(tmp_path: Path) -> None:
    """As JSON, the counts of 200,000 windows of a 30x genome take over a megabyte."""
    counts = np.random.default_rng(1).poisson(200, 200_000)
    path = tmp_path / "counts.npz"
    write_counts(path, replace(SHARE, tasks=(0,)), [TaskCounts(0, array("q", counts.tolist()))])
    assert path.stat().st_size < 400_000


def error_message(path: Path, share: Share) -> str:
    """Returns the message with which a file is rejected for this share."""
    with pytest.raises(SubjobError) as caught:
        list(read_counts(path, share))
    assert is_a_known_message(str(caught.value), "AppInternalError")
    return str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [{"plan": "another"}, {"subjob": 4}, {"subjobs": 101}],
    ids=lambda changed: next(iter(changed)),
)
def test_counts_of_another_plan_or_subjob_are_rejected(path: Path, changed: dict[str, Any]) -> None:
    message = error_message(path, replace(SHARE, **changed))
    assert "are those of another subjob, or of other inputs" in message


@pytest.mark.parametrize("tasks", [(7, 2), (7, 2, 40, 41), (7, 2, 41)])
def test_counts_of_other_tasks_are_rejected(path: Path, tasks: tuple[int, ...]) -> None:
    assert error_message(path, replace(SHARE, tasks=tasks)) == (
        "The counts of subjob 4 of 100 are incomplete. Run the job again."
    )


def test_a_corrupt_file_is_rejected(path: Path) -> None:
    content = path.read_bytes()
    for corrupt in (b"", content[:-30], b"not counts", content[:100] + bytes(50) + content[150:]):
        path.write_bytes(corrupt)
        assert "cannot be read" in error_message(path, SHARE)


def test_code_in_a_file_is_not_executed(path: Path, tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "executed",)

    with np.load(path) as file:
        arrays = dict(file)
    np.savez_compressed(path, **{**arrays, "tasks": np.array([Code()], dtype=object)})
    assert "cannot be read" in error_message(path, SHARE)
    path.write_bytes(pickle.dumps(Code()))
    assert "cannot be read" in error_message(path, SHARE)
    assert not (tmp_path / "executed").exists()


def test_missing_counts_of_a_subjob_are_an_error() -> None:
    with pytest.raises(SubjobError) as caught:
        list(fetch_counts([], [SHARE]))
    assert is_a_known_message(str(caught.value), "AppInternalError")


@pytest.fixture
def files(tmp_path: Path) -> InputFiles:
    return files_of(make_bam(tmp_path / "x.bam", {"chr1": 300, "chr2": 200}))


def plan_of(files: InputFiles) -> Plan:
    assert isinstance(files.mappings, LocalFile)
    plan = planned(opened(files.mappings.path, files.index), processes=32)
    return plan


def test_every_job_divides_the_same_inputs_into_the_same_shares(files: InputFiles) -> None:
    plan, request = plan_of(files), ask(subjobs=2)
    digest, shares = divide_plan(plan, request, files)
    assert divide_plan(plan_of(files), request, files, digest) == (digest, shares)
    assert sorted(task for share in shares for task in share.tasks) == [*range(len(plan.tasks))]
    assert {(share.plan, share.subjobs) for share in shares} == {(digest, len(shares))}


@pytest.mark.parametrize(
    "changed",
    [
        {"subjobs": 3},
        {"windows": 10},
        {"min_mapping_quality": 1},
        {"mappings_sorted_bam": {"$dnanexus_link": "file-other"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_plan_for_another_request_is_rejected(files: InputFiles, changed: dict[str, Any]) -> None:
    plan, request = plan_of(files), Request(LINK, LINK, subjobs=2)
    digest, _ = divide_plan(plan, request, files)
    with pytest.raises(SubjobError) as caught:
        divide_plan(plan, replace(request, **changed), files, digest)
    assert is_a_known_message(str(caught.value), "AppInternalError")


def test_a_plan_for_another_index_or_bed_file_is_rejected(
    files: InputFiles, tmp_path: Path
) -> None:
    plan, request = plan_of(files), ask(subjobs=2)
    digest, _ = divide_plan(plan, request, files)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    for changed in (replace(files, index=other), replace(files, bed=other)):
        with pytest.raises(SubjobError):
            divide_plan(plan, request, changed, digest)
