"""The README, for tests that hold it against what is so."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """The text below a heading of the second level, up to the next."""
    _, found, rest = README.partition(f"\n## {title}\n")
    assert found, f"the README has no section {title}"
    return rest.partition("\n## ")[0]


def blocks(language: str, title: str | None = None) -> list[str]:
    """The code blocks of a language, in the order of the page, or those below one heading."""
    text = README if title is None else section(title)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def is_a_known_message(message: str, kind: str) -> bool:
    """Whether each line of a message is one of those that the README explains, as of this kind."""
    rows = [row.split(" | ") for row in section("When a job fails").splitlines()]
    patterns = []
    for row in rows:
        if len(row) < 2 or f"`{kind}`" not in row[1]:
            continue
        words = re.sub(r"\([^)]*\)", "...", row[0].removeprefix("| "))
        fixed = re.split(r"\b(?:REGION|NAME|N|M)\b|SAM text|\.\.\.", words)
        patterns.append(".*".join(re.escape(part.strip()) for part in fixed))
    return all(any(re.search(part, line) for part in patterns) for line in message.splitlines())
