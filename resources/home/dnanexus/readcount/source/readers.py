"""Reads bytes of the input file: of a downloaded one, or of one that is streamed over HTTP."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from readcount.errors import CallError, InputError, NetworkError, ReadCountError
from readcount.formats.content import BEGINNING_BYTES
from readcount.text import shorten

T = TypeVar("T")

# How much of a file's name a message shows.
NAME_LENGTH = 80
# Seconds to wait before each further attempt.
PAUSES = (1, 3, 9)
TIMEOUT_SECONDS = 60
# A header of a million sequences takes some 10 MB; the last block or container takes 38 bytes.
LONGEST_HEADER = 1 << 28
END_BYTES = 100
_RANGE_NOT_SATISFIABLE = 416
_ANY_URL = re.compile(r"https?://\S+")
# What samtools says when a connection breaks or cannot be had, and not of a corrupt file.
_NETWORK = re.compile("ailed to open|hread returned -1|fail to read the header|bgzf_check_EOF")
# What samtools says where the server answers 401 or 403 (htslib, hfile_libcurl.c).
_FORBIDDEN = re.compile("Operation not permitted|Permission denied")


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

    @property
    def location(self) -> str:
        """What samtools and pysam open."""
        return str(self.path)

    def read(self, start: int, size: int) -> bytes:
        """Reads bytes; fewer where the file ends. Raises OSError."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def with_retries(self, work: Callable[[], T]) -> T:
        """Does work that reads the file."""
        return work()

    @contextmanager
    def header_and_end(self, has_header: Callable[[Path], bool]) -> Iterator[Path]:
        """Yields a path at which the header and the end of the file can be read."""
        yield self.path

    def without_secrets(self, text: str) -> str:
        """Returns a text, such as what samtools says, as the log may show it."""
        return text

    def is_network_error(self, said: str) -> bool:
        """Whether samtools says that the file could not be reached."""
        return False


@dataclass(frozen=True)
class StreamedFile:
    """A file that stays on the platform; only the bytes that are needed are read.

    Attributes:
        name: of the file.
        size: in bytes.
        url: where to read it. Who has it can read the file, so it is in no log, error or output.
    """

    name: str
    size: int
    url: str = field(repr=False)
    streamed = True

    @property
    def location(self) -> str:
        """What samtools and pysam open; a secret."""
        return self.url

    def read(self, start: int, size: int) -> bytes:
        """Reads bytes; fewer where the file ends. Raises NetworkError."""
        return with_retries(partial(read_url, self.url, self.name, start, size))

    def with_retries(self, work: Callable[[], T]) -> T:
        """Does work that reads the file, more than once if the network fails."""
        return with_retries(work)

    @contextmanager
    def header_and_end(self, has_header: Callable[[Path], bool]) -> Iterator[Path]:
        """Yields a path at which the header and the end of the file can be read.

        It is a copy of no more than these, which saves a connection for each program that reads it.

        Args:
            has_header: whether a part of the file, at a path, has all of the header.
        """
        with tempfile.NamedTemporaryFile() as copy:
            path, have, wanted = Path(copy.name), 0, BEGINNING_BYTES
            while have < min(self.size, LONGEST_HEADER):
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

    def without_secrets(self, text: str) -> str:
        """Returns a text, such as what samtools says, with the file's name instead of the URL."""
        return _ANY_URL.sub(self.name, text.replace(self.url, self.name))

    def is_network_error(self, said: str) -> bool:
        """Whether samtools says that the file could not be reached."""
        return _NETWORK.search(said) is not None


Reader = LocalFile | StreamedFile


def read_url(url: str, name: str, start: int, size: int) -> bytes:
    """Reads bytes of a file; fewer, or none, where it ends.

    Args:
        url: a secret, which no message contains.
        name: of the file, for messages.
        start: offset of the first byte.
        size: how many.

    Raises:
        InputError: the server does not give them out; see http_error.
        NetworkError: they cannot be had, for any other reason.
    """
    # Here, because a downloaded file needs none of them, and to load them takes 30 ms.
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
        if error.code == _RANGE_NOT_SATISFIABLE:
            return b""
        raise http_error(name, error.code) from None
    except (OSError, http.client.HTTPException) as error:
        reason = type(error).__name__
    raise network_error(name, reason)


def http_error(name: str, status: int) -> ReadCountError:
    """Returns the error for an HTTP status: 401 and 403 mean that another try cannot help."""
    reason = f"HTTP status {status}"
    return forbidden(name, reason) if status in (401, 403) else network_error(name, reason)


def forbidden(name: str, reason: str, details: str = "") -> InputError:
    """Returns the error for a file that the server does not give out."""
    return InputError(
        f"mappings_sorted_bam: {shorten(name, NAME_LENGTH)} cannot be streamed ({reason}): the "
        "link to it has expired, the file was archived, or a policy of its project forbids it. Run "
        "the job again without stream_bam, subjobs and counts_from.",
        details,
    )


def network_error(name: str, reason: str, details: str = "") -> ReadCountError:
    """Returns the error for a file that cannot be read over the network.

    Args:
        name: of the file.
        reason: an HTTP status, an exception, or what samtools says.
        details: see ReadCountError.
    """
    if _FORBIDDEN.search(reason):
        return forbidden(name, reason, details)
    return NetworkError(
        f"mappings_sorted_bam: {shorten(name, NAME_LENGTH)} cannot be read over the network: "
        f"{reason}. Run the job again, or without stream_bam and subjobs.",
        details,
    )


def with_retries(work: Callable[[], T]) -> T:
    """Does work that reads over the network, and tries again after a while if that fails.

    What a broken connection leaves can look like a corrupt file, so that either is tried again.

    Raises:
        CallError, NetworkError: the last attempt failed, too.
    """
    for pause in PAUSES:
        try:
            return work()
        except (CallError, NetworkError) as error:
            print(f"{error.details or error}\nTrying again in {pause} s.", flush=True)
            time.sleep(pause)
    return work()
