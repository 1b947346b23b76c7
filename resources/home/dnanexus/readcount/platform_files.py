"""Files of the platform: descriptions of them, and whether the platform gives them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dxpy

from readcount.errors import InputError
from readcount.request.request import Link
from readcount.text import shorten

# How much of a file's name, and of what the platform says, a message shows.
NAME_LENGTH = 80
REASON_LENGTH = 150
# The longest that a tree of jobs can live (documentation: service limits). A URL for streaming is
# valid as long: the timeout in dxapp.json is shorter, but can be changed where a job is started.
URL_SECONDS = 30 * 24 * 3600
# What the platform says of a file in which it has found malicious software.
FLAGGED = "FLAGGED_MALICIOUS"
# Objects that one call describes (documentation: /system/describeDataObjects).
AT_ONCE = 1000


@dataclass(frozen=True)
class PlatformFile:
    """A file of the platform.

    Attributes:
        field: the input that it was given as.
        description: as the platform describes it, with its parts.
    """

    field: str
    description: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its ID, file-xxxx."""
        return str(self.description["id"])

    @property
    def name(self) -> str:
        """Its name, which may have slashes."""
        return str(self.description["name"])

    @property
    def local_name(self) -> str:
        """Its name on the worker, as dxpy.download_all_inputs() writes it."""
        return self.name.replace("/", "%2F")

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self.description["size"])

    def error(self, what: str) -> InputError:
        """Returns an error about the file: what is wrong with it, and what to do."""
        return InputError(f"{self.field}: {shorten(self.name, NAME_LENGTH)} {what}")


def describe_files(links: Sequence[tuple[str, Link]]) -> list[PlatformFile]:
    """Describes files, in one call.

    Args:
        links: the input that each is given as, and the link to it.

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
    """Describes files, in one call unless there are very many, or one cannot be found.

    Args:
        links: the input that each is given as, and the link to it.
        parts: whether they will be downloaded; a large file has many parts.

    Returns:
        The files, or why one cannot be described. A file may still be one that cannot be read: see
        check_readable().
    """
    files: list[PlatformFile | InputError] = []
    for start in range(0, len(links), AT_ONCE):
        files += _describe(links[start : start + AT_ONCE], parts)
    return files


def _describe(links: Sequence[tuple[str, Link]], parts: bool) -> list[PlatformFile | InputError]:
    """Describes files; if the call fails because of one of them, describes the others again."""
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
        # The message has the ID of the file that it is about.
        named = (at for at, (_, link) in enumerate(links) if _id(link) in error.msg)
        at = next(named, len(links) // 2)
        some = (links[:at], links[at : at + 1], links[at + 1 :])
        return [file for each in some for file in _describe(each, parts)]
    return [
        PlatformFile(field, answer["describe"]) if "describe" in answer else _not_found(field, link)
        for (field, link), answer in zip(links, answers, strict=True)
    ]


def _asked(link: Link, parts: bool) -> dict[str, Any]:
    """Returns what asks for the description of a file."""
    file_id, project = dxpy.get_dxlink_ids(link)
    fields = {"parts": parts, "archivalState": True, "details": True}
    # What a file is called, and whether it is archived, differs between projects.
    return {
        "id": file_id,
        **({"project": project} if project else {}),
        "describe": {"defaultFields": True, "fields": fields},
    }


def _id(link: Link) -> str:
    return str(dxpy.get_dxlink_ids(link)[0])


def _not_found(field: str, link: Link) -> InputError:
    return InputError(
        f"{field}: {_id(link)} cannot be found, or the job has no access to it. Check it with 'dx "
        f"describe {_id(link)}'."
    )


def check_readable(file: PlatformFile) -> None:
    """Raises InputError if nobody can read the file now."""
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
    """Returns where to read the file.

    Options are those of the API's /file-xxxx/download. Raises InputError if the platform refuses
    to give the file out, or flags it. (dxpy only warns.)
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
    """Returns where to read the file without a token; a secret. Raises as link_to."""
    return link_to(file, preauthenticated=True, duration=URL_SECONDS)


def download_input(file: PlatformFile, folder: Path) -> Path:
    """Downloads a file to where dxpy.download_all_inputs() would, and returns its path.

    That function asks for the name of each file twice, and then for its parts, one call after
    another. Raises as link_to.
    """
    link_to(file)
    path = folder / file.field / file.local_name
    path.parent.mkdir(parents=True, exist_ok=True)
    return download(file, path)


def download(file: PlatformFile, path: Path) -> Path:
    """Downloads a file to a path, and returns that."""
    dxpy.download_dxfile(file.id, str(path), describe_output=dict(file.description))
    return path
