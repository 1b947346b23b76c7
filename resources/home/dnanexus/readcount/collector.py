"""Keeps Python's garbage collector from looking for cycles where there are none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """Turns the collector off; as a decorator, while a function runs.

    What is known of each reference sequence, and of each region, is up to a million objects that
    live until the end: to look through them again and again takes a quarter of our time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
