"""Projects, folders and data objects. Independent of HTTP and of jobs.

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

# Limits of an AWS project, as returned by the API (fileUploadParameters).
UPLOAD_PARAMETERS = {
    "minimumPartSize": 5 * 1024**2,
    "maximumPartSize": 5 * 1024**3,
    "maximumFileSize": 5 * 1024**4,
    "maximumNumParts": 10_000,
    "emptyLastPartAllowed": True,
}
# Closing a file takes time on the platform; a client that does not wait must fail here too.
CLOSING_SECONDS = 0.2
# On the platform, restoring an archived file takes hours.
UNARCHIVING_SECONDS = 0.2
_COPY_BYTES = 1024**2


def now_ms() -> int:
    """Returns the time as in the API: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def normal_folder(path: object) -> str:
    """Returns an absolute folder path without a trailing slash. Raises InvalidInput."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidInput(f"a folder must be an absolute path, not {path!r}")
    return "/" + path.strip("/")


def is_within(folder: str, ancestor: str) -> bool:
    """Returns whether a folder is the ancestor itself or inside it."""
    return folder == ancestor or ancestor == "/" or folder.startswith(ancestor + "/")


@dataclass
class Part:
    """A part of a file, as announced; `received` is set once its content has been uploaded."""

    size: int
    md5: str
    received: bool = False


@dataclass
class Placement:
    """Folder, name and metadata of a data object in one container. Each clone has its own."""

    folder: str
    name: str
    tags: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    modified: int = field(default_factory=now_ms)
    archival: str = "live"
    # When an unarchived file will be live again.
    live_from: float = 0

    @property
    def archival_state(self) -> str:
        """live, archival (other copies are live), archived or unarchiving."""
        if self.archival == "unarchiving" and time.time() >= self.live_from:
            self.archival = "live"
        return self.archival


@dataclass
class DataObject:
    """A file, an applet or a workflow, in one or more containers."""

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
    # Whether malicious software was found in the file; set by tests.
    flagged: bool = False
    # The body of `/applet/new` (specifications, title, code), or the stages of a workflow.
    spec: dict[str, Any] = field(default_factory=dict)


@dataclass
class Container:
    """A project, the temporary workspace of a job, or the resources of an app."""

    id: str
    name: str
    created: int = field(default_factory=now_ms)
    folders: set[str] = field(default_factory=lambda: {"/"})
    tags: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)


class Store:
    """All containers and data objects; the content of files is in the folder `root`.

    `changed` guards all reads and writes, and is notified after each change of state.
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
        """Removes a container, and the objects that are in no other container."""
        for data_object in list(self.in_container(container_id)):
            self._remove_from(data_object, container_id)
        del self.containers[container_id]

    def find_object(self, object_id: str) -> DataObject:
        try:
            return self.objects[object_id]
        except KeyError:
            raise ResourceNotFound(f'"{object_id}" could not be found') from None

    def object_in(self, object_id: str, container_id: str) -> tuple[DataObject, Placement]:
        """Returns an object and its placement in a container. Raises ResourceNotFound."""
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
        """Adds a new object. Raises ResourceNotFound if the folder does not exist."""
        self._require_folder(container, placement.folder, create=parents)
        data_object.placements[container.id] = placement
        self.objects[data_object.id] = data_object

    def clone(self, data_object: DataObject, source: str, target: str, folder: str) -> None:
        """Clones an object into another container, under the same name.

        Does nothing if the object is already there.
        """
        if target not in data_object.placements:
            original = data_object.placements[source]
            folder = normal_folder(folder)
            self._require_folder(self.container(target), folder, create=True)
            data_object.placements[target] = Placement(
                folder, original.name, list(original.tags), dict(original.properties)
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
            self._remove_from(item, container.id)
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
        """Returns the normal path of a folder; None if it does not exist and `force` is set."""
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
            self._remove_from(item, container.id)

    def _remove_from(self, data_object: DataObject, container_id: str) -> None:
        del data_object.placements[container_id]
        if not data_object.placements:
            del self.objects[data_object.id]
            shutil.rmtree(self._folder_of(data_object), ignore_errors=True)

    # Archived files

    def archive(self, container: Container, objects: Iterable[str], all_copies: bool) -> int:
        """Archives the copies of files in a container; returns how many.

        A file is archived once all its copies are marked for archival. Raises InvalidState if a
        file is not closed (dnanexus/dx-toolkit, issue 940).
        """
        files = [self.object_in(object_id, container.id) for object_id in objects]
        for item, _ in files:
            if item.state != "closed":
                raise InvalidState(f"Cannot archive {item.id} as it is in a non-closed state")
        for item, placement in files:
            copies = list(item.placements.values())
            for copy in copies if all_copies else [placement]:
                copy.archival = "archival"
            if all(copy.archival_state in ("archival", "archived") for copy in copies):
                for copy in copies:
                    copy.archival = "archived"
        return len(files)

    def unarchive(self, container: Container, objects: Iterable[str]) -> list[DataObject]:
        """Starts to restore files; returns those that were not live.

        The other copies of an archived file stay marked for archival.
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

    # Content of files

    def content(self, data_object: DataObject) -> Path:
        """Returns the path of a file's content. Raises InvalidState if the file is not closed."""
        if data_object.state != "closed":
            raise InvalidState(f'"{data_object.id}" is in the {data_object.state} state')
        return self._folder_of(data_object) / "content"

    def announce_part(self, data_object: DataObject, index: int, part: Part) -> None:
        """Records a part that is about to be uploaded. Raises InvalidInput, InvalidState."""
        if data_object.state != "open":
            raise InvalidState(f'"{data_object.id}" is not open')
        if not 1 <= index <= UPLOAD_PARAMETERS["maximumNumParts"]:
            raise InvalidInput(f"the part index must be from 1 to 10000, not {index}")
        if not 0 <= part.size <= UPLOAD_PARAMETERS["maximumPartSize"]:
            raise InvalidInput(f"part {index} exceeds the maximum part size")
        if not re.fullmatch("[0-9a-f]{32}", part.md5):
            raise InvalidInput(f"the MD5 checksum of part {index} is not 32 hexadecimal digits")
        data_object.parts[index] = part

    def receive_part(
        self, data_object: DataObject, index: int, part: Part, stream: IO[bytes]
    ) -> None:
        """Writes the content of a part. Raises InvalidInput if it is not what was announced."""
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
                        f"part {index} of {data_object.id} does not have the announced size and MD5"
                    )
                if self.find_object(data_object.id).state != "open":
                    raise InvalidState(f'"{data_object.id}" is not open')
                if data_object.parts[index] is not part:
                    raise InvalidState(f"part {index} of {data_object.id} was announced again")
                path.replace(self._part_path(data_object, index))
                part.received = True
        finally:
            path.unlink(missing_ok=True)

    def close(self, data_object: DataObject) -> None:
        """Starts to close a file. Does nothing unless the file is open."""
        if data_object.state != "open":
            return
        parts = data_object.parts
        missing = [index for index, part in parts.items() if not part.received]
        if not parts:
            raise InvalidState(f"{data_object.id} has no parts")
        if missing:
            raise InvalidState(f"parts {missing} of {data_object.id} are missing")
        for index, part in parts.items():
            if index != max(parts) and part.size < UPLOAD_PARAMETERS["minimumPartSize"]:
                raise InvalidInput(f"part {index} of {data_object.id} is smaller than 5 MiB")
        data_object.state = "closing"
        thread = threading.Thread(target=self._finish_closing, args=[data_object])
        self._closing_threads.append(thread)
        thread.start()

    def wait_for_closing(self) -> None:
        """Waits until no file is being closed."""
        for thread in self._closing_threads:
            thread.join()

    def _finish_closing(self, data_object: DataObject) -> None:
        time.sleep(CLOSING_SECONDS)
        indices = sorted(data_object.parts)
        content = self._part_path(data_object, indices[0])
        try:
            with content.open("r+b") as out:
                out.seek(0, 2)
                for index in indices[1:]:
                    with self._part_path(data_object, index).open("rb") as part:
                        shutil.copyfileobj(part, out, _COPY_BYTES)
                    self._part_path(data_object, index).unlink()
            content.replace(self._folder_of(data_object) / "content")
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
