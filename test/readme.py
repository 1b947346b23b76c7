"""Reads sections and code blocks of the README and the page of further examples."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "test/end_to_end/README.md"
README = (ROOT / "README.md").read_text() + EXAMPLES.read_text()


def section(title: str, text: str = README) -> str:
    """Returns the text below a heading, up to the next heading of the same or a higher level."""
    found = re.search(rf"^(##+) {re.escape(title)}\n", text, re.MULTILINE)
    assert found, f"the README has no section {title}"
    rest = text[found.end() :]
    return re.split(rf"^#{{2,{len(found[1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(language: str, title: str | None = None, text: str = README) -> list[str]:
    """Returns the code blocks in a language, in order; with a title, only those of that section."""
    text = text if title is None else section(title, text)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
