"""The documents name what there is: inputs, outputs, goals of make, files, and the version."""

import json
import re
from pathlib import Path

import pytest

from readcount.outputs.files import fields_written
from readme import ROOT, blocks, section
from steps import ask


@pytest.mark.parametrize(("title", "spec"), [("Inputs", "inputSpec"), ("Outputs", "outputSpec")])
def test_the_tables_list_the_fields_of_dxapp_json(title: str, spec: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section(title), re.MULTILINE)
    fields = json.loads((ROOT / "dxapp.json").read_text())[spec]
    assert listed == [field["name"] for field in fields]


def test_the_commands_give_inputs_that_exist() -> None:
    commands = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    run = re.compile(r"dx run (app-)?samtools_count|\$count ")
    runs = [command for command in commands if run.search(command)]
    given = set(re.findall(r"-i *'?(\w+)=", "\n".join(runs)))
    fields = json.loads((ROOT / "dxapp.json").read_text())["inputSpec"]
    assert given == {field["name"] for field in fields}


def test_the_files_that_are_written_are_outputs_of_dxapp_json() -> None:
    fields = [
        field["name"] for field in json.loads((ROOT / "dxapp.json").read_text())["outputSpec"]
    ]
    written = fields_written(ask(windows=5))
    assert [field for field in fields if field in written] == written
    assert set(fields) - set(written) == {"total_records", "index_file"}
    assert fields_written(ask(report=False)) == ["count_file", "counts_table", "multiqc_file"]


DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "test").glob("*.md"),
    *(ROOT / "test").glob("[!.]*/README.md"),
    *(ROOT / ".github").glob("*.md"),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_goals_and_files_that_exist(document: Path) -> None:
    text = document.read_text()
    goals = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", text, re.MULTILINE)) <= goals
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_what_is_new_is_of_this_version() -> None:
    app = json.loads((ROOT / "dxapp.json").read_text())
    assert app["details"]["whatsNew"].startswith(f"* {app['version']}: ")


def test_a_job_is_restarted_where_another_try_can_help() -> None:
    run_spec = json.loads((ROOT / "dxapp.json").read_text())["runSpec"]
    restarts = run_spec["executionPolicy"]["restartOn"]
    assert run_spec["restartableEntryPoints"] == "all"
    assert {reason for reason, number in restarts.items() if number > 0} == {
        *("UnresponsiveWorker", "JMInternalError", "SpotInstanceInterruption"),
        # Packages could not be installed; memory or storage ran out.
        *("ExecutionError", "AppInsufficientResourceError"),
    }
