"""Apps, made by `dx build --app` and run by name; and `dx get`, which gives a folder back."""

import json
from pathlib import Path
from typing import Any

import dxpy
import pytest

from stand_in.bench import Bench, refused

CODE = """\
import os
import dxpy
import greeting

@dxpy.entry_point("main")
def main(text):
    paths = dxpy.download_all_inputs()
    words = open(paths["text_path"][0]).read()
    assert os.environ["DX_RESOURCES_ID"].startswith("container-")
    try:
        dxpy.DXProject(os.environ["DX_PROJECT_CONTEXT_ID"]).list_folder("/")
    except dxpy.DXAPIError as error:
        seen = error.name
    try:
        dxpy.api.app_publish(dxpy.describe(dxpy.JOB_ID)["app"])
    except dxpy.DXAPIError as error:
        seen += ", " + error.name
    file = dxpy.upload_string(greeting.TEXT + words, name="said.txt")
    return {"said": dxpy.dxlink(file), "refused": seen}

dxpy.run()
"""


@pytest.fixture
def name(bench: Bench) -> str:
    """The name of an app that no other test has made."""
    return f"greeter{bench.folder.removeprefix('/')}"


@pytest.fixture
def source(bench: Bench, name: str) -> Path:
    """The folder of an app."""
    dxapp: dict[str, Any] = {
        "name": name,
        "title": "Greeter",
        "summary": "Says what its bundle holds",
        "dxapi": "1.0.0",
        "version": "1.0.0",
        "categories": ["Reports"],
        "authorizedUsers": [],
        "inputSpec": [{"name": "text", "class": "file", "patterns": ["*.txt"]}],
        "outputSpec": [
            {"name": "said", "class": "file"},
            {"name": "refused", "class": "string"},
        ],
        "runSpec": {
            "interpreter": "python3",
            "file": "src/greeter.py",
            "distribution": "Ubuntu",
            "release": "24.04",
            "version": "0",
            "systemRequirements": {"*": {"instanceType": "mem1_ssd1_v2_x2"}},
        },
    }
    bench.local_file(f"{name}/dxapp.json", json.dumps(dxapp))
    bench.local_file(f"{name}/src/greeter.py", CODE)
    bench.local_file(f"{name}/resources/home/dnanexus/greeting.py", "TEXT = 'hello '\n")
    bench.local_file(f"{name}/README.md", "# Greeter\n\nIt greets.\n")
    return bench.local / name


def change(source: Path, **fields: Any) -> None:
    path = source / "dxapp.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def build(bench: Bench, *arguments: str | Path) -> str:
    """The id of the app that `dx build` made."""
    return str(json.loads(bench.dx("build", "--app", *arguments).splitlines()[-1])["id"])


def test_an_app_is_built_and_run_by_name(bench: Bench, source: Path, name: str) -> None:
    process = bench.dx_process("build", "--app", source)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "WARNING" not in output + errors
    app_id = json.loads(output)["id"]
    text = bench.file("words.txt", "world")
    job_id = bench.dx("run", f"app-{name}", f"-itext={text}", "-y", "--brief", "--wait")
    # A job of an app neither sees the project nor changes apps.
    output = bench.describe(job_id)["output"]
    assert output["refused"] == "PermissionDenied, PermissionDenied"
    assert bench.dx("cat", "said.txt") == "hello world"
    described = bench.describe(job_id)
    assert (described["app"], described["executable"]) == (app_id, app_id)
    assert described["instanceType"] == "mem1_ssd1_v2_x2"
    # Nothing is left of the project in which it was built.
    assert bench.dx("find", "projects", "--brief") == bench.project


def test_an_app_is_described_by_name_version_and_id(bench: Bench, source: Path, name: str) -> None:
    app_id = build(bench, source)
    for target in (app_id, f"app-{name}", f"app-{name}/1.0.0", f"app-{name}/default", name):
        described = bench.dx_json("describe", target)
        assert (described["id"], described["version"]) == (app_id, "1.0.0")
    assert described["aliases"] == ["1.0.0", "default"]
    assert described["description"] == "# Greeter\n\nIt greets.\n"
    assert described["categories"] == ["Reports"]
    assert "published" not in described
    text = bench.dx("describe", f"app-{name}")
    for words in ("Greeter", "1.0.0", app_id, "Says what its bundle holds"):
        assert words in text
    assert "(unpublished)" in bench.dx("run", f"app-{name}", "--help")
    assert "No matches" in bench.dx("describe", f"app-{name}/2.0.0", status=3)


def test_a_version_is_replaced_until_it_is_published(bench: Bench, source: Path, name: str) -> None:
    first = build(bench, source)
    change(source, title="Better greeter", categories=["Statistics"])
    assert build(bench, source) == first
    described = bench.describe(first)
    assert (described["title"], described["categories"]) == ("Better greeter", ["Statistics"])
    assert bench.dx("find", "apps", "--name", name, "--brief") == ""
    bench.dx("publish", f"{name}/1.0.0")
    assert bench.dx("find", "apps", "--name", name, "--brief") == first
    assert "Could not create" in bench.dx(
        "build", "--app", "--no-version-autonumbering", source, status=3
    )
    change(source, version="1.1.0")
    second = build(bench, "--publish", source)
    assert bench.dx_json("describe", f"app-{name}")["id"] == second
    assert bench.describe(first)["aliases"] == ["1.0.0"]
    found = bench.dx("find", "apps", "--name", name, "--all", "--brief")
    assert sorted(found.split()) == sorted([first, second])
    with refused("InvalidState", 422, "published"):
        dxpy.api.app_publish(second)


def test_an_app_is_a_stage(bench: Bench, source: Path, name: str) -> None:
    build(bench, source)
    text = bench.file("words.txt", "stage")
    bench.dx("new", "workflow", "chain", "--brief")
    bench.dx("add", "stage", "chain", f"app-{name}", "--id", "one", "--brief")
    bench.dx("run", "chain", f"-ione.text={text}", "-y", "--brief", "--wait")
    assert bench.dx("cat", "said.txt") == "hello stage"


def test_a_batch_of_an_app(bench: Bench, source: Path, name: str) -> None:
    build(bench, source)
    bench.file("a.txt", "one of a batch")
    bench.dx("generate_batch_inputs", "-itext=(.*).txt$")
    arguments = ["--batch-tsv", "dx_batch.0000.tsv", "-y", "--brief"]
    assert bench.ended(bench.dx("run", f"app-{name}", *arguments))["name"] == f"{name}-a"
    assert bench.dx("cat", "said.txt") == "hello one of a batch"


def test_dx_run_does_not_choose_between_an_app_and_an_applet(
    bench: Bench, source: Path, name: str
) -> None:
    build(bench, source)
    bench.dx("build", source)
    assert "multiple" in bench.dx("run", name, "-y", "--input-json", "{}", status=3)


def test_an_applet_without_authorized_users_is_built_with_a_warning(
    bench: Bench, source: Path
) -> None:
    dxapp = json.loads((source / "dxapp.json").read_text())
    del dxapp["authorizedUsers"]
    (source / "dxapp.json").write_text(json.dumps(dxapp))
    process = bench.dx_process("build", "--app", source)
    assert "authorizedUsers is missing" in process.communicate()[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Greeter"}, "not a valid name"),
        ({"version": "1.0"}, "not a version"),
        ({"regionalOptions": {}}, "need an applet"),
        ({"regionalOptions": {"azure:westus": {"applet": "applet-" + "0" * 24}}}, "us-east-1"),
    ],
)
def test_an_app_with_a_fault_is_refused(
    bench: Bench, name: str, fields: dict[str, Any], words: str
) -> None:
    applet, without_specs = bench.applet(inputs=[], outputs=[]), bench.applet()
    body = {
        "name": name,
        "version": "1.0.0",
        "regionalOptions": {"aws:us-east-1": {"applet": applet}},
    }
    with refused("InvalidInput", 422, words):
        dxpy.api.app_new({**body, **fields})
    with refused("InvalidInput", 422, "no inputSpec"):
        dxpy.api.app_new({**body, "regionalOptions": {"aws:us-east-1": {"applet": without_specs}}})
    dxpy.api.app_new(body)
    with refused("InvalidInput", 422, "conflict"):
        dxpy.api.app_new(body)


def test_a_project_with_a_running_job_is_not_destroyed(bench: Bench) -> None:
    job_id, release = bench.held_job()
    with refused("InvalidState", 422, "still running"):
        dxpy.api.project_destroy(bench.project)
    release.touch()
    bench.ended(job_id)


# dx get


@pytest.mark.parametrize("kind", ["applet", "app"])
def test_what_dx_get_gives_back_builds_again(
    bench: Bench, source: Path, name: str, kind: str
) -> None:
    if kind == "app":
        target = f"app-{name}"
        build(bench, source)
    else:
        target = name
        bench.dx("build", source)
    again = bench.local / "again"
    again.mkdir()
    bench.dx("get", target, "-o", again)
    folder = again / name
    assert (folder / "src" / "code.py").read_text() == CODE
    bundled = folder / "resources" / "home" / "dnanexus" / "greeting.py"
    assert bundled.read_text() == "TEXT = 'hello '\n"
    assert (folder / "Readme.md").read_text() == "# Greeter\n\nIt greets.\n"
    bench.dx("mkdir", "again")
    bench.dx("build", folder, "--destination", f"{bench.folder}/again/")
    described = [
        dxpy.DXApplet(bench.dx_json("describe", f"{bench.folder}/{path}")["id"]).get()
        for path in ([name, f"again/{name}"] if kind == "applet" else [f"again/{name}"])
    ]
    if kind == "app":
        described.insert(0, dxpy.DXApp(name=name).get())
    for key in ("name", "title", "summary", "description", "inputSpec", "outputSpec"):
        assert described[0][key] == described[1][key], key
    for key in ("code", "systemRequirements", "release", "interpreter"):
        assert described[0]["runSpec"][key] == described[1]["runSpec"][key], key
