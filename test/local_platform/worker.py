"""A worker: a folder as the root of a new machine, and the job's process in it.

https://documentation.dnanexus.com/developer/apps/execution-environment
"""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .logs import JobLog

# Where dxpy sends the messages of Python's logging; on a worker they are below /opt/dnanexus/log.
_LOG_SOCKETS = ("priority", "bulk")
# The reason of a failure for which memory or storage ran out.
INSUFFICIENT = "AppInsufficientResourceError"
# It gives their levels as syslog's numbers.
_LOG_LEVELS = ("EMERG", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
# A signal that is ignored stays so in every process below: a background process of a shell ignores
# SIGINT. A worker is a fresh machine, which ignores none.
_FRESH = ("/usr/bin/env", "--default-signal")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The platform wraps the code of an applet in a program of its own, which is `__main__` and runs
# the code in its own globals. Only the paths of the log sockets are particular to this worker.
_WRAPPER = """\
import os

import dxpy.dxlog

dxpy.dxlog.DXLogHandler.__init__.__defaults__ = (
    "../../log/priority", "../../log/bulk", "DX_APP"
)


def exec_code():
    path = os.path.abspath(__file__) + ".code.py"
    with open(path) as source:
        code = compile(source.read(), path, "exec")
    exec(code, globals())


exec_code()
"""


class PackageError(Exception):
    """A package that the applet declares is not on this machine."""


@dataclass(frozen=True)
class Assignment:
    """What a worker runs, as the applet and the job specify it."""

    job_id: str
    code: str
    bundles: Mapping[str, Path]
    packages: Iterable[Mapping[str, str]]
    job_input: Mapping[str, Any]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """What the process left in job_output.json, or the type and message of its error."""

    output: Any
    error: tuple[str, str] | None


class Worker:
    """The machine of one job. It is used once and then removed."""

    def __init__(self, root: Path, assignment: Assignment, log: JobLog) -> None:
        self.root = root
        self.home = root / "home" / "dnanexus"
        self._assignment = assignment
        self._log = log
        self._session: int | None = None
        self._killed = False
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Prepare the machine. Raises PackageError for a package that is missing."""
        job = self._assignment
        self.home.mkdir(parents=True)
        for name, bundle in job.bundles.items():
            self._log.write(f"Unpacking {name}")
            # Quietly: tar would tell of each bundle that its names were absolute.
            subprocess.run(
                ["tar", "-xzf", bundle, "-C", self.root], check=True, capture_output=True
            )
        bin_folder = self.root / "usr" / "bin"
        bin_folder.mkdir(parents=True, exist_ok=True)
        for package in job.packages:
            self._log.write(f"Taking the package {package['name']} from this machine")
            _provide(package, bin_folder)
        script = self.home / job.job_id
        script.write_text(_WRAPPER)
        script.with_name(f"{job.job_id}.code.py").write_text(job.code, encoding="utf-8")
        (self.home / "job_input.json").write_text(json.dumps(job.job_input))

    def run(self, timeout: float) -> Outcome:
        """Run the job to its end and return how it ended.

        Raises subprocess.TimeoutExpired after `timeout` seconds. In any case, no process of the job
        is left.
        """
        environment = {
            **self._assignment.environment,
            "HOME": str(self.home),
            "PATH": f"{self.root / 'usr' / 'bin'}:{_SYSTEM_PATH}",
            "LANG": "C.UTF-8",
        }
        with contextlib.ExitStack() as stack:
            self._receive_log_datagrams(stack)
            with self._lock:
                process = subprocess.Popen(
                    [*_FRESH, sys.executable, str(self.home / self._assignment.job_id)],
                    cwd=self.home,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
                self._session = process.pid
            if self._killed:  # before there was a process
                self.kill()
            assert process.stdout is not None and process.stderr is not None
            readers = [
                threading.Thread(target=self._copy_to_log, args=[process.stdout, "STDOUT"]),
                threading.Thread(target=self._copy_to_log, args=[process.stderr, "STDERR"]),
            ]
            for reader in readers:
                reader.start()
            try:
                exit_status = process.wait(timeout)
            finally:
                self.kill()
                process.wait()
                for reader in readers:
                    reader.join()
        if exit_status != 0:
            return Outcome(None, _error_of(self.home / "job_error.json", exit_status))
        return Outcome(_read_json(self.home / "job_output.json", {}), None)

    def kill(self) -> None:
        """Kill every process of the job at once."""
        with self._lock:
            self._killed = True
            # A process that is about to start another one shows up in the next round.
            while processes := list(_processes_of(self._assignment.job_id, self._session)):
                for process in processes:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def _copy_to_log(self, stream: IO[bytes], level: str) -> None:
        with stream:
            for line in stream:
                text = line.decode(errors="replace").rstrip("\n")
                self._log.write(text, source="APP", level=level)

    def _receive_log_datagrams(self, stack: contextlib.ExitStack) -> None:
        folder = self.root / "log"
        folder.mkdir()
        for name in _LOG_SOCKETS:
            receiver = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            # A path below the worker's root may be longer than a socket's address can be.
            directory = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, directory)
            receiver.bind(f"/proc/self/fd/{directory}/{name}")
            thread = threading.Thread(target=self._copy_datagrams, args=[receiver])
            stack.callback(thread.join)
            stack.callback(receiver.shutdown, socket.SHUT_RD)
            thread.start()

    def _copy_datagrams(self, receiver: socket.socket) -> None:
        while datagram := receiver.recv(65536):
            record = json.loads(datagram)
            level = _LOG_LEVELS[record["level"]]
            self._log.write(record["msg"], source=record["source"], level=level)


def _processes_of(job_id: str, session: int | None) -> Iterator[int]:
    """The living processes of a job: those in its session, or with its id in their environment.

    A child leaves the session by starting one of its own, and the environment by starting with an
    empty one; hardly any does both.
    """
    mark = f"DX_JOB_ID={job_id}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            # After the name in parentheses: state, parent, group, session.
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if state != "Z" and (
                int(its_session) == session
                or mark in (folder / "environ").read_bytes().split(b"\0")
            ):
                yield int(folder.name)


def _provide(package: Mapping[str, str], bin_folder: Path) -> None:
    """Make a declared apt package usable in the job, from what this machine has.

    A package named python3-X is the Python module X; any other is the command of its name.
    Raises PackageError where this machine has neither.
    """
    name = package["name"]
    if package.get("package_manager", "apt") != "apt":
        raise PackageError(f"this local platform has apt packages only, not {name}")
    if name.startswith("python3-"):
        found = importlib.util.find_spec(name.removeprefix("python3-")) is not None
    else:
        command = shutil.which(name)
        found = command is not None
        if command is not None:
            (bin_folder / name).symlink_to(command)
    if not found:
        raise PackageError(f"the apt package {name} is not on this machine")


def _error_of(path: Path, exit_status: int) -> tuple[str, str]:
    """The type and message in job_error.json, or those of a program that did not write it."""
    match _read_json(path, None):
        case {"error": {"type": "AppInternalError", "message": str(message)}} if message.startswith(
            INSUFFICIENT
        ):
            # dxpy has an exception of this name, and writes that before the message.
            return INSUFFICIENT, message
        case {"error": {"type": str(type_), "message": str(message)}}:
            return type_, message
    return "AppInternalError", f"The program exited with status {exit_status} and no job_error.json"


def _read_json(path: Path, default: Any) -> Any:
    """What a file holds: the default where there is no file, None where it is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return default
    except ValueError:
        return None
