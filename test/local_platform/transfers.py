"""URLs for uploads and downloads: each has a secret, and serves one purpose."""

import time
from dataclasses import dataclass

from .errors import InvalidAuthentication, PermissionDenied
from .ids import new_token
from .store import DataObject, Part

DEFAULT_DURATION_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Upload:
    """One part of one file; `caller` is the id of who asked for the URL."""

    data_object: DataObject
    index: int
    part: Part
    caller: str


@dataclass(frozen=True)
class Download:
    """One file, for as long as the URL lasts; `secret` is what the header must hold, if any.

    `caller` is the id of who asked for the URL.
    """

    data_object: DataObject
    caller: str
    expires: float
    secret: str | None


class Transfers:
    """The URLs that were issued."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}
        self._downloads: dict[str, Download] = {}

    def new_upload(self, upload: Upload) -> str:
        token = new_token()
        self._uploads[token] = upload
        return token

    def upload(self, token: str) -> Upload:
        """The part that a URL is for; a URL is used once. Raises PermissionDenied."""
        try:
            return self._uploads.pop(token)
        except KeyError:
            raise PermissionDenied("this URL is not one for an upload, or was used") from None

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
        """The file that a URL is for. Raises PermissionDenied, InvalidAuthentication."""
        download = self._downloads.get(token)
        if download is None or download.expires < time.time():
            raise PermissionDenied("this URL is not one for a download, or has expired")
        if download.secret != secret and download.secret is not None:
            raise InvalidAuthentication("the header that came with this URL is missing")
        return download
