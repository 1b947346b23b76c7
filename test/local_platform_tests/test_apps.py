"""Apps, made by `dx build --app` and run by name; and `dx get`, which gives a folder back."""

import json
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client, refused

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
def name(client: Client) -> str:
    """The name of an app that no other test has made."""
    return f"greeter{client.folder.removeprefix('/')}"


@pytest.fixture
def source(client: Client, name: str) -> Path:
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
    client.local_file(f"{name}/dxapp.json", json.dumps(dxapp))
    client.local_file(f"{name}/src/greeter.py", CODE)
    client.local_file(f"{name}/resources/home/dnanexus/greeting.py", "TEXT = 'hello '\n")
    client.local_file(f"{name}/README.md", "# Greeter\n\nIt greets.\n")
    return client.local / name


def change(source: Path, **fields: Any) -> None:
    path = source / "dxapp.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def build(client: Client, *arguments: str | Path) -> str:
    """The id of the app that `dx build` made."""
    return str(json.loads(client.dx("build", "--app", *arguments).splitlines()[-1])["id"])


def test_an_app_is_built_and_run_by_name(client: Client, source: Path, name: str) -> None:
    process = client.dx_process("build", "--app", source)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "WARNING" not in output + errors
    app_id = json.loads(output)["id"]
    text = client.file("words.txt", "world")
    job_id = client.dx("run", f"app-{name}", f"-itext={text}", "-y", "--brief", "--wait")
    # A job of an app neither sees the project nor changes apps.
    output = client.describe(job_id)["output"]
    assert output["refused"] == "PermissionDenied, PermissionDenied"
    assert client.dx("cat", "said.txt") == "hello world"
    described = client.describe(job_id)
    assert (described["app"], described["executable"]) == (app_id, app_id)
    assert described["instanceType"] == "mem1_ssd1_v2_x2"
    # Nothing is left of the project in which it was built.
    assert client.dx("find", "projects", "--brief") == client.project


def test_an_app_is_described_by_name_version_and_id(
    client: Client, source: Path, name: str
) -> None:
    app_id = build(client, source)
    for target in (app_id, f"app-{name}", f"app-{name}/1.0.0", f"app-{name}/default", name):
        described = client.dx_json("describe", target)
        assert (described["id"], described["version"]) == (app_id, "1.0.0")
    assert described["aliases"] == ["1.0.0", "default"]
    assert described["description"] == "# Greeter\n\nIt greets.\n"
    assert described["categories"] == ["Reports"]
    assert "published" not in described
    text = client.dx("describe", f"app-{name}")
    for words in ("Greeter", "1.0.0", app_id, "Says what its bundle holds"):
        assert words in text
    assert "(unpublished)" in client.dx("run", f"app-{name}", "--help")
    assert "No matches" in client.dx("describe", f"app-{name}/2.0.0", status=3)


def test_a_version_is_replaced_until_it_is_published(
    client: Client, source: Path, name: str
) -> None:
    first = build(client, source)
    change(source, title="Better greeter", categories=["Statistics"])
    assert build(client, source) == first
    described = client.describe(first)
    assert (described["title"], described["categories"]) == ("Better greeter", ["Statistics"])
    assert client.dx("find", "apps", "--name", name, "--brief") == ""
    client.dx("publish", f"{name}/1.0.0")
    assert client.dx("find", "apps", "--name", name, "--brief") == first
    assert "Could not create" in client.dx(
        "build", "--app", "--no-version-autonumbering", source, status=3
    )
    change(source, version="1.1.0")
    second = build(client, "--publish", source)
    assert client.dx_json("describe", f"app-{name}")["id"] == second
    assert client.describe(first)["aliases"] == ["1.0.0"]
    found = client.dx("find", "apps", "--name", name, "--all", "--brief")
    assert sorted(found.split()) == sorted([first, second])
    with refused("InvalidState", 422, "published"):
        dxpy.api.app_publish(second)


def test_an_app_is_a_stage(client: Client, source: Path, name: str) -> None:
    build(client, source)
    text = client.file("words.txt", "stage")
    client.dx("new", "workflow", "chain", "--brief")
    client.dx("add", "stage", "chain", f"app-{name}", "--id", "one", "--brief")
    client.dx("run", "chain", f"-ione.text={text}", "-y", "--brief", "--wait")
    assert client.dx("cat", "said.txt") == "hello stage"


def test_a_batch_of_an_app(client: Client, source: Path, name: str) -> None:
    build(client, source)
    client.file("a.txt", "one of a batch")
    client.dx("generate_batch_inputs", "-itext=(.*).txt$")
    arguments = ["--batch-tsv", "dx_batch.0000.tsv", "-y", "--brief"]
    assert client.ended(client.dx("run", f"app-{name}", *arguments))["name"] == f"{name}-a"
    assert client.dx("cat", "said.txt") == "hello one of a batch"


def test_dx_run_does_not_choose_between_an_app_and_an_applet(
    client: Client, source: Path, name: str
) -> None:
    build(client, source)
    client.dx("build", source)
    assert "multiple" in client.dx("run", name, "-y", "--input-json", "{}", status=3)


def test_an_applet_without_authorized_users_is_built_with_a_warning(
    client: Client, source: Path
) -> None:
    dxapp = json.loads((source / "dxapp.json").read_text())
    del dxapp["authorizedUsers"]
    (source / "dxapp.json").write_text(json.dumps(dxapp))
    process = client.dx_process("build", "--app", source)
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
    client: Client, name: str, fields: dict[str, Any], words: str
) -> None:
    applet, without_specs = client.applet(inputs=[], outputs=[]), client.applet()
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


def test_a_project_with_a_running_job_is_not_destroyed(client: Client) -> None:
    job_id, release = client.held_job()
    with refused("InvalidState", 422, "still running"):
        dxpy.api.project_destroy(client.project)
    release.touch()
    client.ended(job_id)


# dx get


@pytest.mark.parametrize("kind", ["applet", "app"])
def test_what_dx_get_gives_back_builds_again(
    client: Client, source: Path, name: str, kind: str
) -> None:
    if kind == "app":
        target = f"app-{name}"
        build(client, source)
    else:
        target = name
        client.dx("build", source)
    again = client.local / "again"
    again.mkdir()
    client.dx("get", target, "-o", again)
    folder = again / name
    assert (folder / "src" / "code.py").read_text() == CODE
    bundled = folder / "resources" / "home" / "dnanexus" / "greeting.py"
    assert bundled.read_text() == "TEXT = 'hello '\n"
    assert (folder / "Readme.md").read_text() == "# Greeter\n\nIt greets.\n"
    client.dx("mkdir", "again")
    client.dx("build", folder, "--destination", f"{client.folder}/again/")
    described = [
        dxpy.DXApplet(client.dx_json("describe", f"{client.folder}/{path}")["id"]).get()
        for path in ([name, f"again/{name}"] if kind == "applet" else [f"again/{name}"])
    ]
    if kind == "app":
        described.insert(0, dxpy.DXApp(name=name).get())
    for key in ("name", "title", "summary", "description", "inputSpec", "outputSpec"):
        assert described[0][key] == described[1][key], key
    for key in ("code", "systemRequirements", "release", "interpreter"):
        assert described[0]["runSpec"][key] == described[1]["runSpec"][key], key
