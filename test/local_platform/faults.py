"""Network and server faults for tests.

    platform.faults.add(r"/F/D/.*", corrupt, times=1)

corrupts one byte of the next download; the download after that is intact again.
"""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.wsgi import ClosingIterator

# Like a WSGI application, with the wrapped application as an additional first argument.
Fault = Callable[[WSGIApplication, WSGIEnvironment, StartResponse], Iterable[bytes]]


@dataclass
class Injection:
    """A fault for requests whose path matches; `times` is how often it will still happen."""

    path: re.Pattern[str]
    fault: Fault
    times: int


class Faults:
    """The WSGI application of a platform, with injected faults."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._injections: list[Injection] = []

    def add(self, path: str, fault: Fault, times: int = 1) -> Injection:
        """Injects a fault and returns it."""
        injection = Injection(re.compile(path), fault, times)
        with self._lock:
            self._injections.append(injection)
        return injection

    def clear(self) -> None:
        with self._lock:
            self._injections.clear()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        fault = self._fault_for(environ["PATH_INFO"])
        if fault is None:
            return self._app(environ, start_response)
        return fault(self._app, environ, start_response)

    def _fault_for(self, path: str) -> Fault | None:
        with self._lock:
            for injection in self._injections:
                if injection.times > 0 and injection.path.fullmatch(path):
                    injection.times -= 1
                    return injection.fault
        return None


def answer(status: str, *headers: tuple[str, str], body: bytes = b"") -> Fault:
    """Makes a fault that returns this response: `answer("503 Busy", ("Retry-After", "1"))`."""

    def fault(
        app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response(status, [("Content-Length", str(len(body))), *headers])
        return [body]

    return fault


def refuse(type_: str, code: int, message: str) -> Fault:
    """Makes a fault that returns an API error: `refuse("PermissionDenied", 401, "...")`."""
    body = json.dumps({"error": {"type": type_, "message": message}}).encode()
    return answer(f"{code} {type_}", ("Content-Type", "application/json"), body=body)


def stall(seconds: float) -> Fault:
    """Makes a fault that delays the response."""

    def fault(
        app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        time.sleep(seconds)
        return app(environ, start_response)

    return fault


def lose_request(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Closes the connection before the request is handled."""
    _reset(environ)


def lose_answer(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Closes the connection after the request is handled."""
    _read_all(app(environ, start_response))
    _reset(environ)


def cut(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterator[bytes]:
    """Truncates the body of the response."""
    body = _read_all(app(environ, start_response))
    yield body[: len(body) // 2]
    _reset(environ)


def corrupt(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Changes one byte in the middle of the body."""
    body = bytearray(_read_all(app(environ, start_response)))
    body[len(body) // 2] ^= 1
    return [bytes(body)]


def _read_all(body: Iterable[bytes]) -> bytes:
    with contextlib.closing(ClosingIterator(body)) as parts:
        return b"".join(parts)


def _reset(environ: WSGIEnvironment) -> NoReturn:
    """Resets the connection immediately; unsent data is lost."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError
