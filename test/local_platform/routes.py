"""The routes of the API and their handlers.

`ROUTES` lists all of them. Handlers are named after their routes as in `dxpy.api`, whose functions
link to the documentation. A handler takes a Call and returns the answer.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from . import app_routes, batches, search, workflows
from .access import ADMINISTER, CONTRIBUTE, VIEW
from .analyses import Analysis, describe_analysis
from .calls import Answer, Call, string_values
from .describe import (
    REGION,
    choose_fields,
    describe_container,
    describe_object,
    describe_result,
    full_run_spec,
)
from .errors import InvalidInput, InvalidState, InvalidType, ResourceNotFound
from .ids import class_of
from .job import Job, describe_job
from .restarts import check_policy, check_restartable
from .runs import instance_type, run, run_subjob
from .specs import check_spec, links_in
from .store import Container, DataObject, Part, Placement, now_ms
from .transfers import DEFAULT_DURATION_SECONDS, Upload

Handler = Callable[[Call], Answer]


# The system


def system_whoami(call: Call) -> Answer:
    return choose_fields({"id": call.caller.user, "clientIp": "127.0.0.1"}, call.body)


def user_describe(call: Call) -> Answer:
    if call.target != call.caller.user:
        raise ResourceNotFound(f'"{call.target}" could not be found')
    described = {
        "id": call.target,
        "class": "user",
        "handle": call.target.removeprefix("user-"),
        "first": "Local",
        "last": "User",
        "billTo": call.target,
        "permittedRegions": [REGION],
    }
    return choose_fields(described, call.body)


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
            {"id": item["id"], "level": item["level"], **describe_result(item, call.body)}
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
                item = _describe_object(call, data_object, container_id)
                if is_wanted(item):
                    yield {
                        "id": item["id"],
                        "project": container_id,
                        **describe_result(item, call.body),
                    }

    # Newest first, as on the platform.
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
            {"id": item["id"], "project": container.id, **describe_result(item, call.body)}
            for item in (
                _describe_object(call, data_object, container.id)
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
        return {"describe": choose_fields(_describe_object(call, data_object, container_id), body)}

    return {"results": [describe(wanted) for wanted in call.required("objects", list)]}


def system_find_executions(call: Call) -> Answer:
    is_wanted = search.matches(call.body, search.EXECUTION_CONDITIONS)
    include_restarted, jobs = call.optional("includeRestarted", False), call.platform.jobs
    executions: list[Job | Analysis] = [*jobs.analyses.values()]
    for job in jobs.by_id.values():
        executions += [*job.earlier_tries, job] if include_restarted else [job]
    executions.sort(key=lambda execution: execution.created)
    described = (
        _describe_execution(execution)
        for execution in reversed(executions)
        if call.caller.may(VIEW, execution.project)
    )
    return search.page(
        (
            {key: item[key] for key in ("id", "try") if key in item}
            | describe_result(item, call.body)
            for item in described
            if is_wanted(item)
        ),
        call.body,
    )


def system_find_global_workflows(call: Call) -> Answer:
    """Returns an empty list: this platform has no global workflows."""
    return {"results": [], "next": None}


def globalworkflow_describe(call: Call) -> Answer:
    raise ResourceNotFound(f'"{call.target}" could not be found')


def _describe_object(call: Call, data_object: DataObject, container_id: str) -> Answer:
    described = describe_object(data_object, container_id)
    if data_object.class_ == "workflow":
        described |= workflows.describe_workflow(call, data_object)
    return described


def _describe_execution(execution: Job | Analysis) -> Answer:
    if isinstance(execution, Job):
        return describe_job(execution, REGION)
    stages = {stage: describe_job(job, REGION) for stage, job in execution.jobs.items()}
    return describe_analysis(execution, stages, REGION)


# Projects and workspaces


def project_new(call: Call) -> Answer:
    if call.body.get("region", REGION) != REGION:
        raise InvalidInput(f"this local platform is in {REGION} only")
    container = call.platform.store.new_container("project", call.required("name", str))
    call.platform.projects.append(container.id)
    return {"id": container.id}


def project_destroy(call: Call) -> Answer:
    container, platform = call.container(ADMINISTER), call.platform
    if any(job.project == container.id for job in platform.jobs.by_id.values() if not job.is_final):
        raise InvalidState(f"jobs are still running in {container.id}")
    platform.store.remove_container(container.id)
    platform.projects.remove(container.id)
    return {"id": container.id}


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
            {"id": item["id"], **describe_result(item, body)}
            for item in (
                _describe_object(call, data_object, container.id)
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


def project_archive(call: Call) -> Answer:
    container = call.container(CONTRIBUTE)
    all_copies = call.optional("allCopies", False)
    count = call.platform.store.archive(container, _files_of(call, container), all_copies)
    return {"id": container.id, "count": count}


def project_unarchive(call: Call) -> Answer:
    """Restores files at no cost; dry runs are not supported."""
    if call.optional("dryRun", False):
        raise InvalidInput("this local platform does not support dry runs of unarchive")
    container = call.container(CONTRIBUTE)
    files = call.platform.store.unarchive(container, _files_of(call, container))
    size = sum(item.size or 0 for item in files)
    return {"id": container.id, "files": len(files), "size": size / 1e9, "cost": 0}


def _files_of(call: Call, container: Container) -> list[str]:
    """Returns the file IDs in a call; folders are not supported."""
    if "folder" in call.body:
        raise InvalidInput("this local platform archives and unarchives files by ID only")
    return call.strings("files")


# Data objects of any class


def object_describe(call: Call) -> Answer:
    data_object, container_id = call.placement()
    return choose_fields(_describe_object(call, data_object, container_id), call.body)


def object_get_details(call: Call) -> Answer:
    """Returns the details, which can be any JSON value."""
    data_object, _ = call.placement()
    return data_object.details


def object_rename(call: Call) -> Answer:
    _placement(call).name = call.required("name", str)
    return {"id": call.target}


def object_set_properties(call: Call) -> Answer:
    labels, changed = _placement(call), call.required("properties", dict)
    kept = {key: value for key, value in labels.properties.items() if key not in changed}
    new = {key: value for key, value in changed.items() if value is not None}
    labels.properties = kept | string_values(new)
    return {"id": call.target}


def _placement(call: Call) -> Placement:
    """Returns the placement that the call changes, with a new modification time."""
    data_object, container_id = call.placement(CONTRIBUTE)
    placement = data_object.placements[container_id]
    placement.modified = now_ms()
    return placement


# Files


def file_new(call: Call) -> Answer:
    data_object = call.new_object("file")
    data_object.media = call.optional("media", "application/octet-stream")
    return {"id": data_object.id}


def file_upload(call: Call) -> Answer:
    data_object, _ = call.placement(CONTRIBUTE)
    part = Part(call.required("size", int), call.required("md5", str))
    index = call.optional("index", 1)
    call.platform.store.announce_part(data_object, index, part)
    token = call.platform.transfers.new_upload(Upload(data_object, index, part, call.caller.id))
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
    project = call.body.get("project")
    if project is not None and project != container_id:
        raise ResourceNotFound(f'"{data_object.id}" is not in "{project}"')
    call.platform.store.content(data_object)  # raises InvalidState unless it is closed
    archival_state = data_object.placements[container_id].archival_state
    if archival_state != "live":
        # The message of the platform (dnanexus/dx-toolkit, issue 783).
        raise InvalidState(
            f"The file cannot be downloaded because it is in the {archival_state} state."
        )
    name = call.optional("filename", data_object.placements[container_id].name)
    token, download = call.platform.transfers.new_download(
        data_object,
        call.caller.id,
        call.optional("duration", DEFAULT_DURATION_SECONDS),
        call.optional("preauthenticated", False),
    )
    headers = {} if download.secret is None else {"X-Download-Secret": download.secret}
    return {
        "url": f"{call.platform.base_url}/F/D/{token}/{quote(name, safe='')}",
        "headers": headers,
        "expires": int(download.expires * 1000),
        # dxpy reads this key.
        **({"security_status": "FLAGGED_MALICIOUS"} if data_object.flagged else {}),
    }


# Applets


def applet_new(call: Call) -> Answer:
    body = call.body
    for key in ("name", "dxapi"):
        call.required(key, str)
    run_spec = call.required("runSpec", dict)
    for key in ("interpreter", "code", "distribution", "release", "version"):
        if not isinstance(run_spec.get(key), str):
            raise InvalidInput(f"the key runSpec.{key} is required and must be a string")
    if run_spec["interpreter"] != "python3":
        raise InvalidInput("this local platform supports only the interpreter python3")
    for key in ("inputSpec", "outputSpec"):
        check_spec(call.optional(key, []))
    instance_type(run_spec)
    check_policy(run_spec.get("executionPolicy", {}))
    check_restartable(run_spec)
    for link in links_in(run_spec.get("bundledDepends", [])):
        bundle = call.platform.store.find_object(link.id)
        call.visible_container(bundle)
        call.platform.store.content(bundle)  # raises InvalidState unless it is closed
    data_object = call.new_object("applet")
    data_object.spec = copy.deepcopy(body)
    data_object.state = "closed"
    return {"id": data_object.id}


def applet_get(call: Call) -> Answer:
    """Returns everything needed to rebuild the applet, including the code."""
    applet, container_id = call.placement()
    return describe_object(applet, container_id) | {"runSpec": full_run_spec(applet.spec)}


def applet_run(call: Call) -> Answer:
    return {"id": run(call, call.executable(call.target)).id}


# Jobs and analyses


def job_new(call: Call) -> Answer:
    return {"id": run_subjob(call).id}


def execution_describe(call: Call) -> Answer:
    return choose_fields(_describe_execution(call.execution()), call.body, on_request=())


def execution_terminate(call: Call) -> Answer:
    execution = call.execution()
    call.caller.require(CONTRIBUTE, execution.project)
    if execution.is_final:
        raise InvalidState(f"{execution.id} is in the {execution.state} state")
    if isinstance(execution, Job):
        call.platform.jobs.terminate(execution)
    else:
        execution.is_terminated = True
        for job in execution.jobs.values():
            call.platform.jobs.terminate(job)
    return {"id": execution.id}


def workflow_dry_run(call: Call) -> Answer:
    """Describes a run without starting it; outputs of earlier runs are never reused."""
    return _describe_execution(workflows.prepare_analysis(call))


# A name in braces stands for an ID of that class; `object` for any class of data object, and
# `execution` for a job or an analysis.
ROUTES: dict[str, Handler] = {
    "/system/whoami": system_whoami,
    "/system/findProjects": system_find_projects,
    "/system/findDataObjects": system_find_data_objects,
    "/system/resolveDataObjects": system_resolve_data_objects,
    "/system/describeDataObjects": system_describe_data_objects,
    "/system/findExecutions": system_find_executions,
    "/system/findApps": app_routes.system_find_apps,
    "/system/findGlobalWorkflows": system_find_global_workflows,
    "/system/generateBatchInputs": batches.system_generate_batch_inputs,
    "/{user}/describe": user_describe,
    "/{globalworkflow}/describe": globalworkflow_describe,
    "/project/new": project_new,
    "/{project}/destroy": project_destroy,
    "/{project}/archive": project_archive,
    "/{project}/unarchive": project_unarchive,
    "/{container}/describe": project_describe,
    "/{container}/listFolder": project_list_folder,
    "/{container}/newFolder": project_new_folder,
    "/{container}/removeFolder": project_remove_folder,
    "/{container}/renameFolder": project_rename_folder,
    "/{container}/move": project_move,
    "/{container}/removeObjects": project_remove_objects,
    "/{object}/describe": object_describe,
    "/{object}/getDetails": object_get_details,
    "/{object}/rename": object_rename,
    # Used by dx build --archive.
    "/{object}/setProperties": object_set_properties,
    "/file/new": file_new,
    "/{file}/upload": file_upload,
    "/{file}/close": file_close,
    "/{file}/download": file_download,
    "/applet/new": applet_new,
    "/{applet}/get": applet_get,
    "/{applet}/run": applet_run,
    "/{applet}/validateBatch": batches.executable_validate_batch,
    "/app/new": app_routes.app_new,
    "/{app}/update": app_routes.app_update,
    "/{app}/publish": app_routes.app_publish,
    "/{app}/describe": app_routes.app_describe,
    "/{app}/get": app_routes.app_get,
    "/{app}/addTags": app_routes.app_add_tags,
    "/{app}/listCategories": app_routes.app_list_categories,
    "/{app}/addCategories": app_routes.app_add_categories,
    "/{app}/removeCategories": app_routes.app_remove_categories,
    "/{app}/listAuthorizedUsers": app_routes.app_list_authorized_users,
    "/{app}/addAuthorizedUsers": app_routes.app_add_authorized_users,
    "/{app}/removeAuthorizedUsers": app_routes.app_remove_authorized_users,
    "/{app}/run": app_routes.app_run,
    "/{app}/validateBatch": batches.executable_validate_batch,
    "/workflow/new": workflows.workflow_new,
    "/{workflow}/addStage": workflows.workflow_add_stage,
    "/{workflow}/run": workflows.workflow_run,
    "/{workflow}/dryRun": workflow_dry_run,
    "/{workflow}/validateBatch": batches.executable_validate_batch,
    "/job/new": job_new,
    "/{execution}/describe": execution_describe,
    "/{execution}/terminate": execution_terminate,
}

_ID = "[0-9A-Za-z]{24}"
_TARGETS = {
    "container": f"(?:project|container)-{_ID}",
    "object": f"(?:file|applet|workflow)-{_ID}",
    "execution": f"(?:job|analysis)-{_ID}",
    # Users and apps are identified by names.
    "user": r"user-[\w.]+",
    "app": "app-.+",
    "globalworkflow": "globalworkflow-.+",
}


def _pattern(route: str) -> re.Pattern[str]:
    return re.compile(
        re.sub(r"\{(\w+)\}", lambda m: f"({_TARGETS.get(m[1], f'{m[1]}-{_ID}')})", route)
    )


_PATTERNS = [(_pattern(route), route) for route in ROUTES]


def find_route(path: str) -> tuple[str, str]:
    """Returns the route of a path, and the ID in the path (empty if there is none).

    Raises InvalidType if this platform does not have the route.
    """
    for pattern, route in _PATTERNS:
        match = pattern.fullmatch(path)
        if match:
            return route, match[1] if match.groups() else ""
    raise InvalidType(f"this local platform has no route {path}")
