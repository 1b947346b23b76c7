"""Creates jobs and analyses from requests."""

import re
from collections.abc import Mapping
from typing import Any

from .access import CONTRIBUTE, VIEW
from .calls import Call
from .errors import InvalidInput, InvalidState, PermissionDenied
from .ids import class_of, new_id
from .job import DEFAULT_INSTANCE_TYPE, Executable, Job
from .jobs import EXECUTION_CLASSES
from .restarts import check_policy
from .specs import check_size, check_values, links_in, references_in, with_defaults
from .store import normal_folder

_INSTANCE_TYPE = re.compile(r"mem[1-4]_(ssd|hdd)[12](_gpu|_v[2-4])?_x[0-9]+")
_PRIORITIES = ("low", "normal", "high")


def prepare_job(
    call: Call,
    executable: Executable,
    run_input: dict[str, Any],
    *requirements: Mapping[str, Any],
    siblings: Mapping[str, Job] | None = None,
    **fields: Any,
) -> Job:
    """Checks a request for a job; returns the job, which has not started.

    Args:
        call: the request.
        executable: what to run.
        run_input: input without defaults.
        requirements: objects with systemRequirements, most specific first; those of the
            executable are used last.
        siblings: jobs by ID that will start together with this one.
        fields: further fields of the Job.
    """
    spec, function = executable.spec, fields.get("function", "main")
    original = run_input
    if function == "main":
        if "inputSpec" in spec:
            check_values(spec["inputSpec"], run_input)
        original = with_defaults(spec.get("inputSpec", []), run_input)
    check_size(original, "input")
    for reference in references_in(original):
        if reference.execution not in (siblings or {}):
            call.execution(reference.execution)
    policy = call.mapping("executionPolicy")
    check_policy(policy)
    return Job(
        **{
            "id": new_id("job"),
            "name": spec.get("title") or spec["name"],
            "executable": executable,
            "function": function,
            "user": call.caller.user,
            "original_input": original,
            "run_input": run_input,
            "input": original,
            "sources": {
                link.id: _source(call, link.id, link.project) for link in links_in(original)
            },
            "instance_type": instance_type(*requirements, spec["runSpec"], function=function),
            "requirements": [source.get("systemRequirements", {}) for source in requirements],
            "timeout_policy": {
                **spec["runSpec"].get("timeoutPolicy", {}),
                **call.mapping("timeoutPolicyByExecutable").get(executable.id, {}),
            },
            "execution_policy": policy or spec["runSpec"].get("executionPolicy", {}),
            **fields,
        }
    )


def common_fields(call: Call) -> dict[str, Any]:
    """Returns the fields of a request that jobs and analyses have in common."""
    call.optional("detach", False)  # accepted, but has no effect on runs of a user
    priority = call.optional("priority", "normal")
    if priority not in _PRIORITIES:
        raise InvalidInput(f"priority must be one of {', '.join(_PRIORITIES)}")
    return {
        "project": call.container(CONTRIBUTE, call.required("project", str)).id,
        "priority": priority,
        "tags": call.strings("tags"),
        "properties": call.properties(),
        "details": call.body.get("details", {}),
    }


def run(call: Call, executable: Executable) -> Job:
    """Starts a job of an applet or app."""
    depends_on = call.strings("dependsOn")
    for name in depends_on:
        if class_of(name) in EXECUTION_CLASSES:
            call.execution(name)
        else:
            call.visible_container(call.platform.store.find_object(name))
    fields = {
        **common_fields(call),
        "folder": normal_folder(call.optional("folder", "/")),
        "depends_on": depends_on,
    }
    if call.optional("name", ""):
        fields["name"] = call.body["name"]
    job = prepare_job(call, executable, call.mapping("input"), call.body, **fields)
    call.platform.jobs.create(job)
    return job


def run_subjob(call: Call) -> Job:
    """Starts a subjob of the calling job, which runs an entry point of the same executable."""
    parent = call.caller.job
    if parent is None:
        raise PermissionDenied("only a job can have subjobs")
    depends_on = call.strings("dependsOn")
    for name in depends_on:
        call.execution(name)
    function = call.required("function", str)
    job = prepare_job(
        call,
        parent.executable,
        call.mapping("input"),
        call.body,
        *({"systemRequirements": source} for source in parent.requirements),
        function=function,
        name=call.optional("name", "") or f"{parent.name}:{function}",
        parent=parent,
        parent_try=parent.try_number,
        project=parent.project,
        folder=parent.folder,
        depends_on=depends_on,
        priority=parent.priority,
        tags=call.strings("tags"),
        properties=call.properties(),
        details=call.body.get("details", {}),
        timeout_policy=parent.timeout_policy,
        execution_policy=parent.execution_policy,
    )
    call.platform.jobs.create(job)
    return job


def _source(call: Call, object_id: str, project: str | None) -> str:
    """Returns the container from which a job takes an input object."""
    item = call.platform.store.find_object(object_id)
    if project is None:
        project = call.visible_container(item)
    else:
        call.platform.store.object_in(object_id, project)
        call.caller.require(VIEW, project)
    # The platform rejects the run (eastgenomics/eggd_dias_batch); its error type is unknown.
    if item.placements[project].archival_state != "live":
        raise InvalidState(f"{object_id} is archived and cannot be the input of a job")
    return project


def instance_type(*sources: Mapping[str, Any], function: str = "main") -> str:
    """Returns the first instance type in these sources, or the default."""
    for source in sources:
        requirements = source.get("systemRequirements", {})
        entry = requirements.get(function, requirements.get("*", {}))
        if "instanceType" in entry:
            instance_type = str(entry["instanceType"])
            if not _INSTANCE_TYPE.fullmatch(instance_type):
                raise InvalidInput(f"the instance type {instance_type} is not supported")
            return instance_type
    return DEFAULT_INSTANCE_TYPE
