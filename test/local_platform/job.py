"""A job: its states, and its description.

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
# Which state may follow which. `restarted` is the last one of a try that another one follows.
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
    """An applet, or an app with the applet that it was made of: what a job runs."""

    id: str
    applet_id: str
    spec: Mapping[str, Any]
    # Where an app has what it is made of. Its jobs see this, and not the project.
    container: str | None = None


@dataclass
class Job:
    """A job and its description; what differs between tries is that of the latest."""

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
    # From which container each object of the input is taken.
    sources: Mapping[str, str]
    instance_type: str
    # The systemRequirements that it was run with, nearest first; its subjobs are, too.
    requirements: Sequence[Mapping[str, Any]]
    priority: str
    tags: list[str]
    properties: dict[str, str]
    details: object
    depends_on: list[str]
    execution_policy: Mapping[str, Any]
    timeout_policy: Mapping[str, Any]
    # Where it is a stage of an analysis: their ids.
    analysis: str | None = None
    stage: str | None = None
    # Which job it is a part of, if it is a subjob.
    parent: "Job | None" = None
    # The try of that job that has started it.
    parent_try: int | None = None
    earlier_tries: list["Job"] = field(default_factory=list)
    # Given to it when it begins:
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
    # For which of WORKER_LOSSES it has no worker any more.
    lost_for: str | None = None
    # The job below it that failed, and it with it.
    failed_part: "Job | None" = None

    @property
    def try_number(self) -> int:
        return len(self.earlier_tries)

    @property
    def root(self) -> "Job":
        """The job that was run, which this one is a part of, or is itself."""
        return self if self.parent is None else self.parent.root

    @property
    def ancestors(self) -> "list[Job]":
        return [] if self.parent is None else [self.parent, *self.parent.ancestors]

    @property
    def is_of_latest_try(self) -> bool:
        """Whether no job above it has begun again since it was started."""
        return self.parent is None or (
            self.parent_try == self.parent.try_number and self.parent.is_of_latest_try
        )

    @property
    def readable(self) -> set[str]:
        """The containers from which it may read its inputs."""
        return {self.workspace} if self.executable.container else {self.workspace, self.project}

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_terminating(self) -> bool:
        return self.state == "terminating"

    def become(self, state: str) -> None:
        """Change to the next state of the life cycle; an impossible change is a bug."""
        if state not in STEPS.get(self.state, ()):
            raise AssertionError(f"{self.id} cannot go from {self.state} to {state}")
        self.modified = now_ms()
        self.transitions.append({"oldState": self.state, "newState": state, "setAt": self.modified})
        if state == "running":
            self.started_running = self.modified
        elif self.state == "running":
            self.stopped_running = self.modified
        self.state = state

    def begin(self, workspace: str) -> None:
        """Start a try: create its workspace and log."""
        self.workspace, self.log, self.token = workspace, JobLog(self.id), new_token()

    def begin_again(self, workspace: str) -> "Job":
        """Start from the beginning, with nothing of the try before, which is given back."""
        self.become("restarted")
        earlier = copy.copy(self)
        self.earlier_tries = [*self.earlier_tries, earlier]
        self.begin(workspace)
        self.state, self.transitions, self.try_created = "idle", [], now_ms()
        self.started_running = self.stopped_running = None
        self.failure = self.worker = self.lost_for = self.failed_part = None
        return earlier


def describe_job(job: Job, region: str) -> dict[str, Any]:
    """Every field of a job's description."""
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
    if job.workspace:  # which a dry run has not
        described["workspace"] = job.workspace
    if job.started_running is not None:
        described["startedRunning"] = job.started_running
        if job.stopped_running is not None:
            described["stoppedRunning"] = job.stopped_running
    if job.failure is not None:
        described["failureReason"], described["failureMessage"] = job.failure
        failed = job.failed_part or job
        described["failureFrom"] = {
            "id": failed.id,
            "try": failed.try_number,
            "name": failed.name,
            "function": failed.function,
            "executable": failed.executable.id,
        }
    return described
