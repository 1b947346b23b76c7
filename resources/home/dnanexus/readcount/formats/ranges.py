"""Reads many parts of a file that is streamed, several at a time."""

from collections.abc import Callable, Iterator, Sequence

# Requests at a time: each waits longer for its first byte than it takes to read a few.
READERS = 32

# Returns the bytes from an offset on, up to a number of them.
Read = Callable[[int, int], bytes]


def read_ranges(read: Read, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """Yields the bytes of each range, in the order of the ranges.

    Args:
        read: of the file; it may be called by several threads at a time.
        ranges: offset and size of each, in bytes.
    """
    # Here, because a downloaded file does not need it, and to load it takes 12 ms.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(READERS) as readers:
        yield from readers.map(lambda part: read(*part), ranges)
