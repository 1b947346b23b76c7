"""HTTP: a request comes in, a handler is called, JSON or bytes go out."""

import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flask
import flask_sock
import simple_websocket
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable

from .calls import Call
from .errors import (
    InternalError,
    InvalidAuthentication,
    InvalidInput,
    MalformedJSON,
    PlatformError,
    ResourceNotFound,
)
from .network import SEND_BUFFER_BYTES, in_blocks
from .routes import find_route

if TYPE_CHECKING:
    from .platform import LocalPlatform


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
        body = _json_object(flask.request.get_data())
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
            # Opened at once, so that it can be read even if somebody removes it meanwhile.
            path = platform.store.content(platform.store.find_object(download.data_object.id))
            flask.request.environ["wsgi.file_wrapper"] = in_blocks
            file = flask.send_file(
                path, mimetype="application/octet-stream", conditional=True, etag=False
            )
        # What nobody has taken off the connection when it ends has not gone over the network.
        connection: socket.socket = flask.request.environ["werkzeug.socket"]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        requested = flask.request.headers.get("Range", "")
        body = platform.network.send(file, download.data_object.id, download.caller, requested)
        return flask.Response(body, file.status, file.headers)

    @sockets.route("/<job_id>/getLog/websocket")
    def job_log(socket: simple_websocket.Server, job_id: str) -> None:
        # The handshake carries no token; the first message does.
        try:
            options = _json_object(socket.receive())
            caller = platform.caller(options.get("access_token"))
            log = Call(platform, caller, job_id, options).job().log
        except PlatformError as error:
            socket.close(1008, json.dumps(error.as_json()["error"]))
            return
        levels = options.get("levels")
        recent = options.get("numRecentMessages", 0)
        for line in log.follow(recent, wait=options.get("tail", True)):
            if not levels or line["level"] in levels:
                socket.send(json.dumps(line))
        socket.send(json.dumps({"source": "SYSTEM", "msg": "END_LOG"}))
        # The client closes, which raises ConnectionClosed here; a server that closes first makes
        # dx report an error.
        try:
            while True:
                socket.receive()
        finally:
            # It answers the client's close, before anything else is written to the connection.
            socket.thread.join()

    return app


class AnswersByNonce:
    """Answers to calls that carry a nonce: a repeated one gets the first answer again.

    A call that was refused changed nothing, and may be tried again.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}

    def once(
        self, path: str, body: dict[str, Any], handle: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        nonce = body.get("nonce")
        if nonce is None:
            return handle()
        if not isinstance(nonce, str):
            raise InvalidInput("a nonce is a string")
        if nonce not in self._first:
            self._first[nonce] = (path, body, handle())
        first_path, first_body, answer = self._first[nonce]
        if (first_path, first_body) != (path, body):
            raise InvalidInput("this nonce came with another request before")
        return answer


def _json_object(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise MalformedJSON(f"the request is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedJSON("the request is not a JSON object")
    return value


def _json_response(answer: Any, status: int = 200) -> flask.Response:
    return flask.Response(json.dumps(answer), status, mimetype="application/json")
