"""Batch runs with `dx`, and the limit on concurrent jobs."""

import csv
import re
import time
from collections import Counter
from pathlib import Path

import dxpy
import pytest

from local_platform_tests.client import (
    RELEASE_INPUT,
    WAIT_FOR_RELEASE,
    Client,
    Fields,
    rejected,
    states,
    wait_until,
)

# Joins the contents of two files.
PAIR = """\
import dxpy

@dxpy.entry_point("main")
def main(left, right, sep="+"):
    texts = [dxpy.DXFile(file).read() for file in (left, right)]
    return {"file": dxpy.dxlink(dxpy.upload_string(sep.join(texts), name="pair.txt"))}

dxpy.run()
"""
PAIR_INPUTS: Fields = [
    {"name": "left", "class": "file"},
    {"name": "right", "class": "file"},
    {"name": "sep", "class": "string", "optional": True},
]
FILE: Fields = [{"name": "file", "class": "file"}]
PATTERNS = ["-ileft=(.*)_L.txt$", "-iright=(.*)_R.txt$"]


def upload_files(client: Client, *names: str) -> dict[str, str]:
    """Uploads a file for each name; returns the IDs by name."""
    return {name: client.file(f"{name}.txt", name) for name in names}


def read_tsv(path: Path) -> list[list[str]]:
    with path.open() as table:
        return list(csv.reader(table, delimiter="\t"))


@pytest.fixture
def pair(client: Client) -> str:
    return client.applet(PAIR, PAIR_INPUTS, FILE, name="pair")


def test_a_batch_runs_once_per_pair_of_files_in_a_folder(client: Client, pair: str) -> None:
    ids = upload_files(client, "a_L", "b_R", "b_L", "a_R")
    client.dx("generate_batch_inputs", *PATTERNS, "--path", client.folder)
    table = read_tsv(client.local / "dx_batch.0000.tsv")
    assert table == [
        ["batch ID", "left", "right", "left ID", "right ID"],
        *(
            [
                *(row, f"{row}_L.txt", f"{row}_R.txt"),
                *(f"{client.project}:{ids[f'{row}_{side}']}" for side in "LR"),
            ]
            for row in "ab"
        ),
    ]
    arguments = ["--batch-tsv", "dx_batch.0000.tsv", "-isep=-", "--property", "k=v", "-y"]
    printed = client.dx("run", "pair", *arguments, "--batch-folders")
    jobs = printed.splitlines()[-1].split(",")
    for row, job_id in zip("ab", jobs, strict=True):
        job = client.wait_for_end(job_id)
        assert job["folder"] == f"{client.folder}/{row}"
        assert job["name"] == f"pair-{row}"
        assert job["properties"] == {"k": "v", "batch-id": row, "batch-name": f"pair-{row}"}
        assert client.dx("cat", f"{row}/pair.txt") == f"{row}_L-{row}_R"


def test_a_workflow_runs_as_a_batch(client: Client, pair: str) -> None:
    upload_files(client, "a_L", "a_R")
    dxpy.new_dxworkflow(
        project=client.project,
        folder=client.folder,
        name="chain",
        stages=[{"id": "one", "executable": pair}],
    )
    patterns = [pattern.replace("-i", "-ione.") for pattern in PATTERNS]
    client.dx("generate_batch_inputs", *patterns)
    arguments = ["--batch-tsv", "dx_batch.0000.tsv", "--brief", "-y"]
    analysis_id = client.dx("run", "chain", *arguments)
    dxpy.DXAnalysis(analysis_id).wait_on_done(interval=0.1)
    assert client.dx("cat", "pair.txt") == "a_L+a_R"


@pytest.mark.parametrize(
    ("names", "messages"),
    [
        (["a_L", "a_R", "b_L"], ['"b"', "Required input names: left, right", "names: left\n"]),
        (["a_L", "a_R", "b_L", "b_R", "b_R"], ['"b"', "b_R.txt => file-"]),
    ],
)
def test_incomplete_and_ambiguous_rows_are_reported_and_omitted(
    client: Client, names: list[str], messages: list[str]
) -> None:
    for name in names:
        upload_files(client, name)
    printed = client.dx("generate_batch_inputs", *PATTERNS, status=3)
    for message in messages:
        assert message in printed
    assert [row[0] for row in read_tsv(client.local / "dx_batch.0000.tsv")] == ["batch ID", "a"]


def test_a_pattern_without_an_end_anchor_also_matches_longer_names(client: Client) -> None:
    upload_files(client, "x", "x.txt.more")
    printed = client.dx("generate_batch_inputs", r"-ione=(\w+)\.txt", status=3)
    assert len(re.findall("file-", printed)) == 2
    client.dx("generate_batch_inputs", r"-ione=(\w+)\.txt$")


def test_subfolders_are_not_searched(client: Client) -> None:
    upload_files(client, "a_L", "a_R")
    client.dx("mkdir", "subfolder")
    client.dx("mv", "a_R.txt", "subfolder/")
    assert "Found 0 valid" in client.dx("generate_batch_inputs", *PATTERNS, status=3)


@pytest.mark.parametrize("pattern", ["(", "no group"])
def test_an_invalid_pattern_is_rejected(client: Client, pattern: str) -> None:
    assert "InvalidInput" in client.dx("generate_batch_inputs", f"-ione={pattern}", status=3)


def test_validate_batch_rejects_invalid_batches_and_expands_valid_ones(
    client: Client, pair: str
) -> None:
    file = dxpy.dxlink(client.file())
    missing = dxpy.dxlink("file-" + "0" * 24)
    body = {"batchInput": {"left": [file, file]}, "commonInput": {"right": file}}
    for changes, type_, status, message in (
        ({"commonInput": {}}, "InvalidInput", 422, "'right' is required"),
        ({"commonInput": {"right": missing}}, "ResourceNotFound", 404, "0000"),
        ({"batchInput": {"left": [file, "text"]}}, "InvalidInput", 422, "links"),
        ({"batchInput": {"left": [file], "right": []}}, "InvalidInput", 422, "equally long"),
    ):
        with rejected(type_, status, message):
            dxpy.api.applet_validate_batch(pair, {**body, **changes})
    expanded = dxpy.api.applet_validate_batch(pair, body)["expandedBatch"]
    assert expanded == [{"left": file, "right": file}] * 2


# Concurrent jobs


def test_jobs_beyond_the_limit_stay_runnable(client: Client) -> None:
    """The `platform` fixture runs at most four jobs at a time."""
    applet, release = client.applet(WAIT_FOR_RELEASE, RELEASE_INPUT), client.local / "release"
    jobs = [client.start(applet, {"release": str(release)}) for _ in range(6)]
    # A job that waits for its input does not count towards the limit.
    waiting = client.start(client.applet(), dependsOn=jobs)
    wait_until(lambda: state_counts(client, jobs) == {"running": 4, "runnable": 2})
    time.sleep(0.2)
    assert state_counts(client, jobs) == {"running": 4, "runnable": 2}
    assert client.describe(waiting)["state"] == "waiting_on_input"
    release.touch()
    descriptions = [client.wait_for_end(job_id) for job_id in jobs]
    assert {tuple(states(job)) for job in descriptions} == {("runnable", "running", "done")}
    first_stop = min(job["stoppedRunning"] for job in descriptions)
    queued = [job for job in descriptions if job["startedRunning"] >= first_stop]
    assert len(queued) == 2
    assert client.wait_for_end(waiting)["state"] == "done"


def state_counts(client: Client, jobs: list[str]) -> Counter[str]:
    return Counter(client.job(job_id).state for job_id in jobs)
