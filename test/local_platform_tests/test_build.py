"""`dx build` of an applet."""

import json
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client

CODE = """\
import json
import greeting
json.dump({"greeting": greeting.TEXT}, open("job_output.json", "w"))
"""
DXAPP: dict[str, Any] = {
    "name": "greeter",
    "title": "Greeter",
    "summary": "Prints a greeting from its bundle",
    "dxapi": "1.0.0",
    "version": "1.0.0",
    "inputSpec": [],
    "outputSpec": [{"name": "greeting", "class": "string"}],
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
    """Writes the source folder of an applet whose Makefile records each run of its default target.

    Returns the path of the folder.
    """
    client.local_file("greeter/dxapp.json", json.dumps(DXAPP))
    client.local_file("greeter/src/greeter.py", CODE)
    # The text is unique to the test, so that no other test has uploaded the same bundle.
    text = f"TEXT = 'hello from {client.folder}'\n"
    client.local_file("greeter/resources/home/dnanexus/greeting.py", text)
    client.local_file("greeter/README.md", "# Greeter\n\nIt greets.\n")
    client.local_file("greeter/Makefile", "note:\n\techo made >> notes\nother:\n\tfalse\n")
    return client.local / "greeter"


def build(client: Client, *arguments: str | Path) -> str:
    """Builds an applet with `dx build`; returns its ID."""
    # The output of make precedes the line with JSON.
    return str(json.loads(client.dx("build", *arguments).splitlines()[-1])["id"])


def hidden_files(client: Client) -> list[str]:
    results = dxpy.find_data_objects(
        project=client.project, folder=client.folder, classname="file", visibility="hidden"
    )
    return [result["id"] for result in results]


def test_a_built_applet_runs_with_its_bundled_resources(client: Client, source: Path) -> None:
    applet_id = build(client, source)
    description = client.describe(applet_id)
    assert (description["name"], description["title"]) == ("greeter", "Greeter")
    assert description["description"] == "# Greeter\n\nIt greets.\n"
    assert client.run(applet_id)["output"] == {"greeting": f"hello from {client.folder}"}


def test_build_runs_the_default_target_of_the_makefile(client: Client, source: Path) -> None:
    build(client, source)
    assert (source / "notes").read_text() == "made\n"


def test_the_bundle_is_hidden_and_uploaded_only_once(client: Client, source: Path) -> None:
    first = build(client, source)
    bundles = hidden_files(client)
    assert len(bundles) == 1
    second = build(client, "-f", source)
    assert hidden_files(client) == bundles
    assert first != second
    # `dx ls` does not list the bundle.
    assert client.dx("ls") == "greeter"


def test_build_replaces_an_existing_applet_only_with_overwrite(
    client: Client, source: Path
) -> None:
    applet_id = build(client, source)
    assert "already exists" in client.dx("build", source, status=3)
    build(client, "-f", source)
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        client.describe(applet_id)


def test_build_with_archive_keeps_the_existing_applet(client: Client, source: Path) -> None:
    old = build(client, source)
    new = build(client, "--archive", source)
    assert client.describe(old)["folder"] == "/.Applet_archive"
    assert client.describe(old)["name"].startswith("greeter ")
    assert client.describe(new)["folder"] == client.folder


def test_dry_run_creates_nothing(client: Client, source: Path) -> None:
    client.dx("build", "--dry-run", source)
    assert client.dx("ls") == ""
