"""The real `dx` as a subprocess, the real dxpy in this process, and the applet that `dx` built.

To start `dx` takes longer than what it does: what these tests are not about is asked of dxpy.
"""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dxpy
from dxpy.utils.job_log_client import DXJobLogStreamClient

from local_platform.__main__ import PROXIES

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Dx:
    """The real `dx`, with a folder to work in."""

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
        """Returns what dx prints; it has to succeed."""
        done = self(*arguments)
        assert done.returncode == 0, f"dx {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def binary(self, *arguments: str) -> bytes:
        """Returns what dx prints to the byte; it has to succeed."""
        environment = dict(self.environment)
        return subprocess.run(
            ["dx", *arguments], env=environment, capture_output=True, check=True
        ).stdout

    def describe(self, object_id: str) -> dict[str, Any]:
        with python_client(self.environment):
            return dict(dxpy.describe(object_id))

    def upload(self, path: Path, folder: str | None = None) -> str:
        """Returns the id of the uploaded file, which keeps its name."""
        with python_client(self.environment):
            folder = folder or self.folder or "/"
            return str(dxpy.upload_local_file(str(path), folder=folder, parents=True).get_id())

    def content_of(self, file_id: str) -> bytes:
        with python_client(self.environment), dxpy.open_dxfile(file_id, mode="rb") as file:
            return bytes(file.read())

    def list_files(self, folder: str) -> list[str]:
        """Returns the names of the files in a folder, sorted; none if there is no folder."""
        wanted = {"folder": folder, "only": "objects", "describe": {"fields": {"name": True}}}
        with python_client(self.environment):
            try:
                listing = dxpy.api.project_list_folder(dxpy.WORKSPACE_ID, wanted)
            except dxpy.exceptions.ResourceNotFound:
                return []
        return sorted(item["describe"]["name"] for item in listing["objects"])

    def log_of(self, job_id: str) -> str:
        """Follows the log of a job to its end, as `dx watch` does, and returns it.

        A line begins with its level.
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


@contextmanager
def python_client(environment: Mapping[str, str]) -> Iterator[None]:
    """Lets the dxpy of this process talk to the platform of which an environment for `dx` tells.

    One that tells of none is that of a user who has logged in: dxpy knows what dx knows.
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
    """The files that a job leaves, whose names begin so, and more, as `dx ls` lists them."""
    endings = (".html", ".tsv", ".txt", "_mqc.tsv")
    return sorted([*more, *(f"{name}_count{ending}" for ending in endings)])


@dataclass(frozen=True)
class Run:
    """A finished job of the applet, and the project's folder that it was to fill."""

    dx: Dx
    job: dict[str, Any]
    log: str
    produced: list[str]

    @cached_property
    def count_file(self) -> str | None:
        return self._text_of("count_file")

    @cached_property
    def table(self) -> str | None:
        return self._text_of("counts_table")

    def _text_of(self, field: str) -> str | None:
        return text_of(self.dx, (self.job["output"] or {}).get(field))

    @property
    def state(self) -> str:
        return str(self.job["state"])

    @property
    def failure(self) -> tuple[str, str]:
        return self.job["failureReason"], self.job["failureMessage"]


@dataclass(frozen=True)
class Applet:
    """The applet as `dx build` made it."""

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
        """Upload a BAM and its index, run a job on them to its end, and look at all it left.

        The options are further inputs, as `name=value`. What is to happen `before` the job starts
        happens when the files are there.
        """
        dx, folder = self.dx, f"{self.dx.folder}/{secrets.token_hex(4)}"
        files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index, "regions_bed": bed}
        given_files = {name: file for name, file in files.items() if file}
        ids = [dx.upload(file, f"{folder}/in") for file in given_files.values()]
        before()
        links = zip(given_files, ids, strict=True)
        given = [f"{name}={link}" for name, link in links] + [*options]
        inputs = [part for value in given for part in ("-i", value)]
        job_id = dx.ok("run", self.id, *inputs, "--destination", f"{folder}/out", "--brief", "-y")
        log = dx.log_of(job_id)
        return Run(dx, dx.describe(job_id), log, dx.list_files(f"{folder}/out"))


def text_of(dx: Dx, link: Mapping[str, str] | None) -> str | None:
    """Returns the text of a file to the byte: its last line may have no newline."""
    return None if link is None else dx.content_of(link["$dnanexus_link"]).decode()


def copy_of_applet(folder: Path, source: Path = PROJECT) -> Path:
    """Copies the applet's files to a folder in this one, which has the applet's name."""
    copy = folder / "samtools_count"
    copy.mkdir()
    for name in ("dxapp.json", "Makefile", "README.md"):
        shutil.copy(source / name, copy)
    for name in ("src", "resources"):
        shutil.copytree(source / name, copy / name)
    return copy


def build_applet(dx: Dx, source: Path) -> Applet:
    """Builds the applet from its files into the folder of dx; has to succeed."""
    done = dx("build", "--destination", f"{dx.folder.rstrip('/')}/", str(source))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    return Applet(dx, answer["id"], done.stderr)
