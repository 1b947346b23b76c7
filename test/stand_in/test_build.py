"""`dx build` of a folder with an applet."""

import json
from pathlib import Path
from typing import Any

import dxpy
import pytest

from stand_in.bench import Bench

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
def source(bench: Bench) -> Path:
    """The folder of an applet, whose Makefile notes each run of its default goal."""
    bench.local_file("greeter/dxapp.json", json.dumps(DXAPP))
    bench.local_file("greeter/src/greeter.py", CODE)
    # In the bundle the text is the test's own, so that no other test has uploaded it.
    text = f"TEXT = 'hello from {bench.folder}'\n"
    bench.local_file("greeter/resources/home/dnanexus/greeting.py", text)
    bench.local_file("greeter/README.md", "# Greeter\n\nIt greets.\n")
    bench.local_file("greeter/Makefile", "note:\n\techo made >> notes\nother:\n\tfalse\n")
    return bench.local / "greeter"


def build(bench: Bench, *arguments: str | Path) -> str:
    """The id of the applet that `dx build` made."""
    # What the Makefile prints comes first.
    return str(json.loads(bench.dx("build", *arguments).splitlines()[-1])["id"])


def hidden_files(bench: Bench) -> list[str]:
    found = dxpy.find_data_objects(
        project=bench.project, folder=bench.folder, classname="file", visibility="hidden"
    )
    return [result["id"] for result in found]


def test_a_built_applet_runs_its_code_with_its_bundle(bench: Bench, source: Path) -> None:
    applet_id = build(bench, source)
    described = bench.describe(applet_id)
    assert (described["name"], described["title"]) == ("greeter", "Greeter")
    assert described["description"] == "# Greeter\n\nIt greets.\n"
    assert bench.run(applet_id)["output"] == {"said": f"hello from {bench.folder}"}


def test_build_runs_the_default_goal_of_the_makefile(bench: Bench, source: Path) -> None:
    build(bench, source)
    assert (source / "notes").read_text() == "made\n"


def test_a_bundle_is_hidden_and_uploaded_once(bench: Bench, source: Path) -> None:
    first = build(bench, source)
    bundles = hidden_files(bench)
    assert len(bundles) == 1
    second = build(bench, "-f", source)
    assert hidden_files(bench) == bundles
    assert first != second
    # The bundle is not in the way of somebody who looks at the folder.
    assert bench.dx("ls") == "greeter"


def test_build_does_not_replace_an_applet_unasked(bench: Bench, source: Path) -> None:
    applet_id = build(bench, source)
    assert "already exists" in bench.dx("build", source, status=3)
    build(bench, "-f", source)
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        bench.describe(applet_id)


def test_archive_keeps_the_applet_that_was_there(bench: Bench, source: Path) -> None:
    old = build(bench, source)
    new = build(bench, "--archive", source)
    assert bench.describe(old)["folder"] == "/.Applet_archive"
    assert bench.describe(old)["name"].startswith("greeter ")
    assert bench.describe(new)["folder"] == bench.folder


def test_dry_run_makes_nothing(bench: Bench, source: Path) -> None:
    bench.dx("build", "--dry-run", source)
    assert bench.dx("ls") == ""
