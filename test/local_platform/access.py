"""Callers of the API, and their access level in each container.

https://documentation.dnanexus.com/developer/apps/app-permissions
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import PermissionDenied
from .job import Job

VIEW, CONTRIBUTE, ADMINISTER = "VIEW", "CONTRIBUTE", "ADMINISTER"
_LEVELS = (VIEW, CONTRIBUTE, ADMINISTER)


@dataclass(frozen=True)
class Caller:
    """A user or a job; `access` maps each container to the access level in it."""

    user: str
    job: Job | None
    access: Mapping[str, str]

    @classmethod
    def of_job(cls, job: Job) -> "Caller":
        """Returns a job as a caller, with access to its workspace and its project or app.

        A job of an app has no access to the project, except to its inputs, unless the app
        requests it.
        """
        access = {job.executable.container or job.project: VIEW, job.workspace: ADMINISTER}
        if requested := job.executable.spec.get("access", {}).get("project"):
            access[job.project] = requested
        return cls(job.user, job, access)

    @property
    def id(self) -> str:
        return self.user if self.job is None else self.job.id

    @property
    def created_by(self) -> dict[str, str]:
        if self.job is None:
            return {"user": self.user}
        return {"user": self.user, "job": self.job.id, "executable": self.job.executable.id}

    def may(self, level: str, container_id: str) -> bool:
        granted = self.access.get(container_id)
        return granted is not None and _LEVELS.index(granted) >= _LEVELS.index(level)

    def require(self, level: str, container_id: str) -> None:
        """Raises PermissionDenied unless the caller has this access level in the container."""
        if not self.may(level, container_id):
            raise PermissionDenied(f"{level} permission required in {container_id}")
