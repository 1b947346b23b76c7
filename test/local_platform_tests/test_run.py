"""`dx` on jobs: run, watch, describe, find, terminate."""

import json
from pathlib import Path
from typing import Any

import dxpy
import pytest
import websocket

from local_platform_tests.client import FAIL, HANG_SECONDS, NOTHING, Client, Fields, link, states

# Writes what it read, so that a test sees which file it was.
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
        "help": "What is copied.",
    },
    {"name": "times", "class": "int", "default": 1, "help": "How often."},
]
COPY_OUTPUTS: Fields = [{"name": "copy", "class": "file"}, {"name": "characters", "class": "int"}]


@pytest.fixture
def copy(client: Client) -> str:
    return client.applet(COPY, COPY_INPUTS, COPY_OUTPUTS, name="copy")


@pytest.mark.parametrize("given", ["{name}", "{folder}/{name}", "{id}", "{project}:{id}"])
def test_run_takes_a_file_by_name_path_and_id(client: Client, copy: str, given: str) -> None:
    file_id = client.file("a.txt", "text")
    value = given.format(name="a.txt", folder=client.folder, id=file_id, project=client.project)
    job_id = client.dx("run", "copy", f"-itext={value}", "-y", "--brief")
    ended = client.ended(job_id)
    assert (ended["state"], ended["output"]["characters"]) == ("done", 4)
    text = ended["originalInput"]["text"]["$dnanexus_link"]
    assert (text["id"] if isinstance(text, dict) else text) == file_id


def test_run_wait_comes_back_with_the_output_there(client: Client, copy: str) -> None:
    client.file("a.txt", "text")
    job_id = client.dx("run", copy, "-itext=a.txt", "-y", "--brief", "--wait")
    assert client.describe(job_id)["state"] == "done"
    assert client.dx("cat", "copy.txt") == "text"


def test_run_wait_fails_with_the_job(client: Client) -> None:
    # The status is dx's own choice: it takes the failure for an exception that it did not expect.
    printed = client.dx("run", client.applet(FAIL), "-y", "--brief", "--wait", status=1)
    assert "the input is not what it should be" in printed


def test_run_watch_shows_log_and_output(client: Client, copy: str) -> None:
    client.file("a.txt", "text")
    printed = client.dx("run", "copy", "-itext=a.txt", "-y", "--watch")
    assert "STDOUT copied 4 characters" in printed
    assert "characters = 4" in printed
    assert "(done)" in printed


def test_run_passes_its_options_on(client: Client, copy: str) -> None:
    file_id = client.file("a.txt", "text")
    input_file = client.local_file("input.json", json.dumps({"text": link(file_id), "times": 3}))
    arguments = [
        *("run", "copy", "-y", "--brief", "--input-json-file", str(input_file)),
        *("--name", "three copies", "--folder", f"{client.folder}/results"),
        *("--instance-type", "mem1_ssd1_v2_x2", "--priority", "low"),
        *("--tag", "a", "--tag", "b", "--property", "k=v"),
        *("--detach", "--cost-limit", "1"),
    ]
    ended = client.ended(client.dx(*arguments))
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
    assert {key: ended[key] for key in expected} == expected
    assert client.dx("cat", "results/copy.txt") == "text" * 3


def test_a_job_keeps_the_details_that_it_was_given(client: Client) -> None:
    assert client.run(client.applet(), details={"lane": [1]})["details"] == {"lane": [1]}


def test_run_without_options_takes_the_applets_own(client: Client) -> None:
    requirements = {"*": {"instanceType": "mem3_ssd1_v2_x8"}}
    ended = client.run(client.applet(systemRequirements=requirements))
    assert (ended["name"], ended["instanceType"]) == ("probe", "mem3_ssd1_v2_x8")


def test_a_default_is_used_and_shows_in_the_original_input_only(client: Client, copy: str) -> None:
    given = {"text": link(client.file())}
    ended = client.run(copy, given)
    assert ended["runInput"] == given
    assert ended["originalInput"] == {**given, "times": 1}


def test_run_help_tells_the_inputs_and_outputs(client: Client, copy: str) -> None:
    text = client.dx("run", "copy", "--help")
    for words in ("-itext=(file)", "What is copied.", "-itimes=(int, default=1)", "copy (file)"):
        assert words in text


def test_watch_follows_a_running_job(client: Client) -> None:
    job_id, release = client.held_job()
    watch = client.dx_process("watch", job_id, "--get-stdout")
    assert watch.stdout is not None
    assert watch.stdout.readline() == "running\n"
    # Only what came while the job ran can make it end.
    release.touch()
    output, _ = watch.communicate(timeout=HANG_SECONDS)
    assert "released" in output
    assert watch.returncode == 0


def test_watch_of_an_ended_job_shows_all_of_its_log(client: Client, copy: str) -> None:
    job_id = client.run(copy, {"text": link(client.file("a.txt", "text"))})["id"]
    printed = client.dx("watch", job_id)
    assert "STDOUT copied 4 characters" in printed
    assert "characters = 4" in printed


def test_watch_of_a_failed_job_fails(client: Client) -> None:
    job_id = client.run(client.applet(FAIL))["id"]
    assert "about to fail" in client.dx("watch", job_id, status=3)


def test_watch_shows_the_levels_and_lines_that_are_asked_for(client: Client) -> None:
    three = client.run(client.applet("for number in range(3): print(number)"))["id"]
    assert client.dx("watch", three, "--get-stdout").split() == ["0", "1", "2"]
    assert client.dx("watch", three, "--get-stdout", "--num-recent-messages", "1") == "2"
    code = "import sys; print('out'); print('err', file=sys.stderr)"
    both = client.run(client.applet(code))["id"]
    assert client.dx("watch", both, "--get-stderr") == "err"


def test_watch_without_waiting_leaves_a_job_running(client: Client) -> None:
    job_id, release = client.held_job()
    assert "running" in client.dx("watch", job_id, "--no-wait")
    assert client.describe(job_id)["state"] == "running"
    release.touch()
    assert client.ended(job_id)["state"] == "done"


def log_socket(client: Client, job_id: str, token: str) -> Any:
    """A connection as `dx watch` makes one. (The library is typed only in part.)"""
    address = client.platform.base_url.replace("http", "ws")
    socket: Any = websocket.create_connection(
        f"{address}/{job_id}/getLog/websocket", timeout=HANG_SECONDS
    )
    message = {"access_token": token, "token_type": "Bearer", "numRecentMessages": 10, "tail": True}
    socket.send(json.dumps(message))
    return socket


def test_a_log_ends_with_a_message_and_the_client_closes(client: Client) -> None:
    """`dx` takes a connection that the server closes first for an error."""
    job_id = client.run(client.applet(NOTHING))["id"]
    socket = log_socket(client, job_id, client.platform.user_token)
    assert json.loads(socket.recv()) == {"source": "SYSTEM", "msg": "END_LOG"}
    # It is still open: a ping is answered.
    socket.ping("there?")
    assert socket.recv_frame().opcode == websocket.ABNF.OPCODE_PONG
    socket.send_close()
    assert socket.recv_frame().opcode == websocket.ABNF.OPCODE_CLOSE
    socket.shutdown()


def test_a_log_is_shown_to_nobody_without_a_token(client: Client) -> None:
    job_id = client.run(client.applet(NOTHING))["id"]
    socket = log_socket(client, job_id, "wrong")
    frame = socket.recv_frame()
    assert frame.opcode == websocket.ABNF.OPCODE_CLOSE
    assert b"InvalidAuthentication" in frame.data
    socket.shutdown()


def test_describe_tells_how_a_job_went(client: Client) -> None:
    job_id = client.run(client.applet(FAIL), name="bound to fail")["id"]
    described = client.dx_json("describe", job_id)
    assert described["failureReason"] == "AppError"
    assert described["failureMessage"] == "the input is not what it should be"
    text = client.dx("describe", job_id)
    assert "bound to fail" in text
    assert "failed" in text


def test_find_jobs_finds_by_name_state_and_tag(client: Client) -> None:
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


def test_find_executions_tells_what_describe_tells(client: Client) -> None:
    job_id = client.run(client.applet(), name=client.folder)["id"]
    (found,) = client.dx_json("find", "executions", "--name", client.folder)
    assert (found["id"], found["state"], found["name"]) == (job_id, "done", client.folder)


def test_terminate_ends_a_job(client: Client) -> None:
    job_id, _ = client.held_job()
    client.dx("terminate", job_id)
    assert client.ended(job_id)["state"] == "terminated"
    assert "terminated" in client.dx("watch", job_id, status=3)


def test_wait_waits_for_the_end_of_a_job(client: Client) -> None:
    job_id, release = client.held_job()
    wait = client.dx_process("wait", job_id)
    release.touch()
    wait.communicate(timeout=HANG_SECONDS)
    assert wait.returncode == 0
    assert client.describe(job_id)["state"] == "done"


@pytest.mark.parametrize(("code", "last"), [(NOTHING, "done"), (FAIL, "failed")])
def test_a_job_goes_through_its_states_in_order(client: Client, code: str, last: str) -> None:
    ended = client.run(client.applet(code))
    assert states(ended) == ["runnable", "running", last]
    times = [ended["created"], ended["startedRunning"], ended["stoppedRunning"], ended["modified"]]
    assert times == sorted(times)


def test_a_job_waits_for_an_input_that_is_not_closed(client: Client, copy: str) -> None:
    file_id = client.open_file()
    job_id = client.start(copy, {"text": link(file_id)})
    client.wait_for_state(job_id, "waiting_on_input")
    file = dxpy.DXFile(file_id, project=client.project, mode="a")
    file.write("text")
    file.close()
    ended = client.ended(job_id)
    assert states(ended) == ["waiting_on_input", "runnable", "running", *states(ended)[3:]]
    assert ended["output"]["characters"] == 4


def test_missing_inputs_are_refused_before_the_job_starts(client: Client, copy: str) -> None:
    printed = client.dx("run", copy, "--input-json", "{}", "-y", status=3)
    assert "text" in printed
    unknown = json.dumps({"text": link(client.file()), "colour": "red"})
    printed = client.dx("run", copy, "--input-json", unknown, "-y", status=3)
    assert "colour" in printed
    assert "InvalidInput" in printed


def test_files_of_the_test_are_all_that_it_left_behind(client: Client, copy: str) -> None:
    """The workspace and the worker of a job go with it."""
    ended = client.run(copy, {"text": link(client.file("a.txt"))})
    client.log(ended["id"])  # to its end, which comes last
    assert ended["workspace"] not in client.platform.store.containers
    assert not Path(client.platform.root, "workers", ended["id"]).exists()
    assert client.dx("ls").split() == ["a.txt", "copy", "copy.txt"]
