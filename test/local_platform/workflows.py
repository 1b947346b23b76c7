"""Workflows: their stages, how they are edited, and the analyses that they are run as.

https://documentation.dnanexus.com/developer/api/running-analyses/workflows-and-analyses
"""

import copy
import graphlib
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from .access import CONTRIBUTE
from .analyses import Analysis
from .calls import Answer, Call
from .describe import describe_object
from .errors import InvalidInput, InvalidState, PlatformError, ResourceNotFound
from .ids import new_id
from .job import Executable, Job
from .runs import common_fields, instance_type, prepare_job
from .specs import (
    Reference,
    StageLink,
    check_spec,
    check_values,
    found_in,
    reference_of,
    replaced,
    stage_link_of,
    with_defaults,
)
from .store import DataObject, normal_folder

Stage = dict[str, Any]

_STAGE_ID = re.compile(r"([a-zA-Z_]|stage-)[0-9a-zA-Z_]*")
# What a stage is made of besides its id and its executable, and what a new one has.
_STAGE_DEFAULTS: Stage = {"name": None, "folder": None, "input": {}, "systemRequirements": {}}
_TEXTS = ("summary", "description")
# What workflow_new and workflow_update set.
_FIELDS = ("title", *_TEXTS, "outputFolder", "inputs", "outputs")


# Editing. A stage may link to one that is not there (yet); only a run needs all of them.


def workflow_new(call: Call) -> Answer:
    spec: dict[str, Any] = {key: "" if key in _TEXTS else None for key in _FIELDS}
    spec |= {"stages": [], "editVersion": 0}
    if "initializeFrom" in call.body:
        wanted = call.required("initializeFrom", dict)
        source = _source(call, wanted)
        kept = {key: source[key] for key in (*_FIELDS, "stages") if key in source}
        spec |= copy.deepcopy(kept) | {"initializedFrom": {"id": wanted["id"]}}
        call = Call(call.platform, call.caller, call.target, {"name": source["name"], **call.body})
    _set_fields(call, spec)
    stages: list[Any] = call.optional("stages", [])
    for stage in stages:
        spec["stages"].append(_new_stage(call, spec, stage))
    workflow = call.new_object("workflow")
    workflow.spec = spec
    return {"id": workflow.id, "editVersion": 0}


def workflow_add_stage(call: Call) -> Answer:
    def change(spec: dict[str, Any]) -> Answer:
        spec["stages"].append(_new_stage(call, spec, call.body))
        return {"stage": spec["stages"][-1]["id"]}

    return _edit(call, change)


def workflow_remove_stage(call: Call) -> Answer:
    def change(spec: dict[str, Any]) -> Answer:
        spec["stages"].remove(_stage(spec, call.required("stage", str)))
        return {}

    return _edit(call, change)


def workflow_move_stage(call: Call) -> Answer:
    def change(spec: dict[str, Any]) -> Answer:
        stage, index = _stage(spec, call.required("stage", str)), call.required("newIndex", int)
        if not 0 <= index < len(spec["stages"]):
            raise InvalidInput(f"there is no place {index} among the stages")
        spec["stages"].remove(stage)
        spec["stages"].insert(index, stage)
        return {}

    return _edit(call, change)


def workflow_update(call: Call) -> Answer:
    def change(spec: dict[str, Any]) -> Answer:
        _set_fields(call, spec)
        for stage_id, changes in call.mapping("stages").items():
            _update_stage(call, _stage(spec, stage_id), changes)
        return {}

    return _edit(call, change)


def workflow_update_stage_executable(call: Call) -> Answer:
    def change(spec: dict[str, Any]) -> Answer:
        stage = _stage(spec, call.required("stage", str))
        old, new = stage["executable"], call.executable(call.required("executable", str))
        if not call.optional("force", False):
            found = _incompatibilities(call.executable(old).spec, new.spec)
            if found:
                raise InvalidState(
                    f"{new.id} is not compatible with {old}", {"incompatibilities": found}
                )
        stage["executable"] = new.id
        names = {field["name"] for field in new.spec.get("inputSpec", [])}
        if "inputSpec" in new.spec:
            stage["input"] = {
                name: value for name, value in stage["input"].items() if name in names
            }
        return {}

    return _edit(call, change)


def workflow_close(call: Call) -> Answer:
    """Close it: it can then be run, but not be edited."""
    workflow, _ = call.placement(CONTRIBUTE)
    workflow.state = "closed"
    return {"id": workflow.id}


def _edit(call: Call, change: Callable[[dict[str, Any]], Answer]) -> Answer:
    """Change a workflow completely, or not at all. Raises InvalidState."""
    workflow, _ = call.placement(CONTRIBUTE)
    if workflow.state != "open":
        raise InvalidState(f"{workflow.id} is in the {workflow.state} state")
    edit_version = call.required("editVersion", int)
    spec = copy.deepcopy(workflow.spec)
    if edit_version != spec["editVersion"]:
        raise InvalidState(f"{workflow.id} has the edit version {spec['editVersion']}")
    answer = change(spec)
    spec["editVersion"] += 1
    workflow.spec = spec
    return {"id": workflow.id, "editVersion": spec["editVersion"], **answer}


def _source(call: Call, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """The workflow, or that of the analysis, to copy."""
    source_id = str(wanted.get("id"))
    if source_id in call.platform.jobs.analyses:
        call.execution(source_id)
        return call.platform.jobs.analyses[source_id].workflow
    item, container_id = Call(call.platform, call.caller, source_id, dict(wanted)).placement()
    return describe_object(item, container_id) | describe_workflow(call, item)


def _set_fields(call: Call, spec: dict[str, Any]) -> None:
    for key in _FIELDS:
        if key in call.body:
            value = call.body[key]
            kind = list if key in ("inputs", "outputs") else str
            if value is not None and not isinstance(value, kind):
                raise InvalidInput(f"the key {key} cannot be {value!r}")
            spec[key] = value
    if spec["outputFolder"] is not None:
        spec["outputFolder"] = normal_folder(spec["outputFolder"])
    check_spec(spec["inputs"] or [])
    check_spec(
        [
            {name: value for name, value in field.items() if name != "outputSource"}
            for field in spec["outputs"] or []
        ]
    )


def _new_stage(call: Call, spec: Mapping[str, Any], given: Mapping[str, Any]) -> Stage:
    stage_id = given.get("id", new_id("stage"))
    if not isinstance(stage_id, str) or not _STAGE_ID.fullmatch(stage_id):
        raise InvalidInput(f"{stage_id!r} is not a valid stage id")
    if any(stage["id"] == stage_id for stage in spec["stages"]):
        raise InvalidInput(f"the workflow has a stage {stage_id} already")
    executable = call.executable(str(given.get("executable")))
    stage = {"id": stage_id, "executable": executable.id, **copy.deepcopy(_STAGE_DEFAULTS)}
    _update_stage(call, stage, {key: given[key] for key in _STAGE_DEFAULTS if key in given})
    return stage


def _update_stage(call: Call, stage: Stage, changes: Mapping[str, Any]) -> None:
    """Set what is given; a null removes a name, a folder, or the value bound to an input."""
    unknown = set(changes) - set(_STAGE_DEFAULTS)
    if unknown:
        raise InvalidInput(f"a stage has no {sorted(unknown)}")
    for key, value in changes.items():
        optional = key in ("name", "folder") and value is None
        if not optional and not isinstance(value, str if key in ("name", "folder") else dict):
            raise InvalidInput(f"the key {key} of a stage cannot be {value!r}")
    bound = stage["input"] | changes.get("input", {})
    stage |= changes
    stage["input"] = {name: value for name, value in bound.items() if value is not None}
    instance_type(stage)
    spec = call.executable(stage["executable"]).spec
    if "inputSpec" in spec:
        check_values(
            [{**field, "optional": True} for field in spec["inputSpec"]],
            stage["input"],
            lambda value: reference_of(value) or stage_link_of(value),
        )


def _stage(spec: Mapping[str, Any], stage_id: str) -> Stage:
    stages: list[Stage] = spec["stages"]
    for stage in stages:
        if stage["id"] == stage_id:
            return stage
    raise ResourceNotFound(f"the workflow has no stage {stage_id}")


def _incompatibilities(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why an executable cannot take another one's place, with what is bound and linked to it."""
    found = []
    for spec, kind in (("inputSpec", "input"), ("outputSpec", "output")):
        classes = {field["name"]: field["class"] for field in new.get(spec, [])}
        for field in old.get(spec, []):
            if classes.get(field["name"]) != field["class"]:
                found.append(f"it has no {kind} {field['name']} of class {field['class']}")
    return found


# Descriptions


def describe_workflow(call: Call, workflow: DataObject) -> dict[str, Any]:
    """The fields of a workflow's description that other data objects do not have."""
    spec = workflow.spec
    executables = {stage["id"]: _accessible(call, stage) for stage in spec["stages"]}
    described = {key: value for key, value in spec.items() if key != "stages"}
    described["title"] = spec["title"] or next(iter(workflow.placements.values())).name
    described["stages"] = [
        {**stage, "accessible": executables[stage["id"]] is not None} for stage in spec["stages"]
    ]
    for key in ("inputSpec", "outputSpec"):
        fields = [
            {**field, "name": f"{stage['id']}.{field['name']}", **_bound(key, stage, field)}
            for stage in spec["stages"]
            for field in getattr(executables[stage["id"]], "spec", {}).get(key, [])
        ]
        # The client knows by this that a stage cannot be reached.
        described[key] = None if None in executables.values() else fields
    return described


def _bound(key: str, stage: Stage, field: Mapping[str, Any]) -> dict[str, Any]:
    """What is bound to an input of a stage is its default in the workflow, also where it is a
    link inside the workflow. (The client shows such links.)
    """
    if key == "inputSpec" and field["name"] in stage["input"]:
        return {"default": stage["input"][field["name"]]}
    return {}


def _accessible(call: Call, stage: Stage) -> Executable | None:
    try:
        return call.executable(stage["executable"])
    except PlatformError:
        return None


# Running


def workflow_run(call: Call) -> Answer:
    analysis = prepare_analysis(call)
    call.platform.jobs.analyses[analysis.id] = analysis
    for job in analysis.jobs.values():
        call.platform.jobs.create(job)
    return {"id": analysis.id, "stages": [job.id for job in analysis.jobs.values()]}


def prepare_analysis(call: Call) -> Analysis:
    """The analysis as the call asks for it, all of which is checked; nothing has begun."""
    workflow, container_id = call.placement()
    spec = workflow.spec
    described = describe_object(workflow, container_id) | describe_workflow(call, workflow)
    stages: dict[str, Stage] = {stage["id"]: stage for stage in spec["stages"]}
    if not stages:
        raise InvalidState(f"{workflow.id} has no stages")
    fields = common_fields(call)
    shared = {key: fields[key] for key in ("project", "priority")}
    folder = normal_folder(call.optional("folder", spec["outputFolder"] or "/"))
    analysis_id, given = new_id("analysis"), call.mapping("input")
    of_stages, of_workflow = _inputs_by_stage(spec, stages, given)
    folders = call.mapping("stageFolders")
    requirements = call.mapping("stageSystemRequirements")
    jobs: dict[str, Job] = {}
    for stage_id in _in_order(stages, of_stages):
        stage = stages[stage_id]
        relative = folders.get(stage_id, folders.get("*", stage["folder"])) or ""
        try:
            jobs[stage_id] = prepare_job(
                call,
                call.executable(stage["executable"]),
                _without_stage_links(of_stages[stage_id], jobs, of_workflow),
                {"systemRequirements": requirements.get(stage_id, requirements.get("*", {}))},
                call.body,
                stage,
                siblings={job.id: job for job in jobs.values()},
                **shared,
                # An absolute folder takes the place of the analysis's.
                folder=normal_folder(posixpath.join(folder, relative)),
                tags=[],
                properties={},
                details={},
                depends_on=[],
                analysis=analysis_id,
                stage=stage_id,
            )
        except InvalidInput as error:
            raise InvalidInput(f"stage {stage_id}: {error}") from error
    return Analysis(
        id=analysis_id,
        name=call.optional("name", "") or described["title"],
        workflow=described,
        folder=folder,
        user=call.caller.user,
        run_input=given,
        jobs={stage_id: jobs[stage_id] for stage_id in stages},
        outputs=_outputs(spec, jobs),
        **fields,
    )


def _inputs_by_stage(
    spec: Mapping[str, Any], stages: Mapping[str, Stage], given: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """What each stage's inputs are bound to in a run, and the input of the workflow itself.

    A workflow that declares inputs of its own takes no others.
    """
    of_stages = {stage_id: dict(stage["input"]) for stage_id, stage in stages.items()}
    if spec["inputs"] is not None:
        check_values(spec["inputs"], given)
        return of_stages, with_defaults(spec["inputs"], given)
    for key, value in given.items():
        stage_id, _, name = key.partition(".")
        if stage_id not in stages or not name:
            raise InvalidInput(f"{key!r} is not an input of a stage of the workflow")
        of_stages[stage_id][name] = value
    return of_stages, {}


def _in_order(
    stages: Mapping[str, Stage], inputs: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    """The stages, each after those that it has links to. Raises InvalidInput."""
    needs = {
        stage_id: [link.stage for link in found_in(inputs[stage_id], stage_link_of) if link.stage]
        for stage_id in stages
    }
    for stage_id, others in needs.items():
        for other in others:
            if other not in stages:
                raise InvalidInput(f"stage {stage_id} has a link to {other}, which is no stage")
    try:
        return tuple(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        raise InvalidInput(f"stages wait for each other: {', '.join(error.args[1])}") from error


def _without_stage_links(
    values: Mapping[str, Any], jobs: Mapping[str, Job], of_workflow: Mapping[str, Any]
) -> dict[str, Any]:
    """The input of a stage's job: references take the place of links to outputs, values that of
    links to inputs. A link to an input that has no value leaves its field out.
    """

    def value_of(link: StageLink) -> Any:
        if link.workflow_input:
            return of_workflow.get(link.workflow_input)
        if link.input:
            return jobs[link.stage].original_input.get(link.input)
        return _reference(jobs[link.stage], link.output).as_json()

    new = {name: replaced(value, stage_link_of, value_of) for name, value in values.items()}
    return {
        name: value
        for name, value in new.items()
        if value is not None or stage_link_of(values[name]) is None
    }


def _reference(job: Job, output: str) -> Reference:
    fields = job.executable.spec.get("outputSpec")
    if fields is not None and output not in {field["name"] for field in fields}:
        raise InvalidInput(f"stage {job.stage} has no output {output}")
    return Reference(job.id, output)


def _outputs(spec: Mapping[str, Any], jobs: Mapping[str, Job]) -> dict[str, Reference]:
    """The outputs that the workflow declares, or else all of its stages'."""
    if spec["outputs"] is None:
        return {
            f"{stage_id}.{field['name']}": Reference(job.id, field["name"])
            for stage_id, job in jobs.items()
            for field in job.executable.spec.get("outputSpec", [])
        }
    outputs = {}
    for field in spec["outputs"]:
        link = stage_link_of(field.get("outputSource"))
        if link is None or link.stage not in jobs or not link.output:
            raise InvalidInput(f"the output {field['name']} has no source among the stages")
        outputs[field["name"]] = _reference(jobs[link.stage], link.output)
    return outputs
