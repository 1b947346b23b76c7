"""Jobs that take what other jobs give out, or wait for them."""

import json
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import FAIL, Client, Fields, output_of, refused, states

# Outputs files, numbers and a word, at once or when it is released.
MAKE = """\
import os, time
import dxpy

@dxpy.entry_point("main")
def main(count, release=None):
    while release is not None and not os.path.exists(release):
        time.sleep(0.01)
    files = [dxpy.upload_string(str(n), name=f"{n}.txt").get_id() for n in range(count)]
    return {"texts": [dxpy.dxlink(file) for file in files], "numbers": list(range(count)),
            "word": "made"}

dxpy.run()
"""
MAKE_INPUTS: Fields = [
    {"name": "count", "class": "int", "default": 2},
    {"name": "release", "class": "string", "optional": True},
]
MAKE_OUTPUTS: Fields = [
    {"name": "texts", "class": "array:file"},
    {"name": "numbers", "class": "array:int"},
    {"name": "word", "class": "string"},
]
# Reads the files that it was given.
READ = """\
import dxpy

@dxpy.entry_point("main")
def main(texts, word=None):
    return {"read": [dxpy.DXFile(text).read() for text in texts]}

dxpy.run()
"""
READ_INPUTS: Fields = [
    {"name": "texts", "class": "array:file"},
    {"name": "word", "class": "string", "optional": True},
]
READ_OUTPUTS: Fields = [{"name": "read", "class": "array:string"}]
# Outputs what it is told to.
ECHO = """\
import json
given = json.load(open("job_input.json"))
json.dump(json.loads(given["output"]), open("job_output.json", "w"))
"""
NOWHERE = "0" * 24


@pytest.fixture
def make(client: Client) -> str:
    return client.applet(MAKE, MAKE_INPUTS, MAKE_OUTPUTS, name="make")


@pytest.fixture
def read(client: Client) -> str:
    return client.applet(READ, READ_INPUTS, READ_OUTPUTS, name="read")


# References


def test_a_job_takes_what_another_will_give_out(client: Client, make: str, read: str) -> None:
    release = client.local / "release"
    first = client.start(make, {"release": str(release)})
    arguments = [f"-itexts={first}:texts.1", f"-itexts={first}:texts", f"-iword={first}:word"]
    second = client.dx("run", "read", *arguments, "-y", "--brief")
    client.wait_for_state(second, "waiting_on_input")
    references = {
        "texts": [output_of(first, "texts", 1), output_of(first, "texts")],
        "word": output_of(first, "word"),
    }
    assert client.describe(second)["input"] == references
    release.touch()
    ended = client.ended(second)
    assert ended["output"]["read"] == ["1", "0", "1"]
    assert states(ended) == ["waiting_on_input", "runnable", "running", "done"]
    made = client.describe(first)["output"]["texts"]
    assert ended["input"] == {"texts": [made[1], *made], "word": "made"}
    assert ended["originalInput"] == ended["runInput"] == references
    assert f"{first}:texts.1" in client.dx("describe", second)


def test_a_reference_is_good_after_the_job_has_ended(client: Client, make: str, read: str) -> None:
    first = client.run(make)["id"]
    ended = client.run(read, {"texts": output_of(first, "texts")})
    assert ended["output"]["read"] == ["0", "1"]
    assert states(ended) == ["runnable", "running", "done"]


def test_a_reference_of_dxpy_is_one(client: Client, make: str, read: str) -> None:
    first = dxpy.DXApplet(make).run({}, project=client.project, folder=client.folder)
    second = dxpy.DXApplet(read).run(
        {"texts": [first.get_output_ref("texts", index=0)]},
        project=client.project,
        folder=client.folder,
    )
    assert client.ended(second.get_id())["output"]["read"] == ["0"]


UNRESOLVABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no such field": ({"field": "colour"}, "no colour"),
    "no such element": ({"field": "texts", "index": 2}, "no texts.2"),
    "an element of no array": ({"field": "word", "index": 0}, "no word.0"),
    "another class": ({"field": "numbers"}, "DNAnexus links"),
}


@pytest.mark.parametrize("what", UNRESOLVABLE)
def test_a_reference_to_nothing_fails_the_job(
    client: Client, make: str, read: str, what: str
) -> None:
    reference, words = UNRESOLVABLE[what]
    first = client.start(make)
    ended = client.run(read, {"texts": {"$dnanexus_link": {"job": first, **reference}}})
    assert (ended["state"], ended["failureReason"]) == ("failed", "InputError")
    assert words in ended["failureMessage"]
    assert "running" not in states(ended)


def test_a_reference_to_no_job_is_refused(client: Client, read: str) -> None:
    with refused("ResourceNotFound", 404, NOWHERE):
        client.start(read, {"texts": output_of(f"job-{NOWHERE}", "texts")})


@pytest.mark.parametrize(
    "reference", [{"field": "texts", "index": -1}, {"field": "texts", "colour": 1}, {}]
)
def test_a_malformed_reference_is_refused(
    client: Client, make: str, read: str, reference: dict[str, Any]
) -> None:
    first = client.start(make)
    with refused("InvalidInput", 422, "DNAnexus links"):
        client.start(read, {"texts": [{"$dnanexus_link": {"job": first, **reference}}]})


def test_a_job_gives_out_what_another_does(client: Client, make: str) -> None:
    release = client.local / "release"
    first = client.start(make, {"release": str(release)})
    echo = client.applet(ECHO, [{"name": "output", "class": "string"}], MAKE_OUTPUTS)
    output = {name: output_of(first, name) for name in ("texts", "numbers", "word")}
    second = client.start(echo, {"output": json.dumps(output)})
    client.wait_for_state(second, "waiting_on_output")
    release.touch()
    ended = client.ended(second)
    assert ended["output"] == client.describe(first)["output"]
    assert states(ended) == ["runnable", "running", "waiting_on_output", "done"]


def test_an_output_that_refers_to_nothing_fails_the_job(client: Client, make: str) -> None:
    first = client.run(make)["id"]
    echo = client.applet(ECHO, [{"name": "output", "class": "string"}])
    for job_id, words in ((first, "no colour"), (f"job-{NOWHERE}", "could not be found")):
        output = json.dumps({"given": output_of(job_id, "colour")})
        ended = client.run(echo, {"output": output})
        assert (ended["state"], ended["failureReason"]) == ("failed", "OutputError")
        assert words in ended["failureMessage"]


# Dependencies


def test_a_job_waits_for_the_job_that_it_depends_on(client: Client) -> None:
    first, release = client.held_job()
    second = client.start(client.applet(), dependsOn=[first])
    client.wait_for_state(second, "waiting_on_input")
    release.touch()
    ended = client.ended(second)
    assert states(ended) == ["waiting_on_input", "runnable", "running", "done"]
    assert ended["startedRunning"] >= client.describe(first)["stoppedRunning"]


@pytest.mark.usefixtures("slow_closing")
def test_a_job_waits_for_the_file_that_it_depends_on(client: Client) -> None:
    file = dxpy.upload_string("text", folder=client.folder, project=client.project)
    job_id = client.start(client.applet(), dependsOn=[file.get_id()])
    assert states(client.ended(job_id))[0] == "waiting_on_input"


def test_run_passes_dependencies_on(client: Client) -> None:
    first, release = client.held_job()
    client.applet(name="second")
    second = client.dx("run", "second", "--depends-on", first, "-y", "--brief")
    client.wait_for_state(second, "waiting_on_input")
    assert client.describe(second)["dependsOn"] == [first]
    release.touch()
    assert client.ended(second)["state"] == "done"


# How a job comes to wait for another: by a reference, or by dependsOn.
WAYS = ["input", "dependsOn"]


def waiting_for(client: Client, first: str, way: str, **options: Any) -> str:
    if way == "input":
        return client.start(client.applet(), {"given": output_of(first, "field")}, **options)
    return client.start(client.applet(), dependsOn=[first], **options)


@pytest.mark.parametrize("way", WAYS)
def test_a_job_fails_with_the_job_that_it_waits_for(client: Client, way: str) -> None:
    first = client.start(client.applet(FAIL))
    ended = client.ended(waiting_for(client, first, way))
    assert (ended["state"], ended["failureReason"]) == ("failed", "DependencyUnsatisfiable")
    assert ended["failureMessage"] == f"{first} was a job dependency but failed"
    assert "runnable" not in states(ended)


@pytest.mark.parametrize("way", WAYS)
def test_a_job_fails_when_the_job_that_it_waits_for_is_terminated(client: Client, way: str) -> None:
    first, _ = client.held_job()
    second = waiting_for(client, first, way)
    third = waiting_for(client, second, way)
    for job_id in (second, third):
        client.wait_for_state(job_id, "waiting_on_input")
    dxpy.api.job_terminate(first)
    for job_id in (second, third):
        assert client.ended(job_id)["failureReason"] == "DependencyUnsatisfiable"


def test_a_job_does_not_wait_for_the_others_when_one_has_failed(client: Client) -> None:
    running, release = client.held_job()
    failed = client.start(client.applet(FAIL))
    ended = client.run(client.applet(), dependsOn=[running, failed])
    assert ended["failureReason"] == "DependencyUnsatisfiable"
    assert client.describe(running)["state"] == "running"
    release.touch()
