"""Runs samtools on parts of the input file, which it reads from a pipe."""

import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from readcount.errors import ReadCountError
from readcount.planning.task import Task
from readcount.request.filters import Filters
from readcount.samtools import samtools_path
from readcount.source.commands import complaints_in, failure, harmless_in
from readcount.source.parts import Extent, NotOnlySpanError, Parts, Span

# By default htslib reads 4 KiB at a time from a pipe, and a pipe's buffer is 64 KiB.
_PIPE_BYTES = 1 << 20
_READ_IN_BLOCKS = ("--input-fmt-option", f"block_size={_PIPE_BYTES}")
# samtools allocates and frees megabytes for every CRAM container. By default glibc returns this
# memory to the kernel each time, which takes half of the run time of `samtools view -c` (GNU C
# Library manual, "Memory Allocation Tunables").
_KEEP_MEMORY = ":".join(
    f"glibc.malloc.{tunable}={number}"
    for tunable, number in (
        ("trim_threshold", 1 << 30),
        ("mmap_threshold", 1 << 30),
        ("top_pad", 1 << 24),
    )
)


class Decoding:
    """A samtools call that reads parts of the file.

    Attributes:
        stdout: its standard output.
        sent: extents of the records sent to it so far, from container headers; see Parts.send.
        warnings: harmless messages from samtools; set when it has exited.
    """

    def __init__(self, stdout: IO[bytes]) -> None:
        self.stdout = stdout
        self.sent: list[Extent] = []
        self.warnings: tuple[str, ...] = ()


@contextlib.contextmanager
def decoding(
    parts: Parts, task: Task, what: Sequence[str], only: Span | None, filters: Filters
) -> Iterator[Decoding]:
    """Runs `samtools view` on the parts of a task.

    Args:
        parts: the input file.
        task: the parts to read.
        what: output options of `samtools view`.
        only: the span in which all records should start; None to skip this check.
        filters: which records to select.

    Raises:
        ReadCountError: the file is not as expected, or samtools failed or reported an error; a
            samtools error takes precedence over an error of the code reading its output.
        NotOnlySpanError: not all records start in `only`.
    """
    options = parts.options(with_ends=task.with_ends, read_group=bool(filters.read_groups))
    options = [*_READ_IN_BLOCKS, *options, *filters.as_samtools()]
    command = [samtools_path(), "view", *what, *options, "-"]
    environment = {**os.environ, "GLIBC_TUNABLES": _KEEP_MEMORY}
    failed: ReadCountError | None = None
    with tempfile.TemporaryFile() as stderr:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
        ) as view:
            assert view.stdin is not None and view.stdout is not None
            # The number of pages for pipes is limited per user (man 7 pipe); if it is used up, the
            # size stays unchanged.
            with contextlib.suppress(OSError):
                fcntl.fcntl(view.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            made = Decoding(view.stdout)
            sending = Sending(parts, task, only, view.stdin, made.sent)
            sending.start()
            try:
                yield made
            except ReadCountError as error:
                failed = error
            finally:
                # If the output was not read to its end, samtools gets SIGPIPE.
                view.stdout.close()
                sending.join()
        stderr.seek(0)
        said = stderr.read().decode(errors="replace").strip()
    if sending.error:
        raise sending.error
    complaints = complaints_in(said)
    doing = f"counting {task.label} of"
    # samtools gets SIGPIPE if the code reading its output fails.
    if complaints or view.returncode not in (0, -signal.SIGPIPE):
        raise failure(parts.file, doing, command, view.returncode, complaints) from failed
    if failed:
        raise failed
    if view.returncode:
        raise failure(parts.file, doing, command, view.returncode, complaints)
    made.warnings = harmless_in(said)


class Sending(threading.Thread):
    """Sends parts of the file to a pipe.

    Attributes:
        error: the error that stopped it; None if there was none.
    """

    def __init__(
        self, parts: Parts, task: Task, only: Span | None, pipe: IO[bytes], sent: list[Extent]
    ) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self._parts, self._task, self._only = parts, task, only
        self._pipe, self._sent = pipe, sent

    def run(self) -> None:
        """Sends the parts of the task, then closes the pipe."""
        try:
            with self._pipe:
                self._parts.send(self._task.parts, self._only, self._pipe.fileno(), self._sent)
        except BrokenPipeError:
            # samtools has exited; its exit status and messages give the reason.
            pass
        except (ReadCountError, NotOnlySpanError, OSError) as error:
            self.error = error
