"""Builds and runs the applet samtools_count_cohort, and reads its outputs."""

import gzip
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from builders import index_of
from dx_client import PROJECT, Dx, FinishedJob, text_of

NAME = "samtools_count_cohort"


@dataclass(frozen=True)
class CohortRun(FinishedJob):
    """A finished job of the applet."""

    @property
    def output(self) -> dict[str, Any]:
        assert self.state == "done", (self.job["failureMessage"], self.log)
        output: dict[str, Any] = self.job["output"]
        return output

    def download(self, field: str, folder: Path) -> Path:
        """Downloads an output file to a folder; returns its path."""
        file_id = self.output[field]["$dnanexus_link"]
        path = folder / str(self.dx.describe(file_id)["name"])
        path.write_bytes(self.dx.content_of(file_id))
        return path

    @cached_property
    def matrix_text(self) -> str:
        file_id = self.output["counts_matrix"]["$dnanexus_link"]
        return gzip.decompress(self.dx.content_of(file_id)).decode()

    @property
    def samples(self) -> list[str]:
        """The names of the sample columns."""
        return self.matrix_text.split("\n", 1)[0].split("\t")[5:]

    def table_of(self, sample: str) -> str:
        """Returns the column of a sample in the format of the count table of samtools_count."""
        lines = [line.split("\t") for line in self.matrix_text.splitlines()]
        at = lines[0].index(sample)
        lines[0][at] = "records"
        return "".join("\t".join([*line[:5], line[at]]) + "\n" for line in lines)

    @cached_property
    def rows(self) -> dict[str, dict[str, str]]:
        """The rows of the samples table by sample name."""
        text = text_of(self.dx, self.output["samples_table"])
        assert text is not None
        columns, *lines = [line.split("\t") for line in text.splitlines()]
        rows = [dict(zip(columns, line, strict=True)) for line in lines]
        assert len({row["sample"] for row in rows}) == len(rows)
        return {row["sample"]: row for row in rows}

    def failed(self) -> dict[str, str]:
        """Returns the messages of the failed samples, by sample name."""
        return {
            name: row["message"] for name, row in self.rows.items() if row["status"] == "failed"
        }


@dataclass(frozen=True)
class Uploaded:
    """Uploaded files of samples.

    Attributes:
        mappings: IDs of BAM and CRAM files.
        indexes: IDs of their indexes, in the same order.
    """

    mappings: Sequence[str]
    indexes: Sequence[str]

    def inputs(self) -> dict[str, list[Any]]:
        return {"mappings": links(self.mappings), "mappings_indexes": links(self.indexes)}


def links(ids: Sequence[str]) -> list[dict[str, str]]:
    return [{"$dnanexus_link": file_id} for file_id in ids]


@dataclass(frozen=True)
class CohortApplet:
    """The applet after `dx build`."""

    dx: Dx
    id: str

    def upload(self, paths: Sequence[Path], indexes: Sequence[Path] | None = None) -> Uploaded:
        """Uploads samples to a new folder, with these indexes or the ones next to them."""
        indexes = [index_of(path) for path in paths] if indexes is None else indexes
        folder = f"{self.dx.folder}/{secrets.token_hex(4)}"
        return Uploaded(
            [self.dx.upload(path, folder) for path in paths],
            [self.dx.upload(path, folder) for path in indexes],
        )

    def run(self, inputs: Mapping[str, Any], **options: Any) -> CohortRun:
        """Runs a job and waits until it is finished."""
        text = json.dumps({**inputs, **options})
        folder = f"{self.dx.folder}/{secrets.token_hex(4)}"
        run = ["run", self.id, "--input-json", text, "--destination", folder, "--brief", "-y"]
        return self.finished(self.dx.ok(*run))

    def finished(self, job_id: str) -> CohortRun:
        """Waits until a job is finished; returns it."""
        # The log of a job that is restarted ends with the first try.
        log = self.dx.log_of(job_id)
        return CohortRun(self.dx, self.dx.wait_for(job_id), log)


def copy_of_cohort_applet(folder: Path, source: Path = PROJECT) -> Path:
    """Copies the source of the applet and the package to a folder; returns the applet's folder."""
    shutil.copytree(source / "resources", folder / "resources")
    ignored = shutil.ignore_patterns("resources", "__pycache__")
    shutil.copytree(source / NAME, folder / NAME, ignore=ignored)
    return folder / NAME


def build_cohort_applet(dx: Dx, folder: Path) -> CohortApplet:
    """Builds the applet in the folder of dx; the build must succeed without warnings."""
    done = dx("build", "--destination", f"{dx.folder.rstrip('/')}/", str(folder))
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return CohortApplet(dx, json.loads(done.stdout.splitlines()[-1])["id"])
