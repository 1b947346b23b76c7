"""Reads bytes of the input file, from disk or streamed over HTTP."""

import errno
import os
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TypeVar

from readcount.errors import CallError, InputError, NetworkError, ReadCountError
from readcount.formats.content import BEGINNING_BYTES
from readcount.text import shorten

S = TypeVar("S")
T = TypeVar("T")

# Maximum length of a file name in a message.
NAME_LENGTH = 80
# Seconds to wait before each further attempt.
PAUSES: tuple[int, ...] = (1, 3, 9)
TIMEOUT_SECONDS = 60
# Concurrent requests for a few bytes each, which are dominated by latency.
READERS = 32
# A header with a million sequences takes some 10 MB; the end-of-file block or container at most 38
# bytes.
MAX_HEADER_BYTES = 1 << 28
END_BYTES = 100
# Bytes written to a pipe at once.
COPIED_BYTES = 1 << 20
_RANGE_NOT_SATISFIABLE = 416
_FORBIDDEN = (401, 403)


class Stream(ABC):
    """Consecutive bytes of a file, which can be inspected or copied to a pipe.

    Attributes:
        offset: file offset of the next byte.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """Returns the next bytes without consuming them; fewer at the end of the stream."""
        while size > len(self._ahead) and (more := self._read(size - len(self._ahead))):
            self._ahead += more
        return self._ahead[:size]

    def skip(self, size: int) -> None:
        """Skips bytes; raises EOFError if the stream has fewer."""
        while size > 0:
            taken = len(self.peek(min(size, COPIED_BYTES)))
            if taken == 0:
                raise EOFError
            self._take(taken)
            size -= taken

    def send(self, size: int, pipe: int) -> None:
        """Writes the next bytes to a file descriptor; raises EOFError if the stream has fewer."""
        ahead = self._ahead[:size]
        write_all(pipe, ahead)
        self._take(len(ahead))
        size -= len(ahead)
        while size > 0:
            sent = self._send(min(size, COPIED_BYTES), pipe)
            if sent == 0:
                raise EOFError
            self.offset += sent
            size -= sent

    def _take(self, size: int) -> None:
        self._ahead = self._ahead[size:]
        self.offset += size

    @abstractmethod
    def _read(self, size: int) -> bytes:
        """Returns some of the bytes after the lookahead; none at the end."""

    def _send(self, size: int, pipe: int) -> int:
        """Writes some of the next bytes to a pipe, if there is no lookahead; returns how many."""
        data = self._read(size)
        write_all(pipe, data)
        return len(data)

    @abstractmethod
    def close(self) -> None:
        """Closes the file or connection."""


def write_all(pipe: int, data: bytes) -> None:
    """Writes bytes to a file descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]


class LocalStream(Stream):
    """Consecutive bytes of a file on the worker's disk; copied to pipes with splice(2)."""

    def __init__(self, path: Path, offset: int) -> None:
        super().__init__(offset)
        self._file = os.open(path, os.O_RDONLY)

    def _read(self, size: int) -> bytes:
        return os.pread(self._file, size, self.offset + len(self._ahead))

    def _send(self, size: int, pipe: int) -> int:
        try:
            return os.splice(self._file, pipe, size, offset_src=self.offset)
        except OSError as error:
            # Some file systems do not support splice.
            if error.errno != errno.EINVAL:
                raise
            return super()._send(size, pipe)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


class HttpStream(Stream):
    """Consecutive bytes of a streamed file: one request, unless the connection breaks."""

    def __init__(self, file: "StreamedFile", offset: int, stop: int) -> None:
        super().__init__(offset)
        self._file = file
        self._stop = stop
        self._response: HTTPResponse | None = None
        self._failures = 0

    def _read(self, size: int) -> bytes:
        # If the connection breaks, another one continues from there, a limited number of times.
        start = self.offset + len(self._ahead)
        size = min(size, self._stop - start)
        while size > 0:
            try:
                if self._response is None:
                    self._response = open_url(self._file.url, start, self._stop - start)
                if data := self._response.read(size):
                    self._failures = 0
                    return data
                raise EOFError
            except (OSError, HTTPException, EOFError) as error:
                self.close()
                failed = request_error(self._file.name, error)
                if isinstance(failed, InputError) or self._failures == len(PAUSES):
                    raise failed from None
                wait_after(failed, PAUSES[self._failures])
                self._failures += 1
        return b""

    def close(self) -> None:
        """Closes the connection."""
        if self._response is not None:
            self._response.close()
        self._response = None


@dataclass(frozen=True)
class LocalFile:
    """A file on the worker's disk.

    Attributes:
        path: its absolute path, which does not begin with a dash.
    """

    path: Path
    streamed = False

    @property
    def name(self) -> str:
        """Its name, without the folder."""
        return self.path.name

    @property
    def size(self) -> int:
        """In bytes."""
        return self.path.stat().st_size

    def read(self, start: int, size: int) -> bytes:
        """Reads bytes; fewer where the file ends. Raises OSError."""
        with self.path.open("rb") as file:
            # An offset from a corrupt index may be too large to seek to.
            file.seek(min(start, self.size))
            return file.read(size)

    def stream(self, start: int, stop: int) -> AbstractContextManager[Stream]:
        """Opens the bytes between two offsets; the stream may have more."""
        return closing(LocalStream(self.path, start))

    def map(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Yields the results of a function that reads the file."""
        return map(function, items)

    def with_retries(self, work: Callable[[], T]) -> T:
        """Runs a function that reads the file."""
        return work()

    @contextmanager
    def header_and_end(self, has_header: Callable[[Path], bool]) -> Iterator[Path]:
        """Yields a path at which the header and the end of the file can be read."""
        yield self.path


@dataclass(frozen=True)
class StreamedFile:
    """A file that stays on the platform; only the bytes that are needed are read.

    Attributes:
        name: name of the file.
        size: in bytes.
        url: preauthenticated download URL. It gives access to the file, so it must not be in any
            log, message or output.
    """

    name: str
    size: int
    url: str = field(repr=False)
    streamed = True

    def read(self, start: int, size: int) -> bytes:
        """Reads bytes; fewer where the file ends. Raises InputError or NetworkError."""
        if start + size <= BEGINNING_BYTES:
            return _beginning(self)[start : start + size]
        return self.fetch(start, size)

    def fetch(self, start: int, size: int) -> bytes:
        """Reads bytes like read(), with a separate request."""
        return with_retries(partial(read_url, self.url, self.name, start, size))

    def stream(self, start: int, stop: int) -> AbstractContextManager[Stream]:
        """Opens the bytes between two offsets; reading them may raise NetworkError."""
        return closing(HttpStream(self, start, min(stop, self.size)))

    def map(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Yields the results of a function that reads the file; called in threads."""
        with ThreadPoolExecutor(READERS) as threads:
            yield from threads.map(function, items)

    def with_retries(self, work: Callable[[], T]) -> T:
        """Runs a function that reads the file, with retries: bytes may arrive corrupt."""
        return with_retries(work)

    @contextmanager
    def header_and_end(self, has_header: Callable[[Path], bool]) -> Iterator[Path]:
        """Yields a path at which the header and the end of the file can be read.

        It is a local copy of only these, so that programs that read it need no connection.
        `has_header` returns whether the part at a path contains the complete header.
        """
        with tempfile.NamedTemporaryFile() as copy:
            path, have, wanted = Path(copy.name), 0, BEGINNING_BYTES
            while have < min(self.size, MAX_HEADER_BYTES):
                copy.write(self.read(have, wanted - have))
                copy.flush()
                have = wanted
                if has_header(path):
                    break
                wanted *= 2
            if have < self.size:
                end = max(have, self.size - END_BYTES)
                copy.write(self.read(end, self.size - end))
                copy.flush()
            yield path


@lru_cache(maxsize=16)
def _beginning(file: StreamedFile) -> bytes:
    """Returns the first BEGINNING_BYTES of a file, cached because several steps use them."""
    return file.fetch(0, BEGINNING_BYTES)


Reader = LocalFile | StreamedFile


def read_url(url: str, name: str, start: int, size: int) -> bytes:
    """Reads bytes of a file; fewer or none at its end; raises the errors of request_error.

    The URL is secret and must not appear in messages.
    """
    try:
        with open_url(url, start, size) as response:
            return response.read()
    except (OSError, HTTPException) as error:
        if getattr(error, "code", None) == _RANGE_NOT_SATISFIABLE:
            return b""
        raise request_error(name, error) from None


def open_url(url: str, start: int, size: int) -> HTTPResponse:
    """Requests bytes of a file; raises OSError or HTTPException."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-{start + size - 1}"})
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    return response


def request_error(name: str, error: Exception) -> ReadCountError:
    """Returns the error for a failed request; retrying does not help after 401 and 403."""
    field = f"mappings_sorted_bam: {shorten(name, NAME_LENGTH)}"
    code = getattr(error, "code", None)
    reason = type(error).__name__ if code is None else f"HTTP status {code}"
    if code in _FORBIDDEN:
        return InputError(
            f"{field} cannot be streamed ({reason}): the link to it has expired, the file was "
            "archived, or a policy of its project forbids it. Run the job again without "
            "stream_bam, subjobs and counts_from."
        )
    return NetworkError(
        f"{field} cannot be read over the network: {reason}. Run the job again, or without "
        "stream_bam and subjobs."
    )


def with_retries(work: Callable[[], T]) -> T:
    """Runs a function that reads over the network, and retries it after a pause if it fails."""
    for pause in PAUSES:
        try:
            return work()
        except (CallError, NetworkError) as error:
            wait_after(error, pause)
    return work()


def wait_after(error: ReadCountError, seconds: float) -> None:
    """Waits before a further attempt."""
    print(f"{error.details or error}\nTrying again in {seconds} s.", flush=True)
    time.sleep(seconds)
