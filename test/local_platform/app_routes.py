"""Handlers of the routes of apps.

https://documentation.dnanexus.com/developer/api/running-analyses/apps
"""

import copy
import re
from collections.abc import Callable

from . import search
from .apps import TEXT_FIELDS, App, describe_app
from .calls import Answer, Call
from .describe import REGION, choose_fields, describe_result, full_run_spec
from .errors import InvalidInput, InvalidState, PermissionDenied
from .ids import new_id
from .runs import run
from .specs import links_in
from .store import DataObject, now_ms

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[-.0-9A-Za-z]+)?(\+[-.0-9A-Za-z]+)?")
# Fields that an app defines itself; the others are copied from its applet.
_OWN_FIELDS = (*TEXT_FIELDS, "details", "access", "openSource", "ignoreReuse")
_FROM_APPLET = ("dxapi", "inputSpec", "outputSpec", "runSpec")


def app_new(call: Call) -> Answer:
    _require_developer(call)
    name, version = call.required("name", str), call.required("version", str)
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is not a valid name for an app")
    if not _VERSION.fullmatch(version):
        raise InvalidInput(f"{version!r} is not a version such as 1.0.0")
    for app in call.platform.apps.values():
        if app.name == name and version in (app.version, *app.tags):
            raise InvalidInput("Specified name and version conflict with an existing alias")
    applet = _applet(call)
    app = App(
        id=new_id("app"),
        name=name,
        version=version,
        user=call.caller.user,
        container=call.platform.store.new_container("container", f"{name} {version}").id,
        applet_id="",
        spec={},
    )
    _set_content(call, app, applet)
    call.platform.apps[app.id] = app
    return {"id": app.id}


def app_update(call: Call) -> Answer:
    """Replace the content of an unpublished version."""
    app = _editable_app(call)
    if app.published is not None:
        raise InvalidState(f"{app.id} has been published")
    _set_content(call, app, _applet(call))
    return {"id": app.id}


def _require_developer(call: Call) -> None:
    # Jobs have no developer access on this platform.
    if call.caller.job is not None:
        raise PermissionDenied("developer access required")


def _editable_app(call: Call) -> App:
    """Returns the app of the call. Raises PermissionDenied if the caller is a job."""
    _require_developer(call)
    return call.app()


def _applet(call: Call) -> DataObject:
    """Returns the applet from which to create the app of the call."""
    regions = call.required("regionalOptions", dict)
    if set(regions) != {REGION} or not isinstance(regions[REGION].get("applet"), str):
        raise InvalidInput(f"regionalOptions need an applet for {REGION} and no other region")
    applet = call.platform.store.find_object(regions[REGION]["applet"])
    call.visible_container(applet)
    for key in ("inputSpec", "outputSpec"):
        if key not in applet.spec:
            raise InvalidInput(f"{applet.id} has no {key}, which is required for an app")
    return applet


def _set_content(call: Call, app: App, applet: DataObject) -> None:
    store = call.platform.store
    bundles = links_in(applet.spec["runSpec"].get("bundledDepends", []))
    # The app has its own copies, because its project may be deleted.
    for item in (applet, *(store.find_object(link.id) for link in bundles)):
        store.clone(item, call.visible_container(item), app.container, "/")
    own = {key: copy.deepcopy(call.body[key]) for key in _OWN_FIELDS if key in call.body}
    from_applet = {key: applet.spec[key] for key in _FROM_APPLET if key in applet.spec}
    app.spec = {**from_applet, **own, "name": app.name}
    app.applet_id, app.modified = applet.id, now_ms()


def app_publish(call: Call) -> Answer:
    app = _editable_app(call)
    if app.published is not None:
        raise InvalidState(f"{app.id} has been published")
    app.published = now_ms()
    if call.optional("makeDefault", False):
        _move_tags(call, app, ["default"])
    return {"id": app.id}


def app_add_tags(call: Call) -> Answer:
    app = _editable_app(call)
    _move_tags(call, app, call.strings("tags"))
    return {"id": app.id}


def _move_tags(call: Call, app: App, tags: list[str]) -> None:
    """Moves tags to this version; each tag is on at most one version of an app."""
    for other in call.platform.apps.values():
        if other.name == app.name:
            other.tags = [tag for tag in other.tags if tag not in tags]
    app.tags += tags


def app_list_categories(call: Call) -> Answer:
    return {"categories": call.app().categories}


def app_add_categories(call: Call) -> Answer:
    return _change_list(call, "categories", "categories", lambda old, names: old | names)


def app_remove_categories(call: Call) -> Answer:
    return _change_list(call, "categories", "categories", lambda old, names: old - names)


def app_list_authorized_users(call: Call) -> Answer:
    return {"authorizedUsers": call.app().authorized_users}


def app_add_authorized_users(call: Call) -> Answer:
    return _change_list(call, "authorizedUsers", "authorized_users", lambda old, names: old | names)


def app_remove_authorized_users(call: Call) -> Answer:
    return _change_list(call, "authorizedUsers", "authorized_users", lambda old, names: old - names)


def _change_list(
    call: Call, key: str, attribute: str, change: Callable[[set[str], set[str]], set[str]]
) -> Answer:
    app = _editable_app(call)
    new = change(set(getattr(app, attribute)), set(call.strings(key)))
    setattr(app, attribute, sorted(new))
    return {"id": app.id}


def app_describe(call: Call) -> Answer:
    return choose_fields(describe_app(call.app(), call.caller.user), call.body, on_request=())


def app_get(call: Call) -> Answer:
    """Returns everything needed to rebuild the app, including the code."""
    app = call.app()
    return describe_app(app, call.caller.user) | {"runSpec": full_run_spec(app.spec)}


def system_find_apps(call: Call) -> Answer:
    """Returns the versions tagged `default`, or all versions."""
    is_wanted = search.matches(call.body, search.APP_CONDITIONS)
    apps = [describe_app(app, call.caller.user) for app in call.platform.apps.values()]
    return search.page(
        (
            {"id": item["id"], **describe_result(item, call.body)}
            for item in apps
            if is_wanted(item)
            and (call.optional("allVersions", False) or "default" in item["aliases"])
        ),
        call.body,
    )


def app_run(call: Call) -> Answer:
    return {"id": run(call, call.executable(call.target)).id}
