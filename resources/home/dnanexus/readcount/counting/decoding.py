"""Runs samtools on parts of the input file, which it reads from a pipe."""

import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Decoding:
    """A samtools call that reads parts of the file.

    Attributes:
        stdout: its standard output.
        sent: extents of the records sent to it so far, from container headers; see Parts.send.
        warnings: harmless messages from samtools; set when it has exited.
        error: the error that stopped sending; None if there was none.
    """

    stdout: IO[bytes]
    sent: list[Extent] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    error: Exception | None = None

    def send(self, parts: Parts, task: Task, only: Span | None, pipe: IO[bytes]) -> None:
        """Sends the parts of the task, then closes the pipe."""
        try:
            with pipe:
                parts.send(task.parts, only, pipe.fileno(), self.sent)
        except BrokenPipeError:
            # samtools has exited; its exit status and messages give the reason.
            pass
        except (ReadCountError, NotOnlySpanError, OSError) as error:
            self.error = error


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
    options = parts.options(task.with_ends, filters)
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
            of_parts = (parts, task, only, view.stdin)
            sending = threading.Thread(target=made.send, args=of_parts, daemon=True)
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
    if made.error:
        raise made.error
    complaints = complaints_in(said)
    # samtools gets SIGPIPE if the code reading its output fails.
    if complaints or view.returncode not in ((0, -signal.SIGPIPE) if failed else (0,)):
        doing = f"counting {task.label} of"
        raise failure(parts.file, doing, command, view.returncode, complaints) from failed
    if failed:
        raise failed
    made.warnings = harmless_in(said)
