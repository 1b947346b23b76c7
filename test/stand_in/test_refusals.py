"""Every refusal has the platform's error type and HTTP status."""

from typing import Any

import dxpy
import pytest

from stand_in.bench import Bench, Fields, error_of, link, refused

INVALID_INPUT = ("InvalidInput", 422)
NOWHERE = "0" * 24

# Who calls


def test_a_call_without_a_token_is_refused(bench: Bench) -> None:
    assert error_of(bench.post("/system/whoami", {}, {})) == (401, "InvalidAuthentication")
    basic = {"Authorization": "Basic dXNlcjpwYXNz"}
    assert error_of(bench.post("/system/whoami", {}, basic)) == (401, "InvalidAuthentication")


def test_a_wrong_token_is_refused(bench: Bench) -> None:
    answer = bench.request("/system/whoami", {}, token="wrong")
    assert error_of(answer) == (401, "InvalidAuthentication")


def test_the_token_of_a_job_is_good_as_long_as_the_job(bench: Bench) -> None:
    job_id, release = bench.held_job()
    token = bench.job(job_id).token
    assert bench.request(f"/{job_id}/describe", {}, token)[0] == 200
    release.touch()
    bench.ended(job_id)
    answer = bench.request(f"/{job_id}/describe", {}, token)
    assert error_of(answer) == (401, "InvalidAuthentication")


def test_a_project_that_is_not_the_users_is_refused(bench: Bench) -> None:
    file_id = bench.file()
    other = bench.another_project_with(file_id)
    with refused("PermissionDenied", 401, other):
        dxpy.api.project_describe(other)
    with refused("PermissionDenied", 401):
        dxpy.api.file_describe(file_id)
    with refused("PermissionDenied", 401):
        list(dxpy.find_data_objects(project=other))
    with refused("PermissionDenied", 401):
        bench.start(bench.applet(inputs=TEXT), {"text": link(file_id)})


# What is asked


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b"\xff"])
def test_what_is_not_json_is_refused(bench: Bench, body: bytes) -> None:
    assert error_of(bench.request("/system/whoami", body)) == (400, "MalformedJSON")


@pytest.mark.parametrize("body", [[], "text", 1, None])
def test_json_that_is_not_an_object_is_refused(bench: Bench, body: object) -> None:
    assert error_of(bench.request("/system/whoami", body)) == (400, "MalformedJSON")


@pytest.mark.parametrize("path", ["/system/noSuchMethod", f"/file-{NOWHERE}/noSuchMethod"])
def test_an_unknown_route_is_refused_by_name(bench: Bench, path: str) -> None:
    status, answer = bench.request(path, {})
    assert 400 <= status < 500
    assert path in answer["error"]["message"]


@pytest.mark.parametrize(
    "path",
    [
        f"/project-{NOWHERE}/describe",
        f"/file-{NOWHERE}/describe",
        f"/applet-{NOWHERE}/run",
        f"/job-{NOWHERE}/describe",
        "/app-no_such_app/describe",
        "/globalworkflow-no/such/describe",
        "/user-nobody/describe",
    ],
)
def test_what_does_not_exist_is_not_found(bench: Bench, path: str) -> None:
    status, answer = bench.request(path, {})
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
        ("/{project}/setProperties", {"properties": {"a": 1}}),
        ("/{project}/addTags", {"tags": [1]}),
        ("/applet/new", {"name": "a", "dxapi": "1.0.0"}),
        ("/applet/new", {"name": "a", "dxapi": "1.0.0", "runSpec": []}),
        ("/applet/new", {"name": "a", "dxapi": "1.0.0", "runSpec": {"code": ""}}),
    ],
)
def test_keys_that_are_missing_or_of_another_type_are_refused(
    bench: Bench, path: str, body: dict[str, Any]
) -> None:
    filled = {key: bench.project if value == "{project}" else value for key, value in body.items()}
    answer = bench.request(path.format(project=bench.project), filled)
    assert error_of(answer) == (422, "InvalidInput")


@pytest.mark.parametrize("route", ["findDataObjects", "findExecutions", "findProjects"])
def test_an_unknown_filter_is_refused(bench: Bench, route: str) -> None:
    status, answer = bench.request(f"/system/{route}", {"colour": "red"})
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
def test_a_filter_that_makes_no_sense_is_refused(bench: Bench, query: dict[str, Any]) -> None:
    answer = bench.request("/system/findDataObjects", query)
    assert error_of(answer) == (422, "InvalidInput")


def test_an_unknown_folder_is_not_found(bench: Bench) -> None:
    for call in (dxpy.api.project_list_folder, dxpy.api.project_remove_folder):
        with refused("ResourceNotFound", 404, "folder"):
            call(bench.project, {"folder": "/nowhere"})
    with refused("ResourceNotFound", 404, "folder"):
        dxpy.api.project_move(bench.project, {"objects": [], "destination": "/nowhere"})
    with refused("ResourceNotFound", 404, "folder"):
        dxpy.new_dxfile(project=bench.project, folder="/nowhere")


def test_a_folder_is_not_made_or_renamed_over_another(bench: Bench) -> None:
    with refused("InvalidState", 422, "exists"):
        dxpy.api.project_new_folder(bench.project, {"folder": bench.folder})
    old = f"{bench.folder}/old"
    dxpy.api.project_new_folder(bench.project, {"folder": old})
    with refused("InvalidState", 422, "exists"):
        names = {"folder": old, "newpath": bench.folder}
        dxpy.api.project_rename_folder(bench.project, names)
    with refused(*INVALID_INPUT):
        names = {"folder": bench.folder, "newpath": f"{old}/below"}
        dxpy.api.project_rename_folder(bench.project, names)


# Nonces


def test_a_repeated_nonce_gets_the_first_answer(bench: Bench) -> None:
    body = {"project": bench.project, "folder": bench.folder, "nonce": bench.folder}
    first = bench.request("/file/new", body)
    assert bench.request("/file/new", body) == first
    assert len(list(dxpy.find_data_objects(project=bench.project, folder=bench.folder))) == 1
    other = {**body, "name": "other"}
    assert error_of(bench.request("/file/new", other)) == (422, "InvalidInput")


def test_a_refused_call_may_be_repeated_with_its_nonce(bench: Bench) -> None:
    folder = f"{bench.folder}/later"
    body = {"project": bench.project, "folder": folder, "nonce": folder}
    assert error_of(bench.request("/file/new", body)) == (404, "ResourceNotFound")
    dxpy.api.project_new_folder(bench.project, {"folder": folder})
    assert bench.request("/file/new", body)[0] == 200


# Specs

TEXT: Fields = [{"name": "text", "class": "file"}]


@pytest.mark.parametrize(
    ("fields", "words"),
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
def test_a_spec_with_a_fault_is_refused(bench: Bench, fields: Any, words: str) -> None:
    with refused(*INVALID_INPUT, words):
        bench.applet(inputs=fields)
    with refused(*INVALID_INPUT, words):
        bench.applet(outputs=fields)


def test_a_bad_instance_type_is_refused(bench: Bench) -> None:
    requirements = {"*": {"instanceType": "huge"}}
    with refused(*INVALID_INPUT, "huge"):
        bench.applet(systemRequirements=requirements)
    with refused(*INVALID_INPUT, "huge"):
        bench.start(bench.applet(), systemRequirements=requirements)


def test_a_bad_priority_is_refused(bench: Bench) -> None:
    with refused(*INVALID_INPUT, "priority"):
        bench.start(bench.applet(), priority="urgent")


def test_another_interpreter_is_refused(bench: Bench) -> None:
    with refused(*INVALID_INPUT, "python3"):
        bench.applet(interpreter="bash")


def test_a_bundle_that_is_not_closed_is_refused(bench: Bench) -> None:
    bundled = [{"name": "resources.tar.gz", "id": link(bench.open_file())}]
    with refused("InvalidState", 422, "open"):
        bench.applet(bundledDepends=bundled)


# Inputs


def test_unknown_and_missing_inputs_are_refused(bench: Bench) -> None:
    applet = bench.applet(inputs=[{"name": "n", "class": "int"}])
    with refused(*INVALID_INPUT, "'n' is required"):
        bench.start(applet)
    with refused(*INVALID_INPUT, "'m' is not in the specification"):
        bench.start(applet, {"n": 1, "m": 2})


WRONG: dict[str, list[Any]] = {
    "int": [1.5, 3.0, "1", True, None, [1]],
    "float": ["1", True, None],
    "boolean": [0, "true", None],
    "string": [1, None, ["a"]],
    "hash": [[], "a", None],
    "file": ["text", f"file-{NOWHERE}", 1, None, {"$dnanexus_link": f"applet-{NOWHERE}"}],
    "applet": [{"$dnanexus_link": f"file-{NOWHERE}"}],
    "array:int": [1, ["1"], [True], None],
    "array:file": [{"$dnanexus_link": f"file-{NOWHERE}"}, ["text"]],
}


@pytest.mark.parametrize(
    ("class_", "value"), [(class_, value) for class_, values in WRONG.items() for value in values]
)
def test_an_input_of_another_class_is_refused(bench: Bench, class_: str, value: object) -> None:
    applet = bench.applet(inputs=[{"name": "value", "class": class_, "optional": True}])
    with refused(*INVALID_INPUT, "value"):
        bench.start(applet, {"value": value})


def test_an_input_outside_its_choices_is_refused(bench: Bench) -> None:
    for class_, good, bad in (("string", "a", "c"), ("array:string", ["a", "b"], ["a", "c"])):
        field = {"name": "letter", "class": class_, "choices": ["a", "b"]}
        applet = bench.applet(inputs=[field])
        with refused(*INVALID_INPUT, "choices"):
            bench.start(applet, {"letter": bad})
        assert bench.run(applet, {"letter": good})["state"] == "done"


def test_suggestions_do_not_restrict(bench: Bench) -> None:
    field = {"name": "letter", "class": "string", "suggestions": ["a", "b"]}
    assert bench.run(bench.applet(inputs=[field]), {"letter": "c"})["state"] == "done"


def test_a_link_to_what_does_not_exist_is_refused(bench: Bench) -> None:
    with refused("ResourceNotFound", 404, NOWHERE):
        bench.start(bench.applet(inputs=TEXT), {"text": link(f"file-{NOWHERE}")})


def test_a_link_with_a_wrong_project_is_refused(bench: Bench) -> None:
    applet, file_id = bench.applet(inputs=TEXT), bench.file()
    other_file = bench.file()
    other = bench.another_project_with(other_file)
    with refused("ResourceNotFound", 404, other):
        bench.start(applet, {"text": link(file_id, other)})
    with refused("PermissionDenied", 401, other):
        bench.start(applet, {"text": link(other_file, other)})


def test_links_are_found_however_deep(bench: Bench) -> None:
    with refused("ResourceNotFound", 404, NOWHERE):
        bench.start(bench.applet(), {"a": {"b": [[link(f"file-{NOWHERE}")]]}})


def test_a_dependency_that_does_not_exist_is_refused(bench: Bench) -> None:
    with refused("ResourceNotFound", 404, NOWHERE):
        bench.start(bench.applet(), dependsOn=[f"job-{NOWHERE}"])


def test_a_folder_for_the_output_must_be_one(bench: Bench) -> None:
    with refused(*INVALID_INPUT, "folder"):
        bench.start(bench.applet(), folder="relative")


def test_an_ended_job_cannot_be_terminated(bench: Bench) -> None:
    job_id = bench.run(bench.applet())["id"]
    with refused("InvalidState", 422, "done"):
        dxpy.api.job_terminate(job_id)
