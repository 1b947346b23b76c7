"""Checks inputs and outputs against the specification of an executable. No I/O.

https://documentation.dnanexus.com/developer/api/running-analyses/io-and-run-specifications
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import InvalidInput
from .ids import class_of

DATA_OBJECT_CLASSES = ("file", "record", "applet", "workflow")
SCALAR_CLASSES = ("int", "float", "boolean", "string")
FIELD_CLASSES = (
    *DATA_OBJECT_CLASSES,
    *SCALAR_CLASSES,
    *(f"array:{name}" for name in DATA_OBJECT_CLASSES + SCALAR_CLASSES),
    "hash",
)
FIELD_KEYS = {
    *("name", "class", "optional", "default", "choices", "suggestions", "patterns", "type"),
    *("group", "label", "help"),
}
# The platform limits the JSON size of inputs and outputs, but the limit is not documented. The
# compiler of DNAnexus writes anything longer to a file (dnanexus/dxCompiler, ExpertOptions.md).
MAX_CHARACTERS = 100_000
_FIELD_NAME = re.compile(r"[a-zA-Z_][0-9a-zA-Z_]*")
T = TypeVar("T")


@dataclass(frozen=True)
class Link:
    """A DNAnexus link: an object and, optionally, its project."""

    id: str
    project: str | None = None


def link_of(value: object) -> Link | None:
    """Parses a DNAnexus link; returns None if the value is not one."""
    if not isinstance(value, dict) or set(value) != {"$dnanexus_link"}:
        return None
    target = value["$dnanexus_link"]
    if isinstance(target, str):
        return Link(target)
    if isinstance(target, dict) and isinstance(target.get("id"), str):
        return Link(target["id"], target.get("project"))
    return None


@dataclass(frozen=True)
class Reference:
    """A job-based object reference: to an output field of a job or analysis."""

    execution: str
    field: str
    index: int | None = None

    def value_in(self, output: Mapping[str, Any]) -> Any:
        """Returns the value in an output. Raises InvalidInput if the output does not have it."""
        value = output.get(self.field)
        if self.index is None and value is not None:
            return value
        if self.index is not None and isinstance(value, list) and self.index < len(value):
            return value[self.index]
        name = self.field if self.index is None else f"{self.field}.{self.index}"
        raise InvalidInput(f"the output of {self.execution} has no {name}")

    def as_json(self) -> dict[str, Any]:
        target: dict[str, Any] = {class_of(self.execution) or "": self.execution}
        target["field"] = self.field
        return {"$dnanexus_link": target | ({} if self.index is None else {"index": self.index})}


def reference_of(value: object) -> Reference | None:
    """Parses a job-based object reference; returns None if the value is not one."""
    if not isinstance(value, dict) or set(value) != {"$dnanexus_link"}:
        return None
    match value["$dnanexus_link"]:
        case {"job": str(name), "field": str(field), **rest}:
            pass
        case {"analysis": str(name), "field": str(field), **rest}:
            pass
        case _:
            return None
    index = rest.pop("index", None)
    if rest or not (index is None or (type(index) is int and index >= 0)):
        return None
    return Reference(name, field, index)


@dataclass(frozen=True)
class StageLink:
    """A link inside a workflow, to an output or an input of a stage; the other one is empty."""

    stage: str
    output: str = ""
    input: str = ""


def stage_link_of(value: object) -> StageLink | None:
    """Parses a link inside a workflow; returns None if the value is not one."""
    if not isinstance(value, dict) or set(value) != {"$dnanexus_link"}:
        return None
    match value["$dnanexus_link"]:
        case {"stage": str(stage), "outputField": str(field), **rest} if not rest:
            return StageLink(stage, output=field)
        case {"stage": str(stage), "inputField": str(field), **rest} if not rest:
            return StageLink(stage, input=field)
    return None


def links_in(value: object) -> Iterator[Link]:
    """Yields all links in a value, at any depth."""
    return found_in(value, link_of)


def references_in(value: object) -> Iterator[Reference]:
    """Yields all references in a value, at any depth."""
    return found_in(value, reference_of)


def found_in(value: object, parse: Callable[[object], T | None]) -> Iterator[T]:
    """Yields all links that `parse` recognizes in a value, at any depth."""
    item = parse(value)
    if item is not None:
        yield item
    elif isinstance(value, dict):
        for part in value.values():
            yield from found_in(part, parse)
    elif isinstance(value, list):
        for part in value:
            yield from found_in(part, parse)


def replaced(value: Any, parse: Callable[[object], T | None], value_of: Callable[[T], Any]) -> Any:
    """Replaces each link that `parse` recognizes by `value_of(link)`.

    Like the platform, flattens an array that replaces an element of an array.
    """
    item = parse(value)
    if item is not None:
        return value_of(item)
    if isinstance(value, dict):
        return {key: replaced(part, parse, value_of) for key, part in value.items()}
    if isinstance(value, list):
        parts: list[Any] = []
        for part in value:
            new = replaced(part, parse, value_of)
            if parse(part) is not None and isinstance(new, list):
                parts += new
            else:
                parts.append(new)
        return parts
    return value


def check_spec(fields: Sequence[Mapping[str, Any]]) -> None:
    """Checks an inputSpec or outputSpec.

    Raises InvalidInput: invalid or repeated name, unknown class, unknown key, or a default that is
    not of the field's class.
    """
    seen = set()
    for field in fields:
        if not isinstance(field, dict):
            raise InvalidInput(f"spec: {field!r} is not a field")
        name = field.get("name")
        if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
            raise InvalidInput(f"spec: {name!r} is not a valid field name")
        if name in seen:
            raise InvalidInput(f"spec: field {name} is declared twice")
        seen.add(name)
        if field.get("class") not in FIELD_CLASSES:
            raise InvalidInput(f"spec: field {name} has the unknown class {field.get('class')!r}")
        unknown = set(field) - FIELD_KEYS
        if unknown:
            raise InvalidInput(f"spec: field {name} has unknown keys {sorted(unknown)}")
        if "default" in field:
            _check_value(field, field["default"], lambda value: None)


def with_defaults(fields: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an input with the defaults of the fields that it does not set."""
    defaults = {field["name"]: field["default"] for field in fields if "default" in field}
    return {**defaults, **values}


def check_size(values: Mapping[str, Any], kind: str) -> None:
    """Raises InvalidInput if an input or output is too long as JSON."""
    characters = len(json.dumps(values))
    if characters > MAX_CHARACTERS:
        raise InvalidInput(
            f"the {kind} is {characters:,} characters of JSON, more than {MAX_CHARACTERS:,}"
        )


Pending = Callable[[object], object | None]


def check_values(
    fields: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    pending: Pending = reference_of,
) -> None:
    """Checks an input or output against its specification.

    Values that `pending` recognizes are references to future values, and are not checked. Raises
    InvalidInput: a required field is missing, a field is not declared, a value is not of its
    field's class or not among its choices.
    """
    by_name = {field["name"]: field for field in fields}
    for name in values:
        if name not in by_name:
            raise InvalidInput(f"i/o value for fieldname {name!r} is not in the specification")
    for name, field in by_name.items():
        if name in values:
            _check_value(field, values[name], pending)
        elif not field.get("optional") and "default" not in field:
            raise InvalidInput(f"i/o value for fieldname {name!r} is required but was not given")


def _check_value(field: Mapping[str, Any], value: object, pending: Pending) -> None:
    class_: str = field["class"]
    if pending(value) is not None:
        return
    if class_.startswith("array:"):
        if not isinstance(value, list):
            raise InvalidInput(f"i/o value for {field['name']} is not an array")
        items, item_class = value, class_.removeprefix("array:")
    else:
        items, item_class = [value], class_
    for item in items:
        if pending(item) is not None:
            continue
        if item_class in DATA_OBJECT_CLASSES:
            link = link_of(item)
            if link is None:
                raise InvalidInput(
                    f"i/o value {field['name']} needs to be given using DNAnexus links"
                )
            if class_of(link.id) != item_class:
                raise InvalidInput(
                    f"i/o value for {field['name']} links to {link.id}, not to a {item_class}"
                )
        elif not _is_scalar(item_class, item):
            raise InvalidInput(f"i/o value for {field['name']} is not of class {class_}: {item!r}")
        if "choices" in field and item not in field["choices"]:
            raise InvalidInput(f"i/o value for {field['name']} is not among its choices: {item!r}")


def _is_scalar(class_: str, value: object) -> bool:
    # In Python, a bool is also an int, but a number field does not accept it.
    if class_ == "boolean" or isinstance(value, bool):
        return class_ == "boolean" and isinstance(value, bool)
    if class_ == "int":
        return isinstance(value, int)
    if class_ == "float":
        return isinstance(value, (int, float))
    if class_ == "string":
        return isinstance(value, str)
    return isinstance(value, dict)
