"""HTTP: calls the handler of a request, and returns JSON or bytes."""

import json
import socket
from collections.abc import Callable
from typing import Any

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
from .platform import Platform
from .routes import ROUTES, find_route


class HttpApi:
    """The responses of a platform; `make_app` has the routes."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._answers = AnswersByNonce()

    def call(self, path: str) -> flask.Response:
        """Answer a call of the API, which is JSON."""
        kind, _, token = flask.request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            raise InvalidAuthentication("an access token is required")
        platform = self._platform
        caller = platform.caller(token)
        body = _json_object(flask.request.get_data())
        route, target = find_route(f"/{path}")
        call = Call(platform, caller, target, body)
        platform.network.call(route, caller.id)
        with platform.store.changed:
            answer = self._answers.once(path, body, lambda: ROUTES[route](call))
            platform.store.changed.notify_all()
            return _json_response(answer)

    def receive_part(self, token: str) -> flask.Response:
        """Take a part of a file that is uploaded."""
        upload = self._platform.transfers.upload(token)
        self._platform.network.receive(upload.caller)
        self._platform.store.receive_part(
            upload.data_object, upload.index, upload.part, flask.request.stream
        )
        return flask.Response(status=200)

    def send_file(self, token: str, filename: str) -> flask.Response:
        """Send the bytes of a file, or those that were asked for."""
        platform = self._platform
        secret = flask.request.headers.get("X-Download-Secret")
        download = platform.transfers.download(token, secret)
        with platform.store.changed:
            data_object = platform.store.find_object(download.data_object.id)
            if all(one.archival_state != "live" for one in data_object.placements.values()):
                # It is the storage that answers, not the API (dnanexus/dxCompiler, release notes).
                return flask.Response("<Error><Code>InvalidObjectState</Code></Error>", 403)
            # Opened at once, so that it can be read even if somebody removes it meanwhile.
            path = platform.store.content(data_object)
            flask.request.environ["wsgi.file_wrapper"] = in_blocks
            file = flask.send_file(
                path, mimetype="application/octet-stream", conditional=True, etag=False
            )
        # Bytes that were not read from the connection when it ends were not transferred.
        connection: socket.socket = flask.request.environ["werkzeug.socket"]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        requested = flask.request.headers.get("Range", "")
        body = platform.network.send(file, download.data_object.id, download.caller, requested)
        return flask.Response(body, file.status, file.headers)

    def send_log(self, socket: simple_websocket.Server, job_id: str) -> None:
        """Send the lines of a job's log as they come."""
        # The handshake carries no token; the first message does.
        try:
            options = _json_object(socket.receive())
            caller = self._platform.caller(options.get("access_token"))
            log = Call(self._platform, caller, job_id, options).job().log
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


def make_app(platform: Platform) -> flask.Flask:
    """The WSGI application of a platform, with all its routes and errors."""
    app = flask.Flask(__name__)
    api = HttpApi(platform)
    app.add_url_rule("/<path:path>", view_func=api.call, methods=["POST"])
    app.add_url_rule("/upload/<token>", view_func=api.receive_part, methods=["PUT"])
    app.add_url_rule("/F/D/<token>/<path:filename>", view_func=api.send_file, methods=["GET"])
    flask_sock.Sock(app).route("/<job_id>/getLog/websocket")(api.send_log)
    app.register_error_handler(PlatformError, _refusal)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _defect)
    return app


def _refusal(error: PlatformError) -> flask.Response:
    return _json_response(error.as_json(), error.status)


def _http_error(error: HTTPException) -> flask.Response:
    if isinstance(error, RequestedRangeNotSatisfiable):
        return flask.Response(status=error.code)
    return _refusal(ResourceNotFound(f"{flask.request.path}: {error}"))


def _defect(error: Exception) -> flask.Response:
    flask.current_app.logger.exception("a request could not be answered")
    return _refusal(InternalError(f"{type(error).__name__}: {error}"))


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
