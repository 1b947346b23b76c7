"""The documents name existing inputs, outputs, make targets, files, and the version."""

import json
import re
from pathlib import Path

import pytest

from readcount.outputs.files import fields_written
from readme import ROOT, blocks, section
from steps import ask

APPLETS = [ROOT, ROOT / "samtools_count_cohort"]


def fields_of(applet: Path, spec: str) -> dict[str, dict[str, object]]:
    fields = json.loads((applet / "dxapp.json").read_text())[spec]
    return {field["name"]: field for field in fields}


@pytest.mark.parametrize("applet", APPLETS, ids=lambda path: path.name)
@pytest.mark.parametrize(("title", "spec"), [("Inputs", "inputSpec"), ("Outputs", "outputSpec")])
def test_the_tables_list_the_fields_of_dxapp_json(applet: Path, title: str, spec: str) -> None:
    table = re.split(r"\n\n(?!\|)", section(title, (applet / "README.md").read_text()).strip())[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert listed == list(fields_of(applet, spec))


def inputs_in_commands(applet: Path, command: str) -> set[str]:
    """The inputs that are given in commands of a README that match."""
    text = "".join(blocks("sh", text=(applet / "README.md").read_text()))
    runs = [one for one in text.replace("\\\n", " ").splitlines() if re.search(command, one)]
    return set(re.findall(r"-i *'?(\w+)=", "\n".join(runs)))


def test_the_commands_give_inputs_that_exist() -> None:
    given = inputs_in_commands(ROOT, r"dx run (app-)?samtools_count |^count ")
    assert given == set(fields_of(ROOT, "inputSpec"))
    for applet in APPLETS:
        given = inputs_in_commands(applet, "dx run samtools_count_cohort ")
        assert given
        assert given <= set(fields_of(APPLETS[1], "inputSpec"))


def test_the_inputs_of_a_cohort_have_the_words_of_those_of_a_single_file() -> None:
    single, cohort = (fields_of(applet, "inputSpec") for applet in APPLETS)
    shared = single.keys() & cohort.keys()
    assert len(shared) == 13
    for name in shared - {"include_unplaced", "output_prefix", "report", "subjobs"}:
        assert single[name] == cohort[name]


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
    *(ROOT / "samtools_count_cohort").glob("*.md"),
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


@pytest.mark.parametrize("applet", APPLETS, ids=lambda path: path.name)
def test_what_is_new_is_of_this_version(applet: Path) -> None:
    app = json.loads((applet / "dxapp.json").read_text())
    assert app["details"]["whatsNew"].startswith(f"* {app['version']}: ")


@pytest.mark.parametrize("applet", APPLETS, ids=lambda path: path.name)
def test_a_job_is_restarted_where_another_try_can_help(applet: Path) -> None:
    run_spec = json.loads((applet / "dxapp.json").read_text())["runSpec"]
    restarts = run_spec["executionPolicy"]["restartOn"]
    assert run_spec["restartableEntryPoints"] == "all"
    assert {reason for reason, number in restarts.items() if number > 0} == {
        *("UnresponsiveWorker", "JMInternalError", "SpotInstanceInterruption"),
        # Packages could not be installed; memory or storage ran out.
        *("ExecutionError", "AppInsufficientResourceError"),
        # What is not the fault of one of many samples: the network failed.
        *(["AppInternalError"] if applet != ROOT else []),
    }
