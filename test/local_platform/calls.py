"""A request as the handlers of routes see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from .access import CONTRIBUTE, VIEW, Caller
from .analyses import Analysis
from .apps import App, find_app
from .errors import InvalidInput, PermissionDenied, ResourceNotFound
from .ids import class_of, new_id
from .job import Executable, Job
from .platform import Platform
from .store import Container, DataObject, Placement, normal_folder

Answer = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """A request: who calls, on which object or handle, with what."""

    platform: Platform
    caller: Caller
    target: str
    body: dict[str, Any]

    def required(self, key: str, kind: type[T]) -> T:
        """The value of a key of the body. Raises InvalidInput: missing, or of another type."""
        if key not in self.body:
            raise InvalidInput(f"the key {key} is required")
        value = self.body[key]
        # A JSON true is a Python int too.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidInput(f"the key {key} cannot be {value!r}")
        return value

    def optional(self, key: str, default: T) -> T:
        """The value of a key, which is of the default's type, or the default."""
        return self.required(key, type(default)) if key in self.body else default

    def mapping(self, key: str) -> dict[str, Any]:
        """A JSON object; an empty one where the key is missing."""
        return self.optional(key, {})

    def strings(self, key: str) -> list[str]:
        """An array of strings without repetitions; an empty one where the key is missing."""
        values: list[Any] = self.optional(key, [])
        if not all(isinstance(value, str) for value in values):
            raise InvalidInput(f"the key {key} is not an array of strings")
        return list(dict.fromkeys(values))

    def container(self, level: str = VIEW, container_id: str | None = None) -> Container:
        """The container that the call is about. Raises ResourceNotFound, PermissionDenied."""
        container = self.platform.store.container(container_id or self.target)
        self.caller.require(level, container.id)
        return container

    def placement(self, level: str = VIEW) -> tuple[DataObject, str]:
        """The object that the call is about, and the container through which it is seen.

        The body's `project` is a hint, for an object that the caller can see there. Raises
        ResourceNotFound, and PermissionDenied where the caller sees it in no container.
        """
        data_object = self.platform.store.find_object(self.target)
        hint = self.body.get("project")
        if hint in data_object.placements and self.caller.may(level, str(hint)):
            return data_object, hint
        return data_object, self.visible_container(data_object, level)

    def visible_container(self, data_object: DataObject, level: str = VIEW) -> str:
        for container_id in data_object.placements:
            if self.caller.may(level, container_id):
                return container_id
        raise PermissionDenied(f"{level} permission required for {data_object.id}")

    def executable(self, executable_id: str) -> Executable:
        """The applet or app. Raises ResourceNotFound, PermissionDenied, InvalidInput."""
        if executable_id.startswith("app-"):
            app = self.app(executable_id)
            return Executable(app.id, app.applet_id, app.spec, app.container)
        if class_of(executable_id) != "applet":
            raise InvalidInput(f"{executable_id} is not an applet or app")
        applet = self.platform.store.find_object(executable_id)
        self.visible_container(applet)
        return Executable(applet.id, applet.id, applet.spec)

    def app(self, target: str | None = None) -> App:
        """The app that the call is about, or another one. Raises ResourceNotFound."""
        return find_app(self.platform.apps, target or self.target)

    def execution(self, execution_id: str | None = None) -> Job | Analysis:
        """The job or analysis that the call is about, or another one."""
        analysis = self.platform.jobs.analyses.get(execution_id or self.target)
        if analysis is None:
            return self.job(execution_id)
        self.caller.require(VIEW, analysis.project)
        return analysis

    def job(self, job_id: str | None = None) -> Job:
        """The job that the call is about, at its latest try or that of the body; or another job.

        Raises ResourceNotFound, PermissionDenied.
        """
        job = self.platform.jobs.by_id.get(job_id or self.target)
        if job is None:
            raise ResourceNotFound(f'"{job_id or self.target}" could not be found')
        if self.caller.job is not job:
            self.caller.require(VIEW, job.project)
        wanted = job.try_number if job_id else self.optional("try", job.try_number)
        if not 0 <= wanted <= job.try_number:
            raise ResourceNotFound(f"{job.id} has no try {wanted}")
        return [*job.earlier_tries, job][wanted]

    def properties(self) -> dict[str, str]:
        """The properties in the body. Raises InvalidInput where one is not a string."""
        return string_values(self.optional("properties", {}))

    def new_object(self, class_: str) -> DataObject:
        """A new object in the project, folder and so on that the body tells."""
        container = self.container(CONTRIBUTE, self.required("project", str))
        data_object = DataObject(
            new_id(class_),
            class_,
            self.caller.created_by,
            hidden=self.optional("hidden", False),
            types=self.strings("types"),
            details=self.optional("details", {}),
        )
        placement = Placement(
            normal_folder(self.optional("folder", "/")),
            self.optional("name", "") or data_object.id,
            self.strings("tags"),
            self.properties(),
        )
        self.platform.store.add_object(
            data_object, container, placement, parents=self.optional("parents", False)
        )
        return data_object


def string_values(given: Mapping[str, Any]) -> dict[str, str]:
    for key, value in given.items():
        if not isinstance(value, str):
            raise InvalidInput(f"the property {key} is not a string")
    return dict(given)
