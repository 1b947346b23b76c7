"""Jobs: their states, and the way from the input to the output in the project.

https://documentation.dnanexus.com/developer/api/running-analyses/job-lifecycle
"""

import copy
import json
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .analyses import Analysis
from .errors import InvalidInput, InvalidState, PlatformError, ResourceNotFound
from .ids import class_of, new_token
from .logs import JobLog
from .restarts import may_restart
from .specs import Reference, check_values, links_in, reference_of, references_in, replaced
from .store import Store, now_ms
from .worker import Assignment, DependencyUnsatisfiable, Worker

EXECUTION_CLASSES = ("job", "analysis")
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
# How a job's worker may get lost, in the words of the documentation.
WORKER_LOSSES = {
    "UnresponsiveWorker": "The machine running the job became unresponsive",
    "SpotInstanceInterruption": "The machine running the job was reclaimed by the cloud provider",
}
DEFAULT_TIMEOUT_SECONDS = 30 * 24 * 3600
DEFAULT_INSTANCE_TYPE = "mem1_ssd1_v2_x4"


class Execution(Protocol):
    """A job, or an analysis that is made of jobs."""

    id: str
    project: str

    @property
    def state(self) -> str: ...
    @property
    def is_final(self) -> bool: ...
    @property
    def output(self) -> dict[str, Any] | None: ...


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
    """A job and all that its description tells; what differs between its tries is the latest's."""

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
    def readable(self) -> set[str]:
        """The containers in which its inputs may lie."""
        return {self.workspace} if self.executable.container else {self.workspace, self.project}

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_terminating(self) -> bool:
        return self.state == "terminating"

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

    def begin(self, workspace: str) -> None:
        """Get what belongs to a try."""
        self.workspace, self.log, self.token = workspace, JobLog(self.id), new_token()

    def begin_again(self, workspace: str) -> "Job":
        """Start from the beginning, with nothing of the try before, which is given back."""
        self.become("restarted")
        earlier = copy.copy(self)
        self.earlier_tries = [*self.earlier_tries, earlier]
        self.begin(workspace)
        self.state, self.transitions, self.try_created = "idle", [], now_ms()
        self.started_running = self.stopped_running = None
        self.failure = self.worker = self.lost_for = None
        return earlier


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
        self.analyses: dict[str, Analysis] = {}
        self._store = store
        self._root = root
        self._server = server
        self._at_once = at_once
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def create(self, job: Job) -> None:
        """Begin a job, with its input in a workspace of its own unless it can be read in place."""
        with self._store.changed:
            if self._stopped:
                raise InvalidState("this local platform is being stopped")
            job.begin(job.parent.workspace if job.parent else self.new_workspace())
            for object_id, source in job.sources.items():
                if source not in job.readable:
                    item = self._store.find_object(object_id)
                    self._store.clone(item, source, job.workspace, "/")
            self.by_id[job.id] = job
            thread = threading.Thread(target=self._live, args=[job], name=job.id)
            self._threads.append(thread)
            thread.start()

    def execution(self, execution_id: str) -> Execution:
        """A job or an analysis. Raises ResourceNotFound."""
        execution: Execution | None = self.by_id.get(execution_id)
        execution = execution or self.analyses.get(execution_id)
        if execution is None:
            raise ResourceNotFound(f'"{execution_id}" could not be found')
        return execution

    def new_workspace(self) -> str:
        return self._store.new_container("container", "Temporary workspace").id

    def terminate(self, job: Job) -> None:
        """End a job, wherever it is in its life; one that has ended stays as it is."""
        with self._store.changed:
            for one in [job, *self._below(job)]:
                if one.is_final or one.is_terminating:
                    continue
                one.become("terminating")
                if one.worker is not None:
                    one.worker.kill()
            self._store.changed.notify_all()

    def _below(self, job: Job) -> list[Job]:
        """The subjobs of a job, and theirs."""
        return [one for one in self.by_id.values() if job in one.ancestors]

    def lose_worker(self, job_id: str, reason: str = "UnresponsiveWorker") -> None:
        """Let the worker of a running job be gone, for one of WORKER_LOSSES: for tests to ask."""
        with self._store.changed:
            job = self.by_id[job_id]
            if job.state != "running" or job.worker is None:
                raise ValueError(f"{job_id} has no worker")
            job.lost_for = reason
            job.worker.kill()

    def stop_all(self) -> None:
        """Terminate every job, take no new one, and wait until all have ended."""
        with self._store.changed:
            self._stopped = True
            for job in self.by_id.values():
                self.terminate(job)
        for thread in self._threads:
            thread.join()

    # The life of one job

    def _live(self, job: Job) -> None:
        try:
            self._wait_for_inputs(job)
            while True:
                try:
                    self._wait_for_worker(job)
                    self._deliver(job, self._run(job))
                    break
                except JobFailed as failure:
                    self._clean_up(self._restart(job, failure))
        except JobTerminated:
            self._end_early(job)
        except JobFailed as failure:
            self._end_early(job, (failure.reason, str(failure)))
        except Exception as error:  # a defect of ours must not leave the job running for ever
            self._end_early(job, ("JMInternalError", f"{type(error).__name__}: {error}"))
            raise
        finally:
            self._clean_up(job)

    def _clean_up(self, job: Job) -> None:
        """Remove what a try of a job had for itself."""
        with self._store.changed:
            if job.parent is None:
                self._store.remove_container(job.workspace)
            self._store.changed.notify_all()
        if job.worker is not None:
            job.worker.remove()
        job.log.end()

    def _restart(self, job: Job, failure: JobFailed) -> Job:
        """Let a job that failed begin again, and give back the try that failed.

        Raises the failure where the job's policy allows no other try, and JobTerminated.
        """
        with self._store.changed:
            if job.is_terminating:
                raise JobTerminated
            reasons = [earlier.failure[0] for earlier in job.earlier_tries if earlier.failure]
            # Each part has had its own tries.
            if job.failed_part or not may_restart(job.execution_policy, failure.reason, reasons):
                raise failure
            job.failure = (failure.reason, str(failure))
            for part in self._below(job):
                self.terminate(part)
            earlier = job.begin_again(job.workspace if job.parent else self.new_workspace())
            # The inputs stay; what the try before has made goes with its workspace.
            for item in (self._store.find_object(link.id) for link in links_in(job.input)):
                if earlier.workspace in item.placements:
                    self._store.clone(item, earlier.workspace, job.workspace, "/")
            self._enter(job, "runnable")
            return earlier

    def _end_early(self, job: Job, failure: tuple[str, str] | None = None) -> None:
        with self._store.changed:
            # What goes wrong in a job that is being terminated is a consequence of that.
            if job.is_terminating:
                job.become("terminated")
            else:
                job.failure = failure
                job.become("failed")
                self._fail_tree(job)

    def _fail_tree(self, part: Job) -> None:
        """Let what a job is a part of fail with it, and end all other parts of that."""
        for job in part.ancestors:
            job.failed_part = job.failed_part or part
            if job.worker is not None:
                job.worker.kill()
        for other in self._below(part.root):
            if other not in part.ancestors:
                self.terminate(other)
        self._store.changed.notify_all()

    def _enter(self, job: Job, state: str) -> None:
        with self._store.changed:
            if job.is_terminating:
                raise JobTerminated
            job.become(state)
            self._store.changed.notify_all()

    def _wait(self, job: Job, condition: Callable[[], bool]) -> None:
        """Wait for a change of state. Raises JobTerminated."""
        self._store.changed.wait_for(
            lambda: job.is_terminating or job.failed_part is not None or condition()
        )
        if job.is_terminating:
            raise JobTerminated
        self._raise_failure_of_part(job)

    def _raise_failure_of_part(self, job: Job) -> None:
        if job.failed_part is not None and job.failed_part.failure is not None:
            raise JobFailed(*job.failed_part.failure)

    def _wait_for_worker(self, job: Job) -> None:
        """Begin to run, once fewer jobs than may be at once are running."""

        def running() -> int:
            return sum(one.state == "running" for one in self.by_id.values())

        with self._store.changed:
            self._wait(job, lambda: running() < self._at_once)
            self._enter(job, "running")

    def _are_ready(self, ids: Iterable[str]) -> bool:
        """Whether all these jobs have ended and all these objects are closed."""

        def is_ready(name: str) -> bool:
            if class_of(name) in EXECUTION_CLASSES:
                return self.execution(name).is_final
            # What was removed will not change any more.
            item = self._store.objects.get(name)
            return item is None or item.state == "closed"

        return all(map(is_ready, ids))

    def _wait_for_inputs(self, job: Job) -> None:
        needed = [link.id for link in links_in(job.input)] + job.depends_on
        with self._store.changed:
            self._wait_for(job, "waiting_on_input", job.input, needed, "DependencyUnsatisfiable")
            try:
                job.input = self._resolved(job.input)
                if job.function == "main" and "inputSpec" in job.executable.spec:
                    check_values(job.executable.spec["inputSpec"], job.input)
                self._take_in(job)
            except PlatformError as error:
                raise JobFailed("InputError", str(error)) from error
            self._enter(job, "runnable")

    def _wait_for(
        self, job: Job, state: str, values: Mapping[str, Any], ids: Iterable[str], reason: str
    ) -> None:
        """Wait, in the given state, for what values refer to and for jobs and objects.

        Raises JobFailed, with the reason, as soon as one of the jobs has not done its work.
        """
        needed = [*ids, *(reference.execution for reference in references_in(values))]
        executions = [
            self.execution(name) for name in needed if class_of(name) in EXECUTION_CLASSES
        ]

        def lost() -> list[str]:
            return [other.id for other in executions if other.is_final and other.state != "done"]

        if not self._are_ready(needed):
            self._enter(job, state)
            self._wait(job, lambda: bool(lost()) or self._are_ready(needed))
        for name in lost():
            raise JobFailed(reason, f"{name} was a job dependency but failed")

    def _resolved(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values without references. Raises InvalidInput for one to nothing."""

        def value_of(reference: Reference) -> Any:
            return reference.value_in(self.execution(reference.execution).output or {})

        return dict(replaced(values, reference_of, value_of))

    def _take_in(self, job: Job) -> None:
        """Put what other jobs have given out into the workspace, unless it can be read in place."""
        sources = {
            self.execution(reference.execution).project
            for reference in references_in(job.original_input)
        }
        for link in links_in(job.input):
            item = self._store.find_object(link.id)
            if not job.readable & set(item.placements):
                source = next(name for name in item.placements if name in sources)
                self._store.clone(item, source, job.workspace, "/")

    def _run(self, job: Job) -> Any:
        """Run the job on a worker; what it says is its output."""
        timeout = _timeout_seconds(job.timeout_policy, job.function)
        try:
            with self._store.changed:
                worker = Worker(self._root / job.id, self._assignment(job), job.log)
                if job.is_terminating:
                    raise JobTerminated
                job.worker = worker
            worker.prepare()
            outcome = worker.run(timeout)
        except (DependencyUnsatisfiable, ResourceNotFound) as error:
            raise JobFailed("DependencyUnsatisfiable", str(error)) from error
        except subprocess.TimeoutExpired as error:
            raise JobFailed(
                "JobTimeoutExceeded", f"The job ran longer than its timeout of {timeout:g} seconds"
            ) from error
        if job.lost_for is None and job.failed_part is None and outcome.error is not None:
            raise JobFailed(*outcome.error)
        return outcome.output

    def _assignment(self, job: Job) -> Assignment:
        spec = job.executable.spec["runSpec"]
        security = {"auth_token_type": "Bearer", "auth_token": job.token}
        resources = job.executable.container
        return Assignment(
            job_id=job.id,
            code=spec["code"],
            bundles={
                bundle["name"]: self._store.content(self._store.find_object(link.id))
                for bundle in spec.get("bundledDepends", [])
                for link in links_in(bundle["id"])
            },
            packages=spec.get("execDepends", []),
            job_input=job.input,
            environment={
                **self._server,
                "DX_JOB_ID": job.id,
                "DX_WORKSPACE_ID": job.workspace,
                "DX_PROJECT_CONTEXT_ID": job.project,
                "DX_SECURITY_CONTEXT": json.dumps(security),
                **({} if resources is None else {"DX_RESOURCES_ID": resources}),
            },
        )

    def _deliver(self, job: Job, output: Any) -> None:
        """Put the output into the project, once it is checked and its files are closed."""
        try:
            with self._store.changed:
                self._raise_failure_of_part(job)
                if job.lost_for is not None:
                    raise JobFailed(job.lost_for, WORKER_LOSSES[job.lost_for])
                if not isinstance(output, dict):
                    raise JobFailed("OutputError", "job_output.json does not hold a JSON object")
                self._check_output(job, output)
                ids = [link.id for link in links_in(output)]
                parts = [part.id for part in self._below(job)]
                self._wait_for(job, "waiting_on_output", output, ids + parts, "OutputError")
                if any(references_in(output)):
                    output = self._resolved(output)
                    self._check_output(job, output)
                    ids = [link.id for link in links_in(output)]
                if job.is_terminating:
                    raise JobTerminated
                for item in map(self._store.find_object, ids):
                    # What subjobs make stays in the workspace that they share.
                    if job.parent is None and job.project not in item.placements:
                        self._store.clone(item, job.workspace, job.project, job.folder)
                job.output = output
                self._enter(job, "done")
        except PlatformError as error:
            raise JobFailed("OutputError", str(error)) from error

    def _check_output(self, job: Job, output: Mapping[str, Any]) -> None:
        if job.function == "main" and "outputSpec" in job.executable.spec:
            check_values(job.executable.spec["outputSpec"], output)
        for reference in references_in(output):
            self.execution(reference.execution)
        for link in links_in(output):
            item = self._store.find_object(link.id)
            if not {job.workspace, job.project} & set(item.placements):
                raise InvalidInput(f"{link.id} is not in the job's workspace")
            if item.state == "open":
                raise InvalidInput(f"{link.id} is open, and was never closed")


def _timeout_seconds(policy: Mapping[str, Any], function: str) -> float:
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
        "parentJobTry": job.parent.try_number if job.parent else None,
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
