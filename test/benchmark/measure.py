"""Whole processes, measured from outside."""

import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """One run of a process and of all that it started.

    Attributes:
        wall: seconds from start to end.
        cpu: seconds of user and system time, its children's included.
        stdout: what it wrote; empty if that was not kept.
        stderr: what it wrote.
    """

    wall: float
    cpu: float
    stdout: str
    stderr: str


@dataclass
class Way:
    """A way to count.

    Attributes:
        name: for the table.
        command: word by word.
        keep: whether standard output holds counts, and not the BAM's content.
        scale: what the time of a run is multiplied by, where it does a part of the work.
        runs: what was measured.
    """

    name: str
    command: Sequence[str]
    keep: bool = True
    scale: float = 1
    runs: list[Run] = field(default_factory=list)

    @property
    def walls(self) -> list[float]:
        return [run.wall * self.scale for run in self.runs]

    @property
    def wall(self) -> float:
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        return statistics.median(run.cpu * self.scale for run in self.runs)


def run(command: Sequence[str], keep: bool = True) -> Run:
    """Runs a command to its end; raises CalledProcessError if it fails."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.monotonic()
        process = subprocess.Popen(
            command, stdout=stdout if keep else subprocess.DEVNULL, stderr=stderr
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        out, err = stdout.read().decode(), stderr.read().decode(errors="replace")
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, out, err)
    return Run(wall, usage.ru_utime + usage.ru_stime, out, err)


def cpu_of_children(work: Callable[[], object], times: int = 7) -> float:
    """Returns the median of the CPU seconds that processes take which the work starts."""
    seconds = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        work()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        )
    return statistics.median(seconds)
