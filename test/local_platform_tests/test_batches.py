"""Batches, with `dx`: many runs from a table, a limited number at a time."""

import csv
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import (
    RELEASE_INPUT,
    UNTIL_RELEASED,
    Client,
    Fields,
    refused,
    states,
    wait_until,
)

# Reads two files, one after the other.
PAIR = """\
import dxpy

@dxpy.entry_point("main")
def main(left, right, sep="+"):
    read = [dxpy.DXFile(file).read() for file in (left, right)]
    return {"file": dxpy.dxlink(dxpy.upload_string(sep.join(read), name="pair.txt"))}

dxpy.run()
"""
PAIR_INPUTS: Fields = [
    {"name": "left", "class": "file"},
    {"name": "right", "class": "file"},
    {"name": "sep", "class": "string", "optional": True},
]
FILE: Fields = [{"name": "file", "class": "file"}]
PATTERNS = ["-ileft=(.*)_L.txt$", "-iright=(.*)_R.txt$"]


def files(client: Client, *names: str) -> dict[str, str]:
    return {name: client.file(f"{name}.txt", name) for name in names}


def rows(path: Path) -> list[list[str]]:
    with path.open() as table:
        return list(csv.reader(table, delimiter="\t"))


@pytest.fixture
def pair(client: Client) -> str:
    return client.applet(PAIR, PAIR_INPUTS, FILE, name="pair")


def test_a_batch_runs_on_the_files_of_a_folder(client: Client, pair: str) -> None:
    ids = files(client, "a_L", "b_R", "b_L", "a_R")
    client.dx("generate_batch_inputs", *PATTERNS, "--path", client.folder)
    table = rows(client.local / "dx_batch.0000.tsv")
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
        ended = client.ended(job_id)
        assert ended["folder"] == f"{client.folder}/{row}"
        assert ended["name"] == f"pair-{row}"
        assert ended["properties"] == {"k": "v", "batch-id": row, "batch-name": f"pair-{row}"}
        assert client.dx("cat", f"{row}/pair.txt") == f"{row}_L-{row}_R"


def test_a_batch_of_a_workflow(client: Client, pair: str) -> None:
    files(client, "a_L", "a_R")
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
    ("names", "words"),
    [
        (["a_L", "a_R", "b_L"], ['"b"', "Required input names: left, right", "names: left\n"]),
        (["a_L", "a_R", "b_L", "b_R", "b_R"], ['"b"', "b_R.txt => file-"]),
    ],
)
def test_rows_that_are_not_whole_are_named_and_left_out(
    client: Client, names: list[str], words: list[str]
) -> None:
    for name in names:
        files(client, name)
    printed = client.dx("generate_batch_inputs", *PATTERNS, status=3)
    for expected in words:
        assert expected in printed
    assert [row[0] for row in rows(client.local / "dx_batch.0000.tsv")] == ["batch ID", "a"]


def test_a_pattern_may_match_in_the_middle_of_a_name(client: Client) -> None:
    files(client, "x", "x.txt.more")
    printed = client.dx("generate_batch_inputs", r"-ione=(\w+)\.txt", status=3)
    assert len(re.findall("file-", printed)) == 2
    client.dx("generate_batch_inputs", r"-ione=(\w+)\.txt$")


def test_only_the_folder_itself_is_searched(client: Client) -> None:
    files(client, "a_L", "a_R")
    client.dx("mkdir", "below")
    client.dx("mv", "a_R.txt", "below/")
    assert "Found 0 valid" in client.dx("generate_batch_inputs", *PATTERNS, status=3)


@pytest.mark.parametrize("pattern", ["(", "no group"])
def test_a_pattern_with_a_fault_is_refused(client: Client, pattern: str) -> None:
    assert "InvalidInput" in client.dx("generate_batch_inputs", f"-ione={pattern}", status=3)


def test_a_batch_with_a_fault_starts_nothing(client: Client, pair: str) -> None:
    good = dxpy.dxlink(client.file())
    gone = dxpy.dxlink("file-" + "0" * 24)
    body = {"batchInput": {"left": [good, good]}, "commonInput": {"right": good}}
    for changes, type_, status, words in (
        ({"commonInput": {}}, "InvalidInput", 422, "'right' is required"),
        ({"commonInput": {"right": gone}}, "ResourceNotFound", 404, "0000"),
        ({"batchInput": {"left": [good, "text"]}}, "InvalidInput", 422, "links"),
        ({"batchInput": {"left": [good], "right": []}}, "InvalidInput", 422, "equally long"),
    ):
        with refused(type_, status, words):
            dxpy.api.applet_validate_batch(pair, {**body, **changes})
    expanded = dxpy.api.applet_validate_batch(pair, body)["expandedBatch"]
    assert expanded == [{"left": good, "right": good}] * 2


# How many jobs run at once


def test_jobs_that_may_not_run_yet_are_runnable(client: Client) -> None:
    """Four at once, as the fixture of the platform says."""
    applet, release = client.applet(UNTIL_RELEASED, RELEASE_INPUT), client.local / "release"
    jobs = [client.start(applet, {"release": str(release)}) for _ in range(6)]
    # One that waits for its input takes nobody's place.
    waiting = client.start(client.applet(), dependsOn=jobs)
    wait_until(lambda: state_counts(client, jobs) == {"running": 4, "runnable": 2})
    time.sleep(0.2)
    assert state_counts(client, jobs) == {"running": 4, "runnable": 2}
    assert client.describe(waiting)["state"] == "waiting_on_input"
    release.touch()
    ended = [client.ended(job_id) for job_id in jobs]
    assert {tuple(states(job)) for job in ended} == {("runnable", "running", "done")}
    queued = [job for job in ended if job["startedRunning"] >= min(stops(ended))]
    assert len(queued) == 2
    assert client.ended(waiting)["state"] == "done"


def state_counts(client: Client, jobs: list[str]) -> Counter[str]:
    return Counter(client.job(job_id).state for job_id in jobs)


def stops(jobs: list[dict[str, Any]]) -> list[int]:
    return [job["stoppedRunning"] for job in jobs]
