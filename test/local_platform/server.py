"""The local platform as a server on loopback."""

import contextlib
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from wsgiref.types import WSGIApplication

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from .faults import Faults
from .http_api import make_app
from .network import Network
from .platform import HOST, Platform

JOBS_AT_ONCE = 2


class _Handler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Does not log requests."""


class _Server(ThreadedWSGIServer):
    """A server that closes its connections and joins their threads when it is closed."""

    daemon_threads = False

    def __init__(self, app: WSGIApplication, listening: socket.socket) -> None:
        self._connections: set[socket.socket] = set()
        port = listening.getsockname()[1]
        super().__init__(HOST, port, app, _Handler, fd=listening.fileno())

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


class LocalPlatform(Platform):
    """The DNAnexus API on loopback, with a project and a user.

    All its data is in a temporary folder. When the platform is stopped, no process of a job is left
    and the folder is removed.

        with LocalPlatform() as platform:
            subprocess.run(["dx", "ls"], env=platform.client_environment())
    """

    def __init__(self, jobs_at_once: int = JOBS_AT_ONCE, network: Network | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="local_platform-")
        with socket.create_server((HOST, 0)) as listening:
            port = listening.getsockname()[1]
            super().__init__(Path(self._folder.name), port, jobs_at_once, network or Network())
            self.faults = Faults(make_app(self))
            # The server duplicates the socket's file descriptor.
            self._server = _Server(self.faults, listening)
        self._thread = threading.Thread(target=self._server.serve_forever, name="api")

    def client_environment(self) -> dict[str, str]:
        """Returns the environment variables with which `dx` uses this platform and its project."""
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

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Terminates all jobs, closes all connections, and removes the folder."""
        self.jobs.stop_all()
        self._server.shutdown()
        self._thread.join()  # serve_forever() closes the server at its end
        self.store.wait_for_closing()
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
