"""The whole local platform: the server with its state, from start to stop."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from wsgiref.types import WSGIApplication

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from .access import ADMINISTER, VIEW, Caller
from .apps import App
from .errors import InvalidAuthentication
from .faults import Faults
from .ids import new_token
from .jobs import Jobs
from .network import Network
from .server import make_app
from .store import Store
from .transfers import Transfers

USER = "user-local"
HOST = "127.0.0.1"
JOBS_AT_ONCE = 2


class _Handler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of requests that were answered."""


class _Server(ThreadedWSGIServer):
    """A server that, when it is closed, cuts its connections and waits for their threads."""

    daemon_threads = False

    def __init__(self, app: WSGIApplication) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(HOST, 0, app, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # closed by the client
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class LocalPlatform:
    """A stand-in for the platform on loopback, with a project and a user.

    Everything it keeps lies in one temporary folder, which is removed at the end, when no
    process of a job is left either.

        with LocalPlatform() as platform:
            subprocess.run(["dx", "ls"], env=platform.client_environment())
    """

    def __init__(self, jobs_at_once: int = JOBS_AT_ONCE, network: Network | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="local_platform-")
        self.root = Path(self._folder.name)
        self.user_token = new_token()
        self.store = Store(self.root / "files")
        self.transfers = Transfers()
        self.network = network or Network()
        self.project = self.store.new_container("project", "local")
        # Those of the user.
        self.projects = [self.project.id]
        self.apps: dict[str, App] = {}
        self.faults = Faults(make_app(self))
        self._server = _Server(self.faults)
        self.jobs = Jobs(self.store, self.root / "workers", self.api_environment(), jobs_at_once)
        self._thread = threading.Thread(target=self._server.serve_forever, name="api")

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def api_environment(self) -> Mapping[str, str]:
        """Where the API is, in the words of dxpy's environment variables."""
        return {
            "DX_APISERVER_PROTOCOL": "http",
            "DX_APISERVER_HOST": HOST,
            "DX_APISERVER_PORT": str(self._server.server_port),
        }

    def client_environment(self) -> dict[str, str]:
        """What makes `dx` a user of this platform who has selected its project."""
        configuration = self.root / "dx_configuration"
        configuration.mkdir(exist_ok=True)
        return {
            **self.api_environment(),
            "DX_SECURITY_CONTEXT": (
                f'{{"auth_token_type": "Bearer", "auth_token": "{self.user_token}"}}'
            ),
            "DX_PROJECT_CONTEXT_ID": self.project.id,
            "DX_USER_CONF_DIR": str(configuration),
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

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End every job and every answer, and remove the folder."""
        self.jobs.stop_all()
        self._server.shutdown()
        self._thread.join()  # which closes the server
        self.store.finish()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
