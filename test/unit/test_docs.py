"""The documentation matches dxapp.json, the Makefile, the file tree and the version."""

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
def test_readme_tables_list_the_fields_of_dxapp_json(applet: Path, title: str, spec: str) -> None:
    table = re.split(r"\n\n(?!\|)", section(title, (applet / "README.md").read_text()).strip())[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert listed == list(fields_of(applet, spec))


def inputs_in_commands(applet: Path, pattern: str) -> set[str]:
    """Returns the inputs used in the commands of a README that match a pattern."""
    text = "".join(blocks("sh", text=(applet / "README.md").read_text()))
    lines = text.replace("\\\n", " ").splitlines()
    commands = [line for line in lines if re.search(pattern, line)]
    return set(re.findall(r"-i *'?(\w+)=", "\n".join(commands)))


def test_readme_commands_use_existing_inputs() -> None:
    used = inputs_in_commands(ROOT, r"dx run (app-)?samtools_count |^count ")
    assert used == set(fields_of(ROOT, "inputSpec"))
    for applet in APPLETS:
        used = inputs_in_commands(applet, "dx run samtools_count_cohort ")
        assert used
        assert used <= set(fields_of(APPLETS[1], "inputSpec"))


def test_both_applets_describe_shared_inputs_identically() -> None:
    single, cohort = (fields_of(applet, "inputSpec") for applet in APPLETS)
    shared = single.keys() & cohort.keys()
    assert len(shared) == 13
    for name in shared - {"include_unplaced", "output_prefix", "report", "subjobs"}:
        assert single[name] == cohort[name]


def test_written_files_are_outputs_in_dxapp_json() -> None:
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
def test_a_document_refers_to_existing_make_targets_and_files(document: Path) -> None:
    text = document.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("applet", APPLETS, ids=lambda path: path.name)
def test_whats_new_describes_the_current_version(applet: Path) -> None:
    app = json.loads((applet / "dxapp.json").read_text())
    assert app["details"]["whatsNew"].startswith(f"* {app['version']}: ")


@pytest.mark.parametrize("applet", APPLETS, ids=lambda path: path.name)
def test_a_job_is_restarted_after_failures_that_a_retry_may_fix(applet: Path) -> None:
    run_spec = json.loads((applet / "dxapp.json").read_text())["runSpec"]
    restarts = run_spec["executionPolicy"]["restartOn"]
    assert run_spec["restartableEntryPoints"] == "all"
    assert {reason for reason, number in restarts.items() if number > 0} == {
        *("UnresponsiveWorker", "JMInternalError", "SpotInstanceInterruption"),
        # Packages could not be installed; memory or storage ran out.
        *("ExecutionError", "AppInsufficientResourceError"),
        # The cohort reports faulty samples in its outputs, so the network or the worker failed.
        *(["AppInternalError"] if applet != ROOT else []),
    }
