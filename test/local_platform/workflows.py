"""Workflows: their stages, and the analyses that they are run as.

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
# What a stage is made of besides its id and its executable, and what a new one has.
_STAGE_DEFAULTS: Stage = {"name": None, "folder": None, "input": {}, "systemRequirements": {}}
_TEXTS = ("summary", "description")
# What workflow_new sets.
_FIELDS = ("title", *_TEXTS, "outputFolder")


# A stage may link to one that is not there (yet); only a run needs all of them.


def workflow_new(call: Call) -> Answer:
    spec: dict[str, Any] = {key: "" if key in _TEXTS else None for key in _FIELDS}
    # It is not locked: those of its stages are its inputs and outputs.
    spec |= {"inputs": None, "outputs": None, "stages": [], "editVersion": 0}
    for key in ("initializeFrom", "inputs", "outputs"):
        if call.body.get(key) is not None:
            raise InvalidInput(f"this local platform has no workflows with {key}")
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


def _new_stage(call: Call, spec: Mapping[str, Any], given: Mapping[str, Any]) -> Stage:
    stage_id = given.get("id", new_id("stage"))
    if not isinstance(stage_id, str) or not _STAGE_ID.fullmatch(stage_id):
        raise InvalidInput(f"{stage_id!r} is not a valid stage id")
    if any(stage["id"] == stage_id for stage in spec["stages"]):
        raise InvalidInput(f"the workflow has a stage {stage_id} already")
    executable = call.executable(str(given.get("executable")))
    stage = {"id": stage_id, "executable": executable.id, **copy.deepcopy(_STAGE_DEFAULTS)}
    for key in _STAGE_DEFAULTS:
        value = given.get(key)
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
    of_stages = _inputs_by_stage(stages, given)
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
                _without_stage_links(of_stages[stage_id], jobs),
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
        outputs=_outputs(jobs),
        **fields,
    )


def _inputs_by_stage(
    stages: Mapping[str, Stage], given: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """What each stage's inputs are bound to in a run."""
    of_stages = {stage_id: dict(stage["input"]) for stage_id, stage in stages.items()}
    for key, value in given.items():
        stage_id, _, name = key.partition(".")
        if stage_id not in stages or not name:
            raise InvalidInput(f"{key!r} is not an input of a stage of the workflow")
        of_stages[stage_id][name] = value
    return of_stages


def _in_order(
    stages: Mapping[str, Stage], inputs: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    """The stages, each after those that it has links to. Raises InvalidInput."""
    needs = {
        stage_id: [link.stage for link in found_in(inputs[stage_id], stage_link_of)]
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


def _without_stage_links(values: Mapping[str, Any], jobs: Mapping[str, Job]) -> dict[str, Any]:
    """The input of a stage's job: references take the place of links to outputs, values that of
    links to inputs. A link to an input that has no value leaves its field out.
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
    """The outputs of all stages."""
    return {
        f"{stage_id}.{field['name']}": Reference(job.id, field["name"])
        for stage_id, job in jobs.items()
        for field in job.executable.spec.get("outputSpec", [])
    }
