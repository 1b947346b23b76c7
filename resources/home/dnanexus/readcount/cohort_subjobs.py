"""Subjobs of a cohort: the shared plan, and how the subjobs are started.

The plan is a file in the workspace, because the size of a job's input is limited. The columns
counted by each subjob are a file too.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from readcount.cohort.count import NotCounted, Reference
from readcount.cohort.request import CohortRequest
from readcount.cohort.samples import Sample, SampleFile
from readcount.cohort.shares import SampleShare
from readcount.cohort_files import download_from
from readcount.dnanexus import upload
from readcount.regions.list_regions import describe_regions, list_regions
from readcount.request.request import Link
from readcount.source.sequences import SequenceDictionary
from readcount.subjobs import start_jobs

# Name of the subjobs' input.
PLAN = "plan"
# Inputs with one value per sample or table; they are part of the plan.
_OF_SAMPLES = ("mappings", "mappings_indexes", "sample_sheets")


@dataclass(frozen=True)
class CohortPlan:
    """What all jobs of a cohort share.

    Attributes:
        job_input: input of the first job, without the samples.
        samples: for every sample its name, the link to and name of its BAM or CRAM, and the link to
            its index.
        not_counted: samples already known to have failed, by number.
        file: name of the file whose header defines the reference sequences.
        lengths: (name, length in bases) of each reference sequence, in header order.
        aliases: reference sequence names by alternative name.
        shares: numbers of the samples of each subjob.
    """

    job_input: Mapping[str, Any]
    samples: Sequence[tuple[str, Link, str, Link]]
    not_counted: Mapping[str, tuple[str, str]]
    file: str
    lengths: Sequence[tuple[str, int]]
    aliases: Mapping[str, str]
    shares: Sequence[Sequence[int]]

    @classmethod
    def read(cls, path: Path) -> "CohortPlan":
        """Reads a plan from its file."""
        return cls(**json.loads(gzip.decompress(path.read_bytes())))

    def write(self, path: Path) -> Path:
        """Writes the plan to a file; returns the path."""
        path.write_bytes(gzip.compress(self._json, compresslevel=4))
        return path

    @cached_property
    def _json(self) -> bytes:
        return json.dumps(
            {name: getattr(self, name) for name in self.__dataclass_fields__}
        ).encode()

    @cached_property
    def digest(self) -> str:
        """Returns a digest that identifies this plan."""
        return hashlib.sha256(self._json).hexdigest()

    @cached_property
    def request(self) -> CohortRequest:
        """What the user asks for, without the samples."""
        return CohortRequest(**self.job_input)

    def sample(self, number: int) -> Sample:
        """Returns a sample without querying the platform."""
        name, mappings, file, index = self.samples[number]
        return Sample(name, SampleFile(mappings, file), SampleFile(index, ""))

    def failed(self) -> dict[int, NotCounted]:
        """Returns the samples already known to have failed, by number."""
        return {int(number): NotCounted(*said) for number, said in self.not_counted.items()}

    def reference(self, bed: Path | None) -> Reference:
        """Returns what all samples share; identical in every job."""
        request = self.request.of_sample
        sequences = SequenceDictionary(dict(self.lengths), self.aliases)
        regions = list_regions(request, bed, sequences)
        return Reference(request, self.file, sequences, regions, describe_regions(request, bed))

    def share(self, subjob: int) -> SampleShare:
        """Returns what a subjob counts."""
        samples = {number: self.samples[number][0] for number in self.shares[subjob]}
        return SampleShare(self.digest, subjob, len(self.shares), samples)


def plan_of(
    job_input: Mapping[str, Any],
    samples: Sequence[Sample],
    failed: Mapping[int, NotCounted],
    reference: Reference,
    shares: Sequence[Sequence[int]],
) -> CohortPlan:
    """Returns the plan of a cohort.

    Args:
        job_input: input of this job.
        samples: all samples.
        failed: samples already known to have failed, by number.
        reference: what all samples share.
        shares: numbers of the samples of each subjob.
    """
    return CohortPlan(
        {name: value for name, value in job_input.items() if name not in _OF_SAMPLES},
        [
            (sample.name, sample.mappings.link, sample.mappings.name, sample.index.link)
            for sample in samples
        ],
        {str(number): (said.message, said.details) for number, said in failed.items()},
        reference.file,
        list(reference.sequences.lengths.items()),
        reference.sequences.aliases,
        shares,
    )


def start_subjobs(plan: CohortPlan, folder: Path, outputs: Sequence[str]) -> dict[str, Any]:
    """Starts the subjobs and a job that merges their counts.

    Args:
        plan: the cohort's plan.
        folder: where to write the plan.
        outputs: names of the merging job's outputs.

    Returns:
        References to these outputs.
    """
    path = plan.write(folder / "plan.json.gz")
    given = {PLAN: upload(path, path.name)}
    shares = [plan.share(subjob) for subjob in range(len(plan.shares))]
    return start_jobs("count_share", given, shares, outputs)


def fetch_plan(link: Link, folder: Path) -> CohortPlan:
    """Downloads the plan of the job that started this one."""
    return CohortPlan.read(download_from(link, PLAN, folder / "plan.json.gz"))
