"""What a job finds on its worker, and what becomes of what it leaves there."""

import signal
import tarfile
from pathlib import Path
from typing import Any

import dxpy
import pytest

from local_platform_tests.client import Client, Fields, link

HASH: Fields = [{"name": "seen", "class": "hash"}]
FILE: Fields = [{"name": "file", "class": "file"}]
MIB = 1024**2


def script(body: str) -> str:
    """The code of an applet whose entry point has this body."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return (
        "import json, logging, os, signal, subprocess, sys\nimport dxpy\n\n"
        f'@dxpy.entry_point("main")\ndef main(**given):\n{lines}\n\ndxpy.run()\n'
    )


def test_a_job_sees_nothing_of_the_callers_environment(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "secret")
    applet = client.applet(script("return {'seen': dict(os.environ)}"), outputs=HASH)
    ended = client.run(applet)
    seen = ended["output"]["seen"]
    # Python adds LC_CTYPE by itself where LANG is C; here it is not.
    assert {name for name in seen if not name.startswith("DX_")} == {"HOME", "PATH", "LANG"}
    assert {name for name in seen if name.startswith("DX_")} == {
        *("DX_APISERVER_PROTOCOL", "DX_APISERVER_HOST", "DX_APISERVER_PORT"),
        *("DX_JOB_ID", "DX_WORKSPACE_ID", "DX_PROJECT_CONTEXT_ID", "DX_SECURITY_CONTEXT"),
    }
    assert (seen["DX_JOB_ID"], seen["DX_PROJECT_CONTEXT_ID"]) == (ended["id"], client.project)
    assert client.platform.user_token not in seen["DX_SECURITY_CONTEXT"]


def test_a_job_starts_in_its_fresh_home(client: Client) -> None:
    code = """
        import json, os, sys
        seen = {"here": os.getcwd(), "home": os.environ["HOME"], "path": sys.path[0]}
        seen["files"] = os.listdir()
        json.dump({"seen": seen}, open("job_output.json", "w"))
        """
    ended = client.run(client.applet(code, outputs=HASH))
    job_id, seen = ended["id"], ended["output"]["seen"]
    assert seen["home"].endswith("/home/dnanexus")
    assert seen["here"] == seen["path"] == seen["home"]
    assert set(seen["files"]) == {job_id, f"{job_id}.code.py", "job_input.json"}


def test_a_job_has_the_signals_of_a_fresh_process(client: Client) -> None:
    """Ignored and blocked signals are inherited: a Pool ends its workers with SIGTERM."""
    body = """
return {"seen": {
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "terminate": int(signal.getsignal(signal.SIGTERM)),
    "interruptible": callable(signal.getsignal(signal.SIGINT)),
}}
"""
    applet = client.applet(script(body), outputs=HASH)
    # As in a background process of a shell.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        seen = client.run(applet)["output"]["seen"]
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == {"blocked": [], "terminate": 0, "interruptible": True}


def test_the_code_is_main_and_a_pool_runs_its_functions(client: Client) -> None:
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
        bundle.add(text, "home/dnanexus/below/text")
    bundled = [{"name": "resources.tar.gz", "id": link(client.upload(archive))}]
    code = script("return {'seen': {'text': open('below/text').read()}}")
    ended = client.run(client.applet(code, outputs=HASH, bundledDepends=bundled))
    assert ended["output"]["seen"] == {"text": "from the bundle"}


def test_a_declared_package_that_is_there_can_be_used(client: Client) -> None:
    code = script("subprocess.check_call(['sh', '-c', 'command -v samtools'])")
    packages = [{"name": "samtools"}, {"name": "python3-pysam"}]
    ended = client.run(client.applet(code, execDepends=packages))
    assert ended["state"] == "done"
    assert any("/usr/bin/samtools" in message for _, _, message in client.log(ended["id"]))


@pytest.mark.parametrize(
    "package",
    [
        {"name": "no-such-package"},
        {"name": "python3-no_such_module"},
        {"name": "dxpy", "package_manager": "pip3"},
    ],
)
def test_a_declared_package_that_is_missing_fails_the_job(
    client: Client, package: dict[str, str]
) -> None:
    ended = client.run(client.applet(execDepends=[package]))
    assert (ended["state"], ended["failureReason"]) == ("failed", "ExecutionError")
    assert package["name"].removeprefix("python3-") in ended["failureMessage"]


def test_a_job_reads_its_input_from_its_own_files(client: Client) -> None:
    body = """
dxpy.download_all_inputs()
return {"seen": {"given": given, "file": json.load(open("job_input.json")),
                 "text": open("in/text/a.txt").read()}}
"""
    inputs: Fields = [{"name": "text", "class": "file"}, {"name": "word", "class": "string"}]
    given = {"text": link(client.file("a.txt", "some text")), "word": "ä"}
    seen = client.run(client.applet(script(body), inputs, HASH), given)["output"]["seen"]
    assert seen == {"given": given, "file": given, "text": "some text"}


def test_an_output_appears_in_the_projects_folder_with_its_id_and_name(client: Client) -> None:
    body = """
file = dxpy.upload_string("text", name="named by the job.txt", tags=["t"], properties={"k": "v"})
return {"file": dxpy.dxlink(file)}
"""
    folder = f"{client.folder}/new/results"
    ended = client.run(client.applet(script(body), outputs=FILE), folder=folder)
    file_id = ended["output"]["file"]["$dnanexus_link"]
    described = dxpy.describe(file_id)
    assert described["project"] == client.project
    assert (described["folder"], described["name"]) == (folder, "named by the job.txt")
    assert described["createdBy"]["job"] == ended["id"]
    assert described["tags"] == ["t"]
    assert dxpy.DXFile(file_id).read() == "text"


def test_what_a_job_made_and_did_not_give_out_is_gone(client: Client) -> None:
    body = "return {'seen': {'id': dxpy.upload_string('scratch').get_id()}}"
    ended = client.run(client.applet(script(body), outputs=HASH))
    client.log(ended["id"])  # to its end, which comes last
    assert ended["output"]["seen"]["id"] not in client.platform.store.objects


@pytest.mark.usefixtures("slow_closing")
def test_a_job_waits_until_its_output_is_closed(client: Client) -> None:
    body = "return {'file': dxpy.dxlink(dxpy.upload_string('text'))}"
    ended = client.run(client.applet(script(body), outputs=FILE))
    entered = [transition["newState"] for transition in ended["stateTransitions"]]
    assert entered == ["runnable", "running", "waiting_on_output", "done"]
    assert dxpy.describe(ended["output"]["file"])["state"] == "closed"


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
def test_a_failure_is_told_in_the_jobs_own_words(
    client: Client, body: str, reason: str, message: str
) -> None:
    ended = client.run(client.applet(script(body)))
    assert (ended["state"], ended["failureReason"]) == ("failed", reason)
    assert message in ended["failureMessage"]
    assert ended["output"] is None


CLASSES: dict[str, Any] = {
    "int": 1,
    "float": 1.5,
    "boolean": True,
    "string": "text",
    "hash": {"a": [1]},
    "array:int": [1, 2],
}


@pytest.mark.parametrize("class_", CLASSES)
def test_values_of_every_class_go_in_and_come_out(client: Client, class_: str) -> None:
    fields: Fields = [{"name": "value", "class": class_}]
    given = {"value": CLASSES[class_]}
    assert (
        client.run(client.applet(script("return given"), fields, fields), given)["output"] == given
    )


REFUSED_OUTPUTS = {
    "an undeclared field": ("return {'n': 1, 'other': 2}", "'other' is not in the specification"),
    "a required field missing": ("return {}", "'n' is required"),
    "another class": ("return {'n': 'one'}", "not of class int"),
    "no JSON": ("open('job_output.json', 'w').write('{'); os._exit(0)", "JSON object"),
    "no object": ("open('job_output.json', 'w').write('[]'); os._exit(0)", "JSON object"),
    "no file at all": ("os._exit(0)", "'n' is required"),
}


@pytest.mark.parametrize("what", REFUSED_OUTPUTS)
def test_an_output_that_the_spec_does_not_allow_fails_the_job(client: Client, what: str) -> None:
    body, words = REFUSED_OUTPUTS[what]
    ended = client.run(client.applet(script(body), outputs=[{"name": "n", "class": "int"}]))
    assert (ended["state"], ended["failureReason"]) == ("failed", "OutputError")
    assert words in ended["failureMessage"]


REFUSED_FILES = {
    "open": ("dxpy.new_dxfile().get_id()", "is open, and was never closed"),
    "not there": ("'file-' + 24 * '0'", "could not be found"),
    "an applet": ("'applet-' + 24 * '0'", "not to a file"),
}


@pytest.mark.parametrize("what", REFUSED_FILES)
def test_a_file_that_cannot_be_an_output_fails_the_job(client: Client, what: str) -> None:
    expression, words = REFUSED_FILES[what]
    body = f"return {{'file': dxpy.dxlink({expression})}}"
    ended = client.run(client.applet(script(body), outputs=FILE))
    assert (ended["state"], ended["failureReason"]) == ("failed", "OutputError")
    assert words in ended["failureMessage"]


def test_an_output_from_elsewhere_fails_the_job(client: Client) -> None:
    file_id = client.file()
    client.another_project_with(file_id)
    body = f"return {{'file': dxpy.dxlink('{file_id}')}}"
    ended = client.run(client.applet(script(body), outputs=FILE))
    assert (ended["state"], ended["failureReason"]) == ("failed", "OutputError")
    assert "not in the job's workspace" in ended["failureMessage"]


def test_a_job_sends_a_file_in_parts_and_reads_it_in_ranges(client: Client) -> None:
    body = f"""
size = 12 * {MIB} + 7
with open("big", "wb") as big:
    big.write(bytes(range(256)) * (size // 256) + bytes(size % 256))
file = dxpy.upload_local_file("big", write_buffer_size=5 * {MIB}, wait_on_close=True)
dxpy.download_dxfile(file.get_id(), "back", chunksize={MIB})
assert open("back", "rb").read() == open("big", "rb").read()
with dxpy.open_dxfile(file.get_id(), mode="rb") as remote:
    remote.seek(5 * {MIB} - 3)
    assert remote.read(6) == open("big", "rb").read()[5 * {MIB} - 3:5 * {MIB} + 3]
return {{"file": dxpy.dxlink(file)}}
"""
    ended = client.run(client.applet(script(body), outputs=FILE))
    assert ended["state"] == "done", ended["failureMessage"]
    parts = dxpy.describe(ended["output"]["file"], fields={"parts": True})["parts"]
    assert [parts[index]["size"] for index in ("1", "2", "3")] == [5 * MIB, 5 * MIB, 2 * MIB + 7]


def test_a_job_may_only_look_at_its_project(client: Client) -> None:
    elsewhere, inside = client.file("elsewhere.txt"), client.file("inside.txt")
    other = client.another_project_with(elsewhere)
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
    "make a folder": attempt(dxpy.api.project_new_folder, project, {{"folder": "/x"}}),
    "remove": attempt(dxpy.api.project_remove_objects, project, {{"objects": ["{inside}"]}}),
    "describe elsewhere": attempt(dxpy.api.file_describe, "{elsewhere}"),
    "read elsewhere": attempt(dxpy.api.file_download, "{elsewhere}"),
    "another project": attempt(dxpy.api.project_describe, "{other}"),
    "write in the workspace": attempt(dxpy.api.file_new, {{"project": dxpy.WORKSPACE_ID}}),
}}}}
"""
    ended = client.run(client.applet(script(body), outputs=HASH))
    assert ended["state"] == "done", ended["failureMessage"]
    denied = ["PermissionDenied", 401]
    assert ended["output"]["seen"] == {
        "read in the project": "allowed",
        "write in the project": denied,
        "make a folder": denied,
        "remove": denied,
        "describe elsewhere": denied,
        "read elsewhere": denied,
        "another project": denied,
        "write in the workspace": "allowed",
    }


def test_two_jobs_of_one_applet_do_not_meet(client: Client) -> None:
    body = "was = os.path.exists('mark'); open('mark', 'w'); return {'seen': {'was': was}}"
    applet = client.applet(script(body), outputs=HASH)
    assert [client.run(applet)["output"]["seen"]["was"] for _ in range(2)] == [False, False]


def test_without_specs_anything_goes_in_and_out_unchanged(client: Client) -> None:
    given = {"a": [1, {"b": None}], "unicode": "ä", "nested": {"deep": [[]]}}
    ended = client.run(client.applet(script("return {'seen': given}")), given)
    assert ended["input"] == given
    assert ended["output"]["seen"] == given


def test_a_workers_folder_is_below_the_platforms(client: Client) -> None:
    job_id, release = client.held_job()
    home = Path(client.platform.root, "workers", job_id, "home", "dnanexus")
    assert (home / "job_input.json").exists()
    release.touch()
    client.log(job_id)
    assert not home.exists()
