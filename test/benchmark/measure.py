"""Measures time and CPU time of complete processes."""

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
    """One run of a process and its children.

    Attributes:
        wall: seconds from start to end.
        cpu: seconds of user and system time, including its children's.
        stdout: its standard output; empty if it was not kept.
        stderr: its standard error.
    """

    wall: float
    cpu: float
    stdout: str
    stderr: str


@dataclass
class Method:
    """A method to count.

    Attributes:
        name: name in the table.
        command: program and arguments.
        keep: whether to keep standard output, because it contains the counts.
        scale: factor for the time of a run that does only a part of the work.
        runs: measured runs.
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
    """Returns the median CPU seconds of the processes that `work` starts."""
    seconds = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        work()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        )
    return statistics.median(seconds)
