"""The error types of the API, each with its HTTP status.

https://documentation.dnanexus.com/developer/api/protocols#errors
"""

from http import HTTPStatus


class PlatformError(Exception):
    """An API error: `{"error": {"type", "message"}}`, with the HTTP status of its class."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, message: str, details: object = None) -> None:
        super().__init__(message)
        self.details = details

    @property
    def type(self) -> str:
        return type(self).__name__

    def as_json(self) -> dict[str, dict[str, object]]:
        error: dict[str, object] = {"type": self.type, "message": str(self)}
        return {"error": error if self.details is None else {**error, "details": self.details}}


class InternalError(PlatformError):
    status = HTTPStatus.INTERNAL_SERVER_ERROR


class MalformedJSON(PlatformError):
    status = HTTPStatus.BAD_REQUEST


class InvalidAuthentication(PlatformError):
    status = HTTPStatus.UNAUTHORIZED


class PermissionDenied(PlatformError):
    status = HTTPStatus.UNAUTHORIZED


class ResourceNotFound(PlatformError):
    status = HTTPStatus.NOT_FOUND


class InvalidInput(PlatformError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class InvalidState(PlatformError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class InvalidType(PlatformError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
