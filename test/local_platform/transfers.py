"""URLs for uploads and downloads: each has a secret token, and is for one part or file."""

import time
from dataclasses import dataclass

from .errors import InvalidAuthentication, PermissionDenied
from .ids import new_token
from .store import DataObject, Part

DEFAULT_DURATION_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Upload:
    """A URL for one part of a file; `caller` is the ID of the job or user that requested it."""

    data_object: DataObject
    index: int
    part: Part
    caller: str


@dataclass(frozen=True)
class Download:
    """A URL for one file.

    Attributes:
        data_object: the file.
        caller: ID of the job or user that requested the URL.
        expires: when the URL expires, in seconds since 1970.
        secret: required value of the header X-Download-Secret; None for a preauthenticated URL.
    """

    data_object: DataObject
    caller: str
    expires: float
    secret: str | None


class Transfers:
    """All URLs that were issued."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._downloads: dict[str, Download] = {}

    def new_upload(self, upload: Upload) -> str:
        token = new_token()
        self._uploads[token] = upload
        return token

    def upload(self, token: str) -> Upload:
        """Returns the part of an upload URL, which can be used once. Raises PermissionDenied."""
        try:
            return self._uploads.pop(token)
        except KeyError:
            raise PermissionDenied("this is not an upload URL, or it was already used") from None

    def new_download(
        self, data_object: DataObject, caller: str, duration: int, preauthenticated: bool
    ) -> tuple[str, Download]:
        token = new_token()
        download = Download(
            data_object,
            caller,
            time.time() + duration,
            secret=None if preauthenticated else new_token(),
        )
        self._downloads[token] = download
        return token, download

    def download(self, token: str, secret: str | None) -> Download:
        """Returns the file of a download URL. Raises PermissionDenied, InvalidAuthentication."""
        download = self._downloads.get(token)
        if download is None or download.expires < time.time():
            raise PermissionDenied("this is not a download URL, or it has expired")
        if download.secret != secret and download.secret is not None:
            raise InvalidAuthentication("the header X-Download-Secret is missing or wrong")
        return download
