"""However a run ends, it ends: nothing waits for a dead worker, and no process is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from messages import is_a_known_message
from readcount.counting.pool import start_workers
from readcount.errors import WorkerDiedError

RESOURCES = Path(__file__).parents[2] / "resources" / "home" / "dnanexus"
# A number of seconds that only this process sleeps.
QUICK, LONG = 0.01, 3600 + os.getpid()


def sleep(seconds: float) -> float:
    """What samtools is in a real task: a process below the worker."""
    subprocess.run(["sleep", str(seconds)], check=True)
    return seconds


def sleeping() -> list[psutil.Process]:
    """The long sleepers that this test has left."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["cmdline"] == ["sleep", str(LONG)]
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def wait_for_sleepers(number: int) -> list[psutil.Process]:
    """Waits until this many tasks are running."""
    while len(found := sleeping()) < number:
        time.sleep(0.01)
    return found


def no_one_sleeps() -> bool:
    """Whether all sleepers are gone; one that was killed takes a moment to go."""
    _, alive = psutil.wait_procs(sleeping(), timeout=30)
    return not alive


def test_no_other_thread_runs_before_the_pool_is_started() -> None:
    threads = "import os, samtools_count; print(len(os.listdir('/proc/self/task')))"
    path = f"{RESOURCES}:{RESOURCES.parents[2] / 'src'}"
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    ended = subprocess.run(
        [sys.executable, "-c", threads], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["1"]


def test_results_come_from_all_workers() -> None:
    with start_workers(2) as workers:
        assert sorted(workers.results(sleep, [QUICK] * 3)) == [QUICK] * 3
        assert len(workers.processes) == 2


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_killed_at_work_ends_the_run(victim: int) -> None:
    with start_workers(2) as workers:
        results = workers.results(sleep, [QUICK, LONG, LONG, LONG])
        assert next(results) == QUICK
        wait_for_sleepers(2)
        os.kill(workers.processes[victim].pid or 0, signal.SIGKILL)
        with pytest.raises(WorkerDiedError, match="exit code -9") as died:
            list(results)
        assert is_a_known_message(str(died.value), "AppInternalError")
    assert no_one_sleeps()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_killed_while_it_waits_ends_the_run(victim: int) -> None:
    """It may take the Pool's lock with it, for which Pool.terminate() waits forever."""
    with start_workers(2) as workers:
        process = psutil.Process(workers.processes[victim].pid)
        process.kill()
        with pytest.raises(WorkerDiedError):
            list(workers.results(sleep, [LONG] * 3))
    assert no_one_sleeps()


def test_an_error_ends_what_is_under_way() -> None:
    with pytest.raises(LookupError), start_workers(2) as workers:
        results = workers.results(sleep, [QUICK, LONG, LONG, LONG])
        next(results)
        wait_for_sleepers(2)
        raise LookupError
    assert no_one_sleeps()


PROGRAM = f"""
import sys
sys.path.insert(0, {str(RESOURCES)!r})
sys.dont_write_bytecode = True
import subprocess
from readcount.counting.pool import start_workers

def sleep(seconds):
    subprocess.run(["sleep", str(seconds)], check=True)

with start_workers(2) as workers:
    list(workers.results(sleep, [{LONG}] * 4))
"""


def test_a_program_that_is_terminated_takes_its_processes_with_it() -> None:
    program = subprocess.Popen([sys.executable, "-c", PROGRAM])
    wait_for_sleepers(2)
    program.terminate()
    assert program.wait() == 128 + signal.SIGTERM
    assert no_one_sleeps()


DEATH = f"""
import sys
sys.path.insert(0, {str(RESOURCES)!r})
sys.dont_write_bytecode = True
import os, signal, time
from readcount.errors import WorkerDiedError
from readcount.counting.pool import start_workers

def die(_):
    os.kill(os.getpid(), signal.SIGKILL)

with start_workers(2) as workers:
    os.register_at_fork(before=lambda: print("a fork", flush=True))
    try:
        list(workers.results(die, [1]))
    except WorkerDiedError:
        time.sleep(1)
        print("died", flush=True)
"""


def test_no_worker_takes_the_place_of_a_dead_one() -> None:
    """It would be forked beside threads, which may hold a lock."""
    program = subprocess.run(
        [sys.executable, "-c", DEATH], capture_output=True, text=True, timeout=60, check=False
    )
    assert (program.returncode, program.stdout) == (0, "died\n"), program.stderr
