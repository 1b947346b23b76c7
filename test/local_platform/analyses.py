"""Analyses: the runs of workflows, each made of a job per stage.

https://documentation.dnanexus.com/developer/api/running-analyses/workflows-and-analyses
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .job import FINAL_STATES, Job
from .specs import Reference
from .store import now_ms


@dataclass
class Analysis:
    """A run of a workflow. Its state follows from the states of its jobs."""

    id: str
    name: str
    # The workflow as it was described when it was run; it may be changed since.
    workflow: Mapping[str, Any]
    project: str
    folder: str
    user: str
    run_input: dict[str, Any]
    priority: str
    tags: list[str]
    properties: dict[str, str]
    details: object
    # By stage, in the order of the workflow.
    jobs: Mapping[str, Job]
    # What each field of the output is taken from.
    outputs: Mapping[str, Reference]
    is_terminated: bool = False
    created: int = field(default_factory=now_ms)

    @property
    def state(self) -> str:
        states = {job.state for job in self.jobs.values()}
        is_over = states <= set(FINAL_STATES)
        if self.is_terminated:
            return "terminated" if is_over else "terminating"
        if "failed" in states:
            return "failed" if is_over else "partially_failed"
        if not is_over:
            return "in_progress"
        return "terminated" if "terminated" in states else "done"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def output(self) -> dict[str, Any] | None:
        """The output of its stages once all are done, without fields that have no value."""
        if self.state != "done":
            return None
        given = {job.id: job.output or {} for job in self.jobs.values()}
        return {
            name: reference.value_in(given[reference.execution])
            for name, reference in self.outputs.items()
            if reference.field in given[reference.execution]
        }

    @property
    def first_failed(self) -> Job | None:
        """The job that failed first; others failed because they depend on it."""

        def order(job: Job) -> tuple[bool, int]:
            waited = job.failure is not None and job.failure[0] == "DependencyUnsatisfiable"
            return waited, job.modified

        failed = [job for job in self.jobs.values() if job.state == "failed"]
        return min(failed, key=order, default=None)


def describe_analysis(
    analysis: Analysis, stages: Mapping[str, Mapping[str, Any]], region: str
) -> dict[str, Any]:
    """Every field of an analysis's description; `stages` are those of its jobs."""

    def of_stages(values: str) -> dict[str, Any]:
        return {
            f"{stage}.{name}": value
            for stage, described in stages.items()
            for name, value in described[values].items()
        }

    described: dict[str, Any] = {
        "id": analysis.id,
        "class": "analysis",
        "name": analysis.name,
        "executable": analysis.workflow["id"],
        "executableName": analysis.workflow["name"],
        "workflow": analysis.workflow,
        "stages": [{"id": stage, "execution": job} for stage, job in stages.items()],
        "project": analysis.project,
        "folder": analysis.folder,
        "region": region,
        "billTo": analysis.user,
        "launchedBy": analysis.user,
        "rootExecution": analysis.id,
        "parentJob": None,
        "parentJobTry": None,
        "parentAnalysis": None,
        "analysis": None,
        "stage": None,
        "state": analysis.state,
        "created": analysis.created,
        "modified": max(job["modified"] for job in stages.values()),
        "priority": analysis.priority,
        "tags": analysis.tags,
        "properties": analysis.properties,
        "details": analysis.details,
        "runInput": analysis.run_input,
        "originalInput": of_stages("originalInput"),
        "input": of_stages("input"),
        "output": analysis.output,
        "isFree": True,
        "totalPrice": 0,
    }
    job = analysis.first_failed
    if job is not None and job.stage is not None:
        for key in ("failureReason", "failureMessage", "failureFrom"):
            described[key] = stages[job.stage][key]
    return described
