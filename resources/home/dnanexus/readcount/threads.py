"""Calls in threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Concurrent API calls and transfers; the platform accepts 200 calls per second.
SIDE_BY_SIDE = 16


def call_ahead(function: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Yields the result of a function for each item, in order; calls it for later items meanwhile.

    Args:
        function: what to call, in threads.
        items: the items; one is taken when its call is due.
        ahead: how many calls may be made before the result of an earlier one is used.
    """
    running: deque[Future[R]] = deque()
    threads = ThreadPoolExecutor(min(ahead + 1, SIDE_BY_SIDE))
    try:
        for item in items:
            running.append(threads.submit(function, item))
            if len(running) > ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        # After an error, the other calls must not delay the end of the job.
        threads.shutdown(wait=False, cancel_futures=True)
