"""Projects, folders and data objects. Knows nothing of HTTP, nor of jobs.

https://documentation.dnanexus.com/developer/api/data-containers
https://documentation.dnanexus.com/developer/api/data-object-lifecycle
"""

import hashlib
import posixpath
import re
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from .errors import InvalidInput, InvalidState, ResourceNotFound
from .ids import new_id

# The limits of a project in AWS, as the API gives them (fileUploadParameters).
UPLOAD_PARAMETERS = {
    "minimumPartSize": 5 * 1024**2,
    "maximumPartSize": 5 * 1024**3,
    "maximumFileSize": 5 * 1024**4,
    "maximumNumParts": 10_000,
    "emptyLastPartAllowed": True,
}
# The platform takes its time to close a file; a client that does not wait must notice.
CLOSING_SECONDS = 0.2
# To restore an archived file takes hours on the platform.
UNARCHIVING_SECONDS = 0.2
_COPY_BYTES = 1024**2


def now_ms() -> int:
    """The time as the API gives it: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def normal_folder(path: object) -> str:
    """A folder's path in its one form: absolute, no trailing slash. Raises InvalidInput."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidInput(f"a folder is an absolute path, not {path!r}")
    return "/" + path.strip("/")


def is_within(folder: str, ancestor: str) -> bool:
    """Whether a folder is the ancestor or lies below it."""
    return folder == ancestor or ancestor == "/" or folder.startswith(ancestor + "/")


@dataclass
class Part:
    """A part of a file as it was announced; `received` once its bytes are here."""

    size: int
    md5: str
    received: bool = False


@dataclass
class Placement:
    """What a data object is called, and where, in one container. A clone has its own."""

    folder: str
    name: str
    tags: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    modified: int = field(default_factory=now_ms)
    archival: str = "live"
    # When a file that is being unarchived is live again.
    live_from: float = 0

    @property
    def archival_state(self) -> str:
        """live, archival (other copies are live), archived or unarchiving."""
        if self.archival == "unarchiving" and time.time() >= self.live_from:
            self.archival = "live"
        return self.archival


@dataclass
class DataObject:
    """A file or an applet, wherever it is placed."""

    id: str
    class_: str
    created_by: dict[str, str]
    hidden: bool = False
    state: str = "open"
    types: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    created: int = field(default_factory=now_ms)
    placements: dict[str, Placement] = field(default_factory=dict)
    media: str | None = None
    size: int | None = None
    parts: dict[int, Part] = field(default_factory=dict)
    # Whether the platform has found malicious software in the file: for tests to say.
    flagged: bool = False
    # What `/applet/new` was given: specs, title, code.
    spec: dict[str, Any] = field(default_factory=dict)


@dataclass
class Container:
    """A project, or the temporary workspace of a job."""

    id: str
    name: str
    created: int = field(default_factory=now_ms)
    folders: set[str] = field(default_factory=lambda: {"/"})
    tags: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)


class Store:
    """All containers and data objects; the bytes of files lie below `root`.

    `changed` guards every read and write, and is notified after each change of state.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.changed = threading.Condition(threading.RLock())
        self.containers: dict[str, Container] = {}
        self.objects: dict[str, DataObject] = {}
        self._closing_threads: list[threading.Thread] = []
        root.mkdir(parents=True)

    def new_container(self, class_: str, name: str) -> Container:
        container = Container(new_id(class_), name)
        self.containers[container.id] = container
        return container

    def container(self, container_id: str) -> Container:
        try:
            return self.containers[container_id]
        except KeyError:
            raise ResourceNotFound(f'"{container_id}" could not be found') from None

    def remove_container(self, container_id: str) -> None:
        """Drop a container, and the objects that are in no other."""
        for data_object in list(self.in_container(container_id)):
            self._unplace(data_object, container_id)
        del self.containers[container_id]

    def find_object(self, object_id: str) -> DataObject:
        try:
            return self.objects[object_id]
        except KeyError:
            raise ResourceNotFound(f'"{object_id}" could not be found') from None

    def object_in(self, object_id: str, container_id: str) -> tuple[DataObject, Placement]:
        """An object and its placement. Raises ResourceNotFound where it is not in there."""
        data_object = self.find_object(object_id)
        try:
            return data_object, data_object.placements[container_id]
        except KeyError:
            raise ResourceNotFound(f'"{object_id}" is not in "{container_id}"') from None

    def in_container(self, container_id: str) -> Iterator[DataObject]:
        return (item for item in self.objects.values() if container_id in item.placements)

    def add_object(
        self, data_object: DataObject, container: Container, placement: Placement, parents: bool
    ) -> None:
        """Place a new object. Raises ResourceNotFound for a folder that is not there."""
        self._require_folder(container, placement.folder, create=parents)
        data_object.placements[container.id] = placement
        self.objects[data_object.id] = data_object

    def clone(self, data_object: DataObject, source: str, target: str, folder: str) -> None:
        """Put an object into a second container, under the name that it has in the first.

        An object that is there already stays as it is.
        """
        if target not in data_object.placements:
            was = data_object.placements[source]
            folder = normal_folder(folder)
            self._require_folder(self.container(target), folder, create=True)
            data_object.placements[target] = Placement(
                folder, was.name, list(was.tags), dict(was.properties)
            )

    # Folders

    def new_folder(self, container: Container, folder: object, parents: bool) -> None:
        path = normal_folder(folder)
        if path in container.folders and not parents:
            raise InvalidState(f"folder {path} exists")
        self._require_folder(container, posixpath.dirname(path), create=parents)
        container.folders.add(path)

    def remove_folder(
        self, container: Container, folder: object, recurse: bool, force: bool
    ) -> None:
        path = self.existing_folder(container, folder, force=force)
        if path is None:
            return
        if path == "/":
            raise InvalidInput("the root folder cannot be removed")
        below = {name for name in container.folders if is_within(name, path)}
        objects = [
            item
            for item in self.in_container(container.id)
            if item.placements[container.id].folder in below
        ]
        if not recurse and (objects or below != {path}):
            raise InvalidState(f"folder {path} is not empty")
        for item in objects:
            self._unplace(item, container.id)
        container.folders -= below

    def rename_folder(self, container: Container, folder: object, newpath: object) -> None:
        path, target = self.existing_folder(container, folder), normal_folder(newpath)
        if path is None or path == "/" or is_within(target, path):
            raise InvalidInput(f"folder {path} cannot become {target}")
        if target in container.folders:
            raise InvalidState(f"folder {target} exists")
        self._require_folder(container, posixpath.dirname(target), create=False)

        def moved(name: str) -> str:
            return target + name.removeprefix(path) if is_within(name, path) else name

        container.folders = {moved(name) for name in container.folders}
        for item in self.in_container(container.id):
            placement = item.placements[container.id]
            placement.folder = moved(placement.folder)

    def existing_folder(
        self, container: Container, folder: object, force: bool = False
    ) -> str | None:
        """The normal path of a folder that is there; None where it is not and `force` is set."""
        path = normal_folder(folder)
        if path not in container.folders:
            if force:
                return None
            raise ResourceNotFound(f"The specified folder could not be found in {container.id}")
        return path

    def _require_folder(self, container: Container, folder: str, create: bool) -> None:
        if create:
            while folder not in container.folders:
                container.folders.add(folder)
                folder = posixpath.dirname(folder)
        else:
            self.existing_folder(container, folder)

    # Objects in folders

    def move(
        self, container: Container, objects: Iterable[str], folders: Iterable[str], to: object
    ) -> None:
        target = self.existing_folder(container, to)
        assert target is not None
        placements = [self.object_in(object_id, container.id)[1] for object_id in objects]
        for folder in folders:
            path = normal_folder(folder)
            self.rename_folder(container, path, posixpath.join(target, posixpath.basename(path)))
        for placement in placements:
            placement.folder = target
            placement.modified = now_ms()

    def remove_objects(self, container: Container, objects: Iterable[str], force: bool) -> None:
        found = []
        for object_id in objects:
            try:
                found.append(self.object_in(object_id, container.id)[0])
            except ResourceNotFound:
                if not force:
                    raise
        for item in found:
            self._unplace(item, container.id)

    def _unplace(self, data_object: DataObject, container_id: str) -> None:
        del data_object.placements[container_id]
        if not data_object.placements:
            del self.objects[data_object.id]
            shutil.rmtree(self._folder_of(data_object), ignore_errors=True)

    # Archived files

    def archive(self, container: Container, objects: Iterable[str], all_copies: bool) -> int:
        """Archive the copies of files in a container; returns how many.

        A file is archived when all its copies are to be. Raises InvalidState for one that is not
        closed (dnanexus/dx-toolkit, issue 940).
        """
        files = [self.object_in(object_id, container.id) for object_id in objects]
        for item, _ in files:
            if item.state != "closed":
                raise InvalidState(f"Cannot archive {item.id} as it is in a non-closed state")
        for item, placement in files:
            copies = list(item.placements.values())
            for one in copies if all_copies else [placement]:
                one.archival = "archival"
            if all(one.archival_state in ("archival", "archived") for one in copies):
                for one in copies:
                    one.archival = "archived"
        return len(files)

    def unarchive(self, container: Container, objects: Iterable[str]) -> list[DataObject]:
        """Begin to restore files; those that are live stay so. Returns the ones that are restored.

        The other copies of a file that was archived stay marked as to be archived.
        """
        found = []
        for item, placement in [self.object_in(object_id, container.id) for object_id in objects]:
            if placement.archival_state == "archived":
                for other in item.placements.values():
                    other.archival = "archival"
                placement.archival = "unarchiving"
                placement.live_from = time.time() + UNARCHIVING_SECONDS
                found.append(item)
            elif placement.archival_state == "archival":
                placement.archival = "live"
                found.append(item)
        return found

    # The bytes of files

    def content(self, data_object: DataObject) -> Path:
        """Where the bytes of a closed file lie. Raises InvalidState for one that is not closed."""
        if data_object.state != "closed":
            raise InvalidState(f'"{data_object.id}" is in the {data_object.state} state')
        return self._folder_of(data_object) / "content"

    def announce_part(self, data_object: DataObject, index: int, part: Part) -> None:
        """Take note of a part that is about to be uploaded. Raises InvalidInput, InvalidState."""
        if data_object.state != "open":
            raise InvalidState(f'"{data_object.id}" is not open')
        if not 1 <= index <= UPLOAD_PARAMETERS["maximumNumParts"]:
            raise InvalidInput(f"part {index} is not among 1 to 10000")
        if not 0 <= part.size <= UPLOAD_PARAMETERS["maximumPartSize"]:
            raise InvalidInput(f"part {index} is larger than a part may be")
        if not re.fullmatch("[0-9a-f]{32}", part.md5):
            raise InvalidInput(f"part {index} has no MD5 checksum in hexadecimal digits")
        data_object.parts[index] = part

    def receive_part(
        self, data_object: DataObject, index: int, part: Part, stream: IO[bytes]
    ) -> None:
        """Write the bytes of a part. Raises InvalidInput unless they are the announced ones."""
        path = self._folder_of(data_object) / f"{index}-{new_id('part')}"
        path.parent.mkdir(exist_ok=True)
        md5, size = hashlib.md5(usedforsecurity=False), 0
        try:
            with path.open("wb") as out:
                while block := stream.read(_COPY_BYTES):
                    out.write(block)
                    md5.update(block)
                    size += len(block)
            with self.changed:
                if (size, md5.hexdigest()) != (part.size, part.md5):
                    raise InvalidInput(
                        f"part {index} of {data_object.id} is not what was announced"
                    )
                if self.find_object(data_object.id).state != "open":
                    raise InvalidState(f'"{data_object.id}" is not open')
                if data_object.parts[index] is not part:
                    raise InvalidState(f"part {index} of {data_object.id} was announced anew")
                path.replace(self._part_path(data_object, index))
                part.received = True
        finally:
            path.unlink(missing_ok=True)

    def close(self, data_object: DataObject) -> None:
        """Begin to close a file; `closed` follows by itself. Closing twice changes nothing."""
        if data_object.state != "open":
            return
        parts = data_object.parts
        missing = [index for index, part in parts.items() if not part.received]
        if missing or not parts:
            raise InvalidState(f"parts {missing or 'of any kind'} of {data_object.id} are missing")
        for index, part in parts.items():
            if index != max(parts) and part.size < UPLOAD_PARAMETERS["minimumPartSize"]:
                raise InvalidInput(f"part {index} of {data_object.id} is smaller than 5 MiB")
        data_object.state = "closing"
        thread = threading.Thread(target=self._finish_closing, args=[data_object])
        self._closing_threads.append(thread)
        thread.start()

    def finish(self) -> None:
        """Wait until nothing more is written."""
        for thread in self._closing_threads:
            thread.join()

    def _finish_closing(self, data_object: DataObject) -> None:
        time.sleep(CLOSING_SECONDS)
        indices = sorted(data_object.parts)
        whole = self._part_path(data_object, indices[0])
        try:
            with whole.open("r+b") as out:
                out.seek(0, 2)
                for index in indices[1:]:
                    with self._part_path(data_object, index).open("rb") as part:
                        shutil.copyfileobj(part, out, _COPY_BYTES)
                    self._part_path(data_object, index).unlink()
            whole.replace(self._folder_of(data_object) / "content")
        except FileNotFoundError:  # removed in the meantime
            return
        with self.changed:
            data_object.size = sum(part.size for part in data_object.parts.values())
            data_object.state = "closed"
            self.changed.notify_all()

    def _folder_of(self, data_object: DataObject) -> Path:
        return self.root / data_object.id

    def _part_path(self, data_object: DataObject, index: int) -> Path:
        return self._folder_of(data_object) / str(index)
