"""Descriptions of projects and data objects, and selection of their fields."""

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import ResourceNotFound
from .store import UPLOAD_PARAMETERS, Container, DataObject, Store

REGION = "aws:us-east-1"

# Fields that a description contains only on request.
ON_REQUEST = {"properties", "details", "parts"}


def choose_fields(
    described: Mapping[str, Any], body: Mapping[str, Any], on_request: Iterable[str] = ON_REQUEST
) -> dict[str, Any]:
    """Returns the fields that a describe call requests.

    `fields` replaces the default fields unless `defaultFields` is set too. A top-level flag such
    as `properties: true` adds its field to the default fields.
    """
    on_request = set(on_request)
    default = {name for name in described if name not in on_request}
    if "fields" in body:
        wanted = {name for name, value in body["fields"].items() if value}
        if body.get("defaultFields"):
            unwanted = {name for name, value in body["fields"].items() if not value}
            wanted |= default - unwanted
    else:
        wanted = default | {name for name in on_request if body.get(name)}
    return {name: value for name, value in described.items() if name in wanted | {"id"}}


def describe_result(item: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the `describe` key of a search result if the search requests it."""
    options = body.get("describe")
    if not options:
        return {}
    options = options if isinstance(options, dict) else {}
    if options.get("io") is False:
        item = {key: value for key, value in item.items() if key not in _IO_FIELDS}
    return {"describe": choose_fields(item, options)}


_IO_FIELDS = {"input", "originalInput", "runInput", "output"}


def public_run_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the run specification of an applet or app, without the code."""
    return {key: value for key, value in spec["runSpec"].items() if key != "code"}


def full_run_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the run specification with everything needed to rebuild the executable."""
    run_spec = spec["runSpec"]
    return {
        **run_spec,
        "bundledDependsByRegion": {REGION: run_spec.get("bundledDepends", [])},
        "systemRequirementsByRegion": {REGION: run_spec.get("systemRequirements", {})},
    }


def describe_container(store: Store, container: Container, user: str) -> dict[str, Any]:
    objects = list(store.in_container(container.id))
    return {
        "id": container.id,
        "class": container.id.partition("-")[0],
        "name": container.name,
        "billTo": user,
        "createdBy": {"user": user},
        "created": container.created,
        "modified": container.created,
        "level": "ADMINISTER",
        "permissions": {user: "ADMINISTER"},
        "region": REGION,
        "protected": False,
        "restricted": False,
        "containsPHI": False,
        "dataUsage": sum(item.size or 0 for item in objects) / 1e9,
        "tags": container.tags,
        "properties": container.properties,
        "folders": sorted(container.folders),
        "fileUploadParameters": UPLOAD_PARAMETERS,
    }


def describe_object(data_object: DataObject, container_id: str) -> dict[str, Any]:
    """Returns all fields of an object as it is placed in one container."""
    if container_id not in data_object.placements:
        raise ResourceNotFound(f'"{data_object.id}" is not in "{container_id}"')
    placement = data_object.placements[container_id]
    described: dict[str, Any] = {
        "id": data_object.id,
        "project": container_id,
        "class": data_object.class_,
        "sponsored": False,
        "name": placement.name,
        "types": data_object.types,
        "state": data_object.state,
        "hidden": data_object.hidden,
        "links": [],
        "folder": placement.folder,
        "tags": placement.tags,
        "created": data_object.created,
        "modified": max(data_object.created, placement.modified),
        "createdBy": data_object.created_by,
        "properties": placement.properties,
        "details": data_object.details,
    }
    if data_object.class_ == "file":
        described["media"] = data_object.media
        described["archivalState"] = placement.archival_state
        described["parts"] = {
            str(index): {
                "size": part.size,
                "md5": part.md5,
                "state": "complete" if part.received else "pending",
            }
            for index, part in sorted(data_object.parts.items())
        }
        if data_object.size is not None:
            described["size"] = data_object.size
    if data_object.class_ == "applet":
        spec = data_object.spec
        described["runSpec"] = public_run_spec(spec)
        for key in ("title", "summary", "description", "developerNotes", "dxapi", "access"):
            described[key] = spec.get(key, {} if key == "access" else "")
        for key in ("inputSpec", "outputSpec"):
            if key in spec:
                described[key] = spec[key]
    return described
