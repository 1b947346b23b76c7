"""API calls as passed to the handlers of routes."""

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
    """An API call: its caller, the ID or name in its route, and its body."""

    platform: Platform
    caller: Caller
    target: str
    body: dict[str, Any]

    def required(self, key: str, kind: type[T]) -> T:
        """Returns a value of the body. Raises InvalidInput if it is missing or of another type."""
        if key not in self.body:
            raise InvalidInput(f"the key {key} is required")
        value = self.body[key]
        # In Python, a bool is also an int.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidInput(f"the key {key} cannot be {value!r}")
        return value

    def optional(self, key: str, default: T) -> T:
        """Returns a value of the body, which has the default's type, or the default."""
        return self.required(key, type(default)) if key in self.body else default

    def mapping(self, key: str) -> dict[str, Any]:
        """Returns a JSON object; an empty one if the key is missing."""
        return self.optional(key, {})

    def strings(self, key: str) -> list[str]:
        """Returns the distinct strings of an array; an empty list if the key is missing."""
        values: list[Any] = self.optional(key, [])
        if not all(isinstance(value, str) for value in values):
            raise InvalidInput(f"the key {key} is not an array of strings")
        return list(dict.fromkeys(values))

    def container(self, level: str = VIEW, container_id: str | None = None) -> Container:
        """Returns the container of the call. Raises ResourceNotFound, PermissionDenied."""
        container = self.platform.store.container(container_id or self.target)
        self.caller.require(level, container.id)
        return container

    def placement(self, level: str = VIEW) -> tuple[DataObject, str]:
        """Returns the object of the call, and a container in which the caller can access it.

        This is the `project` of the body if the object is accessible there. Raises
        ResourceNotFound, and PermissionDenied if the caller cannot access the object anywhere.
        """
        data_object = self.platform.store.find_object(self.target)
        hint = self.body.get("project")
        if hint in data_object.placements and self.caller.may(level, str(hint)):
            return data_object, hint
        return data_object, self.visible_container(data_object, level)

    def visible_container(self, data_object: DataObject, level: str = VIEW) -> str:
        """Returns the first container in which the caller has access to an object."""
        for container_id in data_object.placements:
            if self.caller.may(level, container_id):
                return container_id
        raise PermissionDenied(f"{level} permission required for {data_object.id}")

    def executable(self, executable_id: str) -> Executable:
        """Returns an applet or app. Raises ResourceNotFound, PermissionDenied, InvalidInput."""
        if executable_id.startswith("app-"):
            app = self.app(executable_id)
            return Executable(app.id, app.applet_id, app.spec, app.container)
        if class_of(executable_id) != "applet":
            raise InvalidInput(f"{executable_id} is not an applet or app")
        applet = self.platform.store.find_object(executable_id)
        self.visible_container(applet)
        return Executable(applet.id, applet.id, applet.spec)

    def app(self, target: str | None = None) -> App:
        """Returns an app, by default that of the call. Raises ResourceNotFound."""
        return find_app(self.platform.apps, target or self.target)

    def execution(self, execution_id: str | None = None) -> Job | Analysis:
        """Returns a job or analysis, by default that of the call."""
        analysis = self.platform.jobs.analyses.get(execution_id or self.target)
        if analysis is None:
            return self.job(execution_id)
        self.caller.require(VIEW, analysis.project)
        return analysis

    def job(self, job_id: str | None = None) -> Job:
        """Returns a job, by default that of the call.

        The body's `try` selects a try of the call's job; the default is the latest one. Raises
        ResourceNotFound, PermissionDenied.
        """
        job = self.platform.jobs.by_id.get(job_id or self.target)
        if job is None:
            raise ResourceNotFound(f'"{job_id or self.target}" could not be found')
        if self.caller.job is not job:
            self.caller.require(VIEW, job.project)
        number = job.try_number if job_id else self.optional("try", job.try_number)
        if not 0 <= number <= job.try_number:
            raise ResourceNotFound(f"{job.id} has no try {number}")
        return [*job.earlier_tries, job][number]

    def properties(self) -> dict[str, str]:
        """Returns the properties in the body. Raises InvalidInput if one is not a string."""
        return string_values(self.optional("properties", {}))

    def new_object(self, class_: str) -> DataObject:
        """Creates an object in the project and folder that the body specifies."""
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


def string_values(properties: Mapping[str, Any]) -> dict[str, str]:
    for key, value in properties.items():
        if not isinstance(value, str):
            raise InvalidInput(f"the property {key} is not a string")
    return dict(properties)
