"""A job on its worker: environment, input, output, log and permissions."""

import signal
import tarfile
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client, Fields, link, states

HASH: Fields = [{"name": "seen", "class": "hash"}]
FILE: Fields = [{"name": "file", "class": "file"}]
MIB = 1024**2


def script(body: str) -> str:
    """Returns the code of an applet whose entry point has this body."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return (
        "import json, logging, os, signal, subprocess, sys\nimport dxpy\n\n"
        f'@dxpy.entry_point("main")\ndef main(**job_input):\n{lines}\n\ndxpy.run()\n'
    )


def test_a_job_does_not_inherit_the_callers_environment(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "secret")
    applet = client.applet(script("return {'seen': dict(os.environ)}"), outputs=HASH)
    job = client.run(applet)
    seen = job["output"]["seen"]
    # Python would add LC_CTYPE if LANG were C.
    assert {name for name in seen if not name.startswith("DX_")} == {"HOME", "PATH", "LANG"}
    assert {name for name in seen if name.startswith("DX_")} == {
        *("DX_APISERVER_PROTOCOL", "DX_APISERVER_HOST", "DX_APISERVER_PORT"),
        *("DX_JOB_ID", "DX_WORKSPACE_ID", "DX_PROJECT_CONTEXT_ID", "DX_SECURITY_CONTEXT"),
    }
    assert (seen["DX_JOB_ID"], seen["DX_PROJECT_CONTEXT_ID"]) == (job["id"], client.project)
    assert client.platform.user_token not in seen["DX_SECURITY_CONTEXT"]


def test_a_job_starts_in_a_new_home_folder(client: Client) -> None:
    code = """
        import json, os, sys
        seen = {"cwd": os.getcwd(), "home": os.environ["HOME"], "path": sys.path[0]}
        seen["files"] = os.listdir()
        json.dump({"seen": seen}, open("job_output.json", "w"))
        """
    job = client.run(client.applet(code, outputs=HASH))
    job_id, seen = job["id"], job["output"]["seen"]
    assert seen["home"].endswith("/home/dnanexus")
    assert seen["cwd"] == seen["path"] == seen["home"]
    assert set(seen["files"]) == {job_id, f"{job_id}.code.py", "job_input.json"}


def test_a_job_has_the_default_signal_settings(client: Client) -> None:
    """Processes inherit ignored and blocked signals, and a Pool stops its workers with SIGTERM."""
    body = """
return {"seen": {
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "terminate": int(signal.getsignal(signal.SIGTERM)),
    "interruptible": callable(signal.getsignal(signal.SIGINT)),
}}
"""
    applet = client.applet(script(body), outputs=HASH)
    # A shell starts background processes with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        seen = client.run(applet)["output"]["seen"]
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == {"blocked": [], "terminate": 0, "interruptible": True}


def test_the_code_runs_as_main_and_can_use_a_pool(client: Client) -> None:
    code = """
        import json, multiprocessing

        def double(number):
            return 2 * number

        with multiprocessing.Pool(2) as pool:
            doubled = pool.map(double, [1, 2, 3])
        json.dump({"seen": {"name": __name__, "doubled": doubled}}, open("job_output.json", "w"))
        """
    seen = client.run(client.applet(code, outputs=HASH))["output"]["seen"]
    assert seen == {"name": "__main__", "doubled": [2, 4, 6]}


def test_a_bundle_is_unpacked_at_the_root_of_the_worker(client: Client) -> None:
    text = client.local_file("text", "from the bundle")
    archive = client.local / "bundle.tar.gz"
    with tarfile.open(archive, "w:gz") as bundle:
        bundle.add(text, "home/dnanexus/folder/text")
    bundled = [{"name": "resources.tar.gz", "id": link(client.upload(archive))}]
    code = script("return {'seen': {'text': open('folder/text').read()}}")
    job = client.run(client.applet(code, outputs=HASH, bundledDepends=bundled))
    assert job["output"]["seen"] == {"text": "from the bundle"}


def test_a_declared_package_can_be_used(client: Client) -> None:
    code = script("subprocess.check_call(['sh', '-c', 'command -v samtools'])")
    packages = [{"name": "samtools"}, {"name": "python3-pysam"}]
    job = client.run(client.applet(code, execDepends=packages))
    assert job["state"] == "done"
    assert any("/usr/bin/samtools" in message for _, _, message in client.log(job["id"]))


@pytest.mark.parametrize(
    "package",
    [
        {"name": "no-such-package"},
        {"name": "python3-no_such_module"},
        {"name": "dxpy", "package_manager": "pip3"},
    ],
)
def test_a_missing_declared_package_fails_the_job(client: Client, package: dict[str, str]) -> None:
    job = client.run(client.applet(execDepends=[package]))
    assert (job["state"], job["failureReason"]) == ("failed", "ExecutionError")
    assert package["name"].removeprefix("python3-") in job["failureMessage"]


def test_a_job_gets_its_input_as_arguments_json_and_downloaded_files(client: Client) -> None:
    body = """
dxpy.download_all_inputs()
return {"seen": {"arguments": job_input, "file": json.load(open("job_input.json")),
                 "text": open("in/text/a.txt").read()}}
"""
    inputs: Fields = [{"name": "text", "class": "file"}, {"name": "word", "class": "string"}]
    job_input = {"text": link(client.file("a.txt", "some text")), "word": "ä"}
    seen = client.run(client.applet(script(body), inputs, HASH), job_input)["output"]["seen"]
    assert seen == {"arguments": job_input, "file": job_input, "text": "some text"}


def test_an_output_file_is_in_the_projects_folder_with_its_id_and_metadata(client: Client) -> None:
    body = """
file = dxpy.upload_string("text", name="named by the job.txt", tags=["t"], properties={"k": "v"})
return {"file": dxpy.dxlink(file)}
"""
    folder = f"{client.folder}/new/results"
    job = client.run(client.applet(script(body), outputs=FILE), folder=folder)
    file_id = job["output"]["file"]["$dnanexus_link"]
    description = dxpy.describe(file_id)
    assert description["project"] == client.project
    assert (description["folder"], description["name"]) == (folder, "named by the job.txt")
    assert description["createdBy"]["job"] == job["id"]
    assert description["tags"] == ["t"]
    assert dxpy.DXFile(file_id).read() == "text"


def test_a_file_that_is_not_an_output_is_deleted(client: Client) -> None:
    body = "return {'seen': {'id': dxpy.upload_string('scratch').get_id()}}"
    job = client.run(client.applet(script(body), outputs=HASH))
    client.log(job["id"])  # ends after the workspace is removed
    assert job["output"]["seen"]["id"] not in client.platform.store.objects


@pytest.mark.usefixtures("slow_closing")
def test_a_job_waits_until_its_output_file_is_closed(client: Client) -> None:
    body = "return {'file': dxpy.dxlink(dxpy.upload_string('text'))}"
    job = client.run(client.applet(script(body), outputs=FILE))
    assert states(job) == ["runnable", "running", "waiting_on_output", "done"]
    assert dxpy.describe(job["output"]["file"])["state"] == "closed"


def test_every_line_is_logged_with_its_source_and_level(client: Client) -> None:
    body = """
print("out", flush=True)
print("ä€", flush=True)
print("err", file=sys.stderr, flush=True)
logging.getLogger().setLevel(logging.DEBUG)
for level in ("debug", "info", "warning", "error", "critical"):
    getattr(logging, level)(level)
os.write(1, b"no newline, no \\xff text")
"""
    log = client.log(client.run(client.applet(script(body)))["id"])
    expected = [
        ("APP", "STDOUT", "out"),
        ("APP", "STDOUT", "ä€"),
        ("APP", "STDERR", "err"),
        ("DX_APP", "DEBUG", "debug"),
        ("DX_APP", "INFO", "info"),
        ("DX_APP", "WARNING", "warning"),
        ("DX_APP", "ERROR", "error"),
        ("DX_APP", "CRITICAL", "critical"),
        ("APP", "STDOUT", "no newline, no \ufffd text"),
    ]
    assert sorted(line for line in log if line in expected) == sorted(expected)
    assert [line for line in log if line[1] == "STDOUT"][1:] == [
        line for line in expected if line[1] == "STDOUT"
    ]


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        ("raise dxpy.AppError('the file is wrong')", "AppError", "the file is wrong"),
        ("raise ValueError('ä')", "AppInternalError", "ValueError: ä"),
        ("sys.exit(7)", "AppInternalError", "The program exited with status 7"),
        ("os.kill(os.getpid(), 9)", "AppInternalError", "The program exited with status -9"),
        ("open('job_error.json', 'w').write('{'); sys.exit(1)", "AppInternalError", "status 1"),
        ("open('job_error.json', 'w').write('[]'); sys.exit(1)", "AppInternalError", "status 1"),
    ],
)
def test_a_failed_job_has_a_failure_reason_and_message(
    client: Client, body: str, reason: str, message: str
) -> None:
    job = client.run(client.applet(script(body)))
    assert (job["state"], job["failureReason"]) == ("failed", reason)
    assert message in job["failureMessage"]
    assert job["output"] is None


CLASSES: dict[str, Any] = {
    "int": 1,
    "float": 1.5,
    "boolean": True,
    "string": "text",
    "hash": {"a": [1]},
    "array:int": [1, 2],
}


@pytest.mark.parametrize("class_", CLASSES)
def test_values_of_each_class_are_passed_through_a_job_unchanged(
    client: Client, class_: str
) -> None:
    fields: Fields = [{"name": "value", "class": class_}]
    value = {"value": CLASSES[class_]}
    applet = client.applet(script("return job_input"), fields, fields)
    assert client.run(applet, value)["output"] == value


INVALID_OUTPUTS = {
    "undeclared field": ("return {'n': 1, 'other': 2}", "'other' is not in the specification"),
    "missing required field": ("return {}", "'n' is required"),
    "wrong class": ("return {'n': 'one'}", "not of class int"),
    "invalid JSON": ("open('job_output.json', 'w').write('{'); os._exit(0)", "JSON object"),
    "not an object": ("open('job_output.json', 'w').write('[]'); os._exit(0)", "JSON object"),
    "no output file": ("os._exit(0)", "'n' is required"),
}


@pytest.mark.parametrize("case", INVALID_OUTPUTS)
def test_an_output_that_does_not_match_the_spec_fails_the_job(client: Client, case: str) -> None:
    body, message = INVALID_OUTPUTS[case]
    job = client.run(client.applet(script(body), outputs=[{"name": "n", "class": "int"}]))
    assert (job["state"], job["failureReason"]) == ("failed", "OutputError")
    assert message in job["failureMessage"]


INVALID_FILES = {
    "open file": ("dxpy.new_dxfile().get_id()", "is open, and was never closed"),
    "missing file": ("'file-' + 24 * '0'", "could not be found"),
    "applet": ("'applet-' + 24 * '0'", "not to a file"),
}


@pytest.mark.parametrize("case", INVALID_FILES)
def test_an_invalid_output_file_fails_the_job(client: Client, case: str) -> None:
    expression, message = INVALID_FILES[case]
    body = f"return {{'file': dxpy.dxlink({expression})}}"
    job = client.run(client.applet(script(body), outputs=FILE))
    assert (job["state"], job["failureReason"]) == ("failed", "OutputError")
    assert message in job["failureMessage"]


def test_an_output_file_from_another_project_fails_the_job(client: Client) -> None:
    file_id = client.file()
    client.move_to_other_users_project(file_id)
    body = f"return {{'file': dxpy.dxlink('{file_id}')}}"
    job = client.run(client.applet(script(body), outputs=FILE))
    assert (job["state"], job["failureReason"]) == ("failed", "OutputError")
    assert "not in the job's workspace" in job["failureMessage"]


def test_a_job_uploads_a_file_in_parts_and_reads_ranges_of_it(client: Client) -> None:
    body = f"""
size = 12 * {MIB} + 7
with open("big", "wb") as local:
    local.write(bytes(range(256)) * (size // 256) + bytes(size % 256))
file = dxpy.upload_local_file("big", write_buffer_size=5 * {MIB}, wait_on_close=True)
dxpy.download_dxfile(file.get_id(), "back", chunksize={MIB})
assert open("back", "rb").read() == open("big", "rb").read()
with dxpy.open_dxfile(file.get_id(), mode="rb") as remote:
    remote.seek(5 * {MIB} - 3)
    assert remote.read(6) == open("big", "rb").read()[5 * {MIB} - 3:5 * {MIB} + 3]
return {{"file": dxpy.dxlink(file)}}
"""
    job = client.run(client.applet(script(body), outputs=FILE))
    assert job["state"] == "done", job["failureMessage"]
    parts = dxpy.describe(job["output"]["file"], fields={"parts": True})["parts"]
    assert [parts[index]["size"] for index in ("1", "2", "3")] == [5 * MIB, 5 * MIB, 2 * MIB + 7]


def test_a_job_can_read_its_project_but_write_only_to_its_workspace(client: Client) -> None:
    outside, inside = client.file("outside.txt"), client.file("inside.txt")
    other = client.move_to_other_users_project(outside)
    body = f"""
def attempt(call, *arguments):
    try:
        call(*arguments)
        return "allowed"
    except dxpy.DXAPIError as error:
        return [error.name, error.code]

project = dxpy.PROJECT_CONTEXT_ID
return {{"seen": {{
    "read in the project": attempt(dxpy.DXFile("{inside}").read),
    "write in the project": attempt(dxpy.api.file_new, {{"project": project}}),
    "create a folder": attempt(dxpy.api.project_new_folder, project, {{"folder": "/x"}}),
    "remove a file": attempt(dxpy.api.project_remove_objects, project, {{"objects": ["{inside}"]}}),
    "describe a file of another project": attempt(dxpy.api.file_describe, "{outside}"),
    "read a file of another project": attempt(dxpy.api.file_download, "{outside}"),
    "describe another project": attempt(dxpy.api.project_describe, "{other}"),
    "write in the workspace": attempt(dxpy.api.file_new, {{"project": dxpy.WORKSPACE_ID}}),
}}}}
"""
    job = client.run(client.applet(script(body), outputs=HASH))
    assert job["state"] == "done", job["failureMessage"]
    denied = ["PermissionDenied", 401]
    assert job["output"]["seen"] == {
        "read in the project": "allowed",
        "write in the project": denied,
        "create a folder": denied,
        "remove a file": denied,
        "describe a file of another project": denied,
        "read a file of another project": denied,
        "describe another project": denied,
        "write in the workspace": "allowed",
    }


def test_jobs_of_one_applet_do_not_share_a_home_folder(client: Client) -> None:
    body = "found = os.path.exists('mark'); open('mark', 'w'); return {'seen': {'found': found}}"
    applet = client.applet(script(body), outputs=HASH)
    assert [client.run(applet)["output"]["seen"]["found"] for _ in range(2)] == [False, False]


def test_without_specs_any_input_and_output_is_accepted_unchanged(client: Client) -> None:
    job_input = {"a": [1, {"b": None}], "unicode": "ä", "nested": {"deep": [[]]}}
    job = client.run(client.applet(script("return {'seen': job_input}")), job_input)
    assert job["input"] == job_input
    assert job["output"]["seen"] == job_input


def test_the_folder_of_a_worker_is_removed_when_its_job_ends(client: Client) -> None:
    job_id, release = client.start_held_job()
    home = Path(client.platform.root, "workers", job_id, "home", "dnanexus")
    assert (home / "job_input.json").exists()
    release.touch()
    client.log(job_id)
    assert not home.exists()
