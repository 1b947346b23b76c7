"""Rejected requests have the platform's error type and HTTP status."""

from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client, Fields, error_of, link, rejected

INVALID_INPUT = ("InvalidInput", 422)
# The digits of an ID that no object has.
UNUSED_ID = "0" * 24

# Tokens and permissions


def test_a_call_without_a_token_is_rejected(client: Client) -> None:
    assert error_of(client.post("/system/whoami", {}, {})) == (401, "InvalidAuthentication")
    basic = {"Authorization": "Basic dXNlcjpwYXNz"}
    assert error_of(client.post("/system/whoami", {}, basic)) == (401, "InvalidAuthentication")


def test_an_invalid_token_is_rejected(client: Client) -> None:
    answer = client.request("/system/whoami", {}, token="wrong")
    assert error_of(answer) == (401, "InvalidAuthentication")


def test_the_token_of_a_job_is_valid_only_until_the_job_ends(client: Client) -> None:
    job_id, release = client.start_held_job()
    token = client.job(job_id).token
    assert client.request(f"/{job_id}/describe", {}, token)[0] == 200
    release.touch()
    client.wait_for_end(job_id)
    answer = client.request(f"/{job_id}/describe", {}, token)
    assert error_of(answer) == (401, "InvalidAuthentication")


def test_access_to_another_users_project_is_denied(client: Client) -> None:
    file_id = client.file()
    other = client.move_to_other_users_project(file_id)
    with rejected("PermissionDenied", 401, other):
        dxpy.api.project_describe(other)
    with rejected("PermissionDenied", 401):
        dxpy.api.file_describe(file_id)
    with rejected("PermissionDenied", 401):
        list(dxpy.find_data_objects(project=other))
    with rejected("PermissionDenied", 401):
        client.start(client.applet(inputs=TEXT), {"text": link(file_id)})


# Requests


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b"\xff"])
def test_invalid_json_is_rejected(client: Client, body: bytes) -> None:
    assert error_of(client.request("/system/whoami", body)) == (400, "MalformedJSON")


@pytest.mark.parametrize("body", [[], "text", 1, None])
def test_json_that_is_not_an_object_is_rejected(client: Client, body: object) -> None:
    assert error_of(client.request("/system/whoami", body)) == (400, "MalformedJSON")


@pytest.mark.parametrize("path", ["/system/noSuchMethod", f"/file-{UNUSED_ID}/noSuchMethod"])
def test_an_unknown_route_is_rejected_by_name(client: Client, path: str) -> None:
    status, answer = client.request(path, {})
    assert 400 <= status < 500
    assert path in answer["error"]["message"]


@pytest.mark.parametrize(
    "path",
    [
        f"/project-{UNUSED_ID}/describe",
        f"/file-{UNUSED_ID}/describe",
        f"/applet-{UNUSED_ID}/run",
        f"/job-{UNUSED_ID}/describe",
        "/app-no_such_app/describe",
        "/globalworkflow-no/such/describe",
        "/user-nobody/describe",
    ],
)
def test_a_missing_object_is_not_found(client: Client, path: str) -> None:
    status, answer = client.request(path, {})
    assert (status, answer["error"]["type"]) == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/file/new", {}),
        ("/file/new", {"project": 1}),
        ("/file/new", {"project": "{project}", "name": ["a"]}),
        ("/file/new", {"project": "{project}", "folder": "relative"}),
        ("/file/new", {"project": "{project}", "tags": [1]}),
        ("/file/new", {"project": "{project}", "tags": "a"}),
        ("/file/new", {"project": "{project}", "properties": {"a": 1}}),
        ("/file/new", {"project": "{project}", "hidden": "yes"}),
        ("/file/new", {"project": "{project}", "nonce": 1}),
        ("/{project}/newFolder", {}),
        ("/{project}/newFolder", {"folder": 1}),
        ("/{project}/removeFolder", {"folder": "/"}),
        ("/{project}/removeObjects", {"objects": "all"}),
        ("/{project}/move", {"objects": []}),
        ("/applet/new", {"name": "a", "dxapi": "1.0.0"}),
        ("/applet/new", {"name": "a", "dxapi": "1.0.0", "runSpec": []}),
        ("/applet/new", {"name": "a", "dxapi": "1.0.0", "runSpec": {"code": ""}}),
    ],
)
def test_missing_keys_and_invalid_values_are_rejected(
    client: Client, path: str, body: dict[str, Any]
) -> None:
    filled = {key: client.project if value == "{project}" else value for key, value in body.items()}
    answer = client.request(path.format(project=client.project), filled)
    assert error_of(answer) == (422, "InvalidInput")


@pytest.mark.parametrize("route", ["findDataObjects", "findExecutions", "findProjects"])
def test_an_unknown_filter_is_rejected(client: Client, route: str) -> None:
    status, answer = client.request(f"/system/{route}", {"colour": "red"})
    assert (status, answer["error"]["type"]) == (422, "InvalidInput")
    assert "colour" in answer["error"]["message"]


@pytest.mark.parametrize(
    "query",
    [
        {"name": {"regexp": "("}},
        {"name": 1},
        {"visibility": "sometimes"},
        {"created": "yesterday"},
        {"scope": {"folder": "relative"}},
    ],
)
def test_an_invalid_filter_is_rejected(client: Client, query: dict[str, Any]) -> None:
    answer = client.request("/system/findDataObjects", query)
    assert error_of(answer) == (422, "InvalidInput")


def test_a_missing_folder_is_not_found(client: Client) -> None:
    for call in (dxpy.api.project_list_folder, dxpy.api.project_remove_folder):
        with rejected("ResourceNotFound", 404, "folder"):
            call(client.project, {"folder": "/nowhere"})
    with rejected("ResourceNotFound", 404, "folder"):
        dxpy.api.project_move(client.project, {"objects": [], "destination": "/nowhere"})
    with rejected("ResourceNotFound", 404, "folder"):
        dxpy.new_dxfile(project=client.project, folder="/nowhere")


def test_a_folder_cannot_replace_another_or_be_moved_into_itself(client: Client) -> None:
    with rejected("InvalidState", 422, "exists"):
        dxpy.api.project_new_folder(client.project, {"folder": client.folder})
    old = f"{client.folder}/old"
    dxpy.api.project_new_folder(client.project, {"folder": old})
    with rejected("InvalidState", 422, "exists"):
        names = {"folder": old, "newpath": client.folder}
        dxpy.api.project_rename_folder(client.project, names)
    with rejected(*INVALID_INPUT):
        names = {"folder": client.folder, "newpath": f"{old}/new"}
        dxpy.api.project_rename_folder(client.project, names)


# Nonces


def test_a_request_repeated_with_its_nonce_gets_the_first_answer(client: Client) -> None:
    body = {"project": client.project, "folder": client.folder, "nonce": client.folder}
    first = client.request("/file/new", body)
    assert client.request("/file/new", body) == first
    assert len(list(dxpy.find_data_objects(project=client.project, folder=client.folder))) == 1
    other = {**body, "name": "other"}
    assert error_of(client.request("/file/new", other)) == (422, "InvalidInput")


def test_a_rejected_request_can_be_repeated_with_its_nonce(client: Client) -> None:
    folder = f"{client.folder}/later"
    body = {"project": client.project, "folder": folder, "nonce": folder}
    assert error_of(client.request("/file/new", body)) == (404, "ResourceNotFound")
    dxpy.api.project_new_folder(client.project, {"folder": folder})
    assert client.request("/file/new", body)[0] == 200


# Specs

TEXT: Fields = [{"name": "text", "class": "file"}]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([{"name": "a", "class": "int"}, {"name": "a", "class": "int"}], "declared twice"),
        ([{"name": "a", "class": "colour"}], "unknown class"),
        ([{"name": "a", "class": "array:hash"}], "unknown class"),
        ([{"name": "a"}], "unknown class"),
        ([{"name": "a", "class": "int", "colour": "red"}], "colour"),
        ([{"name": "1a", "class": "int"}], "not a valid field name"),
        ([{"name": "a-b", "class": "int"}], "not a valid field name"),
        ([{"class": "int"}], "not a valid field name"),
        ([{"name": "a", "class": "int", "default": "one"}], "not of class int"),
        (["a"], "not a field"),
    ],
)
def test_an_invalid_spec_is_rejected(client: Client, fields: Any, message: str) -> None:
    with rejected(*INVALID_INPUT, message):
        client.applet(inputs=fields)
    with rejected(*INVALID_INPUT, message):
        client.applet(outputs=fields)


def test_an_unknown_instance_type_is_rejected(client: Client) -> None:
    requirements = {"*": {"instanceType": "huge"}}
    with rejected(*INVALID_INPUT, "huge"):
        client.applet(systemRequirements=requirements)
    with rejected(*INVALID_INPUT, "huge"):
        client.start(client.applet(), systemRequirements=requirements)


def test_an_unknown_priority_is_rejected(client: Client) -> None:
    with rejected(*INVALID_INPUT, "priority"):
        client.start(client.applet(), priority="urgent")


def test_an_unsupported_interpreter_is_rejected(client: Client) -> None:
    with rejected(*INVALID_INPUT, "python3"):
        client.applet(interpreter="bash")


def test_a_bundle_that_is_not_closed_is_rejected(client: Client) -> None:
    bundled = [{"name": "resources.tar.gz", "id": link(client.open_file())}]
    with rejected("InvalidState", 422, "open"):
        client.applet(bundledDepends=bundled)


# Inputs


def test_unknown_and_missing_inputs_are_rejected(client: Client) -> None:
    applet = client.applet(inputs=[{"name": "n", "class": "int"}])
    with rejected(*INVALID_INPUT, "'n' is required"):
        client.start(applet)
    with rejected(*INVALID_INPUT, "'m' is not in the specification"):
        client.start(applet, {"n": 1, "m": 2})


WRONG_VALUES: dict[str, list[Any]] = {
    "int": [1.5, 3.0, "1", True, None, [1]],
    "float": ["1", True, None],
    "boolean": [0, "true", None],
    "string": [1, None, ["a"]],
    "hash": [[], "a", None],
    "file": ["text", f"file-{UNUSED_ID}", 1, None, {"$dnanexus_link": f"applet-{UNUSED_ID}"}],
    "applet": [{"$dnanexus_link": f"file-{UNUSED_ID}"}],
    "array:int": [1, ["1"], [True], None],
    "array:file": [{"$dnanexus_link": f"file-{UNUSED_ID}"}, ["text"]],
}


@pytest.mark.parametrize(
    ("class_", "value"),
    [(class_, value) for class_, values in WRONG_VALUES.items() for value in values],
)
def test_an_input_of_the_wrong_class_is_rejected(
    client: Client, class_: str, value: object
) -> None:
    applet = client.applet(inputs=[{"name": "value", "class": class_, "optional": True}])
    with rejected(*INVALID_INPUT, "value"):
        client.start(applet, {"value": value})


def test_an_input_that_is_not_one_of_its_choices_is_rejected(client: Client) -> None:
    for class_, valid, invalid in (
        ("string", "a", "c"),
        ("array:string", ["a", "b"], ["a", "c"]),
    ):
        field = {"name": "letter", "class": class_, "choices": ["a", "b"]}
        applet = client.applet(inputs=[field])
        with rejected(*INVALID_INPUT, "choices"):
            client.start(applet, {"letter": invalid})
        assert client.run(applet, {"letter": valid})["state"] == "done"


def test_suggestions_do_not_restrict_an_input(client: Client) -> None:
    field = {"name": "letter", "class": "string", "suggestions": ["a", "b"]}
    assert client.run(client.applet(inputs=[field]), {"letter": "c"})["state"] == "done"


def test_a_link_to_a_missing_file_is_rejected(client: Client) -> None:
    with rejected("ResourceNotFound", 404, UNUSED_ID):
        client.start(client.applet(inputs=TEXT), {"text": link(f"file-{UNUSED_ID}")})


def test_a_link_with_the_wrong_project_is_rejected(client: Client) -> None:
    applet, file_id = client.applet(inputs=TEXT), client.file()
    other_file = client.file()
    other = client.move_to_other_users_project(other_file)
    with rejected("ResourceNotFound", 404, other):
        client.start(applet, {"text": link(file_id, other)})
    with rejected("PermissionDenied", 401, other):
        client.start(applet, {"text": link(other_file, other)})


def test_nested_links_are_checked(client: Client) -> None:
    with rejected("ResourceNotFound", 404, UNUSED_ID):
        client.start(client.applet(), {"a": {"b": [[link(f"file-{UNUSED_ID}")]]}})


def test_a_missing_dependency_is_rejected(client: Client) -> None:
    with rejected("ResourceNotFound", 404, UNUSED_ID):
        client.start(client.applet(), dependsOn=[f"job-{UNUSED_ID}"])


def test_an_invalid_output_folder_is_rejected(client: Client) -> None:
    with rejected(*INVALID_INPUT, "folder"):
        client.start(client.applet(), folder="relative")


def test_a_finished_job_cannot_be_terminated(client: Client) -> None:
    job_id = client.run(client.applet())["id"]
    with rejected("InvalidState", 422, "done"):
        dxpy.api.job_terminate(job_id)
