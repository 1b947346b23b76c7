"""The Pool always shuts down: nothing waits for a dead worker, and no process is left behind."""

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
# Seconds to sleep. LONG depends on the process ID, so that each run finds only its own processes.
QUICK, LONG = 0.01, 3600 + os.getpid()


def sleep(seconds: float) -> float:
    """Starts a child process of the worker, as a task starts samtools."""
    subprocess.run(["sleep", str(seconds)], check=True)
    return seconds


def sleeping() -> list[psutil.Process]:
    """Returns the processes that still sleep for LONG seconds."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["cmdline"] == ["sleep", str(LONG)]
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def wait_for_sleepers(number: int) -> list[psutil.Process]:
    """Waits until this many tasks are running; returns their processes."""
    while len(found := sleeping()) < number:
        time.sleep(0.01)
    return found


def all_sleepers_end() -> bool:
    """Whether no process is left; a killed process takes a moment to end."""
    _, alive = psutil.wait_procs(sleeping(), timeout=30)
    return not alive


def test_importing_the_entry_script_starts_no_threads() -> None:
    """The Pool is forked after the import, and forking a process with threads can deadlock."""
    program = "import os, samtools_count; print(len(os.listdir('/proc/self/task')))"
    path = f"{RESOURCES}:{RESOURCES.parents[2] / 'src'}"
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["1"]


def test_the_results_of_all_tasks_are_returned() -> None:
    with start_workers(2) as workers:
        assert sorted(workers.results(sleep, [QUICK] * 3)) == [QUICK] * 3
        assert len(workers.processes) == 2


@pytest.mark.parametrize("victim", [0, 1])
def test_killing_a_busy_worker_ends_the_run(victim: int) -> None:
    with start_workers(2) as workers:
        results = workers.results(sleep, [QUICK, LONG, LONG, LONG])
        assert next(results) == QUICK
        wait_for_sleepers(2)
        os.kill(workers.processes[victim].pid or 0, signal.SIGKILL)
        with pytest.raises(WorkerDiedError, match="exit code -9") as died:
            list(results)
        assert is_a_known_message(str(died.value), "AppInternalError")
    assert all_sleepers_end()


@pytest.mark.parametrize("victim", [0, 1])
def test_killing_an_idle_worker_ends_the_run(victim: int) -> None:
    """If it holds the Pool's lock, Pool.terminate() waits forever."""
    with start_workers(2) as workers:
        process = psutil.Process(workers.processes[victim].pid)
        process.kill()
        with pytest.raises(WorkerDiedError):
            list(workers.results(sleep, [LONG] * 3))
    assert all_sleepers_end()


def test_an_error_terminates_running_tasks() -> None:
    with pytest.raises(LookupError), start_workers(2) as workers:
        results = workers.results(sleep, [QUICK, LONG, LONG, LONG])
        next(results)
        wait_for_sleepers(2)
        raise LookupError
    assert all_sleepers_end()


PROGRAM = f"""
import sys
sys.path.insert(0, {str(RESOURCES)!r})
sys.dont_write_bytecode = True
import subprocess
from readcount.counting.pool import start_workers
from readcount.threads import call_ahead

def sleep(seconds):
    subprocess.run(["sleep", str(seconds)], check=True)

with start_workers(2) as workers:
"""
USES = {
    "by the main thread": f"    list(workers.results(sleep, [{LONG}] * 4))",
    "by two threads": f"""
    def sleep_long(number):
        list(workers.results(sleep, [{LONG}] * 2))

    list(call_ahead(sleep_long, range(4), 1))
""",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_terminating_the_program_terminates_its_child_processes(use: str) -> None:
    program = subprocess.Popen([sys.executable, "-c", PROGRAM + use])
    wait_for_sleepers(2)
    program.terminate()
    assert program.wait() == 128 + signal.SIGTERM
    assert all_sleepers_end()


PROGRAM_WITH_DYING_WORKER = f"""
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


def test_a_dead_worker_is_not_replaced() -> None:
    """Its replacement would be forked while threads run, and one of these may hold a lock."""
    command = [sys.executable, "-c", PROGRAM_WITH_DYING_WORKER]
    program = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (program.returncode, program.stdout) == (0, "died\n"), program.stderr
