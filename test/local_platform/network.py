"""The simulated network: its rate and latency, what was called and what was transferred."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from werkzeug.wrappers import Response
from werkzeug.wsgi import FileWrapper

BLOCK_BYTES = 1 << 16
SEND_BUFFER_BYTES = 1 << 16


@dataclass(frozen=True)
class Transfer:
    """An answer to a request for bytes of a file.

    Attributes:
        file_id: whose bytes they are.
        caller: id of the job or user who asked for the URL.
        requested: the header Range; empty where there was none.
        sent: bytes of the body that left, if not all of them reached who asked.
    """

    file_id: str
    caller: str
    requested: str
    sent: int


@dataclass(frozen=True)
class Request:
    """A request that was answered, or refused.

    Attributes:
        route: as in the table of routes, or PUT or GET.
        caller: id of the job or user who called, or who asked for the URL.
    """

    route: str
    caller: str


PUT, GET = "PUT (bytes of a file)", "GET (bytes of a file)"


class Network:
    """The network; each transfer has a connection of its own."""

    def __init__(
        self, bytes_per_second: float = 0, latency: float = 0, call_latency: float = 0
    ) -> None:
        """Sets what is slow: nothing, by default.

        `bytes_per_second` limits each download; `latency` is how long each transfer takes to
        begin, and `call_latency` how long each call of the API takes, both in seconds.
        """
        self.bytes_per_second = bytes_per_second
        self.latency = latency
        self.call_latency = call_latency
        self._lock = threading.Lock()
        self._transfers: list[Transfer] = []
        self._requests: list[Request] = []

    @property
    def requests(self) -> list[Request]:
        """All requests, in the order in which they came."""
        with self._lock:
            return list(self._requests)

    def call(self, route: str, caller: str) -> None:
        """Take note of a call of the API, and take its time."""
        self._note(route, caller)
        time.sleep(self.call_latency)

    def receive(self, caller: str) -> None:
        """Take note of an upload of bytes, and take the time until it begins."""
        self._note(PUT, caller)
        time.sleep(self.latency)

    def _note(self, route: str, caller: str) -> None:
        with self._lock:
            self._requests.append(Request(route, caller))

    @property
    def transfers(self) -> list[Transfer]:
        """All answers that have ended, in that order."""
        with self._lock:
            return list(self._transfers)

    def send(self, answer: Response, file_id: str, caller: str, requested: str) -> Iterator[bytes]:
        """Pass the body of an answer on, as fast as the connection is, and close the answer.

        Here, as werkzeug closes nothing where the client has given up the connection.
        """
        sent = 0
        self._note(GET, caller)
        time.sleep(self.latency)
        start = time.monotonic()
        try:
            for block in answer.iter_encoded():
                if self.bytes_per_second:
                    arrival = start + (sent + len(block)) / self.bytes_per_second
                    time.sleep(max(0, arrival - time.monotonic()))
                yield block
                sent += len(block)
        finally:
            answer.close()
            with self._lock:
                self._transfers.append(Transfer(file_id, caller, requested, sent))


def in_blocks(file: BinaryIO, size: int) -> FileWrapper:
    """A file as a body; the blocks that WSGI servers ask for are too small to be fast."""
    return FileWrapper(file, max(size, BLOCK_BYTES))
