"""Subjobs: entry points of one executable that run as separate jobs on their own workers."""

import json
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client, Fields, rejected, states, wait_until

# Starts a subjob for each word, and one that joins their outputs in a file.
SPLIT = """\
import time
import dxpy

@dxpy.entry_point("main")
def main(words, wait=False):
    parts = [dxpy.new_dxjob({"word": word}, "part") for word in words]
    results = [part.get_output_ref("result") for part in parts]
    joined = dxpy.new_dxjob({"results": results}, "join", name="joins")
    if wait:
        time.sleep(3600)
    return {"file": joined.get_output_ref("file")}

@dxpy.entry_point("part")
def part(word):
    print("part", word, flush=True)
    if word == "fail":
        raise dxpy.AppError("this part fails")
    if word == "wait":
        time.sleep(3600)
    return {"result": {"word": word}}

@dxpy.entry_point("join")
def join(results):
    text = " ".join(result["word"] for result in results)
    return {"file": dxpy.dxlink(dxpy.upload_string(text, name="joined.txt"))}

dxpy.run()
"""
INPUTS: Fields = [
    {"name": "words", "class": "array:string"},
    {"name": "wait", "class": "boolean", "default": False},
]
OUTPUTS: Fields = [{"name": "file", "class": "file"}]


def start_split(client: Client, *words: str, wait: bool = False, **run_spec: Any) -> str:
    """Starts a job of SPLIT; returns its ID."""
    applet = client.applet(SPLIT, INPUTS, OUTPUTS, name="split", **run_spec)
    return client.start(applet, {"words": list(words), "wait": wait})


def subjobs_of(client: Client, job_id: str) -> list[dict[str, Any]]:
    """Returns the descriptions of a job's subjobs in the order in which they were created."""
    results = dxpy.find_executions(origin_job=job_id, describe=True)
    jobs = [dict(result["describe"]) for result in results]
    subjobs = [job for job in jobs if job["parentJob"] == job_id]
    return sorted(subjobs, key=lambda job: job["created"])


def wait_for_part(client: Client, job_id: str, word: str) -> str:
    """Waits until the subjob for a word is running; returns its ID."""
    jobs, changed = client.platform.jobs, client.platform.store.changed
    with changed:
        assert changed.wait_for(
            lambda: any(
                job.parent is not None and job.parent.id == job_id and job.input == {"word": word}
                for job in jobs.by_id.values()
            ),
            30,
        )
        part = next(
            job.id
            for job in jobs.by_id.values()
            if job.parent is not None and job.parent.id == job_id and job.input == {"word": word}
        )
    client.wait_for_line(part, f"part {word}")
    return part


def test_a_job_combines_the_outputs_of_its_subjobs(client: Client) -> None:
    requirements = {
        "*": {"instanceType": "mem1_ssd1_v2_x2"},
        "part": {"instanceType": "mem1_ssd1_v2_x8"},
    }
    job_id = start_split(client, "one", "two", systemRequirements=requirements)
    job = client.wait_for_end(job_id)
    assert job["state"] == "done"
    assert states(job) == ["runnable", "running", "waiting_on_output", "done"]
    assert client.dx("cat", "joined.txt") == "one two"
    *parts, join = subjobs_of(client, job_id)
    assert [part["function"] for part in parts] == ["part", "part"]
    assert [part["instanceType"] for part in parts] == ["mem1_ssd1_v2_x8"] * 2
    assert (join["name"], join["instanceType"]) == ("joins", "mem1_ssd1_v2_x2")
    assert (join["rootExecution"], join["workspace"]) == (job_id, job["workspace"])
    assert join["input"] == {"results": [{"word": "one"}, {"word": "two"}]}
    assert "joins" in client.dx("find", "jobs", "--origin", job_id)


def test_run_sets_the_instance_type_of_each_entry_point(client: Client) -> None:
    client.applet(SPLIT, INPUTS, OUTPUTS, name="split")
    instance_types = {"main": "mem1_ssd1_v2_x2", "part": "mem1_ssd1_v2_x16"}
    arguments = ["-iwords=one", "--instance-type", json.dumps(instance_types), "-y", "--brief"]
    job_id = client.dx("run", "split", *arguments).strip()
    assert client.wait_for_end(job_id)["instanceType"] == "mem1_ssd1_v2_x2"
    part, join = subjobs_of(client, job_id)
    assert part["instanceType"] == "mem1_ssd1_v2_x16"
    # Not specified, so this is the platform's default.
    assert join["instanceType"] == "mem1_ssd1_v2_x4"


def test_only_files_that_the_job_outputs_are_in_the_project(
    client: Client,
) -> None:
    client.wait_for_end(start_split(client, "one"))
    assert client.dx("ls").split() == ["joined.txt", "split"]


@pytest.mark.parametrize("wait", [False, True], ids=["parent has run", "parent is running"])
def test_a_failed_subjob_fails_the_job_and_terminates_the_others(
    client: Client, wait: bool
) -> None:
    job_id = start_split(client, "fail", "wait", wait=wait)
    job = client.wait_for_end(job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "AppError")
    assert job["failureMessage"] == "this part fails"
    failed = next(part for part in subjobs_of(client, job_id) if part["input"] == {"word": "fail"})
    assert job["failureFrom"]["id"] == failed["id"]
    for part in subjobs_of(client, job_id):
        client.wait_for_state(part["id"], "failed" if part["id"] == failed["id"] else "terminated")


POLICY: dict[str, Any] = {"executionPolicy": {"restartOn": {"UnresponsiveWorker": 1}}}


def test_if_all_entry_points_are_restartable_only_the_lost_subjob_restarts(client: Client) -> None:
    job_id = start_split(client, "wait", "one", restartableEntryPoints="all", **POLICY)
    part = wait_for_part(client, job_id, "wait")
    client.platform.jobs.lose_worker(part)
    client.wait_for_try(part, 1)
    client.wait_for_line(part, "part wait")
    others = [job for job in subjobs_of(client, job_id) if job["id"] != part]
    assert [job["try"] for job in others] == [0, 0]
    client.platform.jobs.lose_worker(part)
    job = client.wait_for_end(job_id)
    assert (job["failureReason"], job["try"]) == ("UnresponsiveWorker", 0)


def test_by_default_the_whole_job_is_restarted_with_new_subjobs(client: Client) -> None:
    job_id = start_split(client, "wait", "one", **POLICY)
    first = wait_for_part(client, job_id, "wait")
    client.platform.jobs.lose_worker(first)
    client.wait_for_try(job_id, 1)
    assert client.job(first).try_number == 0
    for part in subjobs_of(client, job_id)[:3]:
        client.wait_for_state(part["id"], "failed", "terminated", "done")
    wait_until(lambda: len(subjobs_of(client, job_id)) == 6)
    assert [part["parentJobTry"] for part in subjobs_of(client, job_id)] == [0] * 3 + [1] * 3
    # The second try does not wait for subjobs of the first.
    client.wait_for_state(job_id, "waiting_on_output")
    client.dx("terminate", job_id)


def test_a_restarted_job_terminates_the_subjobs_of_its_earlier_try(client: Client) -> None:
    job_id = start_split(client, "wait", wait=True, restartableEntryPoints="all", **POLICY)
    first = wait_for_part(client, job_id, "wait")
    client.platform.jobs.lose_worker(job_id)
    client.wait_for_try(job_id, 1)
    client.wait_for_state(first, "terminated")
    client.dx("terminate", job_id)


def test_a_job_that_waits_for_its_subjobs_has_no_worker(client: Client) -> None:
    job_id = start_split(client, "wait", restartableEntryPoints="all", **POLICY)
    wait_for_part(client, job_id, "wait")
    client.wait_for_state(job_id, "waiting_on_output")
    with pytest.raises(ValueError, match="no worker"):
        client.platform.jobs.lose_worker(job_id)
    client.dx("terminate", job_id)


def test_terminating_a_job_terminates_its_subjobs(client: Client) -> None:
    job_id = start_split(client, "wait")
    part = wait_for_part(client, job_id, "wait")
    client.dx("terminate", job_id)
    client.wait_for_state(part, "terminated")
    assert client.wait_for_end(job_id)["state"] == "terminated"


def test_only_a_job_can_start_subjobs(client: Client) -> None:
    status, _ = client.request("/job/new", {"function": "part", "input": {}})
    assert status == 401


# Starts subjobs that each output a text of the given length, and one that takes all of the texts.
LONG = """\
import dxpy

@dxpy.entry_point("main")
def main(characters, times=1):
    parts = [dxpy.new_dxjob({"characters": characters}, "part") for _ in range(times)]
    texts = [part.get_output_ref("text") for part in parts]
    return {"length": dxpy.new_dxjob({"texts": texts}, "measure").get_output_ref("length")}

@dxpy.entry_point("part")
def part(characters):
    return {"text": "x" * characters}

@dxpy.entry_point("measure")
def measure(texts):
    return {"length": sum(map(len, texts))}

dxpy.run()
"""


@pytest.mark.parametrize(
    ("characters", "times", "reason", "field"),
    [
        (99_000, 1, None, ""),
        (100_000, 1, "OutputError", "output"),
        (60_000, 2, "InputError", "input"),
    ],
    ids=["within the limit", "output too long", "input too long"],
)
def test_the_length_of_a_jobs_input_and_output_is_limited(
    client: Client, characters: int, times: int, reason: str | None, field: str
) -> None:
    applet = client.applet(LONG, outputs=[{"name": "length", "class": "int"}])
    job = client.run(applet, {"characters": characters, "times": times})
    assert job.get("failureReason") == reason
    if reason:
        assert f"the {field} is 1" in job["failureMessage"]
        assert "characters of JSON, more than 100,000" in job["failureMessage"]
    else:
        assert job["output"] == {"length": characters}


def test_a_run_whose_input_is_too_long_is_rejected(client: Client) -> None:
    with rejected("InvalidInput", 422, "the input is 1"):
        client.start(client.applet(LONG), {"text": "x" * 100_000})
