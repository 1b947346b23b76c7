"""Every job and analysis of the platform, and the queue for the workers."""

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
    """Every job of the platform; each lives its life in a thread of its own."""

    def __init__(self, store: Store, at_once: int, live: Callable[[Job], None]) -> None:
        """`live` takes a job from its input to its end; up to `at_once` jobs run at a time."""
        self.by_id: dict[str, Job] = {}
        self.analyses: dict[str, Analysis] = {}
        self._store = store
        self._at_once = at_once
        self._live = live
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._held = False

    def create(self, job: Job) -> None:
        """Begin a job, with its input in its own workspace unless it can access it directly."""
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
        execution = self.by_id.get(execution_id) or self.analyses.get(execution_id)
        if execution is None:
            raise ResourceNotFound(f'"{execution_id}" could not be found')
        return execution

    def executions(self, ids: Iterable[str]) -> list[Execution]:
        """Those of the ids that are of jobs and analyses."""
        return [self.execution(name) for name in ids if class_of(name) in EXECUTION_CLASSES]

    def new_workspace(self) -> str:
        return self._store.new_container("container", "Temporary workspace").id

    def has_slot(self) -> bool:
        """Whether another job may run."""
        running = sum(job.state == "running" for job in self.by_id.values())
        return running < self._at_once and not self._held

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no job begin to run meanwhile, as if all workers were busy: for tests to ask."""
        self._held = True
        try:
            yield
        finally:
            with self._store.changed:
                self._held = False
                self._store.changed.notify_all()

    def terminate(self, job: Job) -> None:
        """Terminate a job in any state; a job that has ended stays as it is."""
        with self._store.changed:
            for one in [job, *self.below(job)]:
                if one.is_final or one.is_terminating:
                    continue
                one.become("terminating")
                if one.worker is not None:
                    one.worker.kill()
            self._store.changed.notify_all()

    def below(self, job: Job) -> list[Job]:
        """The subjobs of a job, and theirs; not those of an earlier try, which were terminated."""
        return [one for one in self.by_id.values() if job in one.ancestors and one.is_of_latest_try]

    def fail_tree(self, part: Job) -> None:
        """Fail the parent of a job with it, and terminate all its other subjobs."""
        for job in part.ancestors:
            job.failed_part = job.failed_part or part
            if job.worker is not None:
                job.worker.kill()
        for other in self.below(part.root):
            if other not in part.ancestors:
                self.terminate(other)
        self._store.changed.notify_all()

    def are_ready(self, ids: Iterable[str]) -> bool:
        """Whether all these jobs have ended and all these objects are closed."""

        def is_ready(name: str) -> bool:
            if class_of(name) in EXECUTION_CLASSES:
                return self.execution(name).is_final
            # What was removed will not change any more.
            item = self._store.objects.get(name)
            return item is None or item.state == "closed"

        return all(map(is_ready, ids))

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
