"""The real clients of the local platform, for its tests, and what they work on."""

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

# A guard against a hang; nothing here takes that long.
HANG_SECONDS = 60

Fields = Sequence[Mapping[str, Any]]

# An applet that ends without doing anything.
NOTHING = "pass"
# An applet that says so when it runs, and goes on when a file appears.
UNTIL_RELEASED = """\
import json, os, time
release = json.load(open("job_input.json"))["release"]
print("running", flush=True)
while not os.path.exists(release):
    time.sleep(0.01)
print("released", flush=True)
"""
# An applet that finds fault with its input.
FAIL = """\
import dxpy

@dxpy.entry_point("main")
def main():
    print("about to fail")
    raise dxpy.AppError("the input is not what it should be")

dxpy.run()
"""
RELEASE_INPUT: Fields = [{"name": "release", "class": "string"}]


@dataclass(frozen=True)
class Client:
    """A folder of a test's own in the platform's project, and the clients to work in it."""

    platform: LocalPlatform
    folder: str
    # What a test has to hand files over with, and lets jobs wait for.
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
            # Python writes into a pipe in blocks, and a test waits for a line.
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            cwd=self.local,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def dx(self, *arguments: str | Path, status: int = 0) -> str:
        """Run `dx` and give what it prints, on both streams where it is meant to fail."""
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
        """Upload a closed file, and give its id."""
        fields = {"folder": self.folder, "project": self.project, **fields}
        made = dxpy.upload_string(content, name=name, **fields)
        self.wait_until_closed(made.get_id())
        return str(made.get_id())

    def upload(self, source: Path, *options: str) -> str:
        """Upload with `dx`, and give the id of the file, which is closed then.

        (`dx upload --wait` asks once, and then again after a second.)
        """
        file_id = self.dx("upload", source, "--brief", *options)
        self.wait_until_closed(file_id)
        return file_id

    def open_file(self, name: str = "open.txt") -> str:
        made = dxpy.new_dxfile(name=name, folder=self.folder, project=self.project)
        return str(made.get_id())

    def describe(self, object_id: str) -> dict[str, Any]:
        return dict(dxpy.describe(object_id))

    def wait_until_closed(self, file_id: str) -> None:
        with self.platform.store.changed:
            file = self.platform.store.find_object(file_id)
            assert self.platform.store.changed.wait_for(
                lambda: file.state == "closed", HANG_SECONDS
            )

    def another_project_with(self, file_id: str) -> str:
        """Move a file into a project of somebody else."""
        store = self.platform.store
        with store.changed:
            other = store.new_container("project", "somebody else's")
            store.clone(store.find_object(file_id), self.project, other.id, "/")
            store.remove_objects(store.container(self.project), [file_id], force=False)
        return other.id

    # Applets and jobs

    def applet(
        self,
        code: str = NOTHING,
        inputs: Fields | None = None,
        outputs: Fields | None = None,
        *,
        name: str = "probe",
        **run_spec: Any,
    ) -> str:
        """Make an applet, without specs unless they are given."""
        specs: dict[str, Any] = {"inputSpec": inputs, "outputSpec": outputs}
        made = dxpy.api.applet_new(
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
        return str(made["id"])

    def start(self, applet_id: str, input: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Run an applet with its output in the test's folder, and give the job's id."""
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
        """Wait until a running job has said something."""
        for line in self.job(job_id).log.follow(recent=1000, wait=True):
            if line["msg"] == message:
                return
        pytest.fail(f"{job_id} ended without saying {message}")

    def log(self, job_id: str) -> list[tuple[str, str, str]]:
        """Source, level and message of each line of an ended job's log."""
        return [
            (str(line["source"]), str(line["level"]), str(line["msg"]))
            for line in self.job(job_id).log.follow(recent=1000, wait=True)
        ]

    def ended(self, job_id: str) -> dict[str, Any]:
        """The description of a job, once it has ended."""
        self.wait_for_state(job_id, *FINAL_STATES)
        return self.describe(job_id)

    def run(
        self, applet_id: str, input: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        """Run an applet to its end, and give the description of the job."""
        return self.ended(self.start(applet_id, input, **options))

    def held_job(self) -> tuple[str, Path]:
        """A running job, and the file for which it waits before it ends."""
        release = self.local / "release"
        job_id = self.start(self.applet(UNTIL_RELEASED, RELEASE_INPUT), {"release": str(release)})
        self.wait_for_line(job_id, "running")
        return job_id, release

    # What no client would send

    def request(
        self, path: str, body: object, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """The status and the answer of a call; bytes are sent as they are."""
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
    """The status and the JSON (an empty object where the body is empty) of an HTTP request."""
    request = urllib.request.Request(url, data, dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=HANG_SECONDS) as response:
            return response.status, json.loads(response.read() or b"{}")
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")


def error_of(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    """The status and the error type of a refusal."""
    status, body = answer
    return status, body["error"]["type"]


@contextmanager
def refused(type_: str, status: int, words: str = "") -> Iterator[None]:
    """What is inside is refused by the platform, and the client raises that."""
    with pytest.raises(dxpy.DXAPIError) as caught:
        yield
    assert (caught.value.name, caught.value.code) == (type_, status)
    assert words in caught.value.msg


def link(object_id: str, project: str | None = None) -> dict[str, Any]:
    return dict(dxpy.dxlink(object_id, project))


def output_of(job_id: str, field: str, index: int | None = None) -> dict[str, Any]:
    """A reference to what will be in a field of a job's output."""
    reference: dict[str, Any] = {"job": job_id, "field": field}
    return {"$dnanexus_link": reference | ({} if index is None else {"index": index})}


def states(description: Mapping[str, Any]) -> list[str]:
    """The states that a job went through."""
    return [transition["newState"] for transition in description["stateTransitions"]]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody gives notice of."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(process: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
