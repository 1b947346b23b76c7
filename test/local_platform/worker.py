"""A worker: a folder that represents the root of a machine, and the job's process in it.

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

# Sockets to which dxpy sends messages of Python's logging; on real workers in /opt/dnanexus/log.
_LOG_SOCKETS = ("priority", "bulk")
# failureReason if memory or storage ran out.
INSUFFICIENT = "AppInsufficientResourceError"
# Names of the syslog levels 0 to 7, which dxpy sends.
_LOG_LEVELS = ("EMERG", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
# Processes inherit ignored signals, and background processes of a shell ignore SIGINT. On a real
# worker, no signal is ignored.
_DEFAULT_SIGNALS = ("/usr/bin/env", "--default-signal")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The platform runs the code of an applet from a program of its own, which is `__main__`, in that
# program's globals. Only the paths of the log sockets are specific to this worker.
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
    """A package that the applet declares is not installed on this machine."""


@dataclass(frozen=True)
class Assignment:
    """What a worker runs, as specified by the applet and the job."""

    job_id: str
    code: str
    bundles: Mapping[str, Path]
    packages: Iterable[Mapping[str, str]]
    job_input: Mapping[str, Any]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """The content of job_output.json, or the type and message of an error."""

    output: Any
    error: tuple[str, str] | None


class Worker:
    """The machine of one try of a job. It is used once and then removed."""

    def __init__(self, root: Path, assignment: Assignment, log: JobLog) -> None:
        self.root = root
        self.home = root / "home" / "dnanexus"
        self._assignment = assignment
        self._log = log
        self._session: int | None = None
        self._killed = False
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Creates the files of the worker. Raises PackageError if a package is missing."""
        job = self._assignment
        self.home.mkdir(parents=True)
        for name, bundle in job.bundles.items():
            self._log.write(f"Unpacking {name}")
            # Captured, because tar warns about absolute paths in each bundle.
            subprocess.run(
                ["tar", "-xzf", bundle, "-C", self.root], check=True, capture_output=True
            )
        bin_folder = self.root / "usr" / "bin"
        bin_folder.mkdir(parents=True, exist_ok=True)
        for package in job.packages:
            self._log.write(f"Using the package {package['name']} of this machine")
            _provide(package, bin_folder)
        script = self.home / job.job_id
        script.write_text(_WRAPPER)
        script.with_name(f"{job.job_id}.code.py").write_text(job.code, encoding="utf-8")
        (self.home / "job_input.json").write_text(json.dumps(job.job_input))

    def run(self, timeout: float) -> Outcome:
        """Runs the job to its end; afterwards, no process of the job is left.

        Raises subprocess.TimeoutExpired after `timeout` seconds.
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
                    [*_DEFAULT_SIGNALS, sys.executable, str(self.home / self._assignment.job_id)],
                    cwd=self.home,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
                self._session = process.pid
            if self._killed:  # before the process started
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
        """Kills all processes of the job."""
        with self._lock:
            self._killed = True
            # Repeated, because a process may start another one just before it is killed.
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
            # The full path may exceed the maximum length of a socket address.
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
    """Yields the running processes of a job: in its session, or with its ID in their environment.

    A child process may start a session of its own, or start with an empty environment; hardly any
    does both.
    """
    mark = f"DX_JOB_ID={job_id}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # has ended, or belongs to another user
            # Fields after the name in parentheses: state, parent, process group, session.
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if state != "Z" and (
                int(its_session) == session
                or mark in (folder / "environ").read_bytes().split(b"\0")
            ):
                yield int(folder.name)


def _provide(package: Mapping[str, str], bin_folder: Path) -> None:
    """Makes a declared apt package available to the job, if it is installed on this machine.

    The package python3-X stands for the Python module X, any other package for the command of the
    same name. Raises PackageError if this machine does not have it.
    """
    name = package["name"]
    if package.get("package_manager", "apt") != "apt":
        raise PackageError(f"this local platform supports only apt packages, not {name}")
    if name.startswith("python3-"):
        found = importlib.util.find_spec(name.removeprefix("python3-")) is not None
    else:
        command = shutil.which(name)
        found = command is not None
        if command is not None:
            (bin_folder / name).symlink_to(command)
    if not found:
        raise PackageError(f"the apt package {name} is not installed on this machine")


def _error_of(path: Path, exit_status: int) -> tuple[str, str]:
    """Returns type and message from job_error.json, or defaults if the file has none."""
    match _read_json(path, None):
        case {"error": {"type": "AppInternalError", "message": str(message)}} if message.startswith(
            INSUFFICIENT
        ):
            # dxpy writes the name of this exception as a prefix of the message.
            return INSUFFICIENT, message
        case {"error": {"type": str(type_), "message": str(message)}}:
            return type_, message
    return "AppInternalError", f"The program exited with status {exit_status} and no job_error.json"


def _read_json(path: Path, default: Any) -> Any:
    """Parses a JSON file; returns the default if it does not exist, and None if it is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return default
    except ValueError:
        return None
