"""A Pool that always ends: when a worker dies, on any error, and when the job is terminated."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.pool import Pool
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TypeVar

from readcount.errors import MORE_MEMORY, WorkerDiedError

T = TypeVar("T")
R = TypeVar("R")

# How long to wait for a result before looking whether all workers are alive.
POLL_SECONDS = 0.5
# How long to wait for Pool.terminate(), which usually takes milliseconds.
TERMINATE_SECONDS = 2
_PID_BYTES = 4


@dataclass(frozen=True)
class Workers:
    """A Pool and the processes that it started with."""

    pool: Pool
    processes: tuple[BaseProcess, ...]

    def results(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Runs the function on each task, one at a time; yields results as they come.

        Raises:
            WorkerDiedError: a worker died, and its task with it. Pool itself would start another
                one, and wait for ever.
        """
        coming = self.pool.imap_unordered(function, tasks, chunksize=1)
        while True:
            for process in self.processes:
                if process.exitcode is not None:
                    raise WorkerDiedError(
                        f"A counting process ended with exit code {process.exitcode}: it was "
                        f"killed, or the worker ran out of memory. {MORE_MEMORY}"
                    )
            try:
                yield coming.next(timeout=POLL_SECONDS)
            except multiprocessing.TimeoutError:
                continue
            except StopIteration:
                return


@contextlib.contextmanager
def start_workers(number: int) -> Iterator[Workers]:
    """Yields a Pool of forked workers, and ends every process that they started in the end.

    Enter it before other threads are started: a fork beside threads can deadlock. Another start
    method than fork would run the platform's launcher again. Within, a SIGTERM ends the program as
    an exception does, so that the processes that it started end with it.
    """
    # Every worker writes its pid, also those that Pool starts in place of dead ones.
    pids, report = os.pipe()
    pool = multiprocessing.get_context("fork").Pool(number, _lead_a_group, [report])
    workers = Workers(pool, tuple(multiprocessing.active_children()))
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield workers
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(pool, pids)
        os.close(pids)
        os.close(report)


def _lead_a_group(report: int) -> None:
    """Makes a worker the leader of a process group that includes its samtools processes."""
    os.setpgid(0, 0)
    os.write(report, os.getpid().to_bytes(_PID_BYTES, "little"))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _end(pool: Pool, pids: int) -> None:
    # A worker that was killed may have held a lock, for which terminate() then waits for ever.
    # Before it waits, it has made sure that no more workers are started.
    ending = threading.Thread(target=pool.terminate, daemon=True)
    ending.start()
    ending.join(TERMINATE_SECONDS)
    os.set_blocking(pids, False)
    with contextlib.suppress(BlockingIOError):
        while pid := int.from_bytes(os.read(pids, _PID_BYTES), "little"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
    # A worker in place of a dead one was forked beside threads: it may wait for a lock that nobody
    # releases, before it has written its pid, and Python would wait for it at exit.
    for process in multiprocessing.active_children():
        process.kill()
