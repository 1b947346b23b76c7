"""The simulated network: rate, latency, and a list of requests and transfers."""

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
    """A response with the content of a file.

    Attributes:
        file_id: the file.
        caller: ID of the job or user that requested the URL.
        requested: the Range header; empty if there was none.
        sent: bytes of the body that were sent; the client may have received fewer.
    """

    file_id: str
    caller: str
    requested: str
    sent: int


@dataclass(frozen=True)
class Request:
    """A request, whether it succeeded or not.

    Attributes:
        route: a key of ROUTES, or PUT or GET.
        caller: ID of the job or user that made the call or requested the URL.
    """

    route: str
    caller: str


PUT, GET = "PUT (bytes of a file)", "GET (bytes of a file)"


class Network:
    """The network; limits apply to each transfer separately."""

    def __init__(
        self, bytes_per_second: float = 0, latency: float = 0, call_latency: float = 0
    ) -> None:
        """Sets rate and delays; by default, there is no limit and no delay.

        Args:
            bytes_per_second: rate of each download; 0: unlimited.
            latency: seconds before each transfer starts.
            call_latency: seconds before each API call is handled.
        """
        self.bytes_per_second = bytes_per_second
        self.latency = latency
        self.call_latency = call_latency
        self._lock = threading.Lock()
        self._transfers: list[Transfer] = []
        self._requests: list[Request] = []

    @property
    def requests(self) -> list[Request]:
        """All requests, in order of arrival."""
        with self._lock:
            return list(self._requests)

    def call(self, route: str, caller: str) -> None:
        """Records an API call and delays it."""
        self._record(route, caller)
        time.sleep(self.call_latency)

    def receive(self, caller: str) -> None:
        """Records an upload and delays its start."""
        self._record(PUT, caller)
        time.sleep(self.latency)

    def _record(self, route: str, caller: str) -> None:
        with self._lock:
            self._requests.append(Request(route, caller))

    @property
    def transfers(self) -> list[Transfer]:
        """All transfers that have ended, in the order in which they ended."""
        with self._lock:
            return list(self._transfers)

    def send(
        self, response: Response, file_id: str, caller: str, requested: str
    ) -> Iterator[bytes]:
        """Yields the body of a response at the rate of the network, and closes the response.

        It is closed here, because werkzeug does not close it if the client has disconnected.
        """
        sent = 0
        self._record(GET, caller)
        time.sleep(self.latency)
        start = time.monotonic()
        try:
            for block in response.iter_encoded():
                if self.bytes_per_second:
                    arrival = start + (sent + len(block)) / self.bytes_per_second
                    time.sleep(max(0, arrival - time.monotonic()))
                yield block
                sent += len(block)
        finally:
            response.close()
            with self._lock:
                self._transfers.append(Transfer(file_id, caller, requested, sent))


def in_blocks(file: BinaryIO, size: int) -> FileWrapper:
    """Wraps a file as a response body; the block size of WSGI servers is too small to be fast."""
    return FileWrapper(file, max(size, BLOCK_BYTES))
