"""The project's text does not contain the phrases of wording.txt."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from readme import ROOT

# Each line has a regular expression and what to write instead, separated by a tab. Case matters
# only for an expression with a capital letter.
WORDING = ROOT / "test" / "wording.txt"
FOLDERS = ("src", "samtools_count_cohort", "resources", "test", ".github")
SUFFIXES = {".md", ".json", ".py", ".html", ".js", ".css", ".sh", ".ini", ".yml", ".txt"}


@cache
def phrases() -> list[tuple[re.Pattern[str], str]]:
    """Returns the phrases and what to write instead; a space also matches a line break."""
    lines = [line.split("\t") for line in WORDING.read_text(encoding="utf-8").splitlines()]
    return [(re.compile(phrase.replace(" ", r"[\s#]+")), instead) for phrase, instead in lines]


def found_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields the line number of each phrase found, the phrase, and what to write instead."""
    lower = text.lower()
    for pattern, instead in phrases():
        for match in pattern.finditer(lower if pattern.pattern.islower() else text):
            yield text.count("\n", 0, match.start()) + 1, match[0], instead


def text_files() -> Iterator[Path]:
    yield from (ROOT / "README.md", ROOT / "dxapp.json", ROOT / "Makefile")
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            is_text = path.suffix in SUFFIXES or path.name == "Makefile"
            if is_text and path != WORDING and "golden" not in path.parts:
                yield path


def test_no_text_of_the_project_contains_a_listed_phrase() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {phrase!r} -> {instead}"
        for path in text_files()
        for number, phrase, instead in found_in(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("between", [" ", "\n", "\n    # "])
def test_a_phrase_is_found_in_one_line_and_across_lines(between: str) -> None:
    text = f"x = 1\n    # Records that REACH{between}into the span."
    assert list(found_in(text)) == [(2, f"reach{between}into", "overlap")]


def test_no_replacement_contains_a_listed_phrase() -> None:
    assert [instead for _, instead in phrases() if list(found_in(instead))] == []
