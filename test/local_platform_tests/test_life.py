"""What a job started ends with it, and what a platform made ends with the platform."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dxpy
import pytest

from local_platform import LocalPlatform
from local_platform_tests.client import (
    NOTHING,
    RELEASE_INPUT,
    UNTIL_RELEASED,
    Client,
    error_of,
    is_running,
    send,
    wait_until,
)

# Starts a child with a session of its own, one with an empty environment that does not heed a
# polite request, and a grandchild with a session of its own that has lost its parent; tells their
# ids, and never ends.
FAMILY = """\
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(3600)"]
deaf = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN);"
        "print('up', flush=True); time.sleep(3600)"]
# What it starts has another output, so that the ID is the first line of this one.
lost = [sys.executable, "-c", "import subprocess, sys; p = subprocess.Popen(sys.argv[1:],"
        "start_new_session=True, stdout=subprocess.DEVNULL); print(p.pid, flush=True)", *sleep]
ids = [os.getpid()]
for command, how in ((sleep, {"start_new_session": True}), (deaf, {"env": {}})):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **how)
    process.stdout.readline()
    ids.append(process.pid)
process = subprocess.Popen(lost, stdout=subprocess.PIPE)
ids.append(int(process.stdout.readline()))
print("family", *ids, flush=True)
time.sleep(3600)
"""


def family_of(client: Client, job_id: str) -> list[int]:
    """The processes of a job, once all of them have started."""
    for line in client.job(job_id).log.follow(recent=1000, wait=True):
        if str(line["msg"]).startswith("family"):
            family = [int(word) for word in str(line["msg"]).split()[1:]]
            assert len(family) == 4
            assert all(map(is_running, family))
            return family
    pytest.fail(f"{job_id} has ended: {client.log(job_id)}")


def test_a_terminated_job_leaves_no_process(client: Client) -> None:
    job_id = client.start(client.applet(FAMILY))
    family = family_of(client, job_id)
    dxpy.api.job_terminate(job_id)
    ended = client.ended(job_id)
    assert [step["newState"] for step in ended["stateTransitions"]][-2:] == [
        "terminating",
        "terminated",
    ]
    assert "failureReason" not in ended
    assert not any(map(is_running, family))


def test_a_job_that_takes_too_long_fails_and_leaves_no_process(client: Client) -> None:
    timeout = {"*": {"hours": 0, "minutes": 0.1}}
    job_id = client.start(client.applet(FAMILY, timeoutPolicy=timeout))
    family = family_of(client, job_id)
    ended = client.ended(job_id)
    assert (ended["state"], ended["failureReason"]) == ("failed", "JobTimeoutExceeded")
    assert "6 seconds" in ended["failureMessage"]
    assert not any(map(is_running, family))


def test_a_run_may_have_a_timeout_of_its_own(client: Client) -> None:
    applet = client.applet(UNTIL_RELEASED, RELEASE_INPUT, timeoutPolicy={"*": {"days": 1}})
    policy = {"timeoutPolicyByExecutable": {applet: {"main": {"minutes": 0.01}}}}
    ended = client.run(applet, {"release": str(client.local / "never")}, **policy)
    assert (ended["state"], ended["failureReason"]) == ("failed", "JobTimeoutExceeded")


def test_what_a_job_left_running_ends_with_it(client: Client) -> None:
    code = FAMILY.replace("time.sleep(3600)\n", "")
    job_id = client.start(client.applet(code))
    ended = client.ended(job_id)
    assert ended["state"] == "done"
    (line,) = (message for _, _, message in client.log(job_id) if message.startswith("family"))
    assert not any(is_running(int(word)) for word in line.split()[1:])


def test_a_job_can_be_terminated_while_it_waits(client: Client) -> None:
    inputs = [{"name": "text", "class": "file"}]
    waiting = client.start(client.applet(inputs=inputs), {"text": dxpy.dxlink(client.open_file())})
    client.wait_for_state(waiting, "waiting_on_input")
    dxpy.api.job_terminate(waiting)
    assert client.ended(waiting)["state"] == "terminated"


def test_a_job_that_waits_for_another_can_be_terminated(client: Client) -> None:
    first, release = client.held_job()
    second = client.start(client.applet(), dependsOn=[first])
    client.wait_for_state(second, "waiting_on_input")
    dxpy.api.job_terminate(second)
    assert client.ended(second)["state"] == "terminated"
    release.touch()


# A platform of its own for each of these


@pytest.fixture
def own(_dxpy: None, tmp_path: Path) -> Iterator[Client]:
    """A client on a platform with room for a single job, which the test may stop."""
    platform = LocalPlatform(jobs_at_once=1)
    platform.start()
    platform.store.new_folder(platform.project, "/own", parents=False)
    with pytest.MonkeyPatch.context() as patch:
        port = platform.api_environment()["DX_APISERVER_PORT"]
        patch.setattr(dxpy, "APISERVER_PORT", port)
        patch.setattr(dxpy, "APISERVER", f"http://127.0.0.1:{port}")
        security = {"auth_token_type": "Bearer", "auth_token": platform.user_token}
        patch.setattr(dxpy, "AUTH_HELPER", dxpy.DXHTTPOAuth2(security))
        yield Client(platform, "/own", tmp_path)
    if platform.root.exists():
        platform.stop()


def test_a_job_can_be_terminated_while_it_waits_for_a_slot(own: Client) -> None:
    running, release = own.held_job()
    waiting = own.start(own.applet())
    own.wait_for_state(waiting, "runnable")
    dxpy.api.job_terminate(waiting)
    assert own.ended(waiting)["state"] == "terminated"
    assert own.describe(running)["state"] == "running"
    release.touch()
    assert own.ended(running)["state"] == "done"


def test_a_job_waits_for_a_slot(own: Client) -> None:
    running, release = own.held_job()
    waiting = own.start(own.applet())
    own.wait_for_state(waiting, "runnable")
    release.touch()
    assert own.ended(waiting)["startedRunning"] >= own.ended(running)["stoppedRunning"]


def test_stop_leaves_no_process_no_folder_and_no_thread(own: Client) -> None:
    own.file()  # after which dxpy has the threads that it keeps
    before = set(threading.enumerate())
    job_id = own.start(own.applet(FAMILY))
    family = family_of(own, job_id)
    waiting = own.start(own.applet())
    own.wait_for_state(waiting, "runnable")
    watch = own.dx_process("watch", job_id)
    assert watch.stdout is not None
    watch.stdout.readline()
    assert set(threading.enumerate()) > before
    own.platform.stop()
    assert not any(map(is_running, family))
    assert own.job(waiting).state == "terminated"
    assert not own.platform.root.exists()
    assert set(threading.enumerate()) <= before
    watch.kill()  # it would try to reach the platform for a minute
    watch.communicate()


def test_stop_ends_a_transfer_that_goes_nowhere(own: Client) -> None:
    file_id = own.open_file()
    part = {"index": 1, "size": 10, "md5": "0" * 32}
    url = dxpy.api.file_upload(file_id, part)["url"]
    host = own.platform.base_url.removeprefix("http://")
    address, port = host.split(":")
    with socket.create_connection((address, int(port))) as stuck:
        path = url.removeprefix(own.platform.base_url)
        stuck.sendall(f"PUT {path} HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc".encode())
        # When the server has begun to read it makes the folder.
        wait_until((own.platform.store.root / file_id).exists)
        own.platform.stop()
    assert not own.platform.root.exists()


def test_a_file_that_is_being_closed_does_not_disturb_the_stop(own: Client) -> None:
    dxpy.upload_string("text", project=own.project, folder=own.folder)
    own.platform.stop()
    assert not own.platform.root.exists()


def test_a_stopped_platform_answers_nobody(own: Client) -> None:
    own.platform.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(own.platform.base_url.rpartition(":")[2])))


# What a platform is


def test_a_platform_listens_on_loopback_only(client: Client) -> None:
    """/proc/net lists listening sockets (state 0A) by address and port in hexadecimal digits."""
    port = int(client.platform.base_url.rpartition(":")[2])
    listening = [
        line.split()[1]
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        if table.exists()
        for line in table.read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_two_platforms_have_nothing_in_common(client: Client) -> None:
    with LocalPlatform() as other:
        assert other.base_url != client.platform.base_url
        assert other.user_token != client.platform.user_token
        assert other.project.id != client.project
        assert other.root != client.platform.root
        headers = {"Authorization": f"Bearer {client.platform.user_token}"}
        answer = send("POST", f"{other.base_url}/system/whoami", b"{}", headers)
        assert error_of(answer) == (401, "InvalidAuthentication")


def test_everything_lies_in_a_folder_that_nobody_else_can_read(client: Client) -> None:
    assert client.platform.root.stat().st_mode & 0o777 == 0o700
    job_id = client.run(client.applet(NOTHING))["id"]
    token = client.job(job_id).token
    assert len(token) >= 32
    assert token != client.platform.user_token
