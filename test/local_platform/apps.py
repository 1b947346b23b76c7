"""Apps: named, versioned executables outside of projects.

https://documentation.dnanexus.com/developer/api/running-analyses/apps
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .describe import REGION, public_run_spec
from .errors import ResourceNotFound
from .store import now_ms

TEXT_FIELDS = ("title", "summary", "description", "developerNotes")


@dataclass
class App:
    """One version of an app; its own container holds the applet and its bundles."""

    id: str
    name: str
    version: str
    user: str
    container: str
    applet_id: str
    spec: dict[str, Any]
    published: int | None = None
    tags: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    authorized_users: list[str] = field(default_factory=list)
    created: int = field(default_factory=now_ms)
    modified: int = field(default_factory=now_ms)


def find_app(apps: Mapping[str, App], target: str) -> App:
    """Finds an app by its ID, name and version, name and tag, or name only (tag `default`).

    Raises ResourceNotFound.
    """
    if target in apps:
        return apps[target]
    name, _, alias = target.removeprefix("app-").partition("/")
    for app in apps.values():
        if app.name == name and (alias or "default") in (app.version, *app.tags):
            return app
    raise ResourceNotFound(f'"{target}" could not be found')


def describe_app(app: App, user: str) -> dict[str, Any]:
    """Returns all fields of an app's description, as seen by a user."""
    described: dict[str, Any] = {
        "id": app.id,
        "class": "app",
        "name": app.name,
        "version": app.version,
        "aliases": [app.version, *app.tags],
        "createdBy": app.user,
        "billTo": app.user,
        "created": app.created,
        "modified": app.modified,
        "applet": app.applet_id,
        "regionalOptions": {REGION: {"applet": app.applet_id, "resources": app.container}},
        "resources": app.container,
        "installed": False,
        "deleted": False,
        "isDeveloperFor": user == app.user,
        "authorizedUsers": app.authorized_users,
        "categories": app.categories,
        "openSource": app.spec.get("openSource", False),
        "details": app.spec.get("details", {}),
        "access": app.spec.get("access", {}),
        "dxapi": app.spec["dxapi"],
        "runSpec": public_run_spec(app.spec),
        **{key: app.spec.get(key, "") for key in TEXT_FIELDS},
        **{key: app.spec[key] for key in ("inputSpec", "outputSpec") if key in app.spec},
    }
    if app.published is not None:
        described["published"] = app.published
    return described
