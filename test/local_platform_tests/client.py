"""Runs dx and dxpy on the local platform; also the applets and helpers that its tests share."""

import json
import os
import subprocess
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import dxpy
import pytest

from local_platform import LocalPlatform
from local_platform.__main__ import client_environment
from local_platform.job import FINAL_STATES, Job

# Limit for anything that could hang.
HANG_SECONDS = 60

Fields = Sequence[Mapping[str, Any]]

# An applet that does nothing.
NO_OP = "pass"
# An applet that prints a line and runs until the file named by its input exists.
WAIT_FOR_RELEASE = """\
import json, os, time
release = json.load(open("job_input.json"))["release"]
print("running", flush=True)
while not os.path.exists(release):
    time.sleep(0.01)
print("released", flush=True)
"""
# An applet that fails with an AppError.
FAIL = """\
import dxpy

@dxpy.entry_point("main")
def main():
    print("about to fail")
    raise dxpy.AppError("the input is invalid")

dxpy.run()
"""
RELEASE_INPUT: Fields = [{"name": "release", "class": "string"}]


@dataclass(frozen=True)
class Client:
    """A test's own folder in the platform's project, and the clients that work in it."""

    platform: LocalPlatform
    folder: str
    # A local folder, for files to upload or download and for the release files of jobs.
    local: Path

    @property
    def project(self) -> str:
        return self.platform.project.id

    @property
    def environment(self) -> dict[str, str]:
        return {**client_environment(self.platform, os.environ), "DX_CLI_WD": self.folder}

    # The command line

    def dx_process(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["dx", *map(str, arguments)],
            # Tests wait for single lines, but Python buffers its output to a pipe.
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            cwd=self.local,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def dx(self, *arguments: str | Path, status: int = 0) -> str:
        """Runs `dx` and returns its stdout, followed by its stderr if it is expected to fail."""
        process = self.dx_process(*arguments)
        output, errors = process.communicate(timeout=HANG_SECONDS)
        assert process.returncode == status, output + errors
        return (output if status == 0 else output + errors).rstrip("\n")

    def dx_json(self, *arguments: str | Path) -> Any:
        return json.loads(self.dx(*arguments, "--json"))

    # Files

    def local_file(self, name: str, content: bytes | str = "") -> Path:
        path = self.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def file(self, name: str = "some.txt", content: str = "some text\n", **fields: Any) -> str:
        """Uploads a file with dxpy and waits until it is closed; returns its ID."""
        fields = {"folder": self.folder, "project": self.project, **fields}
        file = dxpy.upload_string(content, name=name, **fields)
        self.wait_until_closed(file.get_id())
        return str(file.get_id())

    def upload(self, source: Path, *options: str) -> str:
        """Uploads a file with `dx` and waits until it is closed; returns its ID.

        Does not use `dx upload --wait`, which polls only once per second.
        """
        file_id = self.dx("upload", source, "--brief", *options)
        self.wait_until_closed(file_id)
        return file_id

    def open_file(self, name: str = "open.txt") -> str:
        """Creates a file without content and does not close it; returns its ID."""
        file = dxpy.new_dxfile(name=name, folder=self.folder, project=self.project)
        return str(file.get_id())

    def describe(self, object_id: str) -> dict[str, Any]:
        return dict(dxpy.describe(object_id))

    def wait_until_closed(self, file_id: str) -> None:
        with self.platform.store.changed:
            file = self.platform.store.find_object(file_id)
            assert self.platform.store.changed.wait_for(
                lambda: file.state == "closed", HANG_SECONDS
            )

    def move_to_other_users_project(self, file_id: str) -> str:
        """Moves a file to a project that the user cannot access; returns the project's ID."""
        store = self.platform.store
        with store.changed:
            other = store.new_container("project", "another user's")
            store.clone(store.find_object(file_id), self.project, other.id, "/")
            store.remove_objects(store.container(self.project), [file_id], force=False)
        return other.id

    # Applets and jobs

    def applet(
        self,
        code: str = NO_OP,
        inputs: Fields | None = None,
        outputs: Fields | None = None,
        *,
        name: str = "probe",
        **run_spec: Any,
    ) -> str:
        """Creates an applet and returns its ID; without arguments it has no specs."""
        specs: dict[str, Any] = {"inputSpec": inputs, "outputSpec": outputs}
        applet = dxpy.api.applet_new(
            {
                "project": self.project,
                "folder": self.folder,
                "name": name,
                "dxapi": "1.0.0",
                **{key: value for key, value in specs.items() if value is not None},
                "runSpec": {
                    "interpreter": "python3",
                    "code": textwrap.dedent(code),
                    "distribution": "Ubuntu",
                    "release": "24.04",
                    "version": "0",
                    **run_spec,
                },
            }
        )
        return str(applet["id"])

    def start(self, applet_id: str, input: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Runs an applet with the test's folder as its output folder; returns the job's ID."""
        body = {"project": self.project, "folder": self.folder, "input": input or {}, **options}
        return str(dxpy.api.applet_run(applet_id, body)["id"])

    def job(self, job_id: str) -> Job:
        return self.platform.jobs.by_id[job_id]

    def wait_for_state(self, job_id: str, *states: str) -> None:
        job, changed = self.job(job_id), self.platform.store.changed
        with changed:
            assert changed.wait_for(lambda: job.state in states, HANG_SECONDS), job.state

    def wait_for_try(self, job_id: str, number: int) -> None:
        job, changed = self.job(job_id), self.platform.store.changed
        with changed:
            assert changed.wait_for(lambda: job.try_number == number, HANG_SECONDS)

    def wait_for_line(self, job_id: str, message: str) -> None:
        """Waits until a job has logged this line."""
        for line in self.job(job_id).log.follow(recent=1000, wait=True):
            if line["msg"] == message:
                return
        pytest.fail(f"{job_id} ended without logging {message!r}")

    def log(self, job_id: str) -> list[tuple[str, str, str]]:
        """Follows a job's log to its end; returns source, level and message of each line."""
        return [
            (str(line["source"]), str(line["level"]), str(line["msg"]))
            for line in self.job(job_id).log.follow(recent=1000, wait=True)
        ]

    def wait_for_end(self, job_id: str) -> dict[str, Any]:
        """Waits until a job has ended; returns its description."""
        self.wait_for_state(job_id, *FINAL_STATES)
        return self.describe(job_id)

    def run(
        self, applet_id: str, input: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        """Runs an applet and waits until the job has ended; returns the job's description."""
        return self.wait_for_end(self.start(applet_id, input, **options))

    def start_held_job(self) -> tuple[str, Path]:
        """Starts a job that runs until a file exists; returns its ID and the path of that file."""
        release = self.local / "release"
        job_id = self.start(self.applet(WAIT_FOR_RELEASE, RELEASE_INPUT), {"release": str(release)})
        self.wait_for_line(job_id, "running")
        return job_id, release

    # Requests that dx and dxpy would not send

    def request(
        self, path: str, body: object, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Calls the API; returns the status and the answer. Bytes are sent unchanged."""
        headers = {"Authorization": f"Bearer {token or self.platform.user_token}"}
        return self.post(path, body, headers)

    def post(
        self, path: str, body: object, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return send("POST", self.platform.base_url + path, data, headers)


def send(
    method: str, url: str, data: bytes | None, headers: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    """Sends an HTTP request; returns the status and the JSON, {} if the body is empty."""
    request = urllib.request.Request(url, data, dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=HANG_SECONDS) as response:
            return response.status, json.loads(response.read() or b"{}")
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")


def error_of(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    """Returns the status and the error type of an answer."""
    status, body = answer
    return status, body["error"]["type"]


@contextmanager
def rejected(type_: str, status: int, message: str = "") -> Iterator[None]:
    """Expects an API error from dxpy with this type, status and text in its message."""
    with pytest.raises(dxpy.DXAPIError) as caught:
        yield
    assert (caught.value.name, caught.value.code) == (type_, status)
    assert message in caught.value.msg


def link(object_id: str, project: str | None = None) -> dict[str, Any]:
    return dict(dxpy.dxlink(object_id, project))


def output_ref(job_id: str, field: str, index: int | None = None) -> dict[str, Any]:
    """Returns a job-based object reference: a link to a field of a job's output."""
    reference: dict[str, Any] = {"job": job_id, "field": field}
    return {"$dnanexus_link": reference | ({} if index is None else {"index": index})}


def states(description: Mapping[str, Any]) -> list[str]:
    """Returns the states that a job went through."""
    return [transition["newState"] for transition in description["stateTransitions"]]


def wait_until(condition: Callable[[], bool]) -> None:
    """Polls until a condition is true."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(process: int) -> bool:
    """Returns whether a process with this ID exists and is not a zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
