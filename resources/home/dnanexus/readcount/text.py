"""Formatting of text in messages and the log."""

from collections.abc import Callable

# A function that writes a line to the job's log.
Log = Callable[[str], None]


def shorten(text: str, length: int) -> str:
    """Replaces the middle of a text that is longer than `length` by "..."."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def plural(number: int, noun: str) -> str:
    """Returns a number with its noun: "1 region", "2,000 regions"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
