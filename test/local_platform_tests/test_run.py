"""`dx` commands for jobs: run, watch, describe, find, terminate."""

import json
from pathlib import Path
from typing import Any

import dxpy
import pytest
import websocket

from local_platform_tests.client import FAIL, HANG_SECONDS, NO_OP, Client, Fields, link, states

# Outputs a copy of its input file, so that a test can tell which file was read.
COPY = """\
import dxpy

@dxpy.entry_point("main")
def main(text, times):
    content = dxpy.DXFile(text).read() * times
    print("copied", len(content), "characters")
    copy = dxpy.upload_string(content, name="copy.txt")
    return {"copy": dxpy.dxlink(copy), "characters": len(content)}

dxpy.run()
"""
COPY_INPUTS: Fields = [
    {
        "name": "text",
        "label": "Text",
        "class": "file",
        "patterns": ["*.txt"],
        "help": "The text to copy.",
    },
    {"name": "times", "class": "int", "default": 1, "help": "Number of copies."},
]
COPY_OUTPUTS: Fields = [{"name": "copy", "class": "file"}, {"name": "characters", "class": "int"}]


@pytest.fixture
def copy(client: Client) -> str:
    return client.applet(COPY, COPY_INPUTS, COPY_OUTPUTS, name="copy")


@pytest.mark.parametrize("file", ["{name}", "{folder}/{name}", "{id}", "{project}:{id}"])
def test_run_accepts_a_file_by_name_path_or_id(client: Client, copy: str, file: str) -> None:
    file_id = client.file("a.txt", "text")
    value = file.format(name="a.txt", folder=client.folder, id=file_id, project=client.project)
    job_id = client.dx("run", "copy", f"-itext={value}", "-y", "--brief")
    job = client.wait_for_end(job_id)
    assert (job["state"], job["output"]["characters"]) == ("done", 4)
    text = job["originalInput"]["text"]["$dnanexus_link"]
    assert (text["id"] if isinstance(text, dict) else text) == file_id


def test_run_wait_returns_when_the_output_exists(client: Client, copy: str) -> None:
    client.file("a.txt", "text")
    job_id = client.dx("run", copy, "-itext=a.txt", "-y", "--brief", "--wait")
    assert client.describe(job_id)["state"] == "done"
    assert client.dx("cat", "copy.txt") == "text"


def test_run_wait_fails_if_the_job_fails(client: Client) -> None:
    # dx treats the failure as an unexpected exception and therefore exits with status 1, not 3.
    printed = client.dx("run", client.applet(FAIL), "-y", "--brief", "--wait", status=1)
    assert "the input is invalid" in printed


def test_run_watch_prints_the_log_and_the_output(client: Client, copy: str) -> None:
    client.file("a.txt", "text")
    printed = client.dx("run", "copy", "-itext=a.txt", "-y", "--watch")
    assert "STDOUT copied 4 characters" in printed
    assert "characters = 4" in printed
    assert "(done)" in printed


def test_run_passes_its_options_to_the_job(client: Client, copy: str) -> None:
    file_id = client.file("a.txt", "text")
    input_file = client.local_file("input.json", json.dumps({"text": link(file_id), "times": 3}))
    arguments = [
        *("run", "copy", "-y", "--brief", "--input-json-file", str(input_file)),
        *("--name", "three copies", "--folder", f"{client.folder}/results"),
        *("--instance-type", "mem1_ssd1_v2_x2", "--priority", "low"),
        *("--tag", "a", "--tag", "b", "--property", "k=v"),
        *("--detach", "--cost-limit", "1"),
    ]
    job = client.wait_for_end(client.dx(*arguments))
    expected = {
        "name": "three copies",
        "folder": f"{client.folder}/results",
        "instanceType": "mem1_ssd1_v2_x2",
        "priority": "low",
        "tags": ["a", "b"],
        "properties": {"k": "v"},
        "totalPrice": 0,
        "runInput": {"text": link(file_id), "times": 3},
        "state": "done",
    }
    assert {key: job[key] for key in expected} == expected
    assert client.dx("cat", "results/copy.txt") == "text" * 3


def test_a_job_keeps_its_details(client: Client) -> None:
    assert client.run(client.applet(), details={"lane": [1]})["details"] == {"lane": [1]}


def test_run_uses_the_applets_name_and_instance_type_by_default(client: Client) -> None:
    requirements = {"*": {"instanceType": "mem3_ssd1_v2_x8"}}
    job = client.run(client.applet(systemRequirements=requirements))
    assert (job["name"], job["instanceType"]) == ("probe", "mem3_ssd1_v2_x8")


def test_a_default_is_part_of_the_original_input_but_not_of_the_run_input(
    client: Client, copy: str
) -> None:
    job_input = {"text": link(client.file())}
    job = client.run(copy, job_input)
    assert job["runInput"] == job_input
    assert job["originalInput"] == {**job_input, "times": 1}


def test_run_help_lists_the_inputs_and_outputs(client: Client, copy: str) -> None:
    text = client.dx("run", "copy", "--help")
    lines = ("-itext=(file)", "The text to copy.", "-itimes=(int, default=1)", "copy (file)")
    for line in lines:
        assert line in text


def test_watch_follows_a_running_job(client: Client) -> None:
    job_id, release = client.start_held_job()
    watch = client.dx_process("watch", job_id, "--get-stdout")
    assert watch.stdout is not None
    assert watch.stdout.readline() == "running\n"
    # The job ends only now, so `dx watch` has to receive the rest of the log as it is written.
    release.touch()
    output, _ = watch.communicate(timeout=HANG_SECONDS)
    assert "released" in output
    assert watch.returncode == 0


def test_watch_prints_the_complete_log_of_a_finished_job(client: Client, copy: str) -> None:
    job_id = client.run(copy, {"text": link(client.file("a.txt", "text"))})["id"]
    printed = client.dx("watch", job_id)
    assert "STDOUT copied 4 characters" in printed
    assert "characters = 4" in printed


def test_watch_fails_for_a_failed_job(client: Client) -> None:
    job_id = client.run(client.applet(FAIL))["id"]
    assert "about to fail" in client.dx("watch", job_id, status=3)


def test_watch_options_select_a_stream_and_recent_lines(client: Client) -> None:
    job_id = client.run(client.applet("for number in range(3): print(number)"))["id"]
    assert client.dx("watch", job_id, "--get-stdout").split() == ["0", "1", "2"]
    assert client.dx("watch", job_id, "--get-stdout", "--num-recent-messages", "1") == "2"
    code = "import sys; print('out'); print('err', file=sys.stderr)"
    job_id = client.run(client.applet(code))["id"]
    assert client.dx("watch", job_id, "--get-stderr") == "err"


def test_watch_no_wait_returns_while_the_job_is_running(client: Client) -> None:
    job_id, release = client.start_held_job()
    assert "running" in client.dx("watch", job_id, "--no-wait")
    assert client.describe(job_id)["state"] == "running"
    release.touch()
    assert client.wait_for_end(job_id)["state"] == "done"


def log_socket(client: Client, job_id: str, token: str) -> Any:
    """Opens a connection to a job's log as `dx watch` does. (The library has few types.)"""
    address = client.platform.base_url.replace("http", "ws")
    socket: Any = websocket.create_connection(
        f"{address}/{job_id}/getLog/websocket", timeout=HANG_SECONDS
    )
    message = {"access_token": token, "token_type": "Bearer", "numRecentMessages": 10, "tail": True}
    socket.send(json.dumps(message))
    return socket


def test_a_log_ends_with_a_message_and_the_client_closes_the_connection(client: Client) -> None:
    """`dx` reports an error if the server closes the connection first."""
    job_id = client.run(client.applet(NO_OP))["id"]
    socket = log_socket(client, job_id, client.platform.user_token)
    assert json.loads(socket.recv()) == {"source": "SYSTEM", "msg": "END_LOG"}
    # The connection is still open: the server answers a ping.
    socket.ping("there?")
    assert socket.recv_frame().opcode == websocket.ABNF.OPCODE_PONG
    socket.send_close()
    assert socket.recv_frame().opcode == websocket.ABNF.OPCODE_CLOSE
    socket.shutdown()


def test_a_log_cannot_be_read_with_an_invalid_token(client: Client) -> None:
    job_id = client.run(client.applet(NO_OP))["id"]
    socket = log_socket(client, job_id, "wrong")
    frame = socket.recv_frame()
    assert frame.opcode == websocket.ABNF.OPCODE_CLOSE
    assert b"InvalidAuthentication" in frame.data
    socket.shutdown()


def test_describe_shows_why_a_job_failed(client: Client) -> None:
    job_id = client.run(client.applet(FAIL), name="bound to fail")["id"]
    description = client.dx_json("describe", job_id)
    assert description["failureReason"] == "AppError"
    assert description["failureMessage"] == "the input is invalid"
    text = client.dx("describe", job_id)
    assert "bound to fail" in text
    assert "failed" in text


def test_find_jobs_filters_jobs(client: Client) -> None:
    applet = client.applet(FAIL)
    red = client.run(applet, name=f"red {client.folder}", tags=[client.folder])["id"]
    plain = client.run(client.applet(), name=f"plain {client.folder}")["id"]

    def found(*filters: str) -> list[str]:
        return client.dx("find", "jobs", "--brief", *filters).split()

    assert found("--name", f"*{client.folder}") == [plain, red]
    assert found("--name", f"*{client.folder}", "--state", "failed") == [red]
    assert found("--tag", client.folder) == [red]
    assert found("--executable", applet) == [red]
    assert found("--name", f"*{client.folder}", "--created-before=-1d") == []
    assert f"plain {client.folder}" in client.dx("find", "jobs", "--name", f"plain {client.folder}")


def test_find_executions_returns_the_description_of_a_job(client: Client) -> None:
    job_id = client.run(client.applet(), name=client.folder)["id"]
    (found,) = client.dx_json("find", "executions", "--name", client.folder)
    assert (found["id"], found["state"], found["name"]) == (job_id, "done", client.folder)


def test_terminate_terminates_a_job(client: Client) -> None:
    job_id, _ = client.start_held_job()
    client.dx("terminate", job_id)
    assert client.wait_for_end(job_id)["state"] == "terminated"
    assert "terminated" in client.dx("watch", job_id, status=3)


def test_wait_returns_when_the_job_has_finished(client: Client) -> None:
    job_id, release = client.start_held_job()
    wait = client.dx_process("wait", job_id)
    release.touch()
    wait.communicate(timeout=HANG_SECONDS)
    assert wait.returncode == 0
    assert client.describe(job_id)["state"] == "done"


@pytest.mark.parametrize(("code", "last"), [(NO_OP, "done"), (FAIL, "failed")])
def test_a_job_goes_through_its_states_in_order(client: Client, code: str, last: str) -> None:
    job = client.run(client.applet(code))
    assert states(job) == ["runnable", "running", last]
    times = [job["created"], job["startedRunning"], job["stoppedRunning"], job["modified"]]
    assert times == sorted(times)


def test_a_job_waits_until_its_input_file_is_closed(client: Client, copy: str) -> None:
    file_id = client.open_file()
    job_id = client.start(copy, {"text": link(file_id)})
    client.wait_for_state(job_id, "waiting_on_input")
    file = dxpy.DXFile(file_id, project=client.project, mode="a")
    file.write("text")
    file.close()
    job = client.wait_for_end(job_id)
    assert states(job) == ["waiting_on_input", "runnable", "running", *states(job)[3:]]
    assert job["output"]["characters"] == 4


def test_missing_and_unknown_inputs_are_rejected(client: Client, copy: str) -> None:
    printed = client.dx("run", copy, "--input-json", "{}", "-y", status=3)
    assert "text" in printed
    unknown = json.dumps({"text": link(client.file()), "colour": "red"})
    printed = client.dx("run", copy, "--input-json", unknown, "-y", status=3)
    assert "colour" in printed
    assert "InvalidInput" in printed


def test_a_finished_job_leaves_only_its_outputs(client: Client, copy: str) -> None:
    """Its workspace and its worker are removed."""
    job = client.run(copy, {"text": link(client.file("a.txt"))})
    client.log(job["id"])  # ends after the workspace and the worker are removed
    assert job["workspace"] not in client.platform.store.containers
    assert not Path(client.platform.root, "workers", job["id"]).exists()
    assert client.dx("ls").split() == ["a.txt", "copy", "copy.txt"]
