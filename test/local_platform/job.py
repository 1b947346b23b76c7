"""Jobs: their states and descriptions.

https://documentation.dnanexus.com/developer/api/running-analyses/job-lifecycle
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .ids import new_token
from .logs import JobLog
from .store import now_ms
from .worker import Worker

FINAL_STATES = ("done", "failed", "terminated")
# Allowed state transitions. `restarted` is the final state of a try that is followed by another.
STEPS = {
    "idle": ("waiting_on_input", "runnable", "failed", "terminating"),
    "waiting_on_input": ("runnable", "failed", "terminating"),
    "runnable": ("running", "failed", "terminating"),
    "running": ("waiting_on_output", "done", "restarted", "failed", "terminating"),
    "waiting_on_output": ("done", "restarted", "failed", "terminating"),
    "terminating": ("terminated",),
}
DEFAULT_INSTANCE_TYPE = "mem1_ssd1_v2_x4"


@dataclass(frozen=True)
class Executable:
    """What a job runs: an applet, or an app and the applet from which it was created."""

    id: str
    applet_id: str
    spec: Mapping[str, Any]
    # The resources container of an app. Its jobs have access to it instead of the project.
    container: str | None = None


@dataclass
class Job:
    """A job; fields that differ between tries are those of the latest try."""

    id: str
    name: str
    executable: Executable
    function: str
    project: str
    folder: str
    user: str
    original_input: dict[str, Any]
    run_input: dict[str, Any]
    input: dict[str, Any]
    # Source container of each input object.
    sources: Mapping[str, str]
    instance_type: str
    # The systemRequirements of the request, most specific first; subjobs inherit them.
    requirements: Sequence[Mapping[str, Any]]
    priority: str
    tags: list[str]
    properties: dict[str, str]
    details: object
    depends_on: list[str]
    execution_policy: Mapping[str, Any]
    timeout_policy: Mapping[str, Any]
    # IDs of the analysis and the stage, if it is a job of an analysis.
    analysis: str | None = None
    stage: str | None = None
    # The parent job, if it is a subjob.
    parent: "Job | None" = None
    # The try of the parent job that started it.
    parent_try: int | None = None
    earlier_tries: list["Job"] = field(default_factory=list)
    # Set by start_try():
    log: JobLog = field(init=False)
    workspace: str = field(init=False, default="")
    token: str = field(default_factory=new_token, repr=False)
    state: str = "idle"
    transitions: list[dict[str, Any]] = field(default_factory=list)
    created: int = field(default_factory=now_ms)
    try_created: int = field(default_factory=now_ms)
    modified: int = field(default_factory=now_ms)
    started_running: int | None = None
    stopped_running: int | None = None
    output: dict[str, Any] | None = None
    failure: tuple[str, str] | None = None
    worker: Worker | None = None
    # Why it lost its worker: a key of WORKER_LOSSES.
    loss_reason: str | None = None
    # The descendant whose failure makes this job fail.
    failed_subjob: "Job | None" = None

    @property
    def try_number(self) -> int:
        return len(self.earlier_tries)

    @property
    def root(self) -> "Job":
        """The origin job: the ancestor without a parent, or the job itself."""
        return self if self.parent is None else self.parent.root

    @property
    def ancestors(self) -> "list[Job]":
        return [] if self.parent is None else [self.parent, *self.parent.ancestors]

    @property
    def is_of_latest_try(self) -> bool:
        """Whether no ancestor has been restarted since this job was created."""
        return self.parent is None or (
            self.parent_try == self.parent.try_number and self.parent.is_of_latest_try
        )

    @property
    def readable(self) -> set[str]:
        """The containers from which the job can read its inputs."""
        return {self.workspace} if self.executable.container else {self.workspace, self.project}

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_terminating(self) -> bool:
        return self.state == "terminating"

    def change_state(self, state: str) -> None:
        """Changes to the next state; a transition that is not in STEPS is a bug."""
        if state not in STEPS.get(self.state, ()):
            raise AssertionError(f"{self.id} cannot go from {self.state} to {state}")
        self.modified = now_ms()
        self.transitions.append({"oldState": self.state, "newState": state, "setAt": self.modified})
        if state == "running":
            self.started_running = self.modified
        elif self.state == "running":
            self.stopped_running = self.modified
        self.state = state

    def start_try(self, workspace: str) -> None:
        """Starts a try with its workspace and a new log and token."""
        self.workspace, self.log, self.token = workspace, JobLog(self.id), new_token()

    def restart(self, workspace: str) -> "Job":
        """Starts another try from the initial state; returns the failed try."""
        self.change_state("restarted")
        earlier = copy.copy(self)
        self.earlier_tries = [*self.earlier_tries, earlier]
        self.start_try(workspace)
        self.state, self.transitions, self.try_created = "idle", [], now_ms()
        self.started_running = self.stopped_running = None
        self.failure = self.worker = self.loss_reason = self.failed_subjob = None
        return earlier


def describe_job(job: Job, region: str) -> dict[str, Any]:
    """Returns all fields of a job's description."""
    described: dict[str, Any] = {
        "id": job.id,
        "try": job.try_number,
        "class": "job",
        "name": job.name,
        "executable": job.executable.id,
        "executableName": job.executable.spec["name"],
        "applet": job.executable.applet_id,
        "function": job.function,
        "project": job.project,
        "folder": job.folder,
        "region": region,
        "billTo": job.user,
        "launchedBy": job.user,
        "rootExecution": job.root.analysis or job.root.id,
        "originJob": job.root.id,
        "parentJob": job.parent.id if job.parent else None,
        "parentJobTry": job.parent_try,
        "parentAnalysis": job.analysis,
        "analysis": job.analysis,
        "stage": job.stage,
        "state": job.state,
        "stateTransitions": job.transitions,
        "created": job.created,
        "tryCreated": job.try_created,
        "modified": job.modified,
        "instanceType": job.instance_type,
        "systemRequirements": {"*": {"instanceType": job.instance_type}},
        "priority": job.priority,
        "tags": job.tags,
        "properties": job.properties,
        "details": job.details,
        "dependsOn": job.depends_on,
        "originalInput": job.original_input,
        "runInput": job.run_input,
        "input": job.input,
        "output": job.output,
        "isFree": True,
        "totalPrice": 0,
        "delayWorkspaceDestruction": False,
    }
    if job.executable.container is not None:
        described |= {"app": job.executable.id, "resources": job.executable.container}
    if job.workspace:  # a dry run has none
        described["workspace"] = job.workspace
    if job.started_running is not None:
        described["startedRunning"] = job.started_running
        if job.stopped_running is not None:
            described["stoppedRunning"] = job.stopped_running
    if job.failure is not None:
        described["failureReason"], described["failureMessage"] = job.failure
        failed = job.failed_subjob or job
        described["failureFrom"] = {
            "id": failed.id,
            "try": failed.try_number,
            "name": failed.name,
            "function": failed.function,
            "executable": failed.executable.id,
        }
    return described
