"""The state of the platform: project, user, objects, apps and jobs."""

from collections.abc import Mapping
from pathlib import Path

from .access import ADMINISTER, VIEW, Caller
from .apps import App
from .errors import InvalidAuthentication
from .ids import new_token
from .job import Job
from .jobs import Jobs
from .life import JobLife
from .network import Network
from .store import Store
from .transfers import Transfers

USER = "user-local"
HOST = "127.0.0.1"


class Platform:
    """A project and a user, with their objects, apps and jobs."""

    def __init__(self, root: Path, port: int, jobs_at_once: int, network: Network) -> None:
        """Creates an empty project.

        Args:
            root: folder for files and workers.
            port: port of the API on loopback.
            jobs_at_once: maximum number of concurrent jobs.
            network: the simulated network.
        """
        self.root = root
        self.port = port
        self.user_token = new_token()
        self.store = Store(root / "files")
        self.transfers = Transfers()
        self.network = network
        self.project = self.store.new_container("project", "local")
        # IDs of the user's projects.
        self.projects = [self.project.id]
        self.apps: dict[str, App] = {}
        self.jobs = Jobs(self.store, jobs_at_once, self._run_job)

    def _run_job(self, job: Job) -> None:
        workers = self.root / "workers"
        JobLife(job, self.jobs, self.store, workers, self.api_environment()).run()

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def api_environment(self) -> Mapping[str, str]:
        """Returns the environment variables with which dxpy finds the API."""
        return {
            "DX_APISERVER_PROTOCOL": "http",
            "DX_APISERVER_HOST": HOST,
            "DX_APISERVER_PORT": str(self.port),
        }

    def caller(self, token: object) -> Caller:
        """Returns the user or the job that has this token.

        Raises InvalidAuthentication if there is none, or if the job has ended.
        """
        if token == self.user_token:
            resources = (app.container for app in self.apps.values())
            access = dict.fromkeys(self.projects, ADMINISTER) | dict.fromkeys(resources, VIEW)
            return Caller(USER, None, access)
        with self.store.changed:
            for job in self.jobs.by_id.values():
                if job.token == token and not job.is_final:
                    return Caller.of_job(job)
        raise InvalidAuthentication("the token could not be found")
