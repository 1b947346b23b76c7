"""Workflows and analyses."""

import json
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import FAIL, HANG_SECONDS, Client, Fields, link, rejected

# Outputs its word with the tail appended.
JOIN = """\
import json
job_input = json.load(open("job_input.json"))
print("joining", job_input["word"], flush=True)
json.dump({"word": job_input["word"] + job_input["tail"]}, open("job_output.json", "w"))
"""
JOIN_INPUTS: Fields = [
    {"name": "word", "class": "string"},
    {"name": "tail", "class": "string", "default": "!"},
]
WORD: Fields = [{"name": "word", "class": "string"}]
# Waits for a file to appear, and fails if it is not empty.
WAIT = """\
import json, os, time
release = json.load(open("job_input.json"))["release"]
print("running", flush=True)
while not os.path.exists(release):
    time.sleep(0.01)
if open(release).read():
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


def link_to_output(stage: str, field: str) -> dict[str, Any]:
    return {"$dnanexus_link": {"stage": stage, "outputField": field}}


def link_to_input(stage: str, field: str) -> dict[str, Any]:
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
    """Runs a workflow; returns the ID of the analysis."""
    options = {"project": client.project, "folder": client.folder, **options}
    return str(workflow.run(input or {}, **options).get_id())


def wait_for_analysis(client: Client, analysis_id: str) -> dict[str, Any]:
    """Waits until an analysis has ended; returns its description."""
    analysis, changed = client.platform.jobs.analyses[analysis_id], client.platform.store.changed
    with changed:
        assert changed.wait_for(lambda: analysis.is_final, HANG_SECONDS), analysis.state
    return client.describe(analysis_id)


def stage_jobs(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the descriptions of an analysis's jobs by stage."""
    return {stage["id"]: stage["execution"] for stage in description["stages"]}


@pytest.fixture
def join(client: Client) -> str:
    return client.applet(JOIN, JOIN_INPUTS, WORD, name="join")


@pytest.fixture
def wait(client: Client) -> str:
    return client.applet(WAIT, RELEASE, WORD, name="wait")


# With dx


def test_dx_creates_and_runs_a_workflow(client: Client, join: str) -> None:
    client.dx("new", "workflow", "chain", "--title", "A chain", "--brief")
    first = client.dx("add", "stage", "chain", "join", "--name", "first", "--brief")
    word = json.dumps({"word": link_to_output(first, "word")})
    options = ["--name", "second", "--id", "second_one", "-itail=?", "--input-json", word]
    assert client.dx("add", "stage", "chain", join, *options, "--brief") == "second_one"
    listed = client.dx("list", "stages", "chain")
    assert f"Stage 1: second (second_one)\nExecutable      {join}" in listed
    assert f'{{"stage": "{first}", "outputField": "word"}}' in listed.replace("$", "")
    description = client.dx_json("describe", "chain")
    assert (description["title"], description["editVersion"]) == ("A chain", 2)
    assert [field["name"] for field in description["inputSpec"]] == [
        *(f"{first}.word", f"{first}.tail", "second_one.word", "second_one.tail")
    ]
    assert [field["name"] for field in description["outputSpec"]] == [
        *(f"{first}.word", "second_one.word")
    ]
    # A stage can be given by its number, name or ID. Without --brief, dx prints more than the ID.
    arguments = ["-i0.word=a", "-ifirst.tail=b", "-isecond_one.tail=c"]
    printed = client.dx("run", "chain", *arguments, "-y", "--wait")
    analysis_id = next(word for word in printed.split() if word.startswith("analysis-"))
    description = client.dx_json("describe", analysis_id)
    assert (description["state"], description["name"]) == ("done", "A chain")
    assert description["output"] == {f"{first}.word": "ab", "second_one.word": "abc"}
    assert description["runInput"] == {f"{first}.word": "a", f"{first}.tail": "b"} | {
        "second_one.tail": "c"
    }
    text = client.dx("describe", analysis_id)
    for expected in (f"first ({first})", "second (second_one)", join, "done"):
        assert expected in text


def test_run_wait_fails_if_the_analysis_fails(client: Client, wait: str) -> None:
    release = client.local_file("release", "fail")
    new_workflow(client, stage("only", wait, release=str(release)))
    printed = client.dx("run", "chain", "-y", "--brief", "--wait", status=1)
    assert "told to fail" in printed


def test_dx_watch_follows_the_job_of_a_stage_but_not_an_analysis(client: Client, join: str) -> None:
    new_workflow(client, stage("only", join, word="a"))
    # `dx run --watch` starts the analysis but does not follow it.
    analysis_id = client.dx("run", "chain", "-y", "--brief", "--watch")
    job_id = stage_jobs(wait_for_analysis(client, analysis_id))["only"]["id"]
    assert client.dx("watch", job_id, "--get-stdout") == "joining a"
    assert "does not look like" in client.dx("watch", analysis_id, status=1)


def test_dx_finds_analyses_and_their_jobs(client: Client, join: str) -> None:
    stages = [stage("one", join, word="a"), stage("two", join, word=link_to_output("one", "word"))]
    analysis_id = run(client, new_workflow(client, *stages), name=f"found {client.folder}")
    jobs = [job["id"] for job in stage_jobs(wait_for_analysis(client, analysis_id)).values()]
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
        stage("waiting", join, word=link_to_output("running", "word")),
    ]
    analysis_id = run(client, new_workflow(client, *stages))
    jobs = stage_jobs(client.describe(analysis_id))
    client.wait_for_end(jobs["done"]["id"])
    client.wait_for_line(jobs["running"]["id"], "running")
    client.dx("terminate", analysis_id)
    description = wait_for_analysis(client, analysis_id)
    assert description["state"] == "terminated"
    assert "failureReason" not in description
    assert [job["state"] for job in stage_jobs(description).values()] == [
        *("done", "terminated", "terminated")
    ]
    assert "InvalidState" in client.dx("terminate", analysis_id, status=3)


def test_outputs_go_to_the_folders_of_their_stages(client: Client) -> None:
    save = client.applet(SAVE, WORD, [{"name": "file", "class": "file"}], name="save")
    new_workflow(
        client,
        stage("plain", save, word="plain"),
        stage("relative", save, "subfolder", word="relative"),
        stage("absolute", save, f"{client.folder}/elsewhere", word="absolute"),
        stage("moved", save, "unused", word="moved"),
        output_folder=f"{client.folder}/out",
    )
    options = ["--stage-relative-output-folder", "moved", "moved"]
    analysis_id = client.dx("run", "chain", *options, "-y", "--brief", "--wait")
    folders = {
        name: job["folder"].removeprefix(client.folder)
        for name, job in stage_jobs(client.describe(analysis_id)).items()
    }
    assert folders == {
        "plain": "/out",
        "relative": "/out/subfolder",
        "absolute": "/elsewhere",
        "moved": "/out/moved",
    }
    assert client.dx("ls", "out").split() == ["moved/", "subfolder/", "plain.txt"]
    assert client.dx("ls", "elsewhere") == "absolute.txt"


# The states of an analysis


def test_an_analysis_is_partially_failed_until_its_last_stage_has_ended(
    client: Client, wait: str, join: str
) -> None:
    failing, running = client.local / "failing", client.local / "running"
    stages = [
        stage("after", join, word=link_to_output("failing", "word")),
        stage("failing", wait, release=str(failing)),
        stage("running", wait, release=str(running)),
    ]
    workflow = new_workflow(client, *stages)
    analysis_id = run(client, workflow)
    description = client.describe(analysis_id)
    assert (description["state"], description["output"]) == ("in_progress", None)
    jobs = stage_jobs(description)
    failing.write_text("fail")
    client.wait_for_state(jobs["after"]["id"], "failed")
    description = client.describe(analysis_id)
    assert description["state"] == "partially_failed"
    assert description["failureReason"] == "AppError"
    assert description["failureMessage"] == "told to fail"
    assert description["failureFrom"]["id"] == jobs["failing"]["id"]
    with pytest.raises(dxpy.DXJobFailureError, match="told to fail"):
        dxpy.DXAnalysis(analysis_id).wait_on_done()
    running.touch()
    description = wait_for_analysis(client, analysis_id)
    assert (description["state"], description["output"]) == ("failed", None)
    after = stage_jobs(description)["after"]
    assert after["failureReason"] == "DependencyUnsatisfiable"
    assert after["failureMessage"] == f"{jobs['failing']['id']} was a job dependency but failed"


def test_the_job_of_a_stage_refers_to_its_analysis(client: Client, join: str) -> None:
    stages = [stage("one", join, word="a"), stage("two", join, word=link_to_output("one", "word"))]
    analysis_id = run(client, new_workflow(client, *stages), priority="high")
    jobs = stage_jobs(wait_for_analysis(client, analysis_id))
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


def test_a_job_can_use_the_output_of_an_analysis(client: Client, join: str, wait: str) -> None:
    release = client.local / "release"
    workflow = new_workflow(client, stage("one", wait, release=str(release)))
    analysis_id = run(client, workflow)
    reference = dxpy.DXAnalysis(analysis_id).get_output_ref("one.word")
    job_id = client.start(join, {"word": reference}, dependsOn=[analysis_id])
    client.wait_for_state(job_id, "waiting_on_input")
    release.touch()
    assert client.wait_for_end(job_id)["output"] == {"word": "waited!"}


def test_the_instance_type_of_a_run_overrides_that_of_a_stage(client: Client, join: str) -> None:
    small, middle, large = (f"mem1_ssd1_v2_x{cores}" for cores in (2, 8, 16))
    stages = [stage(name, join, word="a") for name in ("one", "two", "three")]
    for each in stages[1:]:
        each["systemRequirements"] = {"*": {"instanceType": small}}
    new_workflow(client, *stages)
    arguments = ["--instance-type", f"three={large}"]
    analysis_id = client.dx("run", "chain", *arguments, "-y", "--brief")
    types = {
        name: job["instanceType"] for name, job in stage_jobs(client.describe(analysis_id)).items()
    }
    assert types == {"one": "mem1_ssd1_v2_x4", "two": small, "three": large}
    analysis_id = client.dx("run", "chain", "--instance-type", middle, "-y", "--brief")
    assert {job["instanceType"] for job in stage_jobs(client.describe(analysis_id)).values()} == {
        middle
    }


# Links


def test_a_stage_can_use_the_input_of_another(client: Client, join: str) -> None:
    stages = [
        stage("two", join, word=link_to_input("one", "word"), tail=link_to_input("one", "tail")),
        stage("one", join, word="bound"),
    ]
    workflow = new_workflow(client, *stages)
    description = wait_for_analysis(client, run(client, workflow, {"one.word": "given"}))
    assert description["output"] == {"two.word": "given!", "one.word": "given!"}


def test_arrays_can_contain_links(client: Client, join: str) -> None:
    echo = "import json; json.dump(json.load(open('job_input.json')), open('job_output.json', 'w'))"
    words: Fields = [{"name": "words", "class": "array:string"}]
    collect = client.applet(echo, words, words, name="collect")
    workflow = new_workflow(
        client,
        stage("one", join, word="a"),
        stage(
            "two", collect, words=[link_to_output("one", "word"), link_to_input("one", "word"), "c"]
        ),
        stage("three", collect, words=[link_to_output("two", "words"), "d"]),
    )
    output = wait_for_analysis(client, run(client, workflow))["output"]
    assert output["three.words"] == ["a!", "a", "c", "d"]


# Rejected requests


def test_only_the_latest_edit_version_can_be_edited(client: Client, join: str) -> None:
    workflow = new_workflow(client)
    first = workflow.add_stage(join)
    assert workflow.editVersion == 1
    with rejected("InvalidState", 422, "edit version 1"):
        workflow.add_stage(join, edit_version=0)
    second = workflow.add_stage(join, edit_version=1)
    assert [each["id"] for each in workflow.stages] == [first, second]
    # The rejected edit changed nothing.
    assert workflow.describe()["editVersion"] == 2


@pytest.mark.parametrize("field", ["initializeFrom", "inputs", "outputs"])
def test_unsupported_workflow_fields_are_rejected(client: Client, field: str) -> None:
    body = {"project": client.project, "name": "x", field: [{"name": "a", "class": "string"}]}
    with rejected("InvalidInput", 422, field):
        dxpy.api.workflow_new(body)


@pytest.mark.parametrize(
    ("changes", "message"),
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
def test_an_invalid_stage_is_rejected(
    client: Client, join: str, changes: dict[str, Any], message: str
) -> None:
    workflow = new_workflow(client, stage("one", join))
    body = {"executable": join, "editVersion": 0, **changes}
    with pytest.raises(dxpy.DXAPIError, match=message):
        dxpy.api.workflow_add_stage(workflow.get_id(), body)


@pytest.mark.parametrize(
    ("word", "run_input", "message"),
    [
        (None, {}, "stage one: .*'word' is required"),
        ("a", {"one.colour": "red"}, "stage one: .*'colour' is not in the specification"),
        ("a", {"two.word": "a"}, "'two.word' is not an input of a stage"),
        ("a", {"word": "a"}, "'word' is not an input of a stage"),
        (link_to_output("two", "word"), {}, "has a link to two"),
        (link_to_output("one", "word"), {}, "wait for each other"),
    ],
)
def test_an_invalid_run_is_rejected_and_starts_no_job(
    client: Client, join: str, word: Any, run_input: dict[str, Any], message: str
) -> None:
    inputs = {} if word is None else {"word": word}
    workflow = new_workflow(client, stage("one", join, **inputs))
    body = {"project": client.project, "input": run_input}
    for call in (dxpy.api.workflow_run, dxpy.api.workflow_dry_run):
        with pytest.raises(dxpy.exceptions.InvalidInput, match=message):
            call(workflow.get_id(), body)
    assert not [job for job in client.platform.jobs.by_id.values() if job.executable.id == join]


def test_a_link_to_a_missing_output_is_rejected(client: Client, join: str) -> None:
    missing = link_to_output("one", "colour")
    stages = [stage("one", join, word="a"), stage("two", join, word=missing)]
    workflow = new_workflow(client, *stages)
    with rejected("InvalidInput", 422, "no output colour"):
        run(client, workflow)


def test_a_workflow_whose_applet_was_removed_cannot_run(client: Client, join: str) -> None:
    workflow = new_workflow(client, stage("one", join, word="a"))
    client.dx("rm", "join")
    assert "inaccessible" in client.dx("list", "stages", "chain")
    assert "inaccessible" in client.dx("run", "chain", "-y", status=3)
    with rejected("ResourceNotFound", 404, join):
        run(client, workflow)


def test_a_workflow_without_stages_cannot_run(client: Client) -> None:
    workflow = new_workflow(client)
    with rejected("InvalidState", 422, "no stages"):
        run(client, workflow)


def test_a_missing_input_file_prevents_all_stages_from_starting(client: Client, join: str) -> None:
    inputs: Fields = [{"name": "file", "class": "file"}]
    read = client.applet(FAIL, inputs, name="read")
    workflow = new_workflow(client, stage("one", join, word="a"), stage("two", read))
    with rejected("ResourceNotFound", 404, "0" * 24):
        run(client, workflow, {"two.file": link("file-" + "0" * 24)})
    assert client.dx("find", "jobs", "--executable", join, "--brief") == ""
