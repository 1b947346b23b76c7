"""Workflows and analyses, with `dx`."""

import json
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import FAIL, HANG_SECONDS, Client, Fields, link, refused

# Outputs its word followed by another one.
JOIN = """\
import json
given = json.load(open("job_input.json"))
print("joining", given["word"], flush=True)
json.dump({"word": given["word"] + given["tail"]}, open("job_output.json", "w"))
"""
JOIN_INPUTS: Fields = [
    {"name": "word", "class": "string"},
    {"name": "tail", "class": "string", "default": "!"},
]
WORD: Fields = [{"name": "word", "class": "string"}]
# Waits for a file, and fails if that says so.
WAIT = """\
import json, os, time
given = json.load(open("job_input.json"))
print("running", flush=True)
while not os.path.exists(given["release"]):
    time.sleep(0.01)
if open(given["release"]).read():
    error = {"type": "AppError", "message": "told to fail"}
    json.dump({"error": error}, open("job_error.json", "w"))
    raise SystemExit(1)
json.dump({"word": "waited"}, open("job_output.json", "w"))
"""
RELEASE: Fields = [{"name": "release", "class": "string"}]
SAVE = """\
import dxpy

@dxpy.entry_point("main")
def main(word):
    return {"file": dxpy.dxlink(dxpy.upload_string(word, name=word + ".txt"))}

dxpy.run()
"""


def to_output(stage: str, field: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": field}}


def to_input(stage: str, field: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "inputField": field}}


def stage(name: str, executable: str, folder: str | None = None, **inputs: Any) -> dict[str, Any]:
    return {"id": name, "executable": executable, "folder": folder, "input": inputs}


def new_workflow(client: Client, *stages: dict[str, Any], **fields: Any) -> dxpy.DXWorkflow:
    return dxpy.new_dxworkflow(
        project=client.project, folder=client.folder, name="chain", stages=list(stages), **fields
    )


def run(
    client: Client, workflow: dxpy.DXWorkflow, input: dict[str, Any] | None = None, **options: Any
) -> str:
    """Run a workflow, and give the id of the analysis."""
    options = {"project": client.project, "folder": client.folder, **options}
    return str(workflow.run(input or {}, **options).get_id())


def ended(client: Client, analysis_id: str) -> dict[str, Any]:
    analysis, changed = client.platform.jobs.analyses[analysis_id], client.platform.store.changed
    with changed:
        assert changed.wait_for(lambda: analysis.is_final, HANG_SECONDS), analysis.state
    return client.describe(analysis_id)


def jobs_of(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["id"]: stage["execution"] for stage in description["stages"]}


@pytest.fixture
def join(client: Client) -> str:
    return client.applet(JOIN, JOIN_INPUTS, WORD, name="join")


@pytest.fixture
def wait(client: Client) -> str:
    return client.applet(WAIT, RELEASE, WORD, name="wait")


# With dx


def test_dx_makes_a_workflow_and_runs_it(client: Client, join: str) -> None:
    client.dx("new", "workflow", "chain", "--title", "A chain", "--brief")
    first = client.dx("add", "stage", "chain", "join", "--name", "first", "--brief")
    word = json.dumps({"word": to_output(first, "word")})
    added = ["--name", "second", "--id", "second_one", "-itail=?", "--input-json", word]
    assert client.dx("add", "stage", "chain", join, *added, "--brief") == "second_one"
    listed = client.dx("list", "stages", "chain")
    assert f"Stage 1: second (second_one)\nExecutable      {join}" in listed
    assert f'{{"stage": "{first}", "outputField": "word"}}' in listed.replace("$", "")
    described = client.dx_json("describe", "chain")
    assert (described["title"], described["editVersion"]) == ("A chain", 2)
    assert [field["name"] for field in described["inputSpec"]] == [
        *(f"{first}.word", f"{first}.tail", "second_one.word", "second_one.tail")
    ]
    assert [field["name"] for field in described["outputSpec"]] == [
        *(f"{first}.word", "second_one.word")
    ]
    # A stage goes by its place, its name and its id; what is printed without --brief too.
    arguments = ["-i0.word=a", "-ifirst.tail=b", "-isecond_one.tail=c"]
    printed = client.dx("run", "chain", *arguments, "-y", "--wait")
    analysis_id = next(word for word in printed.split() if word.startswith("analysis-"))
    described = client.dx_json("describe", analysis_id)
    assert (described["state"], described["name"]) == ("done", "A chain")
    assert described["output"] == {f"{first}.word": "ab", "second_one.word": "abc"}
    assert described["runInput"] == {f"{first}.word": "a", f"{first}.tail": "b"} | {
        "second_one.tail": "c"
    }
    text = client.dx("describe", analysis_id)
    for words in (f"first ({first})", "second (second_one)", join, "done"):
        assert words in text


def test_dx_waits_for_an_analysis_and_fails_with_it(client: Client, wait: str) -> None:
    release = client.local_file("release", "fail")
    new_workflow(client, stage("only", wait, release=str(release)))
    printed = client.dx("run", "chain", "-y", "--brief", "--wait", status=1)
    assert "told to fail" in printed


def test_dx_watches_the_job_of_a_stage_but_no_analysis(client: Client, join: str) -> None:
    new_workflow(client, stage("only", join, word="a"))
    # It starts the analysis, and follows nothing.
    analysis_id = client.dx("run", "chain", "-y", "--brief", "--watch")
    job_id = jobs_of(ended(client, analysis_id))["only"]["id"]
    assert client.dx("watch", job_id, "--get-stdout") == "joining a"
    assert "does not look like" in client.dx("watch", analysis_id, status=1)


def test_dx_finds_analyses_and_their_jobs(client: Client, join: str) -> None:
    stages = [stage("one", join, word="a"), stage("two", join, word=to_output("one", "word"))]
    analysis_id = run(client, new_workflow(client, *stages), name=f"found {client.folder}")
    jobs = [job["id"] for job in jobs_of(ended(client, analysis_id)).values()]
    by_name = ["--name", f"found {client.folder}"]
    assert client.dx("find", "analyses", *by_name, "--brief") == analysis_id
    assert client.dx("find", "analyses", *by_name, "--state", "failed", "--brief") == ""
    found = client.dx("find", "executions", "--root", analysis_id, "--brief").split()
    assert found == [analysis_id, *reversed(jobs)]
    assert client.dx("find", "jobs", "--root", analysis_id, "--brief").split() == jobs[::-1]
    tree = client.dx("find", "executions", *by_name)
    for job_id in jobs:
        assert job_id in tree


def test_dx_terminates_an_analysis(client: Client, wait: str, join: str) -> None:
    stages = [
        stage("done", join, word="a"),
        stage("running", wait, release=str(client.local / "never")),
        stage("waiting", join, word=to_output("running", "word")),
    ]
    analysis_id = run(client, new_workflow(client, *stages))
    jobs = jobs_of(client.describe(analysis_id))
    client.ended(jobs["done"]["id"])
    client.wait_for_line(jobs["running"]["id"], "running")
    client.dx("terminate", analysis_id)
    described = ended(client, analysis_id)
    assert described["state"] == "terminated"
    assert "failureReason" not in described
    assert [job["state"] for job in jobs_of(described).values()] == [
        *("done", "terminated", "terminated")
    ]
    assert "InvalidState" in client.dx("terminate", analysis_id, status=3)


def test_outputs_go_to_the_folders_of_their_stages(client: Client) -> None:
    save = client.applet(SAVE, WORD, [{"name": "file", "class": "file"}], name="save")
    new_workflow(
        client,
        stage("plain", save, word="plain"),
        stage("relative", save, "below", word="relative"),
        stage("absolute", save, f"{client.folder}/elsewhere", word="absolute"),
        stage("moved", save, "unused", word="moved"),
        output_folder=f"{client.folder}/out",
    )
    moved = ["--stage-relative-output-folder", "moved", "there"]
    analysis_id = client.dx("run", "chain", *moved, "-y", "--brief", "--wait")
    folders = {
        name: job["folder"].removeprefix(client.folder)
        for name, job in jobs_of(client.describe(analysis_id)).items()
    }
    assert folders == {
        "plain": "/out",
        "relative": "/out/below",
        "absolute": "/elsewhere",
        "moved": "/out/there",
    }
    assert client.dx("ls", "out").split() == ["below/", "there/", "plain.txt"]
    assert client.dx("ls", "elsewhere") == "absolute.txt"


# The states of an analysis


def test_an_analysis_fails_when_its_last_stage_has_ended(
    client: Client, wait: str, join: str
) -> None:
    failing, running = client.local / "failing", client.local / "running"
    stages = [
        stage("after", join, word=to_output("failing", "word")),
        stage("failing", wait, release=str(failing)),
        stage("running", wait, release=str(running)),
    ]
    workflow = new_workflow(client, *stages)
    analysis_id = run(client, workflow)
    described = client.describe(analysis_id)
    assert (described["state"], described["output"]) == ("in_progress", None)
    jobs = jobs_of(described)
    failing.write_text("fail")
    client.wait_for_state(jobs["after"]["id"], "failed")
    described = client.describe(analysis_id)
    assert described["state"] == "partially_failed"
    assert described["failureReason"] == "AppError"
    assert described["failureMessage"] == "told to fail"
    assert described["failureFrom"]["id"] == jobs["failing"]["id"]
    with pytest.raises(dxpy.DXJobFailureError, match="told to fail"):
        dxpy.DXAnalysis(analysis_id).wait_on_done()
    running.touch()
    described = ended(client, analysis_id)
    assert (described["state"], described["output"]) == ("failed", None)
    after = jobs_of(described)["after"]
    assert after["failureReason"] == "DependencyUnsatisfiable"
    assert after["failureMessage"] == f"{jobs['failing']['id']} was a job dependency but failed"


def test_a_job_of_a_stage_knows_its_analysis(client: Client, join: str) -> None:
    stages = [stage("one", join, word="a"), stage("two", join, word=to_output("one", "word"))]
    analysis_id = run(client, new_workflow(client, *stages), priority="high")
    jobs = jobs_of(ended(client, analysis_id))
    for name, job in jobs.items():
        assert (job["analysis"], job["parentAnalysis"], job["stage"]) == (
            *(analysis_id, analysis_id),
            name,
        )
        assert (job["rootExecution"], job["originJob"]) == (analysis_id, job["id"])
        assert job["priority"] == "high"
    reference = {"$dnanexus_link": {"job": jobs["one"]["id"], "field": "word"}}
    assert jobs["two"]["originalInput"] == {"word": reference, "tail": "!"}
    assert jobs["two"]["input"] == {"word": "a!", "tail": "!"}


def test_a_job_takes_what_an_analysis_gives_out(client: Client, join: str, wait: str) -> None:
    release = client.local / "release"
    workflow = new_workflow(client, stage("one", wait, release=str(release)))
    analysis_id = run(client, workflow)
    reference = dxpy.DXAnalysis(analysis_id).get_output_ref("one.word")
    job_id = client.start(join, {"word": reference}, dependsOn=[analysis_id])
    client.wait_for_state(job_id, "waiting_on_input")
    release.touch()
    assert client.ended(job_id)["output"] == {"word": "waited!"}


def test_instance_types_come_from_the_nearest(client: Client, join: str) -> None:
    small, middle, large = (f"mem1_ssd1_v2_x{cores}" for cores in (2, 8, 16))
    stages = [stage("one", join, word="a"), stage("two", join, word="a"), stage("3rd", join)]
    stages[2] |= {"id": "three", "input": {"word": "a"}}
    for each in stages[1:]:
        each["systemRequirements"] = {"*": {"instanceType": small}}
    new_workflow(client, *stages)
    arguments = ["--instance-type", f"three={large}"]
    analysis_id = client.dx("run", "chain", *arguments, "-y", "--brief")
    types = {
        name: job["instanceType"] for name, job in jobs_of(client.describe(analysis_id)).items()
    }
    assert types == {"one": "mem1_ssd1_v2_x4", "two": small, "three": large}
    analysis_id = client.dx("run", "chain", "--instance-type", middle, "-y", "--brief")
    assert {job["instanceType"] for job in jobs_of(client.describe(analysis_id)).values()} == {
        middle
    }


# Links


def test_a_stage_takes_the_input_of_another(client: Client, join: str) -> None:
    stages = [
        stage("two", join, word=to_input("one", "word"), tail=to_input("one", "tail")),
        stage("one", join, word="bound"),
    ]
    workflow = new_workflow(client, *stages)
    described = ended(client, run(client, workflow, {"one.word": "given"}))
    assert described["output"] == {"two.word": "given!", "one.word": "given!"}


def test_links_stand_in_arrays_too(client: Client, join: str) -> None:
    echo = "import json; json.dump(json.load(open('job_input.json')), open('job_output.json', 'w'))"
    words: Fields = [{"name": "words", "class": "array:string"}]
    collect = client.applet(echo, words, words, name="collect")
    workflow = new_workflow(
        client,
        stage("one", join, word="a"),
        stage("two", collect, words=[to_output("one", "word"), to_input("one", "word"), "c"]),
        stage("three", collect, words=[to_output("two", "words"), "d"]),
    )
    output = ended(client, run(client, workflow))["output"]
    assert output["three.words"] == ["a!", "a", "c", "d"]


# Refusals


def test_only_the_latest_version_is_edited(client: Client, join: str) -> None:
    workflow = new_workflow(client)
    first = workflow.add_stage(join)
    assert workflow.editVersion == 1
    with refused("InvalidState", 422, "edit version 1"):
        workflow.add_stage(join, edit_version=0)
    second = workflow.add_stage(join, edit_version=1)
    assert [each["id"] for each in workflow.stages] == [first, second]
    # What is refused has changed nothing.
    assert workflow.describe()["editVersion"] == 2


@pytest.mark.parametrize("field", ["initializeFrom", "inputs", "outputs"])
def test_a_workflow_that_this_platform_does_not_have_is_refused(client: Client, field: str) -> None:
    body = {"project": client.project, "name": "x", field: [{"name": "a", "class": "string"}]}
    with refused("InvalidInput", 422, field):
        dxpy.api.workflow_new(body)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "one"}, "already"),
        ({"id": "1"}, "not a valid stage id"),
        ({"executable": "applet-" + "0" * 24}, "could not be found"),
        ({"executable": "join"}, "not an applet or app"),
        ({"input": {"colour": "red"}}, "colour"),
        ({"input": {"word": 1}}, "not of class string"),
        ({"input": ["word"]}, "input"),
        ({"name": 1}, "name"),
        ({"systemRequirements": {"*": {"instanceType": "huge"}}}, "huge"),
    ],
)
def test_a_stage_with_a_fault_is_refused(
    client: Client, join: str, changes: dict[str, Any], words: str
) -> None:
    workflow = new_workflow(client, stage("one", join))
    body = {"executable": join, "editVersion": 0, **changes}
    with pytest.raises(dxpy.DXAPIError, match=words):
        dxpy.api.workflow_add_stage(workflow.get_id(), body)


@pytest.mark.parametrize(
    ("word", "given", "words"),
    [
        (None, {}, "stage one: .*'word' is required"),
        ("a", {"one.colour": "red"}, "stage one: .*'colour' is not in the specification"),
        ("a", {"two.word": "a"}, "'two.word' is not an input of a stage"),
        ("a", {"word": "a"}, "'word' is not an input of a stage"),
        (to_output("two", "word"), {}, "has a link to two"),
        (to_output("one", "word"), {}, "wait for each other"),
    ],
)
def test_a_run_with_a_fault_is_refused(
    client: Client, join: str, word: Any, given: dict[str, Any], words: str
) -> None:
    inputs = {} if word is None else {"word": word}
    workflow = new_workflow(client, stage("one", join, **inputs))
    body = {"project": client.project, "input": given}
    for call in (dxpy.api.workflow_run, dxpy.api.workflow_dry_run):
        with pytest.raises(dxpy.exceptions.InvalidInput, match=words):
            call(workflow.get_id(), body)
    assert not [job for job in client.platform.jobs.by_id.values() if job.executable.id == join]


def test_a_link_to_no_output_is_refused(client: Client, join: str) -> None:
    stages = [stage("one", join, word="a"), stage("two", join, word=to_output("one", "colour"))]
    workflow = new_workflow(client, *stages)
    with refused("InvalidInput", 422, "no output colour"):
        run(client, workflow)


def test_a_workflow_without_its_applet_is_not_run(client: Client, join: str) -> None:
    workflow = new_workflow(client, stage("one", join, word="a"))
    client.dx("rm", "join")
    assert "inaccessible" in client.dx("list", "stages", "chain")
    assert "inaccessible" in client.dx("run", "chain", "-y", status=3)
    with refused("ResourceNotFound", 404, join):
        run(client, workflow)


def test_a_workflow_without_stages_is_not_run(client: Client) -> None:
    workflow = new_workflow(client)
    with refused("InvalidState", 422, "no stages"):
        run(client, workflow)


def test_an_input_that_is_gone_stops_every_stage(client: Client, join: str) -> None:
    inputs: Fields = [{"name": "file", "class": "file"}]
    read = client.applet(FAIL, inputs, name="read")
    workflow = new_workflow(client, stage("one", join, word="a"), stage("two", read))
    with refused("ResourceNotFound", 404, "0" * 24):
        run(client, workflow, {"two.file": link("file-" + "0" * 24)})
    assert client.dx("find", "jobs", "--executable", join, "--brief") == ""
