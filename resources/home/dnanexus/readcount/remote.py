"""A file that is read where it is, over HTTP, and only the bytes that are needed."""

import time
from collections.abc import Callable
from typing import TypeVar

from readcount.errors import CallError, NetworkError

T = TypeVar("T")

# Seconds to wait before each new try: what passes, passes within some seconds.
PAUSES = (1, 3, 9)
TIMEOUT_SECONDS = 60
_NOTHING_THERE = 416


def read_url(url: str, shown: str, start: int, size: int) -> bytes:
    """Reads bytes of a file; fewer, or none, where it ends.

    Args:
        url: a secret, which no message tells.
        shown: what it is called in messages.
        start: offset of the first byte.
        size: how many.

    Raises:
        NetworkError: they cannot be had, for whatever reason.
    """
    # Here, as a file on disk needs none of them, and to load them takes 30 ms.
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-{start + size - 1}"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read()
            return data
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _NOTHING_THERE:
            return b""
        reason = f"HTTP status {error.code}"
    except (OSError, http.client.HTTPException) as error:
        reason = type(error).__name__
    raise unreachable(shown, reason)


def unreachable(shown: str, reason: str, details: str = "") -> NetworkError:
    """The error for a file that cannot be read over the network."""
    return NetworkError(
        f"mappings_sorted_bam: {shown} cannot be read over the network: {reason}. Run the job "
        "again, or without stream_bam and subjobs.",
        details,
    )


def patiently(work: Callable[[], T]) -> T:
    """Does work that reads over the network, and tries again after a while if that fails.

    What a broken connection leaves can look like a damaged file, so that either is tried again.

    Raises:
        CallError, NetworkError: the last try failed, too.
    """
    for pause in PAUSES:
        try:
            return work()
        except (CallError, NetworkError) as error:
            print(f"{error.details or error}\nTrying again in {pause} s.", flush=True)
            time.sleep(pause)
    return work()
