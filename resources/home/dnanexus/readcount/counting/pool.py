"""A Pool that always shuts down: on any error, if a worker dies, or if the job is terminated."""

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

# Tasks running or waiting per process, so that no process waits for its next task.
TASKS_PER_PROCESS = 2
# How long to wait for a result before checking that all workers are alive.
POLL_SECONDS = 0.5
# How long to wait for Pool.terminate(), which usually takes milliseconds.
TERMINATE_SECONDS = 2


@dataclass(frozen=True)
class Workers:
    """A Pool and the processes that it started with."""

    pool: Pool
    processes: tuple[BaseProcess, ...]

    def results(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Runs the function on each task; yields results as they come.

        A task is taken from the iterator only when a process will soon be free. So thousands of
        tasks that have files on disk do not have them all at once.

        Raises:
            WorkerDiedError: a worker died and its task is lost. Pool itself would replace the
                worker and wait forever.
        """
        at_once = TASKS_PER_PROCESS * len(self.processes)
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
    """Stands in for a process that must not be started."""

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
    """A fork context that starts this many processes and no more.

    Pool replaces a dead worker by forking while its own threads run. If one of these holds a lock,
    the new process waits for it forever (Python documentation, os.fork).
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
    """Yields a Pool of forked workers; on exit, ends them and every process they started.

    Start the Pool before any other thread: forking a process with threads can deadlock. Start
    methods other than fork would run the platform's launcher again. Inside the context, SIGTERM
    raises an exception, so that child processes are ended too.
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
    # terminate() waits forever for a lock held by a worker that was killed.
    ending = threading.Thread(target=workers.pool.terminate, daemon=True)
    ending.start()
    ending.join(TERMINATE_SECONDS)
    for process in workers.processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.kill()  # not yet the leader of its group
