"""The state of the platform: its project and user, objects, apps and jobs."""

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
    """A project and a user, with what they have made."""

    def __init__(self, root: Path, port: int, jobs_at_once: int, network: Network) -> None:
        """`root` is a folder for files and workers, and `port` that of the API on loopback."""
        self.root = root
        self.port = port
        self.user_token = new_token()
        self.store = Store(root / "files")
        self.transfers = Transfers()
        self.network = network
        self.project = self.store.new_container("project", "local")
        # Those of the user.
        self.projects = [self.project.id]
        self.apps: dict[str, App] = {}
        self.jobs = Jobs(self.store, jobs_at_once, self._live)

    def _live(self, job: Job) -> None:
        workers = self.root / "workers"
        JobLife(job, self.jobs, self.store, workers, self.api_environment()).run()

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def api_environment(self) -> Mapping[str, str]:
        """The environment variables with which dxpy finds the API."""
        return {
            "DX_APISERVER_PROTOCOL": "http",
            "DX_APISERVER_HOST": HOST,
            "DX_APISERVER_PORT": str(self.port),
        }

    def caller(self, token: object) -> Caller:
        """Whose token it is: the user's, or that of a job which is not over.

        Raises InvalidAuthentication for any other.
        """
        if token == self.user_token:
            of_apps = (app.container for app in self.apps.values())
            access = dict.fromkeys(self.projects, ADMINISTER) | dict.fromkeys(of_apps, VIEW)
            return Caller(USER, None, access)
        with self.store.changed:
            for job in self.jobs.by_id.values():
                if job.token == token and not job.is_final:
                    return Caller.of_job(job)
        raise InvalidAuthentication("the token could not be found")
