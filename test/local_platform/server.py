"""HTTP: a request comes in, a handler is called, JSON or bytes go out."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
import flask_sock
import simple_websocket
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable

from .errors import (
    InternalError,
    InvalidAuthentication,
    InvalidInput,
    MalformedJSON,
    PlatformError,
    ResourceNotFound,
)
from .routes import Call, find_route

if TYPE_CHECKING:
    from .platform import LocalPlatform

_BLOCK_BYTES = 1024**2


def make_app(platform: "LocalPlatform") -> flask.Flask:
    """The WSGI application of a platform."""
    app = flask.Flask(__name__)
    sockets = flask_sock.Sock(app)
    answers = AnswersByNonce()

    @app.errorhandler(PlatformError)
    def platform_error(error: PlatformError) -> flask.Response:
        return _json_response(error.as_json(), error.status)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> flask.Response:
        if isinstance(error, RequestedRangeNotSatisfiable):
            return flask.Response(status=error.code)
        return platform_error(ResourceNotFound(f"{flask.request.path}: {error}"))

    @app.errorhandler(Exception)
    def defect(error: Exception) -> flask.Response:
        app.logger.exception("a request could not be answered")
        return platform_error(InternalError(f"{type(error).__name__}: {error}"))

    @app.post("/<path:path>")
    def api(path: str) -> flask.Response:
        kind, _, token = flask.request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            raise InvalidAuthentication("an access token is required")
        caller = platform.caller(token)
        if caller is None:
            raise InvalidAuthentication("the token could not be found")
        body = _json_body()
        handler, target = find_route(f"/{path}")
        with platform.store.changed:
            answer = answers.once(path, body, lambda: handler(Call(platform, caller, target, body)))
            platform.store.changed.notify_all()
            return _json_response(answer)

    @app.put("/upload/<token>")
    def receive_part(token: str) -> flask.Response:
        upload = platform.transfers.upload(token)
        platform.store.receive_part(
            upload.data_object, upload.index, upload.part, flask.request.stream
        )
        return flask.Response(status=200)

    @app.get("/F/D/<token>/<path:filename>")
    def send_file(token: str, filename: str) -> flask.Response:
        secret = flask.request.headers.get("X-Download-Secret")
        download = platform.transfers.download(token, secret)
        with platform.store.changed:
            path = platform.store.content(download.data_object)
        return _file_response(path)

    @sockets.route("/<job_id>/getLog/websocket")
    def job_log(socket: simple_websocket.Server, job_id: str) -> None:
        # The handshake carries no token; the first message does.
        options = json.loads(socket.receive())
        caller = platform.caller(options.get("access_token"))
        job = platform.jobs.by_id.get(job_id)
        if caller is None or job is None or not caller.may("VIEW", job.project):
            error = InvalidAuthentication("the token could not be found")
            socket.close(1008, json.dumps(error.as_json()["error"]))
            return
        levels = options.get("levels")
        with contextlib.suppress(simple_websocket.ConnectionClosed):
            for line in job.log.follow():
                if not levels or line["level"] in levels:
                    socket.send(json.dumps(line))
            socket.send(json.dumps({"source": "SYSTEM", "msg": "END_LOG"}))
            # The client closes; a server that closes first makes dx report an error.
            while True:
                socket.receive()

    return app


class AnswersByNonce:
    """Answers to calls that carry a nonce: a repeated one gets the first answer again."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}

    def once(self, path: str, body: dict[str, Any], handle: Any) -> dict[str, Any]:
        nonce = body.get("nonce")
        if nonce is None:
            return dict(handle())
        if nonce not in self._first:
            self._first[nonce] = (path, body, handle())
        first_path, first_body, answer = self._first[nonce]
        if (first_path, first_body) != (path, body):
            raise InvalidInput("this nonce came with another request before")
        return answer


def _json_body() -> dict[str, Any]:
    try:
        body = json.loads(flask.request.get_data() or b"{}")
    except ValueError as error:
        raise MalformedJSON(f"the request is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise MalformedJSON("the request is not a JSON object")
    return body


def _json_response(answer: Any, status: int = 200) -> flask.Response:
    return flask.Response(json.dumps(answer), status, mimetype="application/json")


def _file_response(path: Path) -> flask.Response:
    """The bytes of a file, or of the one range that the request asks for."""
    size = path.stat().st_size
    start, stop, status = 0, size, 200
    headers = {"Accept-Ranges": "bytes"}
    if flask.request.range is not None:
        wanted = flask.request.range.range_for_length(size)
        if wanted is None:
            raise RequestedRangeNotSatisfiable(size)
        (start, stop), status = wanted, 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    return flask.Response(
        _blocks(path, start, stop), status, headers, mimetype="application/octet-stream"
    )


def _blocks(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (block := file.read(min(_BLOCK_BYTES, stop - start))):
            start += len(block)
            yield block
