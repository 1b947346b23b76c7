"""Reads many parts of a file that is streamed, several at a time."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

# Requests at a time: each waits longer for its first byte than it takes to read a few.
READERS = 32

# Returns the bytes from an offset on, up to a number of them.
Read = Callable[[int, int], bytes]
Part = TypeVar("Part")
Result = TypeVar("Result")


def in_threads(read_part: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Yields what a function returns for each part, in their order; threads call it."""
    # Here, because a downloaded file does not need it, and to load it takes 12 ms.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(READERS) as readers:
        yield from readers.map(read_part, parts)
