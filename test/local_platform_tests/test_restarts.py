"""Jobs that get another try, and those that do not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform import worker
from local_platform.restarts import may_restart
from local_platform_tests.client import FAIL, Client, Fields, refused, states

# Outputs a file that tells the number of its try, which it learns from a file that it counts in;
# until the wanted try it waits to be lost, leaving a file that is no output.
TRIES = """\
import os, time
import dxpy

@dxpy.entry_point("main")
def main(text, counter, wanted):
    with open(counter, "a") as file:
        file.write("x")
    number = os.path.getsize(counter)
    assert not os.path.exists("left here")
    open("left here", "w").close()
    print("try", number, flush=True)
    if number < wanted:
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
    {"name": "wanted", "class": "int"},
]
FILE: Fields = [{"name": "file", "class": "file"}]


def policy(restart_on: dict[str, int], **options: Any) -> dict[str, Any]:
    return {"executionPolicy": {"restartOn": restart_on, **options}}


def lost(client: Client, wanted: int, restart_on: dict[str, int]) -> str:
    """A job of TRIES that has lost its first worker."""
    applet = client.applet(TRIES, TRIES_INPUTS, FILE, **policy(restart_on))
    text = dxpy.dxlink(client.file("text.txt", "text"))
    given = {"text": text, "counter": str(client.local / "counter"), "wanted": wanted}
    job_id = client.start(applet, given, name=f"lost {client.folder}", tags=["t"])
    lose(client, job_id)
    return job_id


def lose(client: Client, job_id: str, reason: str = "UnresponsiveWorker") -> None:
    client.wait_for_line(job_id, "waiting")
    client.platform.jobs.lose_worker(job_id, reason)


def test_a_job_that_lost_its_worker_is_tried_again(client: Client) -> None:
    job_id = lost(client, 2, {"UnresponsiveWorker": 1})
    ended = client.ended(job_id)
    assert (ended["state"], ended["try"]) == ("done", 1)
    assert states(ended) == ["runnable", "running", "done"]
    assert ended["tryCreated"] > ended["created"]
    assert "failureReason" not in ended
    # Only the description and the log of the first try are left.
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
    assert first["workspace"] != ended["workspace"]
    assert first["workspace"] not in client.platform.store.containers


def test_dx_tells_the_tries_apart(client: Client) -> None:
    job_id = lost(client, 2, {"*": 1})
    client.ended(job_id)
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


def test_pages_of_a_search_hold_each_try_once(client: Client) -> None:
    job_id = lost(client, 2, {"*": 1})
    client.ended(job_id)
    query = {"name": f"lost {client.folder}", "includeRestarted": True, "limit": 1}
    first = dxpy.api.system_find_executions(query)
    second = dxpy.api.system_find_executions({**query, "starting": first["next"]})
    assert [page["results"] for page in (first, second)] == [
        [{"id": job_id, "try": 1}],
        [{"id": job_id, "try": 0}],
    ]
    assert second["next"] is None


def test_a_job_is_restarted_as_often_as_its_policy_says(client: Client) -> None:
    job_id = lost(client, 9, {"UnresponsiveWorker": 1, "SpotInstanceInterruption": 1})
    client.wait_for_try(job_id, 1)
    lose(client, job_id, "SpotInstanceInterruption")
    client.wait_for_try(job_id, 2)
    lose(client, job_id)
    ended = client.ended(job_id)
    assert (ended["state"], ended["try"]) == ("failed", 2)
    assert ended["failureReason"] == "UnresponsiveWorker"


def test_a_job_without_a_policy_fails_with_its_worker(client: Client) -> None:
    ended = client.ended(lost(client, 2, {}))
    assert (ended["state"], ended["failureReason"]) == ("failed", "UnresponsiveWorker")


def test_a_job_that_failed_by_itself_may_be_tried_again(client: Client) -> None:
    applet = client.applet("import os; os._exit(1)", **policy({"AppInternalError": 2}))
    ended = client.run(applet)
    assert (ended["state"], ended["try"]) == ("failed", 2)


def test_a_package_that_could_not_be_installed_may_be_tried_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide, failures = worker._provide, ["the mirror is busy"]

    def fail_once(package: Mapping[str, str], bin_folder: Path) -> None:
        if failures:
            raise worker.PackageError(failures.pop())
        provide(package, bin_folder)

    monkeypatch.setattr(worker, "_provide", fail_once)
    applet = client.applet(execDepends=[{"name": "samtools"}], **policy({"ExecutionError": 1}))
    ended = client.run(applet)
    assert (ended["state"], ended["try"]) == ("done", 1)
    first = dxpy.api.job_describe(ended["id"], {"try": 0})
    assert (first["failureReason"], first["failureMessage"]) == (
        "ExecutionError",
        "the mirror is busy",
    )


# An applet that runs out of memory, and says so with the exception of dxpy.
OUT_OF_MEMORY = """\
import dxpy
from dxpy.exceptions import AppInsufficientResourceError

@dxpy.entry_point("main")
def main():
    raise AppInsufficientResourceError("not enough memory")

dxpy.run()
"""


def test_a_job_that_ran_out_of_memory_may_be_tried_again(client: Client) -> None:
    once = policy({"AppInsufficientResourceError": 1, "AppInternalError": 0})
    ended = client.run(client.applet(OUT_OF_MEMORY, **once))
    assert (ended["state"], ended["try"]) == ("failed", 1)
    assert ended["failureReason"] == "AppInsufficientResourceError"
    assert ended["failureMessage"].endswith("not enough memory")


def test_fault_found_with_the_input_is_final(client: Client) -> None:
    ended = client.run(client.applet(FAIL, **policy({"*": 3})))
    assert (ended["failureReason"], ended["try"]) == ("AppError", 0)


def test_a_run_may_have_a_policy_of_its_own(client: Client) -> None:
    applet = client.applet("import os; os._exit(1)", **policy({"*": 3}))
    own = {"executionPolicy": {"restartOn": {"*": 1}}}
    assert client.run(applet, **own)["try"] == 1


def test_a_job_that_is_restarted_can_be_terminated(client: Client) -> None:
    job_id = lost(client, 9, {"*": 3})
    client.wait_for_try(job_id, 1)
    client.wait_for_line(job_id, "waiting")
    dxpy.api.job_terminate(job_id)
    assert client.ended(job_id)["state"] == "terminated"


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
def test_restarts(
    restart_on: dict[str, int], maximum: int, reasons: list[str], restarts: int
) -> None:
    """How many of these failures in a row are followed by another try."""
    limits = {"restartOn": restart_on, "maxRestarts": maximum}
    tried = 0
    while tried < len(reasons) and may_restart(limits, reasons[tried], reasons[:tried]):
        tried += 1
    assert tried == restarts


def test_restartable_entry_points_that_nobody_knows_are_refused(client: Client) -> None:
    with refused("InvalidInput", 422, "'master' or 'all'"):
        client.applet(restartableEntryPoints="main")


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        ({"restartOn": {"AppError": 1}}, "AppError"),
        ({"restartOn": {"*": 10}}, "from 0 to 9"),
        ({"restartOn": {"*": "1"}}, "from 0 to 9"),
        ({"restartOn": ["*"]}, "not an object"),
        ({"maxRestarts": 10}, "from 0 to 9"),
    ],
)
def test_a_policy_with_a_fault_is_refused(
    client: Client, faulty: dict[str, Any], words: str
) -> None:
    with refused("InvalidInput", 422, words):
        client.applet(executionPolicy=faulty)
    with refused("InvalidInput", 422, words):
        client.start(client.applet(), executionPolicy=faulty)
