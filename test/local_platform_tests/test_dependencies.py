"""Jobs that use the outputs of other jobs, or depend on them."""

import json
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import FAIL, Client, Fields, output_ref, rejected, states

# Outputs files, numbers and a word, at once or when its release file exists.
MAKE = """\
import os, time
import dxpy

@dxpy.entry_point("main")
def main(count, release=None):
    while release is not None and not os.path.exists(release):
        time.sleep(0.01)
    files = [dxpy.upload_string(str(n), name=f"{n}.txt").get_id() for n in range(count)]
    return {"texts": [dxpy.dxlink(file) for file in files], "numbers": list(range(count)),
            "word": "text"}

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
# Outputs the contents of its input files.
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
# Outputs the JSON that it gets as input.
ECHO = """\
import json
job_input = json.load(open("job_input.json"))
json.dump(json.loads(job_input["output"]), open("job_output.json", "w"))
"""
# The digits of an ID that no object has.
UNUSED_ID = "0" * 24


@pytest.fixture
def make(client: Client) -> str:
    return client.applet(MAKE, MAKE_INPUTS, MAKE_OUTPUTS, name="make")


@pytest.fixture
def read(client: Client) -> str:
    return client.applet(READ, READ_INPUTS, READ_OUTPUTS, name="read")


# References


def test_a_job_waits_for_the_outputs_that_its_input_references(
    client: Client, make: str, read: str
) -> None:
    release = client.local / "release"
    first = client.start(make, {"release": str(release)})
    arguments = [f"-itexts={first}:texts.1", f"-itexts={first}:texts", f"-iword={first}:word"]
    second = client.dx("run", "read", *arguments, "-y", "--brief")
    client.wait_for_state(second, "waiting_on_input")
    references = {
        "texts": [output_ref(first, "texts", 1), output_ref(first, "texts")],
        "word": output_ref(first, "word"),
    }
    assert client.describe(second)["input"] == references
    release.touch()
    job = client.wait_for_end(second)
    assert job["output"]["read"] == ["1", "0", "1"]
    assert states(job) == ["waiting_on_input", "runnable", "running", "done"]
    texts = client.describe(first)["output"]["texts"]
    assert job["input"] == {"texts": [texts[1], *texts], "word": "text"}
    assert job["originalInput"] == job["runInput"] == references
    assert f"{first}:texts.1" in client.dx("describe", second)


def test_a_reference_to_a_finished_job_is_resolved_at_once(
    client: Client, make: str, read: str
) -> None:
    first = client.run(make)["id"]
    job = client.run(read, {"texts": output_ref(first, "texts")})
    assert job["output"]["read"] == ["0", "1"]
    assert states(job) == ["runnable", "running", "done"]


def test_a_reference_created_by_dxpy_is_resolved(client: Client, make: str, read: str) -> None:
    first = dxpy.DXApplet(make).run({}, project=client.project, folder=client.folder)
    second = dxpy.DXApplet(read).run(
        {"texts": [first.get_output_ref("texts", index=0)]},
        project=client.project,
        folder=client.folder,
    )
    assert client.wait_for_end(second.get_id())["output"]["read"] == ["0"]


UNRESOLVABLE: dict[str, tuple[dict[str, Any], str]] = {
    "missing field": ({"field": "colour"}, "no colour"),
    "missing element": ({"field": "texts", "index": 2}, "no texts.2"),
    "index into a string": ({"field": "word", "index": 0}, "no word.0"),
    "wrong class": ({"field": "numbers"}, "DNAnexus links"),
}


@pytest.mark.parametrize("case", UNRESOLVABLE)
def test_an_unresolvable_reference_in_the_input_fails_the_job(
    client: Client, make: str, read: str, case: str
) -> None:
    reference, message = UNRESOLVABLE[case]
    first = client.start(make)
    job = client.run(read, {"texts": {"$dnanexus_link": {"job": first, **reference}}})
    assert (job["state"], job["failureReason"]) == ("failed", "InputError")
    assert message in job["failureMessage"]
    assert "running" not in states(job)


def test_a_reference_to_a_missing_job_is_rejected(client: Client, read: str) -> None:
    with rejected("ResourceNotFound", 404, UNUSED_ID):
        client.start(read, {"texts": output_ref(f"job-{UNUSED_ID}", "texts")})


@pytest.mark.parametrize(
    "reference", [{"field": "texts", "index": -1}, {"field": "texts", "colour": 1}, {}]
)
def test_a_malformed_reference_is_rejected(
    client: Client, make: str, read: str, reference: dict[str, Any]
) -> None:
    first = client.start(make)
    with rejected("InvalidInput", 422, "DNAnexus links"):
        client.start(read, {"texts": [{"$dnanexus_link": {"job": first, **reference}}]})


def test_a_job_can_output_references_to_the_outputs_of_another(client: Client, make: str) -> None:
    release = client.local / "release"
    first = client.start(make, {"release": str(release)})
    echo = client.applet(ECHO, [{"name": "output", "class": "string"}], MAKE_OUTPUTS)
    output = {name: output_ref(first, name) for name in ("texts", "numbers", "word")}
    second = client.start(echo, {"output": json.dumps(output)})
    client.wait_for_state(second, "waiting_on_output")
    release.touch()
    job = client.wait_for_end(second)
    assert job["output"] == client.describe(first)["output"]
    assert states(job) == ["runnable", "running", "waiting_on_output", "done"]


def test_an_unresolvable_reference_in_the_output_fails_the_job(client: Client, make: str) -> None:
    first = client.run(make)["id"]
    echo = client.applet(ECHO, [{"name": "output", "class": "string"}])
    for job_id, message in ((first, "no colour"), (f"job-{UNUSED_ID}", "could not be found")):
        output = json.dumps({"value": output_ref(job_id, "colour")})
        job = client.run(echo, {"output": output})
        assert (job["state"], job["failureReason"]) == ("failed", "OutputError")
        assert message in job["failureMessage"]


# Dependencies


def test_a_job_waits_for_the_job_that_it_depends_on(client: Client) -> None:
    first, release = client.start_held_job()
    second = client.start(client.applet(), dependsOn=[first])
    client.wait_for_state(second, "waiting_on_input")
    release.touch()
    job = client.wait_for_end(second)
    assert states(job) == ["waiting_on_input", "runnable", "running", "done"]
    assert job["startedRunning"] >= client.describe(first)["stoppedRunning"]


@pytest.mark.usefixtures("slow_closing")
def test_a_job_waits_for_the_file_that_it_depends_on(client: Client) -> None:
    file = dxpy.upload_string("text", folder=client.folder, project=client.project)
    job_id = client.start(client.applet(), dependsOn=[file.get_id()])
    assert states(client.wait_for_end(job_id))[0] == "waiting_on_input"


def test_dx_run_depends_on_delays_the_job(client: Client) -> None:
    first, release = client.start_held_job()
    client.applet(name="second")
    second = client.dx("run", "second", "--depends-on", first, "-y", "--brief")
    client.wait_for_state(second, "waiting_on_input")
    assert client.describe(second)["dependsOn"] == [first]
    release.touch()
    assert client.wait_for_end(second)["state"] == "done"


# A job depends on another through a reference in its input or through dependsOn.
DEPENDENCIES = ["input", "dependsOn"]


def start_dependent(client: Client, first: str, dependency: str) -> str:
    """Starts a job that depends on the first one; returns its ID."""
    if dependency == "input":
        return client.start(client.applet(), {"value": output_ref(first, "field")})
    return client.start(client.applet(), dependsOn=[first])


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_a_job_fails_if_its_dependency_fails(client: Client, dependency: str) -> None:
    first = client.start(client.applet(FAIL))
    job = client.wait_for_end(start_dependent(client, first, dependency))
    assert (job["state"], job["failureReason"]) == ("failed", "DependencyUnsatisfiable")
    assert job["failureMessage"] == f"{first} was a job dependency but failed"
    assert "runnable" not in states(job)


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_a_job_fails_if_its_dependency_is_terminated(client: Client, dependency: str) -> None:
    first, _ = client.start_held_job()
    second = start_dependent(client, first, dependency)
    third = start_dependent(client, second, dependency)
    for job_id in (second, third):
        client.wait_for_state(job_id, "waiting_on_input")
    dxpy.api.job_terminate(first)
    for job_id in (second, third):
        assert client.wait_for_end(job_id)["failureReason"] == "DependencyUnsatisfiable"


def test_a_job_fails_as_soon_as_one_of_its_dependencies_fails(client: Client) -> None:
    running, release = client.start_held_job()
    failed = client.start(client.applet(FAIL))
    job = client.run(client.applet(), dependsOn=[running, failed])
    assert job["failureReason"] == "DependencyUnsatisfiable"
    assert client.describe(running)["state"] == "running"
    release.touch()
