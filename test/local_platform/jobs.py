"""All jobs and analyses of the platform, and the queue for workers."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from .analyses import Analysis
from .errors import InvalidState, ResourceNotFound
from .ids import class_of
from .job import Job
from .store import Store

EXECUTION_CLASSES = ("job", "analysis")

Execution = Job | Analysis


class Jobs:
    """All jobs and analyses of the platform. Each job has a thread of its own."""

    def __init__(self, store: Store, at_once: int, run: Callable[[Job], None]) -> None:
        """Starts without jobs.

        Args:
            store: containers and objects of the platform.
            at_once: maximum number of jobs in the state `running`.
            run: takes a job from its input to its final state; called in the job's thread.
        """
        self.by_id: dict[str, Job] = {}
        self.analyses: dict[str, Analysis] = {}
        self._store = store
        self._at_once = at_once
        self._run = run
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._held = False

    def create(self, job: Job) -> None:
        """Starts a job; clones inputs that it cannot access into its workspace."""
        with self._store.changed:
            if self._stopped:
                raise InvalidState("this local platform is being stopped")
            job.start_try(job.parent.workspace if job.parent else self.new_workspace())
            for object_id, source in job.sources.items():
                if source not in job.readable:
                    item = self._store.find_object(object_id)
                    self._store.clone(item, source, job.workspace, "/")
            self.by_id[job.id] = job
            thread = threading.Thread(target=self._run, args=[job], name=job.id)
            self._threads.append(thread)
            thread.start()

    def execution(self, execution_id: str) -> Execution:
        """Returns a job or an analysis. Raises ResourceNotFound."""
        execution = self.by_id.get(execution_id) or self.analyses.get(execution_id)
        if execution is None:
            raise ResourceNotFound(f'"{execution_id}" could not be found')
        return execution

    def executions(self, ids: Iterable[str]) -> list[Execution]:
        """Returns the jobs and analyses among these IDs, which may also be of data objects."""
        return [self.execution(name) for name in ids if class_of(name) in EXECUTION_CLASSES]

    def new_workspace(self) -> str:
        return self._store.new_container("container", "Temporary workspace").id

    def has_slot(self) -> bool:
        """Returns whether another job can start running."""
        running = sum(job.state == "running" for job in self.by_id.values())
        return running < self._at_once and not self._held

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps jobs from starting to run, as if all workers were busy; for tests."""
        self._held = True
        try:
            yield
        finally:
            with self._store.changed:
                self._held = False
                self._store.changed.notify_all()

    def terminate(self, job: Job) -> None:
        """Terminates a job and its descendants, except those that have ended."""
        with self._store.changed:
            for member in [job, *self.descendants(job)]:
                if member.is_final or member.is_terminating:
                    continue
                member.change_state("terminating")
                if member.worker is not None:
                    member.worker.kill()
            self._store.changed.notify_all()

    def descendants(self, job: Job) -> list[Job]:
        """Returns all direct and indirect subjobs of the latest try of a job."""
        return [
            other
            for other in self.by_id.values()
            if job in other.ancestors and other.is_of_latest_try
        ]

    def fail_tree(self, failed: Job) -> None:
        """Makes the ancestors of a failed job fail, and terminates the other jobs of the tree."""
        for ancestor in failed.ancestors:
            ancestor.failed_subjob = ancestor.failed_subjob or failed
            if ancestor.worker is not None:
                ancestor.worker.kill()
        for other in self.descendants(failed.root):
            if other not in failed.ancestors:
                self.terminate(other)
        self._store.changed.notify_all()

    def are_ready(self, ids: Iterable[str]) -> bool:
        """Returns whether all these executions have ended and all these objects are closed."""

        def is_ready(name: str) -> bool:
            if class_of(name) in EXECUTION_CLASSES:
                return self.execution(name).is_final
            # A removed object will not change any more.
            item = self._store.objects.get(name)
            return item is None or item.state == "closed"

        return all(map(is_ready, ids))

    def lose_worker(self, job_id: str, reason: str = "UnresponsiveWorker") -> None:
        """Makes a running job lose its worker; `reason` is a key of WORKER_LOSSES. For tests."""
        with self._store.changed:
            job = self.by_id[job_id]
            if job.state != "running" or job.worker is None:
                raise ValueError(f"{job_id} has no worker")
            job.loss_reason = reason
            job.worker.kill()

    def stop_all(self) -> None:
        """Terminates all jobs, rejects new ones, and waits until all have ended."""
        with self._store.changed:
            self._stopped = True
            for job in self.by_id.values():
                self.terminate(job)
        for thread in self._threads:
            thread.join()
