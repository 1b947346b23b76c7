"""Restarts: which jobs get another try after a failure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform import worker
from local_platform.restarts import may_restart
from local_platform_tests.client import FAIL, Client, Fields, rejected, states

# Outputs a file with the number of its try, which it keeps in a file outside the worker. A try
# before the last one uploads a file that is not an output, and then waits to lose its worker.
TRIES = """\
import os, time
import dxpy

@dxpy.entry_point("main")
def main(text, counter, last_try):
    with open(counter, "a") as file:
        file.write("x")
    number = os.path.getsize(counter)
    assert not os.path.exists("left behind")
    open("left behind", "w").close()
    print("try", number, flush=True)
    if number < last_try:
        dxpy.upload_string("scratch", name="scratch.txt")
        print("waiting", flush=True)
        time.sleep(3600)
    content = f"try {number} of {dxpy.DXFile(text).read()}"
    return {"file": dxpy.dxlink(dxpy.upload_string(content, name="result.txt"))}

dxpy.run()
"""
TRIES_INPUTS: Fields = [
    {"name": "text", "class": "file"},
    {"name": "counter", "class": "string"},
    {"name": "last_try", "class": "int"},
]
FILE: Fields = [{"name": "file", "class": "file"}]


def policy(restart_on: dict[str, int], **options: Any) -> dict[str, Any]:
    return {"executionPolicy": {"restartOn": restart_on, **options}}


def start_and_lose_worker(client: Client, last_try: int, restart_on: dict[str, int]) -> str:
    """Starts a job of TRIES and lets it lose its first worker; returns the job's ID."""
    applet = client.applet(TRIES, TRIES_INPUTS, FILE, **policy(restart_on))
    text = dxpy.dxlink(client.file("text.txt", "text"))
    counter = str(client.local / "counter")
    job_input = {"text": text, "counter": counter, "last_try": last_try}
    job_id = client.start(applet, job_input, name=f"lost {client.folder}", tags=["t"])
    lose_worker(client, job_id)
    return job_id


def lose_worker(client: Client, job_id: str, reason: str = "UnresponsiveWorker") -> None:
    client.wait_for_line(job_id, "waiting")
    client.platform.jobs.lose_worker(job_id, reason)


def test_a_job_that_lost_its_worker_is_restarted(client: Client) -> None:
    job_id = start_and_lose_worker(client, 2, {"UnresponsiveWorker": 1})
    job = client.wait_for_end(job_id)
    assert (job["state"], job["try"]) == ("done", 1)
    assert states(job) == ["runnable", "running", "done"]
    assert job["tryCreated"] > job["created"]
    assert "failureReason" not in job
    # Only the description and the log of the first try remain.
    client.log(job_id)
    assert client.dx("ls").split() == ["probe", "result.txt", "text.txt"]
    assert client.dx("cat", "result.txt") == "try 2 of text"
    first = dxpy.api.job_describe(job_id, {"try": 0})
    assert states(first) == ["runnable", "running", "restarted"]
    assert (first["state"], first["failureReason"]) == ("restarted", "UnresponsiveWorker")
    assert (first["failureMessage"], first["output"]) == (
        "The machine running the job became unresponsive",
        None,
    )
    assert first["workspace"] != job["workspace"]
    assert first["workspace"] not in client.platform.store.containers


def test_dx_distinguishes_the_tries_of_a_job(client: Client) -> None:
    job_id = start_and_lose_worker(client, 2, {"*": 1})
    client.wait_for_end(job_id)
    assert "UnresponsiveWorker" in client.dx("describe", job_id, "--try", "0")
    assert "UnresponsiveWorker" not in client.dx("describe", job_id)
    client.dx("describe", job_id, "--try", "2", status=3)
    first = client.dx("watch", job_id, "--try", "0", "--get-stdout")
    assert first.splitlines()[1:] == ["try 1", "waiting"]
    assert client.dx("watch", job_id, "--get-stdout").splitlines()[1:] == ["try 2"]
    by_name = ("find", "jobs", "--name", f"lost {client.folder}")
    assert client.dx(*by_name, "--brief") == job_id
    with_restarted = client.dx(*by_name, "--include-restarted", "--brief")
    assert with_restarted.splitlines() == [f"{job_id} try 1", f"{job_id} try 0"]


def test_a_paged_search_finds_each_try_once(client: Client) -> None:
    job_id = start_and_lose_worker(client, 2, {"*": 1})
    client.wait_for_end(job_id)
    query = {"name": f"lost {client.folder}", "includeRestarted": True, "limit": 1}
    first = dxpy.api.system_find_executions(query)
    second = dxpy.api.system_find_executions({**query, "starting": first["next"]})
    assert [page["results"] for page in (first, second)] == [
        [{"id": job_id, "try": 1}],
        [{"id": job_id, "try": 0}],
    ]
    assert second["next"] is None


def test_a_job_is_restarted_as_often_as_its_policy_allows(client: Client) -> None:
    job_id = start_and_lose_worker(
        client, 9, {"UnresponsiveWorker": 1, "SpotInstanceInterruption": 1}
    )
    client.wait_for_try(job_id, 1)
    lose_worker(client, job_id, "SpotInstanceInterruption")
    client.wait_for_try(job_id, 2)
    lose_worker(client, job_id)
    job = client.wait_for_end(job_id)
    assert (job["state"], job["try"]) == ("failed", 2)
    assert job["failureReason"] == "UnresponsiveWorker"


def test_a_job_without_a_policy_fails_when_it_loses_its_worker(client: Client) -> None:
    job = client.wait_for_end(start_and_lose_worker(client, 2, {}))
    assert (job["state"], job["failureReason"]) == ("failed", "UnresponsiveWorker")


def test_a_job_can_be_restarted_after_an_internal_error(client: Client) -> None:
    applet = client.applet("import os; os._exit(1)", **policy({"AppInternalError": 2}))
    job = client.run(applet)
    assert (job["state"], job["try"]) == ("failed", 2)


def test_a_job_can_be_restarted_after_a_failed_package_installation(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide, failures = worker._provide, ["the mirror is busy"]

    def fail_once(package: Mapping[str, str], bin_folder: Path) -> None:
        if failures:
            raise worker.PackageError(failures.pop())
        provide(package, bin_folder)

    monkeypatch.setattr(worker, "_provide", fail_once)
    applet = client.applet(execDepends=[{"name": "samtools"}], **policy({"ExecutionError": 1}))
    job = client.run(applet)
    assert (job["state"], job["try"]) == ("done", 1)
    first = dxpy.api.job_describe(job["id"], {"try": 0})
    assert (first["failureReason"], first["failureMessage"]) == (
        "ExecutionError",
        "the mirror is busy",
    )


# An applet that raises dxpy's exception for insufficient memory.
OUT_OF_MEMORY = """\
import dxpy
from dxpy.exceptions import AppInsufficientResourceError

@dxpy.entry_point("main")
def main():
    raise AppInsufficientResourceError("not enough memory")

dxpy.run()
"""


def test_a_job_can_be_restarted_after_running_out_of_memory(client: Client) -> None:
    once = policy({"AppInsufficientResourceError": 1, "AppInternalError": 0})
    job = client.run(client.applet(OUT_OF_MEMORY, **once))
    assert (job["state"], job["try"]) == ("failed", 1)
    assert job["failureReason"] == "AppInsufficientResourceError"
    assert job["failureMessage"].endswith("not enough memory")


def test_a_job_is_not_restarted_after_an_app_error(client: Client) -> None:
    job = client.run(client.applet(FAIL, **policy({"*": 3})))
    assert (job["failureReason"], job["try"]) == ("AppError", 0)


def test_a_run_can_override_the_policy_of_the_applet(client: Client) -> None:
    applet = client.applet("import os; os._exit(1)", **policy({"*": 3}))
    assert client.run(applet, **policy({"*": 1}))["try"] == 1


def test_a_restarted_job_can_be_terminated(client: Client) -> None:
    job_id = start_and_lose_worker(client, 9, {"*": 3})
    client.wait_for_try(job_id, 1)
    client.wait_for_line(job_id, "waiting")
    dxpy.api.job_terminate(job_id)
    assert client.wait_for_end(job_id)["state"] == "terminated"


def test_only_a_running_job_can_lose_its_worker(client: Client) -> None:
    job_id = client.run(client.applet())["id"]
    with pytest.raises(ValueError, match="no worker"):
        client.platform.jobs.lose_worker(job_id)


LOST, SPOT = "UnresponsiveWorker", "SpotInstanceInterruption"


@pytest.mark.parametrize(
    ("restart_on", "maximum", "reasons", "restarts"),
    [
        ({}, 9, [LOST], 0),
        ({LOST: 2}, 9, [LOST] * 4, 2),
        ({LOST: 2}, 1, [LOST] * 4, 1),
        ({"*": 2}, 9, [LOST, SPOT, LOST], 2),
        ({LOST: 1, "*": 1}, 9, [LOST, SPOT, LOST], 2),
        ({LOST: 0, "*": 9}, 9, [LOST], 0),
        ({"*": 9}, 9, ["AppError"], 0),
        ({"*": 9}, 9, ["OutputError"], 0),
    ],
)
def test_restarts_are_limited_by_reason_and_in_total(
    restart_on: dict[str, int], maximum: int, reasons: list[str], restarts: int
) -> None:
    """Each of the first `restarts` of these consecutive failures leads to another try."""
    limits = {"restartOn": restart_on, "maxRestarts": maximum}
    tried = 0
    while tried < len(reasons) and may_restart(limits, reasons[tried], reasons[:tried]):
        tried += 1
    assert tried == restarts


def test_unknown_restartable_entry_points_are_rejected(client: Client) -> None:
    with rejected("InvalidInput", 422, "'master' or 'all'"):
        client.applet(restartableEntryPoints="main")


@pytest.mark.parametrize(
    ("invalid_policy", "message"),
    [
        ({"restartOn": {"AppError": 1}}, "AppError"),
        ({"restartOn": {"*": 10}}, "from 0 to 9"),
        ({"restartOn": {"*": "1"}}, "from 0 to 9"),
        ({"restartOn": ["*"]}, "not an object"),
        ({"maxRestarts": 10}, "from 0 to 9"),
    ],
)
def test_an_invalid_policy_is_rejected(
    client: Client, invalid_policy: dict[str, Any], message: str
) -> None:
    with rejected("InvalidInput", 422, message):
        client.applet(executionPolicy=invalid_policy)
    with rejected("InvalidInput", 422, message):
        client.start(client.applet(), executionPolicy=invalid_policy)
