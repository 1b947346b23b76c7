"""Jobs: their states, and the way from the input to the output in the project.

https://documentation.dnanexus.com/developer/api/running-analyses/job-lifecycle
"""

import copy
import json
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import InvalidInput, PlatformError
from .ids import new_id, new_token
from .logs import JobLog
from .specs import check_values, links_in
from .store import DataObject, Store, now_ms
from .worker import Assignment, DependencyUnsatisfiable, Outcome, Worker

FINAL_STATES = ("done", "failed", "terminated")
# Which state may follow which.
STEPS = {
    "idle": ("waiting_on_input", "runnable", "failed", "terminating"),
    "waiting_on_input": ("runnable", "failed", "terminating"),
    "runnable": ("running", "failed", "terminating"),
    "running": ("waiting_on_output", "failed", "terminating"),
    "waiting_on_output": ("done", "failed", "terminating"),
    "terminating": ("terminated",),
}
DEFAULT_TIMEOUT_SECONDS = 30 * 24 * 3600
DEFAULT_INSTANCE_TYPE = "mem1_ssd1_v2_x4"


@dataclass
class Job:
    """A job and all that its description tells."""

    id: str
    name: str
    applet: DataObject
    function: str
    project: str
    folder: str
    workspace: str
    user: str
    original_input: dict[str, Any]
    run_input: dict[str, Any]
    input: dict[str, Any]
    instance_type: str
    priority: str
    tags: list[str]
    properties: dict[str, str]
    details: object
    depends_on: list[str]
    log: JobLog
    token: str = field(default_factory=new_token, repr=False)
    state: str = "idle"
    transitions: list[dict[str, Any]] = field(default_factory=list)
    created: int = field(default_factory=now_ms)
    modified: int = field(default_factory=now_ms)
    started_running: int | None = None
    stopped_running: int | None = None
    output: dict[str, Any] | None = None
    failure: tuple[str, str] | None = None
    stop_requested: bool = False
    worker: Worker | None = None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    def become(self, state: str) -> None:
        """Take the next step of the life cycle; an impossible one is a defect of ours."""
        if state not in STEPS.get(self.state, ()):
            raise AssertionError(f"{self.id} cannot go from {self.state} to {state}")
        self.modified = now_ms()
        self.transitions.append({"oldState": self.state, "newState": state, "setAt": self.modified})
        if state == "running":
            self.started_running = self.modified
        elif self.state == "running":
            self.stopped_running = self.modified
        self.state = state


class JobFailed(Exception):
    """The job is over: failureReason and failureMessage."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class JobTerminated(Exception):
    """Somebody asked for the job to be terminated."""


class Jobs:
    """Every job of the platform; each lives its life in a thread of its own."""

    def __init__(self, store: Store, root: Path, server: Mapping[str, str], at_once: int) -> None:
        """`server` is the part of a job's environment that says where the API is."""
        self.by_id: dict[str, Job] = {}
        self._store = store
        self._root = root
        self._server = server
        self._slots = threading.BoundedSemaphore(at_once)
        self._threads: list[threading.Thread] = []

    def create(self, job: Job) -> None:
        """Begin a job; its inputs are in its workspace already."""
        self.by_id[job.id] = job
        thread = threading.Thread(target=self._live, args=[job], name=job.id)
        self._threads.append(thread)
        thread.start()

    def new_workspace(self) -> str:
        return self._store.new_container("container", "Temporary workspace").id

    def terminate(self, job: Job) -> None:
        """Ask a job to end; one that has ended stays as it is."""
        with self._store.changed:
            if job.is_final or job.stop_requested:
                return
            job.stop_requested = True
            if job.worker is not None:
                job.worker.kill()
            self._store.changed.notify_all()

    def stop_all(self) -> None:
        """Terminate every job and wait until all have ended."""
        for job in list(self.by_id.values()):
            self.terminate(job)
        for thread in self._threads:
            thread.join()

    # The life of one job

    def _live(self, job: Job) -> None:
        store = self._store
        try:
            self._wait_for_inputs(job)
            with self._slots:
                self._enter(job, "running")
                output = self._run(job)
            self._wait_for_outputs(job, output)
            with store.changed:
                self._put_into_project(job, output)
                job.output = output
                job.become("done")
        except JobTerminated:
            with store.changed:
                job.become("terminating")
                job.become("terminated")
        except JobFailed as failure:
            self._fail(job, failure.reason, str(failure))
        except Exception as error:  # a defect of ours must not leave the job running for ever
            self._fail(job, "JMInternalError", f"{type(error).__name__}: {error}")
            raise
        finally:
            with store.changed:
                store.remove_container(job.workspace)
                store.changed.notify_all()
            if job.worker is not None:
                job.worker.remove()
            job.log.end()

    def _enter(self, job: Job, state: str) -> None:
        with self._store.changed:
            if job.stop_requested:
                raise JobTerminated
            job.become(state)
            self._store.changed.notify_all()

    def _fail(self, job: Job, reason: str, message: str) -> None:
        with self._store.changed:
            job.failure = (reason, message)
            job.become("failed")

    def _wait_for_inputs(self, job: Job) -> None:
        def waits_for() -> list[str]:
            return [
                item.id
                for item in map(self._store.objects.get, self._input_ids(job))
                if item is not None and item.state != "closed"
            ] + [name for name in job.depends_on if self.by_id[name].state not in FINAL_STATES]

        with self._store.changed:
            if waits_for():
                job.become("waiting_on_input")
                self._store.changed.wait_for(lambda: job.stop_requested or not waits_for())
            for name in job.depends_on:
                if self.by_id[name].state != "done":
                    raise JobFailed("DependencyFailed", f"{name} did not end as done")
            self._enter(job, "runnable")

    def _input_ids(self, job: Job) -> list[str]:
        return [link.id for link in links_in(job.input)]

    def _run(self, job: Job) -> dict[str, Any]:
        worker = Worker(self._root / job.id, self._assignment(job), job.log)
        with self._store.changed:
            job.worker = worker
            if job.stop_requested:
                raise JobTerminated
        timeout = _timeout_seconds(job.applet.spec["runSpec"], job.function)
        try:
            worker.prepare()
            outcome = worker.run(timeout)
        except DependencyUnsatisfiable as error:
            raise JobFailed("DependencyUnsatisfiable", str(error)) from error
        except subprocess.TimeoutExpired as error:
            raise JobFailed(
                "JobTimeoutExceeded", f"The job ran longer than its timeout of {timeout:g} seconds"
            ) from error
        if job.stop_requested:
            raise JobTerminated
        return self._checked_output(job, outcome)

    def _assignment(self, job: Job) -> Assignment:
        spec = job.applet.spec["runSpec"]
        security = {"auth_token_type": "Bearer", "auth_token": job.token}
        return Assignment(
            job_id=job.id,
            code=spec["code"],
            bundles={
                bundle["name"]: self._store.content(self._store.find_object(link.id))
                for bundle in spec.get("bundledDepends", [])
                for link in links_in(bundle["id"])
            },
            apt_packages=[
                package["name"]
                for package in spec.get("execDepends", [])
                if package.get("package_manager", "apt") == "apt"
            ],
            job_input=job.input,
            environment={
                **self._server,
                "DX_JOB_ID": job.id,
                "DX_WORKSPACE_ID": job.workspace,
                "DX_PROJECT_CONTEXT_ID": job.project,
                "DX_SECURITY_CONTEXT": json.dumps(security),
            },
        )

    def _checked_output(self, job: Job, outcome: Outcome) -> dict[str, Any]:
        if outcome.exit_status != 0:
            if outcome.error is None:
                raise JobFailed(
                    "AppInternalError",
                    f"The program exited with status {outcome.exit_status} and no job_error.json",
                )
            raise JobFailed(outcome.error["type"], outcome.error["message"])
        if not isinstance(outcome.output, dict):
            raise JobFailed("OutputError", "job_output.json does not hold a JSON object")
        try:
            with self._store.changed:
                check_values(job.applet.spec.get("outputSpec", []), outcome.output)
                for link in links_in(outcome.output):
                    item = self._store.find_object(link.id)
                    if not {job.workspace, job.project} & set(item.placements):
                        raise InvalidInput(f"{link.id} is not in the job's workspace")
                    if item.state == "open":
                        raise InvalidInput(f"{link.id} is open, and was never closed")
        except PlatformError as error:
            raise JobFailed("OutputError", str(error)) from error
        return copy.deepcopy(outcome.output)

    def _wait_for_outputs(self, job: Job, output: dict[str, Any]) -> None:
        with self._store.changed:
            self._enter(job, "waiting_on_output")
            self._store.changed.wait_for(
                lambda: (
                    job.stop_requested
                    or all(
                        self._store.find_object(link.id).state == "closed"
                        for link in links_in(output)
                    )
                )
            )
            if job.stop_requested:
                raise JobTerminated

    def _put_into_project(self, job: Job, output: dict[str, Any]) -> None:
        for link in links_in(output):
            item = self._store.find_object(link.id)
            if job.project not in item.placements:
                self._store.clone(item, job.workspace, job.project, job.folder)


def new_job(jobs: Jobs, **fields: Any) -> Job:
    """A job with an id, a log and an empty workspace of its own."""
    job_id = new_id("job")
    return Job(id=job_id, log=JobLog(job_id), workspace=jobs.new_workspace(), **fields)


def _timeout_seconds(run_spec: Mapping[str, Any], function: str) -> float:
    policy = run_spec.get("timeoutPolicy", {})
    limit = policy.get(function, policy.get("*"))
    if limit is None:
        return DEFAULT_TIMEOUT_SECONDS
    return float(
        limit.get("days", 0) * 86400 + limit.get("hours", 0) * 3600 + limit.get("minutes", 0) * 60
    )


def describe_job(job: Job, region: str) -> dict[str, Any]:
    """Every field of a job's description."""
    described: dict[str, Any] = {
        "id": job.id,
        "class": "job",
        "name": job.name,
        "executable": job.applet.id,
        "executableName": job.applet.spec["name"],
        "applet": job.applet.id,
        "function": job.function,
        "project": job.project,
        "folder": job.folder,
        "workspace": job.workspace,
        "region": region,
        "billTo": job.user,
        "launchedBy": job.user,
        "rootExecution": job.id,
        "originJob": job.id,
        "parentJob": None,
        "parentAnalysis": None,
        "analysis": None,
        "stage": None,
        "state": job.state,
        "stateTransitions": job.transitions,
        "created": job.created,
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
    if job.started_running is not None:
        described["startedRunning"] = job.started_running
        if job.stopped_running is not None:
            described["stoppedRunning"] = job.stopped_running
    if job.failure is not None:
        described["failureReason"], described["failureMessage"] = job.failure
        described["failureFrom"] = {"id": job.id, "name": job.name, "executable": job.applet.id}
    return described
