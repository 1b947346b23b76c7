"""A Pool that always ends: when a worker dies, on any error, and when the job is terminated."""

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing.context import ForkContext, ForkProcess
from multiprocessing.pool import Pool
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, TypeVar

from readcount.errors import MORE_MEMORY, WorkerDiedError

T = TypeVar("T")
R = TypeVar("R")

# How long to wait for a result before looking whether all workers are alive.
POLL_SECONDS = 0.5
# How long to wait for Pool.terminate(), which usually takes milliseconds.
TERMINATE_SECONDS = 2


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
            self._require_alive()
            try:
                yield coming.next(timeout=POLL_SECONDS)
            except multiprocessing.TimeoutError:
                continue
            except StopIteration:
                return

    def results_of_few(
        self, function: Callable[[T], R], tasks: Iterable[T], at_once: int
    ) -> Iterator[R]:
        """Runs the function on each task as results() does, and takes no more tasks than needed.

        results() takes all tasks at once. Where a task has files on the disk, and there are
        thousands, it is better to make one when there is a process for it.

        Args:
            function: what to run.
            tasks: the tasks.
            at_once: how many may wait or run at a time.

        Raises:
            WorkerDiedError: as results().
        """
        done: queue.SimpleQueue[R | BaseException] = queue.SimpleQueue()
        waiting = iter(tasks)
        running = 0
        while True:
            for task in islice(waiting, at_once - running):
                self.pool.apply_async(function, (task,), callback=done.put, error_callback=done.put)
                running += 1
            if not running:
                return
            self._require_alive()
            try:
                result = done.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            running -= 1
            if isinstance(result, BaseException):
                raise result
            yield result

    def _require_alive(self) -> None:
        """Raises WorkerDiedError if a process has ended."""
        for process in self.processes:
            if process.exitcode is not None:
                raise WorkerDiedError(
                    f"A counting process ended with exit code {process.exitcode}: it was "
                    f"killed, or the worker ran out of memory. {MORE_MEMORY}"
                )


class _NoProcess:
    """Takes the place of a process that is not to be started."""

    name = ""
    exitcode = None

    def start(self) -> None:
        """Does nothing."""

    def terminate(self) -> None:
        """Does nothing."""

    def is_alive(self) -> bool:
        """Returns False."""
        return False


class _NumberOfForks(ForkContext):
    """Forks so many processes, and no more.

    A Pool forks another worker in the place of one that died, beside its threads: where one of
    them holds a lock, the new process waits for it for ever (Python documentation, os.fork).
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._left = number

    def Process(self, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]  # noqa: N802
        """Returns a process to start, or one that does nothing."""
        self._left -= 1
        return _NoProcess() if self._left < 0 else ForkProcess(*arguments, **options)


@contextlib.contextmanager
def start_workers(number: int) -> Iterator[Workers]:
    """Yields a Pool of forked workers, and ends every process that they started in the end.

    Enter it before other threads are started: a fork beside threads can deadlock. Another start
    method than fork would run the platform's launcher again. Within, a SIGTERM ends the program as
    an exception does, so that the processes that it started end with it.
    """
    pool = Pool(number, _lead_a_group, context=_NumberOfForks(number))
    workers = Workers(pool, tuple(multiprocessing.active_children()))
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield workers
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(workers)


def _lead_a_group() -> None:
    """Makes a worker the leader of a process group that includes its samtools processes."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _end(workers: Workers) -> None:
    # A worker that was killed may have held a lock, for which terminate() then waits for ever.
    ending = threading.Thread(target=workers.pool.terminate, daemon=True)
    ending.start()
    ending.join(TERMINATE_SECONDS)
    for process in workers.processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.kill()  # one that does not lead its group yet
