"""Files on the platform: their descriptions, access checks and download links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dxpy

from readcount.errors import InputError
from readcount.request.request import Link
from readcount.text import shorten

# Maximum length of a file name, and of the platform's reason, in a message.
NAME_LENGTH = 80
REASON_LENGTH = 150
# Maximum lifetime of a tree of jobs (documentation: service limits). A streaming URL is valid as
# long: the timeout in dxapp.json is shorter, but can be overridden when a job is started.
URL_SECONDS = 30 * 24 * 3600
# Security status of a file in which the platform has found malicious software.
FLAGGED = "FLAGGED_MALICIOUS"
# Maximum number of objects per call (documentation: /system/describeDataObjects).
AT_ONCE = 1000


@dataclass(frozen=True)
class PlatformFile:
    """A file on the platform.

    Attributes:
        field: name of the input field.
        description: the output of /file-xxxx/describe, including its parts.
    """

    field: str
    description: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its ID, file-xxxx."""
        return str(self.description["id"])

    @property
    def name(self) -> str:
        """Its name, which may contain slashes."""
        return str(self.description["name"])

    @property
    def local_name(self) -> str:
        """Its name on the worker, as chosen by dxpy.download_all_inputs()."""
        return self.name.replace("/", "%2F")

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return int(self.description["size"])

    def error(self, what: str) -> InputError:
        """Returns an error about this file; `what` says what is wrong and what to do."""
        return InputError(f"{self.field}: {shorten(self.name, NAME_LENGTH)} {what}")


def describe_files(links: Sequence[tuple[str, Link]]) -> list[PlatformFile]:
    """Describes files in one API call.

    Args:
        links: input field and link of each file.

    Raises:
        InputError: a file cannot be read: it is archived, or not closed, or cannot be found.
    """
    files = []
    for file in describe_each(links):
        if isinstance(file, InputError):
            raise file
        files.append(file)
    for file in files:
        check_readable(file)
    return files


def describe_each(
    links: Sequence[tuple[str, Link]], parts: bool = True
) -> list[PlatformFile | InputError]:
    """Describes files, in one API call unless there are very many or one cannot be found.

    Args:
        links: input field and link of each file.
        parts: whether to list the parts, which a download needs; a large file has many.

    Returns:
        For each file, its description or the reason why there is none. A described file may still
        be unreadable: see check_readable().
    """
    files: list[PlatformFile | InputError] = []
    for start in range(0, len(links), AT_ONCE):
        files += _describe(links[start : start + AT_ONCE], parts)
    return files


def _describe(links: Sequence[tuple[str, Link]], parts: bool) -> list[PlatformFile | InputError]:
    """Describes files; if the call fails because of one file, describes the others again."""
    if not links:
        return []
    body = {"objects": [_asked(link, parts) for _, link in links]}
    try:
        answers = dxpy.api.system_describe_data_objects(body)["results"]
    except dxpy.DXAPIError as error:
        if error.code >= 500:
            raise
        if len(links) == 1:
            return [_not_found(*links[0])]
        # The message contains the ID of the file at fault.
        named = (at for at, (_, link) in enumerate(links) if id_of(link) in error.msg)
        at = next(named, len(links) // 2)
        some = (links[:at], links[at : at + 1], links[at + 1 :])
        return [file for each in some for file in _describe(each, parts)]
    return [
        PlatformFile(field, answer["describe"]) if "describe" in answer else _not_found(field, link)
        for (field, link), answer in zip(links, answers, strict=True)
    ]


def _asked(link: Link, parts: bool) -> dict[str, Any]:
    """Returns the request for the description of a file."""
    file_id, project = dxpy.get_dxlink_ids(link)
    fields = {"parts": parts, "archivalState": True, "details": True}
    # A file's name and archival state may differ between projects.
    return {
        "id": file_id,
        **({"project": project} if project else {}),
        "describe": {"defaultFields": True, "fields": fields},
    }


def id_of(link: Link) -> str:
    """Returns the file ID of a link."""
    return str(dxpy.get_dxlink_ids(link)[0])


def _not_found(field: str, link: Link) -> InputError:
    return InputError(
        f"{field}: {id_of(link)} cannot be found, or the job has no access to it. Check it with "
        f"'dx describe {id_of(link)}'."
    )


def check_readable(file: PlatformFile) -> None:
    """Raises InputError if the file is archived or not closed."""
    archival = file.description.get("archivalState", "live")
    if archival == "unarchiving":
        raise file.error(
            f"is being unarchived. Wait until 'dx describe {file.id}' shows that it is live, then "
            "run the job again."
        )
    if archival != "live":
        raise file.error(
            f"is archived. Run 'dx unarchive {file.id}', wait until it is live, and run the job "
            "again."
        )
    state = file.description.get("state", "closed")
    if state != "closed":
        raise file.error(
            f"is {state}, not closed: its upload is not complete. Wait until it is closed, or "
            "upload it again."
        )


def link_to(file: PlatformFile, **options: Any) -> str:
    """Returns a URL for downloading the file.

    Options are those of the API's /file-xxxx/download. Raises InputError if the platform refuses
    access or has flagged the file as malicious (dxpy only warns).
    """
    try:
        answer = dxpy.api.file_download(file.id, options)
    except dxpy.DXAPIError as error:
        if error.code >= 500:
            raise
        raise _refused(file, error, streamed=bool(options)) from error
    if answer.get("security_status") == FLAGGED:
        raise file.error(
            "is flagged as malicious by the platform. Check where it comes from, and use another "
            "copy of it."
        )
    return str(answer["url"])


def _refused(file: PlatformFile, error: dxpy.DXAPIError, streamed: bool) -> InputError:
    reason = f"{error.name}: {shorten(error.msg.rstrip('.'), REASON_LENGTH)}"
    if streamed:
        return file.error(
            f"cannot be streamed: the platform gives no link to it ({reason}). Run the job again "
            "without stream_bam, subjobs and counts_from."
        )
    return file.error(
        f"cannot be downloaded ({reason}). Check its state and your access to it with 'dx describe "
        f"{file.id}'."
    )


def streaming_url(file: PlatformFile) -> str:
    """Returns a URL that needs no token, so it must be kept secret. Raises as link_to."""
    return link_to(file, preauthenticated=True, duration=URL_SECONDS)


def download_input(file: PlatformFile, folder: Path) -> Path:
    """Downloads a file to the path used by dxpy.download_all_inputs(); returns the path.

    Unlike that function it does not describe each file several times. Raises as link_to.
    """
    link_to(file)
    path = folder / file.field / file.local_name
    path.parent.mkdir(parents=True, exist_ok=True)
    return download(file, path)


def download(file: PlatformFile, path: Path) -> Path:
    """Downloads a file to a path; returns the path."""
    dxpy.download_dxfile(file.id, str(path), describe_output=dict(file.description))
    return path
