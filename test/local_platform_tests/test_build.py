"""`dx build` of a folder with an applet."""

import json
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client

CODE = """\
import json
import greeting
json.dump({"said": greeting.TEXT}, open("job_output.json", "w"))
"""
DXAPP: dict[str, Any] = {
    "name": "greeter",
    "title": "Greeter",
    "summary": "Says what its bundle holds",
    "dxapi": "1.0.0",
    "version": "1.0.0",
    "inputSpec": [],
    "outputSpec": [{"name": "said", "class": "string"}],
    "runSpec": {
        "interpreter": "python3",
        "file": "src/greeter.py",
        "distribution": "Ubuntu",
        "release": "24.04",
        "version": "0",
    },
}


@pytest.fixture
def source(client: Client) -> Path:
    """The folder of an applet, whose Makefile notes each run of its default goal."""
    client.local_file("greeter/dxapp.json", json.dumps(DXAPP))
    client.local_file("greeter/src/greeter.py", CODE)
    # In the bundle the text is the test's own, so that no other test has uploaded it.
    text = f"TEXT = 'hello from {client.folder}'\n"
    client.local_file("greeter/resources/home/dnanexus/greeting.py", text)
    client.local_file("greeter/README.md", "# Greeter\n\nIt greets.\n")
    client.local_file("greeter/Makefile", "note:\n\techo made >> notes\nother:\n\tfalse\n")
    return client.local / "greeter"


def build(client: Client, *arguments: str | Path) -> str:
    """The id of the applet that `dx build` made."""
    # What the Makefile prints comes first.
    return str(json.loads(client.dx("build", *arguments).splitlines()[-1])["id"])


def hidden_files(client: Client) -> list[str]:
    found = dxpy.find_data_objects(
        project=client.project, folder=client.folder, classname="file", visibility="hidden"
    )
    return [result["id"] for result in found]


def test_a_built_applet_runs_its_code_with_its_bundle(client: Client, source: Path) -> None:
    applet_id = build(client, source)
    described = client.describe(applet_id)
    assert (described["name"], described["title"]) == ("greeter", "Greeter")
    assert described["description"] == "# Greeter\n\nIt greets.\n"
    assert client.run(applet_id)["output"] == {"said": f"hello from {client.folder}"}


def test_build_runs_the_default_goal_of_the_makefile(client: Client, source: Path) -> None:
    build(client, source)
    assert (source / "notes").read_text() == "made\n"


def test_a_bundle_is_hidden_and_uploaded_once(client: Client, source: Path) -> None:
    first = build(client, source)
    bundles = hidden_files(client)
    assert len(bundles) == 1
    second = build(client, "-f", source)
    assert hidden_files(client) == bundles
    assert first != second
    # The bundle is not in the way of somebody who looks at the folder.
    assert client.dx("ls") == "greeter"


def test_build_does_not_replace_an_applet_unasked(client: Client, source: Path) -> None:
    applet_id = build(client, source)
    assert "already exists" in client.dx("build", source, status=3)
    build(client, "-f", source)
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        client.describe(applet_id)


def test_archive_keeps_the_applet_that_was_there(client: Client, source: Path) -> None:
    old = build(client, source)
    new = build(client, "--archive", source)
    assert client.describe(old)["folder"] == "/.Applet_archive"
    assert client.describe(old)["name"].startswith("greeter ")
    assert client.describe(new)["folder"] == client.folder


def test_dry_run_makes_nothing(client: Client, source: Path) -> None:
    client.dx("build", "--dry-run", source)
    assert client.dx("ls") == ""
