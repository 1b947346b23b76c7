"""Workflows: their stages, descriptions and runs.

https://documentation.dnanexus.com/developer/api/running-analyses/workflows-and-analyses
"""

import copy
import graphlib
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from .access import CONTRIBUTE
from .analyses import Analysis
from .calls import Answer, Call
from .describe import describe_object
from .errors import InvalidInput, InvalidState, PlatformError
from .ids import new_id
from .job import Executable, Job
from .runs import common_fields, instance_type, prepare_job
from .specs import (
    Reference,
    StageLink,
    check_values,
    found_in,
    reference_of,
    replaced,
    stage_link_of,
)
from .store import DataObject, normal_folder

Stage = dict[str, Any]

_STAGE_ID = re.compile(r"([a-zA-Z_]|stage-)[0-9a-zA-Z_]*")
# Fields of a stage besides its ID and executable, with their defaults.
_STAGE_DEFAULTS: Stage = {"name": None, "folder": None, "input": {}, "systemRequirements": {}}
_TEXT_FIELDS = ("summary", "description")
# Fields of a workflow that workflow_new sets.
_FIELDS = ("title", *_TEXT_FIELDS, "outputFolder")


# A stage may link to a stage that does not exist yet; only a run requires all of them.


def workflow_new(call: Call) -> Answer:
    spec: dict[str, Any] = {key: "" if key in _TEXT_FIELDS else None for key in _FIELDS}
    # The workflow is not locked: its inputs and outputs are those of its stages.
    spec |= {"inputs": None, "outputs": None, "stages": [], "editVersion": 0}
    for key in ("initializeFrom", "inputs", "outputs"):
        if call.body.get(key) is not None:
            raise InvalidInput(f"this local platform does not support workflows with {key}")
    _set_fields(call, spec)
    stages: list[Any] = call.optional("stages", [])
    for stage in stages:
        spec["stages"].append(_new_stage(call, spec, stage))
    workflow = call.new_object("workflow")
    workflow.spec = spec
    return {"id": workflow.id, "editVersion": 0}


def workflow_add_stage(call: Call) -> Answer:
    workflow, _ = call.placement(CONTRIBUTE)
    edit_version = call.required("editVersion", int)
    if edit_version != workflow.spec["editVersion"]:
        raise InvalidState(f"{workflow.id} has the edit version {workflow.spec['editVersion']}")
    stage = _new_stage(call, workflow.spec, call.body)
    workflow.spec["stages"].append(stage)
    workflow.spec["editVersion"] += 1
    return {"id": workflow.id, "editVersion": edit_version + 1, "stage": stage["id"]}


def _set_fields(call: Call, spec: dict[str, Any]) -> None:
    for key in _FIELDS:
        if key in call.body:
            value = call.body[key]
            if value is not None and not isinstance(value, str):
                raise InvalidInput(f"the key {key} cannot be {value!r}")
            spec[key] = value
    if spec["outputFolder"] is not None:
        spec["outputFolder"] = normal_folder(spec["outputFolder"])


def _new_stage(call: Call, spec: Mapping[str, Any], request: Mapping[str, Any]) -> Stage:
    stage_id = request.get("id", new_id("stage"))
    if not isinstance(stage_id, str) or not _STAGE_ID.fullmatch(stage_id):
        raise InvalidInput(f"{stage_id!r} is not a valid stage id")
    if any(stage["id"] == stage_id for stage in spec["stages"]):
        raise InvalidInput(f"the workflow already has a stage {stage_id}")
    executable = call.executable(str(request.get("executable")))
    stage = {"id": stage_id, "executable": executable.id, **copy.deepcopy(_STAGE_DEFAULTS)}
    for key in _STAGE_DEFAULTS:
        value = request.get(key)
        if value is not None and not isinstance(value, str if key in ("name", "folder") else dict):
            raise InvalidInput(f"the key {key} of a stage cannot be {value!r}")
        if value is not None:
            stage[key] = value
    instance_type(stage)
    if "inputSpec" in executable.spec:
        check_values(
            [{**field, "optional": True} for field in executable.spec["inputSpec"]],
            stage["input"],
            lambda value: reference_of(value) or stage_link_of(value),
        )
    return stage


# Descriptions


def describe_workflow(call: Call, workflow: DataObject) -> dict[str, Any]:
    """Returns the fields of a workflow that other data objects do not have."""
    spec = workflow.spec
    executables = {stage["id"]: _accessible(call, stage) for stage in spec["stages"]}
    described = {key: value for key, value in spec.items() if key != "stages"}
    described["title"] = spec["title"] or next(iter(workflow.placements.values())).name
    described["stages"] = [
        {**stage, "accessible": executables[stage["id"]] is not None} for stage in spec["stages"]
    ]
    for key in ("inputSpec", "outputSpec"):
        fields = [
            {**field, "name": f"{stage['id']}.{field['name']}", **_default(key, stage, field)}
            for stage in spec["stages"]
            for field in getattr(executables[stage["id"]], "spec", {}).get(key, [])
        ]
        # None tells the client that a stage is not accessible.
        described[key] = None if None in executables.values() else fields
    return described


def _default(key: str, stage: Stage, field: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the value of a stage's input as the default of the workflow's input.

    This can be a link inside the workflow, which the client shows.
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
    """Checks a request for an analysis; returns the analysis, whose jobs have not started."""
    workflow, container_id = call.placement()
    spec = workflow.spec
    described = describe_object(workflow, container_id) | describe_workflow(call, workflow)
    stages: dict[str, Stage] = {stage["id"]: stage for stage in spec["stages"]}
    if not stages:
        raise InvalidState(f"{workflow.id} has no stages")
    fields = common_fields(call)
    shared = {key: fields[key] for key in ("project", "priority")}
    folder = normal_folder(call.optional("folder", spec["outputFolder"] or "/"))
    analysis_id, run_input = new_id("analysis"), call.mapping("input")
    inputs = _inputs_by_stage(stages, run_input)
    folders = call.mapping("stageFolders")
    requirements = call.mapping("stageSystemRequirements")
    jobs: dict[str, Job] = {}
    for stage_id in _in_order(stages, inputs):
        stage = stages[stage_id]
        relative = folders.get(stage_id, folders.get("*", stage["folder"])) or ""
        try:
            jobs[stage_id] = prepare_job(
                call,
                call.executable(stage["executable"]),
                _resolve_stage_links(inputs[stage_id], jobs),
                {"systemRequirements": requirements.get(stage_id, requirements.get("*", {}))},
                call.body,
                stage,
                siblings={job.id: job for job in jobs.values()},
                **shared,
                # An absolute folder replaces the folder of the analysis.
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
        run_input=run_input,
        jobs={stage_id: jobs[stage_id] for stage_id in stages},
        outputs=_outputs(jobs),
        **fields,
    )


def _inputs_by_stage(
    stages: Mapping[str, Stage], run_input: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Returns the input of each stage: its values in the workflow, overridden by `run_input`."""
    inputs = {stage_id: dict(stage["input"]) for stage_id, stage in stages.items()}
    for key, value in run_input.items():
        stage_id, _, name = key.partition(".")
        if stage_id not in stages or not name:
            raise InvalidInput(f"{key!r} is not an input of a stage of the workflow")
        inputs[stage_id][name] = value
    return inputs


def _in_order(
    stages: Mapping[str, Stage], inputs: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    """Returns the stages in order: each after those to which it links. Raises InvalidInput."""
    dependencies = {
        stage_id: [link.stage for link in found_in(inputs[stage_id], stage_link_of)]
        for stage_id in stages
    }
    for stage_id, targets in dependencies.items():
        for target in targets:
            if target not in stages:
                raise InvalidInput(f"stage {stage_id} has a link to {target}, which is not a stage")
    try:
        return tuple(graphlib.TopologicalSorter(dependencies).static_order())
    except graphlib.CycleError as error:
        raise InvalidInput(f"stages wait for each other: {', '.join(error.args[1])}") from error


def _resolve_stage_links(values: Mapping[str, Any], jobs: Mapping[str, Job]) -> dict[str, Any]:
    """Replaces links to outputs by references, and links to inputs by their values.

    A field that is a link to an input without a value is omitted.
    """

    def value_of(link: StageLink) -> Any:
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


def _outputs(jobs: Mapping[str, Job]) -> dict[str, Reference]:
    """Returns the outputs of all stages."""
    return {
        f"{stage_id}.{field['name']}": Reference(job.id, field["name"])
        for stage_id, job in jobs.items()
        for field in job.executable.spec.get("outputSpec", [])
    }
