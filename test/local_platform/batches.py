"""Batches: runs of one executable on sets of files that are grouped by name.

https://documentation.dnanexus.com/user/running-apps-and-workflows/running-batch-jobs
"""

import re
from collections import defaultdict
from typing import Any

from .calls import Answer, Call
from .describe import describe_object
from .errors import InvalidInput
from .specs import check_values, links_in
from .workflows import describe_workflow


def system_generate_batch_inputs(call: Call) -> Answer:
    """Groups the files of a folder by the first group of each input's pattern.

    A pattern can match anywhere in a name: `(.*).bam` also finds x.bam.bai. A row without exactly
    one file for each input has an `error`.
    """
    store = call.platform.store
    container = call.container(container_id=call.required("project", str))
    folder = store.existing_folder(container, call.optional("folder", "/"))
    patterns = {name: _pattern(name, text) for name, text in call.required("inputs", dict).items()}
    rows: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(dict)
    for item in store.in_container(container.id):
        placement = item.placements[container.id]
        if item.class_ != "file" or item.hidden or placement.folder != folder:
            continue
        for name, pattern in patterns.items():
            match = pattern.search(placement.name)
            if match:
                files = rows[match[1]].setdefault(name, {})
                files.setdefault(placement.name, []).append(item.id)
    return {"batchInputs": [_row(row, rows[row], set(patterns)) for row in sorted(rows)]}


def _pattern(name: str, text: Any) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except (TypeError, re.error) as error:
        raise InvalidInput(f"the pattern of {name} cannot be {text!r}") from error
    if pattern.groups == 0:
        raise InvalidInput(f"the pattern of {name} has no group")
    return pattern


def _row(row: str, found: dict[str, dict[str, list[str]]], wanted: set[str]) -> Answer:
    inputs = {
        name: {"name": next(iter(files)), "ids": [id_ for ids in files.values() for id_ in ids]}
        for name, files in found.items()
    }
    answer: Answer = {"batchPattern": row, "inputs": inputs}
    if set(inputs) != wanted or any(len(files["ids"]) != 1 for files in inputs.values()):
        answer["error"] = {"type": "InvalidInput", "message": "not one file for each input"}
    return answer


def executable_validate_batch(call: Call) -> Answer:
    """Returns the input of each run of a batch. Raises InvalidInput if one is invalid."""
    columns, common = call.mapping("batchInput"), call.mapping("commonInput")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise InvalidInput("the columns of the batch are not equally long")
    rows = [
        {**common, **{name: column[index] for name, column in columns.items()}}
        for index in range(lengths.pop())
    ]
    fields = _input_fields(call)
    for row in rows:
        check_values(fields, row)
    for link in links_in([rows, call.optional("files", [])]):
        if link.project is None:
            call.visible_container(call.platform.store.find_object(link.id))
        else:
            call.container(container_id=link.project)
            call.platform.store.object_in(link.id, link.project)
    return {"expandedBatch": rows}


def _input_fields(call: Call) -> list[dict[str, Any]]:
    if not call.target.startswith("workflow-"):
        spec = call.executable(call.target).spec
        if "inputSpec" not in spec:
            raise InvalidInput(f"{call.target} has no input specification")
        return list(spec["inputSpec"])
    workflow, container_id = call.placement()
    described = describe_object(workflow, container_id) | describe_workflow(call, workflow)
    return list(described["inputs"] or described["inputSpec"])
