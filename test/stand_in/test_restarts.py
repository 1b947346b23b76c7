"""Jobs that get another try, and those that do not."""

from typing import Any

import dxpy
import pytest

from local_platform.restarts import may_restart
from stand_in.bench import FAIL, Bench, Fields, refused, states

# Gives out a file that tells the number of its try, which it learns from a file that it counts in;
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


def lost(bench: Bench, wanted: int, restart_on: dict[str, int]) -> str:
    """A job of TRIES that has lost its first worker."""
    applet = bench.applet(TRIES, TRIES_INPUTS, FILE, **policy(restart_on))
    text = dxpy.dxlink(bench.file("text.txt", "text"))
    given = {"text": text, "counter": str(bench.local / "counter"), "wanted": wanted}
    job_id = bench.start(applet, given, name=f"lost {bench.folder}", tags=["t"])
    lose(bench, job_id)
    return job_id


def lose(bench: Bench, job_id: str, reason: str = "UnresponsiveWorker") -> None:
    bench.wait_for_line(job_id, "waiting")
    bench.platform.jobs.lose_worker(job_id, reason)


def test_a_job_that_lost_its_worker_is_tried_again(bench: Bench) -> None:
    job_id = lost(bench, 2, {"UnresponsiveWorker": 1})
    ended = bench.ended(job_id)
    assert (ended["state"], ended["try"]) == ("done", 1)
    assert states(ended) == ["runnable", "running", "done"]
    assert ended["tryCreated"] > ended["created"]
    assert "failureReason" not in ended
    # Of the first try nothing is left but its description and its log.
    bench.log(job_id)
    assert bench.dx("ls").split() == ["probe", "result.txt", "text.txt"]
    assert bench.dx("cat", "result.txt") == "try 2 of text"
    first = dxpy.api.job_describe(job_id, {"try": 0})
    assert states(first) == ["runnable", "running", "restarted"]
    assert (first["state"], first["failureReason"]) == ("restarted", "UnresponsiveWorker")
    assert (first["failureMessage"], first["output"]) == (
        "The machine running the job became unresponsive",
        None,
    )
    assert first["workspace"] != ended["workspace"]
    assert first["workspace"] not in bench.platform.store.containers


def test_dx_tells_the_tries_apart(bench: Bench) -> None:
    job_id = lost(bench, 2, {"*": 1})
    bench.ended(job_id)
    assert "UnresponsiveWorker" in bench.dx("describe", job_id, "--try", "0")
    assert "UnresponsiveWorker" not in bench.dx("describe", job_id)
    bench.dx("describe", job_id, "--try", "2", status=3)
    first = bench.dx("watch", job_id, "--try", "0", "--get-stdout")
    assert first.splitlines()[1:] == ["try 1", "waiting"]
    assert bench.dx("watch", job_id, "--get-stdout").splitlines()[1:] == ["try 2"]
    by_name = ("find", "jobs", "--name", f"lost {bench.folder}")
    assert bench.dx(*by_name, "--brief") == job_id
    with_restarted = bench.dx(*by_name, "--include-restarted", "--brief")
    assert with_restarted.splitlines() == [f"{job_id} try 1", f"{job_id} try 0"]
    bench.dx("tag", job_id, "of the first", "--try", "0")
    assert dxpy.api.job_describe(job_id, {"try": 0})["tags"] == ["t", "of the first"]
    assert bench.describe(job_id)["tags"] == ["t"]


def test_pages_of_a_search_hold_each_try_once(bench: Bench) -> None:
    job_id = lost(bench, 2, {"*": 1})
    bench.ended(job_id)
    query = {"name": f"lost {bench.folder}", "includeRestarted": True, "limit": 1}
    first = dxpy.api.system_find_executions(query)
    second = dxpy.api.system_find_executions({**query, "starting": first["next"]})
    assert [page["results"] for page in (first, second)] == [
        [{"id": job_id, "try": 1}],
        [{"id": job_id, "try": 0}],
    ]
    assert second["next"] is None


def test_a_job_is_restarted_as_often_as_its_policy_says(bench: Bench) -> None:
    job_id = lost(bench, 9, {"UnresponsiveWorker": 1, "SpotInstanceInterruption": 1})
    bench.wait_for_try(job_id, 1)
    lose(bench, job_id, "SpotInstanceInterruption")
    bench.wait_for_try(job_id, 2)
    lose(bench, job_id)
    ended = bench.ended(job_id)
    assert (ended["state"], ended["try"]) == ("failed", 2)
    assert ended["failureReason"] == "UnresponsiveWorker"


def test_a_job_without_a_policy_fails_with_its_worker(bench: Bench) -> None:
    ended = bench.ended(lost(bench, 2, {}))
    assert (ended["state"], ended["failureReason"]) == ("failed", "UnresponsiveWorker")


def test_a_job_that_failed_by_itself_may_be_tried_again(bench: Bench) -> None:
    applet = bench.applet("import os; os._exit(1)", **policy({"AppInternalError": 2}))
    ended = bench.run(applet)
    assert (ended["state"], ended["try"]) == ("failed", 2)


def test_fault_found_with_the_input_is_final(bench: Bench) -> None:
    ended = bench.run(bench.applet(FAIL, **policy({"*": 3})))
    assert (ended["failureReason"], ended["try"]) == ("AppError", 0)


def test_a_run_may_have_a_policy_of_its_own(bench: Bench) -> None:
    applet = bench.applet("import os; os._exit(1)", **policy({"*": 3}))
    own = {"executionPolicy": {"restartOn": {"*": 1}}}
    assert bench.run(applet, **own)["try"] == 1


def test_a_job_that_is_restarted_can_be_terminated(bench: Bench) -> None:
    job_id = lost(bench, 9, {"*": 3})
    bench.wait_for_try(job_id, 1)
    bench.wait_for_line(job_id, "waiting")
    dxpy.api.job_terminate(job_id)
    assert bench.ended(job_id)["state"] == "terminated"


def test_only_a_running_job_can_lose_its_worker(bench: Bench) -> None:
    job_id = bench.run(bench.applet())["id"]
    with pytest.raises(ValueError, match="no worker"):
        bench.platform.jobs.lose_worker(job_id)


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
def test_a_policy_with_a_fault_is_refused(bench: Bench, faulty: dict[str, Any], words: str) -> None:
    with refused("InvalidInput", 422, words):
        bench.applet(executionPolicy=faulty)
    with refused("InvalidInput", 422, words):
        bench.start(bench.applet(), executionPolicy=faulty)
