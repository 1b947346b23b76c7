"""Jobs that are made of other jobs: entry points of one executable, on workers of their own."""

import json
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client, Fields, refused, states, wait_until

# Lets a subjob for each word make a file, and another one join what they say.
SPLIT = """\
import time
import dxpy

@dxpy.entry_point("main")
def main(words, wait=False):
    parts = [dxpy.new_dxjob({"word": word}, "part") for word in words]
    said = [part.get_output_ref("said") for part in parts]
    joined = dxpy.new_dxjob({"said": said}, "join", name="joins")
    if wait:
        time.sleep(3600)
    return {"file": joined.get_output_ref("file")}

@dxpy.entry_point("part")
def part(word):
    print("part", word, flush=True)
    if word == "fail":
        raise dxpy.AppError("this part cannot be done")
    if word == "wait":
        time.sleep(3600)
    return {"said": {"word": word}}

@dxpy.entry_point("join")
def join(said):
    text = " ".join(part["word"] for part in said)
    return {"file": dxpy.dxlink(dxpy.upload_string(text, name="joined.txt"))}

dxpy.run()
"""
INPUTS: Fields = [
    {"name": "words", "class": "array:string"},
    {"name": "wait", "class": "boolean", "default": False},
]
OUTPUTS: Fields = [{"name": "file", "class": "file"}]


def split(client: Client, *words: str, wait: bool = False, **run_spec: Any) -> str:
    applet = client.applet(SPLIT, INPUTS, OUTPUTS, name="split", **run_spec)
    return client.start(applet, {"words": list(words), "wait": wait})


def parts_of(client: Client, job_id: str) -> list[dict[str, Any]]:
    found = dxpy.find_executions(origin_job=job_id, describe=True)
    parts = [dict(each["describe"]) for each in found if each["describe"]["parentJob"] == job_id]
    return sorted(parts, key=lambda part: part["created"])


def wait_for_part(client: Client, job_id: str, word: str) -> str:
    """Wait until the part for a word has begun, and give its id."""
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


def test_what_subjobs_say_comes_together_in_the_job_that_began_them(client: Client) -> None:
    requirements = {
        "*": {"instanceType": "mem1_ssd1_v2_x2"},
        "part": {"instanceType": "mem1_ssd1_v2_x8"},
    }
    job_id = split(client, "one", "two", systemRequirements=requirements)
    ended = client.ended(job_id)
    assert ended["state"] == "done"
    assert states(ended) == ["runnable", "running", "waiting_on_output", "done"]
    assert client.dx("cat", "joined.txt") == "one two"
    *parts, join = parts_of(client, job_id)
    assert [part["function"] for part in parts] == ["part", "part"]
    assert [part["instanceType"] for part in parts] == ["mem1_ssd1_v2_x8"] * 2
    assert (join["name"], join["instanceType"]) == ("joins", "mem1_ssd1_v2_x2")
    assert (join["rootExecution"], join["workspace"]) == (job_id, ended["workspace"])
    assert join["input"] == {"said": [{"word": "one"}, {"word": "two"}]}
    assert "joins" in client.dx("find", "jobs", "--origin", job_id)


def test_whoever_runs_a_job_chooses_for_its_subjobs_too(client: Client) -> None:
    client.applet(SPLIT, INPUTS, OUTPUTS, name="split")
    chosen = {"main": "mem1_ssd1_v2_x2", "part": "mem1_ssd1_v2_x16"}
    arguments = ["-iwords=one", "--instance-type", json.dumps(chosen), "-y", "--brief"]
    job_id = client.dx("run", "split", *arguments).strip()
    assert client.ended(job_id)["instanceType"] == "mem1_ssd1_v2_x2"
    part, join = parts_of(client, job_id)
    assert part["instanceType"] == "mem1_ssd1_v2_x16"
    # Nobody has chosen, so that it is what the platform gives.
    assert join["instanceType"] == "mem1_ssd1_v2_x4"


def test_what_subjobs_make_is_in_the_project_only_if_the_job_gives_it_out(
    client: Client,
) -> None:
    client.ended(split(client, "one"))
    assert client.dx("ls").split() == ["joined.txt", "split"]


@pytest.mark.parametrize("wait", [False, True], ids=["ended", "still running"])
def test_a_subjob_that_fails_fails_the_job_and_ends_all_others(client: Client, wait: bool) -> None:
    job_id = split(client, "fail", "wait", wait=wait)
    ended = client.ended(job_id)
    assert (ended["state"], ended["failureReason"]) == ("failed", "AppError")
    assert ended["failureMessage"] == "this part cannot be done"
    failed = next(part for part in parts_of(client, job_id) if part["input"] == {"word": "fail"})
    assert ended["failureFrom"]["id"] == failed["id"]
    for part in parts_of(client, job_id):
        client.wait_for_state(part["id"], "failed" if part["id"] == failed["id"] else "terminated")


POLICY: dict[str, Any] = {"executionPolicy": {"restartOn": {"UnresponsiveWorker": 1}}}


def test_a_subjob_that_lost_its_worker_is_tried_again_by_itself(client: Client) -> None:
    job_id = split(client, "wait", "one", restartableEntryPoints="all", **POLICY)
    part = wait_for_part(client, job_id, "wait")
    client.platform.jobs.lose_worker(part)
    client.wait_for_try(part, 1)
    client.wait_for_line(part, "part wait")
    others = [one for one in parts_of(client, job_id) if one["id"] != part]
    assert [one["try"] for one in others] == [0, 0]
    client.platform.jobs.lose_worker(part)
    ended = client.ended(job_id)
    assert (ended["failureReason"], ended["try"]) == ("UnresponsiveWorker", 0)


def test_by_default_the_whole_job_is_tried_again_with_new_subjobs(client: Client) -> None:
    job_id = split(client, "wait", "one", **POLICY)
    first = wait_for_part(client, job_id, "wait")
    client.platform.jobs.lose_worker(first)
    client.wait_for_try(job_id, 1)
    assert client.job(first).try_number == 0
    for part in parts_of(client, job_id)[:3]:
        client.wait_for_state(part["id"], "failed", "terminated", "done")
    wait_until(lambda: len(parts_of(client, job_id)) == 6)
    assert [part["parentJobTry"] for part in parts_of(client, job_id)] == [0] * 3 + [1] * 3
    # What is left of the first try is nothing that the second one waits for.
    client.wait_for_state(job_id, "waiting_on_output")
    client.dx("terminate", job_id)


def test_a_job_that_is_tried_again_ends_the_subjobs_that_it_has_started(client: Client) -> None:
    job_id = split(client, "wait", wait=True, restartableEntryPoints="all", **POLICY)
    first = wait_for_part(client, job_id, "wait")
    client.platform.jobs.lose_worker(job_id)
    client.wait_for_try(job_id, 1)
    client.wait_for_state(first, "terminated")
    client.dx("terminate", job_id)


def test_a_job_that_waits_for_its_subjobs_has_no_worker_to_lose(client: Client) -> None:
    job_id = split(client, "wait", restartableEntryPoints="all", **POLICY)
    wait_for_part(client, job_id, "wait")
    client.wait_for_state(job_id, "waiting_on_output")
    with pytest.raises(ValueError, match="no worker"):
        client.platform.jobs.lose_worker(job_id)
    client.dx("terminate", job_id)


def test_to_terminate_a_job_ends_its_subjobs(client: Client) -> None:
    job_id = split(client, "wait")
    part = wait_for_part(client, job_id, "wait")
    client.dx("terminate", job_id)
    client.wait_for_state(part, "terminated")
    assert client.ended(job_id)["state"] == "terminated"


def test_only_a_job_can_have_subjobs(client: Client) -> None:
    status, _ = client.request("/job/new", {"function": "part", "input": {}})
    assert status == 401


# Makes output of a length, and gives it to another one.
LONG = """\
import dxpy

@dxpy.entry_point("main")
def main(characters, times=1):
    parts = [dxpy.new_dxjob({"characters": characters}, "part") for _ in range(times)]
    said = [part.get_output_ref("said") for part in parts]
    return {"heard": dxpy.new_dxjob({"said": said}, "hear").get_output_ref("heard")}

@dxpy.entry_point("part")
def part(characters):
    return {"said": "x" * characters}

@dxpy.entry_point("hear")
def hear(said):
    return {"heard": sum(map(len, said))}

dxpy.run()
"""


@pytest.mark.parametrize(
    ("characters", "times", "reason", "what"),
    [
        (99_000, 1, None, ""),
        (100_000, 1, "OutputError", "output"),
        (60_000, 2, "InputError", "input"),
    ],
    ids=["within the limit", "an output over it", "outputs that are an input over it"],
)
def test_input_and_output_of_a_job_are_limited(
    client: Client, characters: int, times: int, reason: str | None, what: str
) -> None:
    applet = client.applet(LONG, outputs=[{"name": "heard", "class": "int"}])
    ended = client.run(applet, {"characters": characters, "times": times})
    assert ended.get("failureReason") == reason
    if reason:
        assert f"the {what} is 1" in ended["failureMessage"]
        assert "characters of JSON, more than 100,000" in ended["failureMessage"]
    else:
        assert ended["output"] == {"heard": characters}


def test_an_input_that_is_too_long_is_refused_at_once(client: Client) -> None:
    with refused("InvalidInput", 422, "the input is 1"):
        client.start(client.applet(LONG), {"text": "x" * 100_000})
