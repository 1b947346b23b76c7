"""Imports within the package: a stage imports only from earlier stages, without cycles."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "resources" / "home" / "dnanexus" / "readcount"
LOCAL_PLATFORM = Path(__file__).parents[1] / "local_platform"
STAGES = [
    "formats",
    "request",
    "source",
    "regions",
    "planning",
    "counting",
    "verification",
    "outputs",
    "cohort",
]
# Modules that every stage may import.
SHARED = {"errors", "text", "samtools", "columns", "threads"}
# Modules that talk to the platform; they may import from all stages.
PLATFORM = {"dnanexus", "platform_files", "subjobs", "cohort_files", "cohort_subjobs"}
IO_MODULES = {"subprocess", "urllib", "http", "socket", "dxpy", "multiprocessing", "tempfile"}


def imports(path: Path) -> Iterator[str]:
    """Yields the names that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import starts at the file's folder.
            base = ".".join([*[path.parent.name] * node.level, *([node.module or ""])]).strip(".")
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


@cache
def modules(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Returns the modules of a package, and for each the modules of the package it imports."""
    names = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts): path
        for path in package.rglob("*.py")
        if path.name != "__init__.py"
    }
    return {name: {*imports(path)} & names.keys() for name, path in names.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_from_earlier_stages(stage: str) -> None:
    earlier = {*STAGES[: STAGES.index(stage) + 1], *SHARED}
    for name, imported in modules().items():
        if name.startswith(f"readcount.{stage}."):
            assert {module.split(".")[1] for module in imported} <= earlier, name


def test_formats_import_only_errors_and_columns() -> None:
    for name, imported in modules().items():
        if name.startswith("readcount.formats."):
            assert {module.split(".")[1] for module in imported} <= {
                "formats",
                "errors",
                "columns",
            }, name


@pytest.mark.parametrize("stage", ["planning", "verification", "outputs"])
def test_planning_verification_and_outputs_import_no_io_and_no_counting(stage: str) -> None:
    for path in (PACKAGE / stage).glob("*.py"):
        assert not {name.split(".")[0] for name in imports(path)} & IO_MODULES, path
        assert not {name for name in imports(path) if name.startswith("readcount.counting")}, path


def test_only_platform_modules_import_dxpy() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.stem in PLATFORM or "dxpy" not in imports(path), path


@pytest.mark.parametrize("package", [PACKAGE, LOCAL_PLATFORM], ids=lambda path: path.name)
def test_packages_have_no_import_cycles(package: Path) -> None:
    waiting = dict(modules(package))
    assert any(waiting.values())
    while ready := [name for name, imported in waiting.items() if not imported & waiting.keys()]:
        for name in ready:
            del waiting[name]
    assert not waiting


def test_every_module_is_in_a_stage_or_listed_here() -> None:
    top = {path.stem if path.suffix else path.name for path in PACKAGE.iterdir()}
    assert top - {"__pycache__"} == {*STAGES, *SHARED, *PLATFORM, "__init__"}


def test_the_top_level_contains_only_the_expected_files() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    top = {name.split("/")[0] for name in listed.splitlines()}
    expected = {"LICENSE", "Makefile", "README.md", "dxapp.json", "resources"}
    expected |= {"samtools_count_cohort", "src", "test"}
    assert {name for name in top if not name.startswith(".")} <= expected
