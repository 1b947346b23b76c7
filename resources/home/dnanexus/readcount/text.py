"""Text for people: messages and the log."""

from collections.abc import Callable

# Takes a line for the job's log.
Log = Callable[[str], None]


def shorten(text: str, length: int) -> str:
    """Leaves out the middle of a text that is longer than length."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def plural(number: int, noun: str) -> str:
    """Returns a number with its noun: "1 region", "2,000 regions"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
