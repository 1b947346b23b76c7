"""Which routes there are, and what each does.

`ROUTES` is the whole list. A handler is named after its route as in `dxpy.api`, whose functions
link the page of the documentation; it takes a Call and gives back the answer.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from . import search
from .access import CONTRIBUTE, VIEW, Caller
from .describe import REGION, choose_fields, describe_container, describe_object
from .errors import InvalidInput, InvalidState, InvalidType, PermissionDenied, ResourceNotFound
from .ids import class_of, new_id
from .jobs import DEFAULT_INSTANCE_TYPE, Job, describe_job, new_job
from .restarts import check_policy
from .specs import check_spec, check_values, links_in, references_in, with_defaults
from .store import Container, DataObject, Part, Placement, normal_folder, now_ms
from .transfers import DEFAULT_DURATION_SECONDS, Upload

if TYPE_CHECKING:
    from .platform import LocalPlatform

Answer = dict[str, Any]
T = TypeVar("T")

_INSTANCE_TYPE = re.compile(r"mem[1-4]_(ssd|hdd)[12](_gpu|_v[2-4])?_x[0-9]+")
_PRIORITIES = ("low", "normal", "high")


@dataclass(frozen=True)
class Call:
    """A request: who calls, on which object or handle, with what."""

    platform: "LocalPlatform"
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

        The body's `project` is a hint that an object elsewhere does not have to follow. Raises
        ResourceNotFound, and PermissionDenied where the caller sees it in no container.
        """
        data_object = self.platform.store.find_object(self.target)
        hint = self.body.get("project")
        if isinstance(hint, str) and hint in data_object.placements:
            self.caller.require(level, hint)
            return data_object, hint
        return data_object, self.visible_container(data_object, level)

    def visible_container(self, data_object: DataObject, level: str = VIEW) -> str:
        for container_id in data_object.placements:
            if self.caller.may(level, container_id):
                return container_id
        raise PermissionDenied(f"{level} permission required for {data_object.id}")

    def job(self, job_id: str | None = None) -> Job:
        """The job that the call is about, at its latest try or that of the body; or another job.

        Raises ResourceNotFound, PermissionDenied.
        """
        job = self.platform.jobs.by_id.get(job_id or self.target)
        if job is None:
            raise ResourceNotFound(f'"{job_id or self.target}" could not be found')
        self.caller.require(VIEW, job.project)
        wanted = job.try_number if job_id else self.optional("try", job.try_number)
        if not 0 <= wanted <= job.try_number:
            raise ResourceNotFound(f"{job.id} has no try {wanted}")
        return [*job.earlier_tries, job][wanted]


Handler = Callable[[Call], Answer]


# The system


def system_whoami(call: Call) -> Answer:
    return choose_fields({"id": call.caller.user, "clientIp": "127.0.0.1"}, call.body)


def user_describe(call: Call) -> Answer:
    if call.target != call.caller.user:
        raise ResourceNotFound(f'"{call.target}" could not be found')
    handle = call.target.removeprefix("user-")
    return {"id": call.target, "class": "user", "handle": handle, "first": "Local", "last": "User"}


def system_find_projects(call: Call) -> Answer:
    store, caller = call.platform.store, call.caller
    described = [
        describe_container(store, store.container(container_id), caller.user)
        for container_id in caller.access
        if class_of(container_id) == "project"
    ]
    is_wanted = search.matches(call.body, search.PROJECT_CONDITIONS)
    return search.page(
        (
            {"id": item["id"], "level": item["level"], **_described(item, call.body)}
            for item in described
            if is_wanted(item)
        ),
        call.body,
    )


def system_find_data_objects(call: Call) -> Answer:
    store = call.platform.store
    scope = call.body.get("scope", {}).get("project")
    containers = list(call.caller.access) if scope is None else [call.container(VIEW, scope).id]
    is_wanted = search.matches({"visibility": "visible", **call.body}, search.OBJECT_CONDITIONS)

    def found() -> Iterator[Answer]:
        for container_id in containers:
            for data_object in store.in_container(container_id):
                item = describe_object(data_object, container_id)
                if is_wanted(item):
                    yield {
                        "id": item["id"],
                        "project": container_id,
                        **_described(item, call.body),
                    }

    # The newest first, as the platform gives them.
    return search.page(reversed(list(found())), call.body)


def system_resolve_data_objects(call: Call) -> Answer:
    def resolve(wanted: Mapping[str, Any]) -> list[Answer]:
        container = call.container(VIEW, wanted["project"])
        query = {
            "name": wanted["name"],
            "visibility": "either",
            "scope": {"folder": wanted.get("folder", "/"), "recurse": False},
        }
        is_wanted = search.matches(query, search.OBJECT_CONDITIONS)
        return [
            {"id": item["id"], "project": container.id, **_described(item, call.body)}
            for item in (
                describe_object(data_object, container.id)
                for data_object in call.platform.store.in_container(container.id)
            )
            if is_wanted(item)
        ]

    return {"results": [resolve(wanted) for wanted in call.required("objects", list)]}


def system_describe_data_objects(call: Call) -> Answer:
    def describe(wanted: Any) -> Answer:
        wanted = {"id": wanted} if isinstance(wanted, str) else wanted
        options = wanted.get("describe", {})
        options = options if isinstance(options, dict) else {}
        body = {**call.body.get("classDescribeOptions", {}).get("*", {}), **options}
        part = Call(call.platform, call.caller, wanted["id"], {"project": wanted.get("project")})
        data_object, container_id = part.placement()
        return {"describe": choose_fields(describe_object(data_object, container_id), body)}

    return {"results": [describe(wanted) for wanted in call.required("objects", list)]}


def system_find_executions(call: Call) -> Answer:
    is_wanted = search.matches(call.body, search.EXECUTION_CONDITIONS)
    include_restarted = call.optional("includeRestarted", False)
    described = (
        describe_job(job, REGION)
        for latest in reversed(call.platform.jobs.by_id.values())
        for job in (latest, *(reversed(latest.earlier_tries) if include_restarted else ()))
        if call.caller.may(VIEW, job.project)
    )
    return search.page(
        (
            {"id": item["id"], "try": item["try"], **_described(item, call.body)}
            for item in described
            if is_wanted(item)
        ),
        call.body,
    )


def system_find_nothing(call: Call) -> Answer:
    """Apps and global workflows: this platform has none."""
    return {"results": [], "next": None}


def app_describe(call: Call) -> Answer:
    raise ResourceNotFound(f'"{call.target}" could not be found')


def _described(item: Answer, body: Mapping[str, Any]) -> Answer:
    """The `describe` key of a result of a search, where the search asks for it."""
    options = body.get("describe")
    if not options:
        return {}
    options = options if isinstance(options, dict) else {}
    if options.get("io") is False:
        item = {key: value for key, value in item.items() if key not in _IO_FIELDS}
    return {"describe": choose_fields(item, options)}


_IO_FIELDS = {"input", "originalInput", "runInput", "output"}


# Projects and workspaces


def project_describe(call: Call) -> Answer:
    container = call.container()
    described = describe_container(call.platform.store, container, call.caller.user)
    return choose_fields(described, call.body, on_request={"folders", "fileUploadParameters"})


def project_list_folder(call: Call) -> Answer:
    container, store, body = call.container(), call.platform.store, call.body
    folder = store.existing_folder(container, call.optional("folder", "/"))
    only, prefix = call.optional("only", "all"), "/" if folder == "/" else f"{folder}/"
    answer: Answer = {}
    if only in ("all", "folders"):
        answer["folders"] = sorted(
            name
            for name in container.folders
            if name != "/" and name.startswith(prefix) and "/" not in name.removeprefix(prefix)
        )
    if only in ("all", "objects"):
        answer["objects"] = [
            {"id": item["id"], **_described(item, body)}
            for item in (
                describe_object(data_object, container.id)
                for data_object in store.in_container(container.id)
            )
            if item["folder"] == folder and (body.get("includeHidden") or not item["hidden"])
        ]
    return answer


def project_new_folder(call: Call) -> Answer:
    container = call.container(CONTRIBUTE)
    call.platform.store.new_folder(
        container, call.required("folder", str), call.optional("parents", False)
    )
    return {"id": container.id}


def project_remove_folder(call: Call) -> Answer:
    container = call.container(CONTRIBUTE)
    call.platform.store.remove_folder(
        container,
        call.required("folder", str),
        call.optional("recurse", False),
        call.optional("force", False),
    )
    return {"id": container.id, "completed": True}


def project_rename_folder(call: Call) -> Answer:
    container = call.container(CONTRIBUTE)
    call.platform.store.rename_folder(
        container, call.required("folder", str), call.required("newpath", str)
    )
    return {"id": container.id}


def project_move(call: Call) -> Answer:
    container = call.container(CONTRIBUTE)
    call.platform.store.move(
        container,
        call.strings("objects"),
        call.strings("folders"),
        call.required("destination", str),
    )
    return {"id": container.id}


def project_remove_objects(call: Call) -> Answer:
    container = call.container(CONTRIBUTE)
    call.platform.store.remove_objects(
        container, call.strings("objects"), call.optional("force", False)
    )
    return {"id": container.id}


# Data objects of any class


def object_describe(call: Call) -> Answer:
    data_object, container_id = call.placement()
    return choose_fields(describe_object(data_object, container_id), call.body)


def object_get_details(call: Call) -> Answer:
    """The details are the whole answer, whatever JSON value they are."""
    data_object, _ = call.placement()
    return data_object.details


def object_rename(call: Call) -> Answer:
    _placement(call).name = call.required("name", str)
    return {"id": call.target}


def object_add_tags(call: Call) -> Answer:
    return _change_tags(call, add=True)


def object_remove_tags(call: Call) -> Answer:
    return _change_tags(call, add=False)


def object_set_properties(call: Call) -> Answer:
    labels, changed = _labels(call), call.required("properties", dict)
    kept = {key: value for key, value in labels.properties.items() if key not in changed}
    new = {key: value for key, value in changed.items() if value is not None}
    labels.properties = kept | _properties(new)
    return {"id": call.target}


def _properties(given: Mapping[str, Any]) -> dict[str, str]:
    for key, value in given.items():
        if not isinstance(value, str):
            raise InvalidInput(f"the property {key} is not a string")
    return dict(given)


def _change_tags(call: Call, add: bool) -> Answer:
    labels, changed = _labels(call), call.strings("tags")
    kept = [tag for tag in labels.tags if tag not in changed]
    labels.tags = kept + changed if add else kept
    return {"id": call.target}


def _placement(call: Call) -> Placement:
    """The placement that the call is about to change."""
    data_object, container_id = call.placement(CONTRIBUTE)
    placement = data_object.placements[container_id]
    placement.modified = now_ms()
    return placement


def _labels(call: Call) -> Placement | Job | Container:
    """What carries the tags and properties: a job, a container, or an object's placement."""
    if class_of(call.target) == "job":
        job = call.job()
        if call.caller.job is not job:
            call.caller.require(CONTRIBUTE, job.project)
        return job
    if class_of(call.target) in ("project", "container"):
        return call.container(CONTRIBUTE)
    return _placement(call)


# Files


def file_new(call: Call) -> Answer:
    data_object = _new_object(call, "file")
    data_object.media = call.optional("media", "application/octet-stream")
    return {"id": data_object.id}


def file_upload(call: Call) -> Answer:
    data_object, _ = call.placement(CONTRIBUTE)
    part = Part(call.required("size", int), call.required("md5", str))
    index = call.optional("index", 1)
    call.platform.store.announce_part(data_object, index, part)
    token = call.platform.transfers.new_upload(Upload(data_object, index, part))
    return {
        "url": f"{call.platform.base_url}/upload/{token}",
        "headers": {"Content-Length": str(part.size)},
    }


def file_close(call: Call) -> Answer:
    data_object, _ = call.placement(CONTRIBUTE)
    call.platform.store.close(data_object)
    return {"id": data_object.id}


def file_download(call: Call) -> Answer:
    data_object, container_id = call.placement()
    wanted = call.body.get("project")
    if wanted is not None and wanted != container_id:
        raise ResourceNotFound(f'"{data_object.id}" is not in "{wanted}"')
    call.platform.store.content(data_object)  # refused unless it is closed
    name = call.optional("filename", data_object.placements[container_id].name)
    token, download = call.platform.transfers.new_download(
        data_object,
        call.optional("duration", DEFAULT_DURATION_SECONDS),
        call.optional("preauthenticated", False),
    )
    headers = {} if download.secret is None else {"X-Download-Secret": download.secret}
    return {
        "url": f"{call.platform.base_url}/F/D/{token}/{quote(name, safe='')}",
        "headers": headers,
        "expires": int(download.expires * 1000),
    }


def _new_object(call: Call, class_: str) -> DataObject:
    container = call.container(CONTRIBUTE, call.required("project", str))
    data_object = DataObject(
        new_id(class_),
        class_,
        call.caller.created_by,
        hidden=call.optional("hidden", False),
        types=call.strings("types"),
        details=call.optional("details", {}),
    )
    placement = Placement(
        normal_folder(call.optional("folder", "/")),
        call.optional("name", "") or data_object.id,
        call.strings("tags"),
        _properties(call.optional("properties", {})),
    )
    call.platform.store.add_object(
        data_object, container, placement, parents=call.optional("parents", False)
    )
    return data_object


# Applets


def applet_new(call: Call) -> Answer:
    body = call.body
    for key in ("name", "dxapi"):
        call.required(key, str)
    run_spec = call.required("runSpec", dict)
    for key in ("interpreter", "code", "distribution", "release", "version"):
        if not isinstance(run_spec.get(key), str):
            raise InvalidInput(f"the key runSpec.{key} is required, and a string")
    if run_spec["interpreter"] != "python3":
        raise InvalidInput("this local platform has no interpreter but python3")
    for key in ("inputSpec", "outputSpec"):
        check_spec(call.optional(key, []))
    _instance_type(run_spec)
    check_policy(run_spec.get("executionPolicy", {}))
    for link in links_in(run_spec.get("bundledDepends", [])):
        bundle = call.platform.store.find_object(link.id)
        call.visible_container(bundle)
        call.platform.store.content(bundle)  # refused unless it is closed
    data_object = _new_object(call, "applet")
    data_object.spec = copy.deepcopy(body)
    data_object.state = "closed"
    return {"id": data_object.id}


def applet_run(call: Call) -> Answer:
    data_object, _ = call.placement()
    spec, body = data_object.spec, call.body
    project = call.container(CONTRIBUTE, call.required("project", str))
    given: dict[str, Any] = call.optional("input", {})
    if "inputSpec" in spec:
        check_values(spec["inputSpec"], given)
    original = with_defaults(spec.get("inputSpec", []), given)
    sources = {link.id: _input_source(call, link.id, link.project) for link in links_in(original)}
    depends_on = call.strings("dependsOn")
    for name in depends_on:
        if class_of(name) == "job":
            call.job(name)
        else:
            call.visible_container(call.platform.store.find_object(name))
    for reference in references_in(original):
        call.job(reference.job)
    priority = call.optional("priority", "normal")
    if priority not in _PRIORITIES:
        raise InvalidInput(f"priority is one of {', '.join(_PRIORITIES)}")
    policy: dict[str, Any] = call.optional("executionPolicy", {})
    check_policy(policy)
    call.optional("detach", False)  # for a job that a job starts, which this platform has not
    job = new_job(
        call.platform.jobs,
        name=call.optional("name", "") or spec.get("title") or spec["name"],
        applet=data_object,
        function="main",
        project=project.id,
        folder=normal_folder(call.optional("folder", "/")),
        user=call.caller.user,
        original_input=original,
        run_input=given,
        input=original,
        instance_type=_instance_type(body, spec["runSpec"]),
        priority=priority,
        tags=call.strings("tags"),
        properties=_properties(call.optional("properties", {})),
        details=body.get("details", {}),
        depends_on=depends_on,
        execution_policy=policy or spec["runSpec"].get("executionPolicy", {}),
    )
    for object_id, source in sources.items():
        if source != project.id:
            call.platform.store.clone(
                call.platform.store.find_object(object_id), source, job.workspace, "/"
            )
    call.platform.jobs.create(job)
    return {"id": job.id}


def _input_source(call: Call, object_id: str, project: str | None) -> str:
    """The container from which a job takes an input object. Raises ResourceNotFound."""
    store = call.platform.store
    if project is not None:
        store.object_in(object_id, project)
        call.caller.require(VIEW, project)
        return project
    return call.visible_container(store.find_object(object_id))


def _instance_type(*sources: Mapping[str, Any]) -> str:
    """The instance type that the first of the sources asks for which asks for one."""
    for source in sources:
        requirements = source.get("systemRequirements", {})
        entry = requirements.get("main", requirements.get("*", {}))
        if "instanceType" in entry:
            instance_type = str(entry["instanceType"])
            if not _INSTANCE_TYPE.fullmatch(instance_type):
                raise InvalidInput(f"the instance type {instance_type} is not supported")
            return instance_type
    return DEFAULT_INSTANCE_TYPE


# Jobs


def job_describe(call: Call) -> Answer:
    return choose_fields(describe_job(call.job(), REGION), call.body, on_request=())


def job_terminate(call: Call) -> Answer:
    job = call.job()
    call.caller.require(CONTRIBUTE, job.project)
    if job.is_final:
        raise InvalidState(f"{job.id} is in the {job.state} state")
    call.platform.jobs.terminate(job)
    return {"id": job.id}


# A name in braces is an id of that class; `object` is one of any class of data object.
ROUTES: dict[str, Handler] = {
    "/system/whoami": system_whoami,
    "/system/findProjects": system_find_projects,
    "/system/findDataObjects": system_find_data_objects,
    "/system/resolveDataObjects": system_resolve_data_objects,
    "/system/describeDataObjects": system_describe_data_objects,
    "/system/findExecutions": system_find_executions,
    "/system/findApps": system_find_nothing,
    "/system/findGlobalWorkflows": system_find_nothing,
    "/{user}/describe": user_describe,
    "/{app}/describe": app_describe,
    "/{globalworkflow}/describe": app_describe,
    "/{container}/describe": project_describe,
    "/{container}/listFolder": project_list_folder,
    "/{container}/newFolder": project_new_folder,
    "/{container}/removeFolder": project_remove_folder,
    "/{container}/renameFolder": project_rename_folder,
    "/{container}/move": project_move,
    "/{container}/removeObjects": project_remove_objects,
    "/{container}/addTags": object_add_tags,
    "/{container}/removeTags": object_remove_tags,
    "/{container}/setProperties": object_set_properties,
    "/{object}/describe": object_describe,
    "/{object}/getDetails": object_get_details,
    "/{object}/rename": object_rename,
    "/{object}/addTags": object_add_tags,
    "/{object}/removeTags": object_remove_tags,
    "/{object}/setProperties": object_set_properties,
    "/file/new": file_new,
    "/{file}/upload": file_upload,
    "/{file}/close": file_close,
    "/{file}/download": file_download,
    "/applet/new": applet_new,
    "/{applet}/run": applet_run,
    "/{job}/describe": job_describe,
    "/{job}/addTags": object_add_tags,
    "/{job}/removeTags": object_remove_tags,
    "/{job}/setProperties": object_set_properties,
    "/{job}/terminate": job_terminate,
}

_ID = "[0-9A-Za-z]{24}"
_TARGETS = {
    "container": f"(?:project|container)-{_ID}",
    "object": f"(?:file|applet)-{_ID}",
    # Users and apps go by names, which may hold anything.
    "user": r"user-[\w.]+",
    "app": "app-.+",
    "globalworkflow": "globalworkflow-.+",
}


def _pattern(route: str) -> re.Pattern[str]:
    return re.compile(
        re.sub(r"\{(\w+)\}", lambda m: f"({_TARGETS.get(m[1], f'{m[1]}-{_ID}')})", route)
    )


_PATTERNS = [(_pattern(route), handler) for route, handler in ROUTES.items()]


def find_route(path: str) -> tuple[Handler, str]:
    """The handler for a path, and the id in it (empty where there is none).

    Raises InvalidType for a route that this platform does not have: an answer would be a guess.
    """
    for pattern, handler in _PATTERNS:
        match = pattern.fullmatch(path)
        if match:
            return handler, match[1] if match.groups() else ""
    raise InvalidType(f"this local platform has no route {path}")
