"""What subjobs hand over: files with counts, each of which belongs to a subjob of one plan."""

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


def test_counts_come_back_as_they_were(path: Path) -> None:
    back = [replace(one, records=list(one.records)) for one in read_counts(path, SHARE)]
    assert back == [replace(one, records=list(one.records)) for one in COUNTED]


def test_a_subjob_without_a_task_has_a_file_without_counts(tmp_path: Path) -> None:
    path = tmp_path / "counts.npz"
    write_counts(path, replace(SHARE, tasks=()), [])
    assert list(read_counts(path, replace(SHARE, tasks=()))) == []


def test_counts_take_little_room(tmp_path: Path) -> None:
    """200,000 windows of a 30x genome, which as JSON are over a megabyte."""
    counts = np.random.default_rng(1).poisson(200, 200_000)
    path = tmp_path / "counts.npz"
    write_counts(path, replace(SHARE, tasks=(0,)), [TaskCounts(0, array("q", counts.tolist()))])
    assert path.stat().st_size < 400_000


def refused(path: Path, share: Share) -> str:
    with pytest.raises(SubjobError) as caught:
        list(read_counts(path, share))
    assert is_a_known_message(str(caught.value), "AppInternalError")
    return str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [{"plan": "another"}, {"subjob": 4}, {"subjobs": 101}],
    ids=lambda one: next(iter(one)),
)
def test_counts_of_another_plan_or_subjob_are_refused(path: Path, changed: dict[str, Any]) -> None:
    message = refused(path, replace(SHARE, **changed))
    assert "are those of another subjob, or of other inputs" in message


@pytest.mark.parametrize("tasks", [(7, 2), (7, 2, 40, 41), (7, 2, 41)])
def test_counts_of_other_tasks_are_refused(path: Path, tasks: tuple[int, ...]) -> None:
    assert refused(path, replace(SHARE, tasks=tasks)) == (
        "The counts of subjob 4 of 100 are incomplete. Run the job again."
    )


def test_a_file_that_is_damaged_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for damaged in (b"", content[:-30], b"not counts", content[:100] + bytes(50) + content[150:]):
        path.write_bytes(damaged)
        assert "cannot be read" in refused(path, SHARE)


def test_nothing_in_a_file_is_run(path: Path, tmp_path: Path) -> None:
    class Spy:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "was here",)

    with np.load(path) as file:
        arrays = dict(file)
    np.savez_compressed(path, **{**arrays, "tasks": np.array([Spy()], dtype=object)})
    assert "cannot be read" in refused(path, SHARE)
    path.write_bytes(pickle.dumps(Spy()))
    assert "cannot be read" in refused(path, SHARE)
    assert not (tmp_path / "was here").exists()


def test_counts_of_a_subjob_that_are_missing_are_noticed() -> None:
    with pytest.raises(SubjobError) as caught:
        list(fetch_counts([], [SHARE]))
    assert is_a_known_message(str(caught.value), "AppInternalError")


# The plan


@pytest.fixture
def files(tmp_path: Path) -> InputFiles:
    return files_of(make_bam(tmp_path / "x.bam", {"chr1": 300, "chr2": 200}))


def plan_of(files: InputFiles) -> Plan:
    assert isinstance(files.mappings, LocalFile)
    plan, _ = planned(opened(files.mappings.path, files.index), processes=32)
    return plan


def test_every_job_makes_the_same_shares_from_the_same_inputs(files: InputFiles) -> None:
    plan, request = plan_of(files), ask(subjobs=2)
    digest, shares = divide_plan(plan, request, files)
    assert divide_plan(plan_of(files), request, files, digest) == (digest, shares)
    assert sorted(task for share in shares for task in share.tasks) == [*range(len(plan.tasks))]
    assert [(share.plan, share.subjobs) for share in shares] == [(digest, len(shares))] * len(
        shares
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"subjobs": 3},
        {"windows": 10},
        {"min_mapping_quality": 1},
        {"mappings_sorted_bam": {"$dnanexus_link": "file-other"}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_plan_of_another_request_is_refused(files: InputFiles, changed: dict[str, Any]) -> None:
    plan, request = plan_of(files), Request(LINK, LINK, subjobs=2)
    digest, _ = divide_plan(plan, request, files)
    with pytest.raises(SubjobError) as caught:
        divide_plan(plan, replace(request, **changed), files, digest)
    assert is_a_known_message(str(caught.value), "AppInternalError")


def test_a_plan_of_another_index_or_bed_file_is_refused(files: InputFiles, tmp_path: Path) -> None:
    plan, request = plan_of(files), ask(subjobs=2)
    digest, _ = divide_plan(plan, request, files)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    for changed in (replace(files, index=other), replace(files, bed=other)):
        with pytest.raises(SubjobError):
            divide_plan(plan, request, changed, digest)
