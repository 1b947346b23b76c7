"""Apps, built with `dx build --app` and run by name; and `dx get`."""

import json
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client, rejected

CODE = """\
import os
import dxpy
import greeting

@dxpy.entry_point("main")
def main(text):
    paths = dxpy.download_all_inputs()
    text = open(paths["text_path"][0]).read()
    assert os.environ["DX_RESOURCES_ID"].startswith("container-")
    try:
        dxpy.DXProject(os.environ["DX_PROJECT_CONTEXT_ID"]).list_folder("/")
    except dxpy.DXAPIError as error:
        errors = error.name
    try:
        dxpy.api.app_publish(dxpy.describe(dxpy.JOB_ID)["app"])
    except dxpy.DXAPIError as error:
        errors += ", " + error.name
    file = dxpy.upload_string(greeting.TEXT + text, name="greeting.txt")
    return {"greeting": dxpy.dxlink(file), "errors": errors}

dxpy.run()
"""


@pytest.fixture
def name(client: Client) -> str:
    """Returns an app name that no other test uses."""
    return f"greeter{client.folder.removeprefix('/')}"


@pytest.fixture
def source(client: Client, name: str) -> Path:
    """Writes the source folder of an app; returns its path."""
    dxapp: dict[str, Any] = {
        "name": name,
        "title": "Greeter",
        "summary": "Prints a greeting from its bundle",
        "dxapi": "1.0.0",
        "version": "1.0.0",
        "categories": ["Reports"],
        "authorizedUsers": [],
        "inputSpec": [{"name": "text", "class": "file", "patterns": ["*.txt"]}],
        "outputSpec": [
            {"name": "greeting", "class": "file"},
            {"name": "errors", "class": "string"},
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


def update_dxapp(source: Path, **fields: Any) -> None:
    path = source / "dxapp.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def build(client: Client, *arguments: str | Path) -> str:
    """Builds an app with `dx build --app`; returns its ID."""
    return str(json.loads(client.dx("build", "--app", *arguments).splitlines()[-1])["id"])


def test_an_app_is_built_and_run_by_name(client: Client, source: Path, name: str) -> None:
    process = client.dx_process("build", "--app", source)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "WARNING" not in output + errors
    app_id = json.loads(output)["id"]
    text = client.file("words.txt", "world")
    job_id = client.dx("run", f"app-{name}", f"-itext={text}", "-y", "--brief", "--wait")
    # A job of an app may neither list the project nor publish the app.
    output = client.describe(job_id)["output"]
    assert output["errors"] == "PermissionDenied, PermissionDenied"
    assert client.dx("cat", "greeting.txt") == "hello world"
    description = client.describe(job_id)
    assert (description["app"], description["executable"]) == (app_id, app_id)
    assert description["instanceType"] == "mem1_ssd1_v2_x2"
    # dx has removed the temporary project in which it built the app.
    assert client.dx("find", "projects", "--brief") == client.project


def test_describe_accepts_the_name_version_and_id_of_an_app(
    client: Client, source: Path, name: str
) -> None:
    app_id = build(client, source)
    for target in (app_id, f"app-{name}", f"app-{name}/1.0.0", f"app-{name}/default", name):
        description = client.dx_json("describe", target)
        assert (description["id"], description["version"]) == (app_id, "1.0.0")
    assert description["aliases"] == ["1.0.0", "default"]
    assert description["description"] == "# Greeter\n\nIt greets.\n"
    assert description["categories"] == ["Reports"]
    assert "published" not in description
    text = client.dx("describe", f"app-{name}")
    for expected in ("Greeter", "1.0.0", app_id, "Prints a greeting from its bundle"):
        assert expected in text
    assert "(unpublished)" in client.dx("run", f"app-{name}", "--help")
    assert "No matches" in client.dx("describe", f"app-{name}/2.0.0", status=3)


def test_a_version_can_be_rebuilt_until_it_is_published(
    client: Client, source: Path, name: str
) -> None:
    first = build(client, source)
    update_dxapp(source, title="Better greeter", categories=["Statistics"])
    assert build(client, source) == first
    description = client.describe(first)
    assert (description["title"], description["categories"]) == ("Better greeter", ["Statistics"])
    assert client.dx("find", "apps", "--name", name, "--brief") == ""
    client.dx("publish", f"{name}/1.0.0")
    assert client.dx("find", "apps", "--name", name, "--brief") == first
    assert "Could not create" in client.dx(
        "build", "--app", "--no-version-autonumbering", source, status=3
    )
    update_dxapp(source, version="1.1.0")
    second = build(client, "--publish", source)
    assert client.dx_json("describe", f"app-{name}")["id"] == second
    assert client.describe(first)["aliases"] == ["1.0.0"]
    found = client.dx("find", "apps", "--name", name, "--all", "--brief")
    assert sorted(found.split()) == sorted([first, second])
    with rejected("InvalidState", 422, "published"):
        dxpy.api.app_publish(second)


def test_an_app_can_be_a_workflow_stage(client: Client, source: Path, name: str) -> None:
    build(client, source)
    text = client.file("words.txt", "stage")
    client.dx("new", "workflow", "chain", "--brief")
    client.dx("add", "stage", "chain", f"app-{name}", "--id", "one", "--brief")
    client.dx("run", "chain", f"-ione.text={text}", "-y", "--brief", "--wait")
    assert client.dx("cat", "greeting.txt") == "hello stage"


def test_an_app_runs_as_a_batch(client: Client, source: Path, name: str) -> None:
    build(client, source)
    client.file("a.txt", "one of a batch")
    client.dx("generate_batch_inputs", "-itext=(.*).txt$")
    arguments = ["--batch-tsv", "dx_batch.0000.tsv", "-y", "--brief"]
    assert client.wait_for_end(client.dx("run", f"app-{name}", *arguments))["name"] == f"{name}-a"
    assert client.dx("cat", "greeting.txt") == "hello one of a batch"


def test_dx_run_rejects_a_name_shared_by_an_app_and_an_applet(
    client: Client, source: Path, name: str
) -> None:
    build(client, source)
    client.dx("build", source)
    assert "multiple" in client.dx("run", name, "-y", "--input-json", "{}", status=3)


def test_building_an_app_without_authorized_users_prints_a_warning(
    client: Client, source: Path
) -> None:
    dxapp = json.loads((source / "dxapp.json").read_text())
    del dxapp["authorizedUsers"]
    (source / "dxapp.json").write_text(json.dumps(dxapp))
    process = client.dx_process("build", "--app", source)
    assert "authorizedUsers is missing" in process.communicate()[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Greeter"}, "not a valid name"),
        ({"version": "1.0"}, "not a version"),
        ({"regionalOptions": {}}, "need an applet"),
        ({"regionalOptions": {"azure:westus": {"applet": "applet-" + "0" * 24}}}, "us-east-1"),
    ],
)
def test_an_invalid_app_is_rejected(
    client: Client, name: str, fields: dict[str, Any], message: str
) -> None:
    applet, without_specs = client.applet(inputs=[], outputs=[]), client.applet()
    body = {
        "name": name,
        "version": "1.0.0",
        "regionalOptions": {"aws:us-east-1": {"applet": applet}},
    }
    with rejected("InvalidInput", 422, message):
        dxpy.api.app_new({**body, **fields})
    with rejected("InvalidInput", 422, "no inputSpec"):
        dxpy.api.app_new({**body, "regionalOptions": {"aws:us-east-1": {"applet": without_specs}}})
    dxpy.api.app_new(body)
    with rejected("InvalidInput", 422, "conflict"):
        dxpy.api.app_new(body)


def test_a_project_with_a_running_job_cannot_be_destroyed(client: Client) -> None:
    job_id, release = client.start_held_job()
    with rejected("InvalidState", 422, "still running"):
        dxpy.api.project_destroy(client.project)
    release.touch()
    client.wait_for_end(job_id)


# dx get


@pytest.mark.parametrize("kind", ["applet", "app"])
def test_a_folder_written_by_dx_get_can_be_built(
    client: Client, source: Path, name: str, kind: str
) -> None:
    if kind == "app":
        target = f"app-{name}"
        build(client, source)
    else:
        target = name
        client.dx("build", source)
    copies = client.local / "copies"
    copies.mkdir()
    client.dx("get", target, "-o", copies)
    folder = copies / name
    assert (folder / "src" / "code.py").read_text() == CODE
    bundled = folder / "resources" / "home" / "dnanexus" / "greeting.py"
    assert bundled.read_text() == "TEXT = 'hello '\n"
    assert (folder / "Readme.md").read_text() == "# Greeter\n\nIt greets.\n"
    client.dx("mkdir", "rebuilt")
    client.dx("build", folder, "--destination", f"{client.folder}/rebuilt/")
    descriptions = [
        dxpy.DXApplet(client.dx_json("describe", f"{client.folder}/{path}")["id"]).get()
        for path in ([name, f"rebuilt/{name}"] if kind == "applet" else [f"rebuilt/{name}"])
    ]
    if kind == "app":
        descriptions.insert(0, dxpy.DXApp(name=name).get())
    for key in ("name", "title", "summary", "description", "inputSpec", "outputSpec"):
        assert descriptions[0][key] == descriptions[1][key], key
    for key in ("code", "systemRequirements", "release", "interpreter"):
        assert descriptions[0]["runSpec"][key] == descriptions[1]["runSpec"][key], key
