"""Analyses: runs of workflows, with one job per stage.

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
    # Description of the workflow when it was run; the workflow may have changed since.
    workflow: Mapping[str, Any]
    project: str
    folder: str
    user: str
    run_input: dict[str, Any]
    priority: str
    tags: list[str]
    properties: dict[str, str]
    details: object
    # By stage, in workflow order.
    jobs: Mapping[str, Job]
    # Source of each output field.
    outputs: Mapping[str, Reference]
    is_terminated: bool = False
    created: int = field(default_factory=now_ms)

    @property
    def state(self) -> str:
        states = {job.state for job in self.jobs.values()}
        all_ended = states <= set(FINAL_STATES)
        if self.is_terminated:
            return "terminated" if all_ended else "terminating"
        if "failed" in states:
            return "failed" if all_ended else "partially_failed"
        if not all_ended:
            return "in_progress"
        return "terminated" if "terminated" in states else "done"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def output(self) -> dict[str, Any] | None:
        """The output of all stages, without fields that have no value; None until all are done."""
        if self.state != "done":
            return None
        outputs = {job.id: job.output or {} for job in self.jobs.values()}
        return {
            name: reference.value_in(outputs[reference.execution])
            for name, reference in self.outputs.items()
            if reference.field in outputs[reference.execution]
        }

    @property
    def first_failed(self) -> Job | None:
        """The job that failed first; the others failed because they depend on it."""

        def order(job: Job) -> tuple[bool, int]:
            is_dependent = job.failure is not None and job.failure[0] == "DependencyUnsatisfiable"
            return is_dependent, job.modified

        failed = [job for job in self.jobs.values() if job.state == "failed"]
        return min(failed, key=order, default=None)


def describe_analysis(
    analysis: Analysis, stages: Mapping[str, Mapping[str, Any]], region: str
) -> dict[str, Any]:
    """Returns all fields of an analysis; `stages` has the description of each stage's job."""

    def by_stage(key: str) -> dict[str, Any]:
        return {
            f"{stage}.{name}": value
            for stage, described in stages.items()
            for name, value in described[key].items()
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
        "originalInput": by_stage("originalInput"),
        "input": by_stage("input"),
        "output": analysis.output,
        "isFree": True,
        "totalPrice": 0,
    }
    job = analysis.first_failed
    if job is not None and job.stage is not None:
        for key in ("failureReason", "failureMessage", "failureFrom"):
            described[key] = stages[job.stage][key]
    return described
