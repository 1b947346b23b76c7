"""Inputs and outputs held against the specification of an executable. No I/O.

https://documentation.dnanexus.com/developer/api/running-analyses/io-and-run-specifications
"""

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
_FIELD_NAME = re.compile(r"[a-zA-Z_][0-9a-zA-Z_]*")
T = TypeVar("T")


@dataclass(frozen=True)
class Link:
    """A DNAnexus link: an object, and the project in which it is meant to be found."""

    id: str
    project: str | None = None


def link_of(value: object) -> Link | None:
    """The link that a value is, or None where it is something else."""
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
    """A job-based object reference: what will be in a field of a job's output."""

    job: str
    field: str
    index: int | None = None

    def value_in(self, output: Mapping[str, Any]) -> Any:
        """What it stands for. Raises InvalidInput where the output has no such value."""
        value = output.get(self.field)
        if self.index is None and value is not None:
            return value
        if self.index is not None and isinstance(value, list) and self.index < len(value):
            return value[self.index]
        place = self.field if self.index is None else f"{self.field}.{self.index}"
        raise InvalidInput(f"the output of {self.job} has no {place}")


def reference_of(value: object) -> Reference | None:
    """The reference that a value is, or None where it is something else."""
    if not isinstance(value, dict) or set(value) != {"$dnanexus_link"}:
        return None
    match value["$dnanexus_link"]:
        case {"job": str(job), "field": str(field), **rest} if not rest:
            return Reference(job, field)
        case {"job": str(job), "field": str(field), "index": int(index), **rest} if not rest:
            return Reference(job, field, index) if index >= 0 else None
    return None


def links_in(value: object) -> Iterator[Link]:
    """Every link in a value, however deep."""
    return _found(link_of, value)


def references_in(value: object) -> Iterator[Reference]:
    """Every reference in a value, however deep."""
    return _found(reference_of, value)


def _found(kind: Callable[[object], T | None], value: object) -> Iterator[T]:
    item = kind(value)
    if item is not None:
        yield item
    elif isinstance(value, dict):
        for part in value.values():
            yield from _found(kind, part)
    elif isinstance(value, list):
        for part in value:
            yield from _found(kind, part)


def resolved(value: Any, value_of: Callable[[Reference], Any]) -> Any:
    """A value with what each reference in it stands for in the reference's place.

    An array that stands in an array becomes part of it, as the platform flattens them.
    """
    reference = reference_of(value)
    if reference is not None:
        return value_of(reference)
    if isinstance(value, dict):
        return {key: resolved(part, value_of) for key, part in value.items()}
    if isinstance(value, list):
        parts: list[Any] = []
        for part in value:
            new = resolved(part, value_of)
            if reference_of(part) is not None and isinstance(new, list):
                parts += new
            else:
                parts.append(new)
        return parts
    return value


def check_spec(fields: Sequence[Mapping[str, Any]]) -> None:
    """Refuse an inputSpec or outputSpec that the platform would not take.

    Raises InvalidInput: bad or repeated name, unknown class, unknown key, or a default that is
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
            _check_value(field, field["default"])


def with_defaults(fields: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """The input that a job runs with: what was given, and the defaults of what was not."""
    defaults = {field["name"]: field["default"] for field in fields if "default" in field}
    return {**defaults, **given}


def check_values(fields: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> None:
    """Hold an input or output against its specification.

    What a reference stands for is seen only when it is resolved; it may be anything until then.
    Raises InvalidInput: a required field is missing, a field is not declared, a value is not of
    its field's class or not among its choices.
    """
    by_name = {field["name"]: field for field in fields}
    for name in values:
        if name not in by_name:
            raise InvalidInput(f"i/o value for fieldname {name!r} is not in the specification")
    for name, field in by_name.items():
        if name in values:
            _check_value(field, values[name])
        elif not field.get("optional") and "default" not in field:
            raise InvalidInput(f"i/o value for fieldname {name!r} is required but was not given")


def _check_value(field: Mapping[str, Any], value: object) -> None:
    class_: str = field["class"]
    if reference_of(value) is not None:
        return
    if class_.startswith("array:"):
        if not isinstance(value, list):
            raise InvalidInput(f"i/o value for {field['name']} is not an array")
        items, item_class = value, class_.removeprefix("array:")
    else:
        items, item_class = [value], class_
    for item in items:
        if reference_of(item) is not None:
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
    # A JSON true is a Python int too, and no number field takes it.
    if class_ == "boolean" or isinstance(value, bool):
        return class_ == "boolean" and isinstance(value, bool)
    if class_ == "int":
        return isinstance(value, int)
    if class_ == "float":
        return isinstance(value, (int, float))
    if class_ == "string":
        return isinstance(value, str)
    return isinstance(value, dict)
