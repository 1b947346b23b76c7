"""Runs the real `dx` in a subprocess and the real dxpy in this process; builds and runs the applet.

Starting `dx` is slow, so dxpy is used for steps that are not themselves tested.
"""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dxpy
from dxpy.utils.job_log_client import DXJobLogStreamClient

from local_platform.__main__ import PROXIES
from local_platform.job import FINAL_STATES

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Dx:
    """The real `dx`, with its environment and a working folder in the project."""

    environment: Mapping[str, str]
    folder: str

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["dx", *arguments],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def ok(self, *arguments: str) -> str:
        """Returns the output of dx, stripped; it must succeed."""
        done = self(*arguments)
        assert done.returncode == 0, f"dx {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def binary(self, *arguments: str) -> bytes:
        """Returns the exact output of dx; it must succeed."""
        environment = dict(self.environment)
        return subprocess.run(
            ["dx", *arguments], env=environment, capture_output=True, check=True
        ).stdout

    def describe(self, object_id: str) -> dict[str, Any]:
        with python_client(self.environment):
            return dict(dxpy.describe(object_id))

    def upload(self, path: Path, folder: str | None = None) -> str:
        """Uploads a file under its own name; returns its ID."""
        with python_client(self.environment):
            folder = folder or self.folder or "/"
            return str(dxpy.upload_local_file(str(path), folder=folder, parents=True).get_id())

    def content_of(self, file_id: str) -> bytes:
        with python_client(self.environment), dxpy.open_dxfile(file_id, mode="rb") as file:
            return bytes(file.read())

    def list_files(self, folder: str) -> list[str]:
        """Returns the names of the files in a folder, sorted; none if the folder does not exist."""
        wanted = {"folder": folder, "only": "objects", "describe": {"fields": {"name": True}}}
        with python_client(self.environment):
            try:
                listing = dxpy.api.project_list_folder(dxpy.WORKSPACE_ID, wanted)
            except dxpy.exceptions.ResourceNotFound:
                return []
        return sorted(item["describe"]["name"] for item in listing["objects"])

    def log_of(self, job_id: str) -> str:
        """Follows the log of a job to its end, as `dx watch` does, and returns it.

        Each line starts with its level.
        """
        lines: list[str] = []
        with python_client(self.environment):
            DXJobLogStreamClient(
                job_id,
                input_params={"numRecentMessages": 10_000, "tail": True},
                msg_callback=lambda line: lines.append("{level} {msg}".format(**line)),
                print_job_info=False,
                exit_on_failed=False,
            ).connect()
        return "\n".join(lines)

    def wait_for(self, job_id: str) -> dict[str, Any]:
        """Waits until a job is finished; returns its description."""
        while (job := self.describe(job_id))["state"] not in FINAL_STATES:
            time.sleep(0.1)
        return job


@contextmanager
def python_client(environment: Mapping[str, str]) -> Iterator[None]:
    """Connects the dxpy of this process to the platform in an environment for `dx`.

    If the environment has no API server, the user has logged in, and dxpy reads the same
    configuration as dx.
    """
    if "DX_APISERVER_HOST" not in environment:
        yield
        return
    server = dxpy.APISERVER_HOST, dxpy.APISERVER_PORT, dxpy.APISERVER_PROTOCOL
    security, workspace = dxpy.SECURITY_CONTEXT, dxpy.WORKSPACE_ID
    names = ("DX_APISERVER_HOST", "DX_APISERVER_PORT", "DX_APISERVER_PROTOCOL")
    proxies = {name: os.environ.pop(name) for name in PROXIES if name in os.environ}
    try:
        dxpy.set_api_server_info(*(environment[name] for name in names))
        dxpy.set_security_context(json.loads(environment["DX_SECURITY_CONTEXT"]))
        dxpy.set_workspace_id(environment["DX_PROJECT_CONTEXT_ID"])
        yield
    finally:
        dxpy.set_api_server_info(*server)
        dxpy.set_security_context(security)
        dxpy.set_workspace_id(workspace)
        os.environ.update(proxies)


def files_of(name: str, *more: str) -> list[str]:
    """Returns the names of the outputs with this prefix, and more, in the order of `dx ls`."""
    endings = (".html", ".tsv", ".txt", "_mqc.tsv")
    return sorted([*more, *(f"{name}_count{ending}" for ending in endings)])


@dataclass(frozen=True)
class FinishedJob:
    """A finished job.

    Attributes:
        dx: the client that started it.
        job: its description.
        log: its log.
    """

    dx: Dx
    job: dict[str, Any]
    log: str

    @property
    def state(self) -> str:
        return str(self.job["state"])

    @property
    def failure(self) -> tuple[str, str]:
        return self.job["failureReason"], self.job["failureMessage"]


@dataclass(frozen=True)
class Run(FinishedJob):
    """A finished job of the applet.

    Attributes:
        produced: names of the files in its output folder.
    """

    produced: list[str]

    @cached_property
    def count_file(self) -> str | None:
        return self._text_of("count_file")

    @cached_property
    def table(self) -> str | None:
        return self._text_of("counts_table")

    def _text_of(self, field: str) -> str | None:
        return text_of(self.dx, (self.job["output"] or {}).get(field))


@dataclass(frozen=True)
class Applet:
    """The applet after `dx build`."""

    dx: Dx
    id: str
    build_log: str

    def run(
        self,
        bam: Path,
        index: Path | None,
        *options: str,
        bed: Path | None = None,
        before: Callable[[], object] = lambda: None,
    ) -> Run:
        """Uploads a BAM and its index, runs a job on them, and waits until it is finished.

        Args:
            bam: the BAM or CRAM.
            index: its index; None for a job without one.
            options: further inputs, as `name=value`.
            bed: the BED file, if any.
            before: called after the uploads, before the job starts.
        """
        dx, folder = self.dx, f"{self.dx.folder}/{secrets.token_hex(4)}"
        files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index, "regions_bed": bed}
        ids = {
            name: dx.upload(file, f"{folder}/in")
            for name, file in files.items()
            if file is not None
        }
        before()
        values = [*(f"{name}={file_id}" for name, file_id in ids.items()), *options]
        inputs = [part for value in values for part in ("-i", value)]
        job_id = dx.ok("run", self.id, *inputs, "--destination", f"{folder}/out", "--brief", "-y")
        log = dx.log_of(job_id)
        return Run(dx, dx.describe(job_id), log, dx.list_files(f"{folder}/out"))


def text_of(dx: Dx, link: Mapping[str, str] | None) -> str | None:
    """Returns the exact text of a file, including the absence of a final newline."""
    return None if link is None else dx.content_of(link["$dnanexus_link"]).decode()


def copy_of_applet(folder: Path, source: Path = PROJECT) -> Path:
    """Copies the source of the applet to a subfolder that has its name; returns the subfolder."""
    copy = folder / "samtools_count"
    copy.mkdir()
    for name in ("dxapp.json", "Makefile", "README.md"):
        shutil.copy(source / name, copy)
    for name in ("src", "resources"):
        shutil.copytree(source / name, copy / name)
    return copy


def build_applet(dx: Dx, source: Path) -> Applet:
    """Builds the applet from its source in the folder of dx; the build must succeed."""
    done = dx("build", "--destination", f"{dx.folder.rstrip('/')}/", str(source))
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout.splitlines()[-1])
    return Applet(dx, built["id"], done.stderr)
