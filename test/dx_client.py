"""The real `dx` as a subprocess, and the applet that it built."""

import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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
        """Gives what dx prints; it has to succeed."""
        done = self(*arguments)
        assert done.returncode == 0, f"dx {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def binary(self, *arguments: str) -> bytes:
        """Gives what dx prints to the byte; it has to succeed."""
        environment = dict(self.environment)
        return subprocess.run(
            ["dx", *arguments], env=environment, capture_output=True, check=True
        ).stdout

    def describe(self, object_id: str) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self.ok("describe", "--json", object_id))
        return described

    def upload(self, path: Path, folder: str | None = None) -> str:
        """Gives the id of the uploaded file, which keeps its name."""
        target = f"{folder or self.folder}/"
        return self.ok("upload", "--brief", "-p", "--path", target, str(path))


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
        given_files = {name: str(file) for name, file in files.items() if file}
        upload = ["upload", "--brief", "-p", "--path", f"{folder}/in/", *given_files.values()]
        ids = dx.ok(*upload).splitlines()
        before()
        links = zip(given_files, ids, strict=True)
        given = [f"{name}={link}" for name, link in links] + [*options]
        inputs = [part for value in given for part in ("-i", value)]
        job_id = dx.ok("run", self.id, *inputs, "--destination", f"{folder}/out", "--brief", "-y")
        log = dx("watch", "--no-timestamps", job_id)
        job = dx.describe(job_id)
        listing = dx("ls", f"{folder}/out")
        produced = listing.stdout.splitlines() if listing.returncode == 0 else []
        return Run(dx, job, log.stdout, produced)


def text_of(dx: Dx, link: dict[str, str] | None) -> str | None:
    """Gives the text of a file to the byte: its last line may have no newline."""
    if link is None:
        return None
    done = subprocess.run(
        ["dx", "cat", link["$dnanexus_link"]],
        env=dict(dx.environment),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


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
