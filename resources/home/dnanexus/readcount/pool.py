"""A Pool whose end is certain: when a worker dies, on any error, and when the job is terminated."""

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

# How long a result may keep us from looking whether all workers are alive.
LOOK_SECONDS = 0.5
# How long Pool.terminate() gets; it usually takes milliseconds.
TERMINATE_SECONDS = 2
_PID_BYTES = 4


@dataclass(frozen=True)
class Workers:
    """A Pool and the processes that it started with."""

    pool: Pool
    processes: tuple[BaseProcess, ...]

    def results(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Runs the function on each task, handed out one at a time; gives results as they come.

        Raises:
            WorkerDiedError: a worker is dead, and with it the task that it had. Pool itself would
                start another one, and wait for ever.
        """
        coming = self.pool.imap_unordered(function, tasks, chunksize=1)
        while True:
            for process in self.processes:
                if process.exitcode is not None:
                    raise WorkerDiedError(
                        f"A process of the Pool died with exit code {process.exitcode}. It was "
                        f"killed, or the worker ran out of memory. {MORE_MEMORY}"
                    )
            try:
                yield coming.next(timeout=LOOK_SECONDS)
            except multiprocessing.TimeoutError:
                continue
            except StopIteration:
                return


@contextlib.contextmanager
def start_workers(number: int) -> Iterator[Workers]:
    """Gives a Pool of forked workers, and ends every process below them in the end.

    Has to be entered before other threads are started: a fork beside threads can deadlock. Has to
    be a fork, because another start method would run the platform's launcher again. Within, a
    SIGTERM ends the program as an exception does, so that what it started ends with it.
    """
    # Every worker tells its pid, those too that Pool starts in the place of dead ones.
    pids, tell = os.pipe()
    pool = multiprocessing.get_context("fork").Pool(number, _lead_a_group, [tell])
    workers = Workers(pool, tuple(multiprocessing.active_children()))
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield workers
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(pool, pids)
        os.close(pids)
        os.close(tell)


def _lead_a_group(tell: int) -> None:
    """Makes a worker the leader of a process group, in which its samtools processes are too."""
    os.setpgid(0, 0)
    os.write(tell, os.getpid().to_bytes(_PID_BYTES, "little"))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _end(pool: Pool, pids: int) -> None:
    # A worker that was killed may have held a lock for which terminate() then waits for ever.
    # Before that it has seen to it that no worker is started any more.
    ending = threading.Thread(target=pool.terminate, daemon=True)
    ending.start()
    ending.join(TERMINATE_SECONDS)
    os.set_blocking(pids, False)
    with contextlib.suppress(BlockingIOError):
        while pid := int.from_bytes(os.read(pids, _PID_BYTES), "little"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
    # One that took a dead one's place was forked beside threads: it may wait for a lock that nobody
    # gives back, since before it told its pid, and at its own end Python would wait for it.
    for process in multiprocessing.active_children():
        process.kill()
