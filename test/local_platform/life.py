"""The life cycle of one job: wait for its input, run it, clone its output into the project.

https://documentation.dnanexus.com/developer/api/running-analyses/job-lifecycle
"""

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InvalidInput, PlatformError, ResourceNotFound
from .job import Job
from .jobs import Jobs
from .restarts import RESTARTABLE, may_restart
from .specs import (
    Reference,
    check_size,
    check_values,
    links_in,
    reference_of,
    references_in,
    replaced,
)
from .store import Store
from .worker import Assignment, PackageError, Worker

# Failures in which a job loses its worker, with the messages of the documentation.
WORKER_LOSSES = {
    "UnresponsiveWorker": "The machine running the job became unresponsive",
    "SpotInstanceInterruption": "The machine running the job was reclaimed by the cloud provider",
}
DEFAULT_TIMEOUT_SECONDS = 30 * 24 * 3600


class JobFailed(Exception):
    """The job has failed, with this failureReason and failureMessage."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class JobTerminated(Exception):
    """The job is being terminated on request."""


@dataclass(frozen=True)
class JobLife:
    """Takes one job through its states, in a thread of its own.

    Attributes:
        job: the job.
        jobs: all jobs of the platform.
        store: containers and objects of the platform.
        workers: folder for the root folders of workers.
        server: environment variables with which dxpy finds the API.
    """

    job: Job
    jobs: Jobs
    store: Store
    workers: Path
    server: Mapping[str, str]

    def run(self) -> None:
        """Takes the job from its input to its output in the project, or to its failure."""
        try:
            self._wait_for_inputs()
            while True:
                try:
                    self._wait_for_worker()
                    self._deliver(self._run())
                    break
                except JobFailed as failure:
                    self._clean_up(self._restart(failure))
        except JobTerminated:
            self._end_early()
        except JobFailed as failure:
            self._end_early((failure.reason, str(failure)))
        except Exception as error:  # a bug here must not leave the job running
            self._end_early(("JMInternalError", f"{type(error).__name__}: {error}"))
            raise
        finally:
            self._clean_up(self.job)

    def _clean_up(self, ended: Job) -> None:
        """Removes the workspace and the worker of a try, and closes its log."""
        with self.store.changed:
            if ended.parent is None:
                self.store.remove_container(ended.workspace)
            self.store.changed.notify_all()
        if ended.worker is not None:
            ended.worker.remove()
        ended.log.end()

    def _restart(self, failure: JobFailed) -> Job:
        """Restarts a failed job and returns the failed try.

        Raises the failure if the job's policy does not allow another try. Raises JobTerminated.
        """
        with self.store.changed:
            if self.job.is_terminating:
                raise JobTerminated
            job = self.job
            reasons = [earlier.failure[0] for earlier in job.earlier_tries if earlier.failure]
            entry_points = job.executable.spec["runSpec"].get(RESTARTABLE, "master")
            # With "all", a failed subjob has already been restarted as often as allowed, and its
            # ancestors are not restarted. Otherwise, only the origin job is, with all its subjobs.
            is_restartable = (
                job.failed_subjob is None if entry_points == "all" else job.parent is None
            )
            policy = job.execution_policy
            if not is_restartable or not may_restart(policy, failure.reason, reasons):
                raise failure
            job.failure = (failure.reason, str(failure))
            for subjob in self.jobs.descendants(job):
                self.jobs.terminate(subjob)
            earlier = job.restart(job.workspace if job.parent else self.jobs.new_workspace())
            # Keep the inputs. All other objects of the failed try are removed with its workspace.
            for item in (self.store.find_object(link.id) for link in links_in(job.input)):
                if earlier.workspace in item.placements:
                    self.store.clone(item, earlier.workspace, job.workspace, "/")
            self._enter("runnable")
            return earlier

    def _end_early(self, failure: tuple[str, str] | None = None) -> None:
        with self.store.changed:
            # Errors in a job that is being terminated are a consequence of that.
            if self.job.is_terminating:
                self.job.change_state("terminated")
            else:
                self.job.failure = failure
                self.job.change_state("failed")
                self.jobs.fail_tree(self.job)

    def _enter(self, state: str) -> None:
        with self.store.changed:
            if self.job.is_terminating:
                raise JobTerminated
            self.job.change_state(state)
            self.store.changed.notify_all()

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Waits until a condition holds. Raises JobTerminated, and JobFailed if a subjob fails."""
        self.store.changed.wait_for(
            lambda: self.job.is_terminating or self.job.failed_subjob is not None or condition()
        )
        if self.job.is_terminating:
            raise JobTerminated
        self._raise_failure_of_subjob()

    def _raise_failure_of_subjob(self) -> None:
        if self.job.failed_subjob is not None and self.job.failed_subjob.failure is not None:
            raise JobFailed(*self.job.failed_subjob.failure)

    def _wait_for_worker(self) -> None:
        """Waits until the job can run, and starts it."""
        with self.store.changed:
            self._wait(self.jobs.has_slot)
            self._enter("running")

    def _wait_for_inputs(self) -> None:
        needed = [link.id for link in links_in(self.job.input)] + self.job.depends_on
        with self.store.changed:
            self._wait_for("waiting_on_input", self.job.input, needed, "DependencyUnsatisfiable")
            try:
                self.job.input = self._resolve(self.job.input)
                check_size(self.job.input, "input")
                if self.job.function == "main" and "inputSpec" in self.job.executable.spec:
                    check_values(self.job.executable.spec["inputSpec"], self.job.input)
                self._clone_inputs()
            except PlatformError as error:
                raise JobFailed("InputError", str(error)) from error
            self._enter("runnable")

    def _wait_for(
        self, state: str, values: Mapping[str, Any], ids: Iterable[str], reason: str
    ) -> None:
        """Waits in a state until executions have ended and objects are closed.

        Args:
            state: `waiting_on_input` or `waiting_on_output`.
            values: input or output; waits for the jobs and analyses to which it refers.
            ids: further executions and objects to wait for.
            reason: failureReason if one of the executions fails or is terminated.

        Raises:
            JobFailed: an execution has failed or was terminated.
        """
        needed = [*ids, *(reference.execution for reference in references_in(values))]
        executions = self.jobs.executions(needed)

        def failed() -> list[str]:
            return [other.id for other in executions if other.is_final and other.state != "done"]

        if not self.jobs.are_ready(needed):
            self._enter(state)
            self._wait(lambda: bool(failed()) or self.jobs.are_ready(needed))
        for execution_id in failed():
            raise JobFailed(reason, f"{execution_id} was a job dependency but failed")

    def _resolve(self, values: dict[str, Any]) -> dict[str, Any]:
        """Replaces references by their values. Raises InvalidInput if there is no such value."""

        def value_of(reference: Reference) -> Any:
            return reference.value_in(self.jobs.execution(reference.execution).output or {})

        return dict(replaced(values, reference_of, value_of))

    def _clone_inputs(self) -> None:
        """Clones outputs of other jobs that the job cannot access into its workspace."""
        sources = {
            self.jobs.execution(reference.execution).project
            for reference in references_in(self.job.original_input)
        }
        for link in links_in(self.job.input):
            item = self.store.find_object(link.id)
            if not self.job.readable & set(item.placements):
                source = next(name for name in item.placements if name in sources)
                self.store.clone(item, source, self.job.workspace, "/")

    def _run(self) -> Any:
        """Runs the job on a worker and returns its output."""
        timeout = _timeout_seconds(self.job.timeout_policy, self.job.function)
        try:
            with self.store.changed:
                worker = Worker(self.workers / self.job.id, self._assignment(), self.job.log)
                if self.job.is_terminating:
                    raise JobTerminated
                self.job.worker = worker
            worker.prepare()
            outcome = worker.run(timeout)
        except PackageError as error:
            raise JobFailed("ExecutionError", str(error)) from error
        except ResourceNotFound as error:
            raise JobFailed("DependencyUnsatisfiable", str(error)) from error
        except subprocess.TimeoutExpired as error:
            raise JobFailed(
                "JobTimeoutExceeded", f"The job ran longer than its timeout of {timeout:g} seconds"
            ) from error
        is_own_error = self.job.loss_reason is None and self.job.failed_subjob is None
        if is_own_error and outcome.error is not None:
            raise JobFailed(*outcome.error)
        return outcome.output

    def _assignment(self) -> Assignment:
        spec = self.job.executable.spec["runSpec"]
        security = {"auth_token_type": "Bearer", "auth_token": self.job.token}
        resources = self.job.executable.container
        return Assignment(
            job_id=self.job.id,
            code=spec["code"],
            bundles={
                bundle["name"]: self.store.content(self.store.find_object(link.id))
                for bundle in spec.get("bundledDepends", [])
                for link in links_in(bundle["id"])
            },
            packages=spec.get("execDepends", []),
            job_input=self.job.input,
            environment={
                **self.server,
                "DX_JOB_ID": self.job.id,
                "DX_WORKSPACE_ID": self.job.workspace,
                "DX_PROJECT_CONTEXT_ID": self.job.project,
                "DX_SECURITY_CONTEXT": json.dumps(security),
                **({} if resources is None else {"DX_RESOURCES_ID": resources}),
            },
        )

    def _deliver(self, output: Any) -> None:
        """Checks the output, waits until its files are closed, and clones it into the project."""
        try:
            with self.store.changed:
                self._raise_failure_of_subjob()
                if self.job.loss_reason is not None:
                    raise JobFailed(self.job.loss_reason, WORKER_LOSSES[self.job.loss_reason])
                if not isinstance(output, dict):
                    raise JobFailed("OutputError", "job_output.json does not contain a JSON object")
                self._check_output(output)
                ids = [link.id for link in links_in(output)]
                subjobs = [subjob.id for subjob in self.jobs.descendants(self.job)]
                self._wait_for("waiting_on_output", output, ids + subjobs, "OutputError")
                if any(references_in(output)):
                    output = self._resolve(output)
                    self._check_output(output)
                    ids = [link.id for link in links_in(output)]
                if self.job.is_terminating:
                    raise JobTerminated
                for item in map(self.store.find_object, ids):
                    # Outputs of subjobs stay in the shared workspace.
                    if self.job.parent is None and self.job.project not in item.placements:
                        self.store.clone(
                            item, self.job.workspace, self.job.project, self.job.folder
                        )
                self.job.output = output
                self._enter("done")
        except PlatformError as error:
            raise JobFailed("OutputError", str(error)) from error

    def _check_output(self, output: Mapping[str, Any]) -> None:
        check_size(output, "output")
        if self.job.function == "main" and "outputSpec" in self.job.executable.spec:
            check_values(self.job.executable.spec["outputSpec"], output)
        for reference in references_in(output):
            self.jobs.execution(reference.execution)
        for link in links_in(output):
            item = self.store.find_object(link.id)
            if not {self.job.workspace, self.job.project} & set(item.placements):
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
