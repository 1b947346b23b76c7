"""Searches for projects, objects, executions and apps.

https://documentation.dnanexus.com/developer/api/search
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import InvalidInput
from .store import is_within, normal_folder

Description = Mapping[str, Any]
Condition = Callable[[Description], bool]


def matches(query: Mapping[str, Any], conditions: Mapping[str, Any]) -> Condition:
    """Returns a function that tests whether a description matches a query.

    `conditions` maps each key of a query to a function that makes a Condition from its value. Keys
    that only affect the result (describe, limit, ...) are skipped. Raises InvalidInput for an
    unknown key, because ignoring a filter would return wrong results.
    """
    unknown = set(query) - set(conditions) - RESULT_KEYS
    if unknown:
        raise InvalidInput(f"this local platform cannot search by {sorted(unknown)}")
    checks = []
    for key, make in conditions.items():
        if key in query:
            try:
                checks.append(make(query[key]))
            except (AttributeError, KeyError, TypeError, re.error) as error:
                raise InvalidInput(f"{key} cannot be {query[key]!r}") from error
    return lambda described: all(check(described) for check in checks)


RESULT_KEYS = {
    *("describe", "limit", "starting", "level", "sortBy"),
    *("allVersions", "includeSubjobs", "includeRestarted", "explicitPermission"),
}


def page(results: Iterable[dict[str, Any]], query: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one page: at most `limit` results from `starting` on, and the start of the next."""
    found, start = list(results), query.get("starting")
    if start is not None:
        keys = [_key(result) for result in found]
        found = found[keys.index(start) :] if start in keys else []
    limit = query.get("limit", 1000)
    following = _key(found[limit]) if len(found) > limit else None
    return {"results": found[:limit], "next": following}


def _key(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what identifies a result: its ID, its project (an object can be in several), and its
    try (a job can have several).
    """
    return {key: result[key] for key in ("id", "project", "try") if key in result}


def _equals(field: str) -> Callable[[Any], Condition]:
    return lambda wanted: lambda described: described.get(field) == wanted


def _one_of(field: str) -> Callable[[Any], Condition]:
    def make(wanted: Any) -> Condition:
        values = wanted if isinstance(wanted, list) else [wanted]
        return lambda described: described.get(field) in values

    return make


def _name(wanted: Any) -> Condition:
    if isinstance(wanted, str):
        return lambda described: described["name"] == wanted
    if "glob" in wanted:
        glob = _ESCAPED.sub(_escape_for_fnmatch, wanted["glob"])
        return lambda described: fnmatch.fnmatchcase(described["name"], glob)
    flags = re.IGNORECASE if "i" in wanted.get("flags", "") else 0
    pattern = re.compile(wanted["regexp"], flags)
    return lambda described: pattern.search(described["name"]) is not None


# In globs, dx escapes special characters with a backslash, which fnmatch does not support.
_ESCAPED = re.compile(r"\\(.)")


def _escape_for_fnmatch(match: re.Match[str]) -> str:
    return f"[{match[1]}]" if match[1] in "*?[" else match[1]


def _visibility(wanted: str) -> Condition:
    hidden = {"visible": (False,), "hidden": (True,), "either": (False, True)}[wanted]
    return lambda described: described["hidden"] in hidden


def _within(field: str) -> Callable[[Any], Condition]:
    def make(wanted: Any) -> Condition:
        after, before = wanted.get("after", 0), wanted.get("before", float("inf"))
        return lambda described: after <= described[field] <= before

    return make


def _tags(wanted: Any) -> Condition:
    return _combined(wanted, lambda tag: lambda described: tag in described["tags"])


def _properties(wanted: Any) -> Condition:
    def has_all(pairs: Mapping[str, Any]) -> Condition:
        return lambda described: all(
            key in described["properties"] and value in (True, described["properties"][key])
            for key, value in pairs.items()
        )

    return _combined(wanted, has_all)


def _types(wanted: Any) -> Condition:
    return _combined(wanted, lambda name: lambda described: name in described["types"])


def _combined(wanted: Any, leaf: Callable[[Any], Condition]) -> Condition:
    """Makes a condition from a filter or a tree of filters, `{"$and": [...]}`, `{"$or": [...]}`."""
    if isinstance(wanted, dict) and set(wanted) in ({"$and"}, {"$or"}):
        ((operator, parts),) = wanted.items()
        checks = [_combined(part, leaf) for part in parts]
        together = all if operator == "$and" else any
        return lambda described: together(check(described) for check in checks)
    return leaf(wanted)


def _scope(wanted: Mapping[str, Any]) -> Condition:
    folder = normal_folder(wanted.get("folder", "/"))

    def check(described: Description) -> bool:
        if wanted.get("recurse", True):
            return is_within(described["folder"], folder)
        return bool(described["folder"] == folder)

    return check


OBJECT_CONDITIONS: Mapping[str, Callable[[Any], Condition]] = {
    "class": _equals("class"),
    "state": lambda wanted: lambda described: wanted in ("any", described["state"]),
    "id": _one_of("id"),
    "name": _name,
    "type": _types,
    "tag": _tags,
    "tags": _tags,
    "properties": _properties,
    "modified": _within("modified"),
    "created": _within("created"),
    "visibility": _visibility,
    "scope": _scope,
}

EXECUTION_CONDITIONS: Mapping[str, Callable[[Any], Condition]] = {
    "class": _equals("class"),
    "id": _one_of("id"),
    "name": _name,
    "project": _equals("project"),
    "state": _one_of("state"),
    "launchedBy": _equals("launchedBy"),
    "executable": _equals("executable"),
    "originJob": _one_of("originJob"),
    "rootExecution": _one_of("rootExecution"),
    "parentJob": _equals("parentJob"),
    "parentAnalysis": _equals("parentAnalysis"),
    "tags": _tags,
    "properties": _properties,
    "created": _within("created"),
    "modified": _within("modified"),
}


PROJECT_CONDITIONS: Mapping[str, Callable[[Any], Condition]] = {
    "id": _one_of("id"),
    "name": _name,
    "tags": _tags,
    "properties": _properties,
}

APP_CONDITIONS: Mapping[str, Callable[[Any], Condition]] = {
    "id": _one_of("id"),
    "name": _name,
    "category": lambda wanted: lambda described: wanted in described["categories"],
    "published": lambda wanted: lambda described: ("published" in described) == wanted,
    "billTo": _equals("billTo"),
    "createdBy": _equals("createdBy"),
    "created": _within("created"),
    "modified": _within("modified"),
}
