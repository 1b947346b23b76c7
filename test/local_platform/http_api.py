"""HTTP: calls the handler of each request, and returns JSON or bytes."""

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
    """The HTTP endpoints of a platform; `make_app` maps URLs to them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._answers = AnswersByNonce()

    def call(self, path: str) -> flask.Response:
        """Handles an API call, whose body is JSON."""
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
        """Receives an uploaded part of a file."""
        upload = self._platform.transfers.upload(token)
        self._platform.network.receive(upload.caller)
        self._platform.store.receive_part(
            upload.data_object, upload.index, upload.part, flask.request.stream
        )
        return flask.Response(status=200)

    def send_file(self, token: str, filename: str) -> flask.Response:
        """Sends the content of a file, or the requested range of it."""
        platform = self._platform
        secret = flask.request.headers.get("X-Download-Secret")
        download = platform.transfers.download(token, secret)
        with platform.store.changed:
            data_object = platform.store.find_object(download.data_object.id)
            if all(copy.archival_state != "live" for copy in data_object.placements.values()):
                # An error of the storage, not of the API (dnanexus/dxCompiler, release notes).
                return flask.Response("<Error><Code>InvalidObjectState</Code></Error>", 403)
            # Opened here, so that it can be sent even if it is removed in the meantime.
            path = platform.store.content(data_object)
            flask.request.environ["wsgi.file_wrapper"] = in_blocks
            file = flask.send_file(
                path, mimetype="application/octet-stream", conditional=True, etag=False
            )
        # With a small buffer, the recorded size is close to what the client has received.
        connection: socket.socket = flask.request.environ["werkzeug.socket"]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        requested = flask.request.headers.get("Range", "")
        body = platform.network.send(file, download.data_object.id, download.caller, requested)
        return flask.Response(body, file.status, file.headers)

    def send_log(self, socket: simple_websocket.Server, job_id: str) -> None:
        """Streams the lines of a job's log."""
        # The token is in the first message, not in the handshake.
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
        # Wait for the client to close, which raises ConnectionClosed here. If the server closes
        # first, dx reports an error.
        try:
            while True:
                socket.receive()
        finally:
            # This thread completes the closing handshake. Nothing else may be sent before that.
            socket.thread.join()


def make_app(platform: Platform) -> flask.Flask:
    """Creates the WSGI application of a platform, with its routes and error handlers."""
    app = flask.Flask(__name__)
    api = HttpApi(platform)
    app.add_url_rule("/<path:path>", view_func=api.call, methods=["POST"])
    app.add_url_rule("/upload/<token>", view_func=api.receive_part, methods=["PUT"])
    app.add_url_rule("/F/D/<token>/<path:filename>", view_func=api.send_file, methods=["GET"])
    flask_sock.Sock(app).route("/<job_id>/getLog/websocket")(api.send_log)
    app.register_error_handler(PlatformError, _api_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _internal_error)
    return app


def _api_error(error: PlatformError) -> flask.Response:
    return _json_response(error.as_json(), error.status)


def _http_error(error: HTTPException) -> flask.Response:
    if isinstance(error, RequestedRangeNotSatisfiable):
        return flask.Response(status=error.code)
    return _api_error(ResourceNotFound(f"{flask.request.path}: {error}"))


def _internal_error(error: Exception) -> flask.Response:
    flask.current_app.logger.exception("a request could not be handled")
    return _api_error(InternalError(f"{type(error).__name__}: {error}"))


class AnswersByNonce:
    """Answers to calls that carry a nonce: a repeated call gets the first answer again.

    A failed call has changed nothing, and is handled again when it is repeated.
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
            raise InvalidInput("the nonce must be a string")
        if nonce not in self._first:
            self._first[nonce] = (path, body, handle())
        first_path, first_body, answer = self._first[nonce]
        if (first_path, first_body) != (path, body):
            raise InvalidInput("this nonce was already used for another request")
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
