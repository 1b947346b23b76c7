"""Jobs and platforms leave nothing behind: no processes, threads or folders."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dxpy
import pytest

from local_platform import LocalPlatform
from local_platform_tests.client import (
    NO_OP,
    RELEASE_INPUT,
    WAIT_FOR_RELEASE,
    Client,
    error_of,
    is_running,
    send,
    wait_until,
)

# Starts a child in a new session, a child with an empty environment that ignores SIGTERM, and an
# orphaned grandchild in a new session; prints their process IDs and its own, and never ends.
PROCESS_TREE = """\
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(3600)"]
ignore_sigterm = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN);"
                  "print('up', flush=True); time.sleep(3600)"]
# The orphan's own output is discarded, so that its ID is the first line.
orphan = [sys.executable, "-c", "import subprocess, sys; p = subprocess.Popen(sys.argv[1:],"
        "start_new_session=True, stdout=subprocess.DEVNULL); print(p.pid, flush=True)", *sleep]
ids = [os.getpid()]
for command, options in ((sleep, {"start_new_session": True}), (ignore_sigterm, {"env": {}})):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    process.stdout.readline()
    ids.append(process.pid)
process = subprocess.Popen(orphan, stdout=subprocess.PIPE)
ids.append(int(process.stdout.readline()))
print("processes", *ids, flush=True)
time.sleep(3600)
"""


def processes_of(client: Client, job_id: str) -> list[int]:
    """Waits until all processes of a job have started; returns their IDs."""
    for line in client.job(job_id).log.follow(recent=1000, wait=True):
        if str(line["msg"]).startswith("processes"):
            processes = [int(word) for word in str(line["msg"]).split()[1:]]
            assert len(processes) == 4
            assert all(map(is_running, processes))
            return processes
    pytest.fail(f"{job_id} ended before all processes had started: {client.log(job_id)}")


def test_a_terminated_job_leaves_no_processes(client: Client) -> None:
    job_id = client.start(client.applet(PROCESS_TREE))
    processes = processes_of(client, job_id)
    dxpy.api.job_terminate(job_id)
    job = client.wait_for_end(job_id)
    assert [step["newState"] for step in job["stateTransitions"]][-2:] == [
        "terminating",
        "terminated",
    ]
    assert "failureReason" not in job
    assert not any(map(is_running, processes))


def test_a_job_that_exceeds_its_timeout_fails_and_leaves_no_processes(client: Client) -> None:
    timeout = {"*": {"hours": 0, "minutes": 0.1}}
    job_id = client.start(client.applet(PROCESS_TREE, timeoutPolicy=timeout))
    processes = processes_of(client, job_id)
    job = client.wait_for_end(job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "JobTimeoutExceeded")
    assert "6 seconds" in job["failureMessage"]
    assert not any(map(is_running, processes))


def test_a_run_can_override_the_timeout_of_the_applet(client: Client) -> None:
    applet = client.applet(WAIT_FOR_RELEASE, RELEASE_INPUT, timeoutPolicy={"*": {"days": 1}})
    policy = {"timeoutPolicyByExecutable": {applet: {"main": {"minutes": 0.01}}}}
    job = client.run(applet, {"release": str(client.local / "never")}, **policy)
    assert (job["state"], job["failureReason"]) == ("failed", "JobTimeoutExceeded")


def test_processes_that_a_job_leaves_running_are_killed(client: Client) -> None:
    code = PROCESS_TREE.replace("time.sleep(3600)\n", "")
    job_id = client.start(client.applet(code))
    job = client.wait_for_end(job_id)
    assert job["state"] == "done"
    (line,) = (message for _, _, message in client.log(job_id) if message.startswith("processes"))
    assert not any(is_running(int(word)) for word in line.split()[1:])


def test_a_job_can_be_terminated_while_it_waits_for_a_file(client: Client) -> None:
    inputs = [{"name": "text", "class": "file"}]
    waiting = client.start(client.applet(inputs=inputs), {"text": dxpy.dxlink(client.open_file())})
    client.wait_for_state(waiting, "waiting_on_input")
    dxpy.api.job_terminate(waiting)
    assert client.wait_for_end(waiting)["state"] == "terminated"


def test_a_job_can_be_terminated_while_it_waits_for_another_job(client: Client) -> None:
    first, release = client.start_held_job()
    second = client.start(client.applet(), dependsOn=[first])
    client.wait_for_state(second, "waiting_on_input")
    dxpy.api.job_terminate(second)
    assert client.wait_for_end(second)["state"] == "terminated"
    release.touch()


# Tests with a platform of their own


@pytest.fixture
def own_client(_dxpy: None, tmp_path: Path) -> Iterator[Client]:
    """Returns a client of a new platform that runs one job at a time and that a test may stop."""
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


def test_a_job_can_be_terminated_while_it_waits_for_a_worker(own_client: Client) -> None:
    running, release = own_client.start_held_job()
    waiting = own_client.start(own_client.applet())
    own_client.wait_for_state(waiting, "runnable")
    dxpy.api.job_terminate(waiting)
    assert own_client.wait_for_end(waiting)["state"] == "terminated"
    assert own_client.describe(running)["state"] == "running"
    release.touch()
    assert own_client.wait_for_end(running)["state"] == "done"


def test_a_job_waits_for_a_free_worker(own_client: Client) -> None:
    running, release = own_client.start_held_job()
    waiting = own_client.start(own_client.applet())
    own_client.wait_for_state(waiting, "runnable")
    release.touch()
    started = own_client.wait_for_end(waiting)["startedRunning"]
    assert started >= own_client.wait_for_end(running)["stoppedRunning"]


def test_stop_leaves_no_processes_folders_or_threads(own_client: Client) -> None:
    own_client.file()  # makes dxpy start the threads that it keeps
    before = set(threading.enumerate())
    job_id = own_client.start(own_client.applet(PROCESS_TREE))
    processes = processes_of(own_client, job_id)
    waiting = own_client.start(own_client.applet())
    own_client.wait_for_state(waiting, "runnable")
    watch = own_client.dx_process("watch", job_id)
    assert watch.stdout is not None
    watch.stdout.readline()
    assert set(threading.enumerate()) - before
    own_client.platform.stop()
    assert not any(map(is_running, processes))
    assert own_client.job(waiting).state == "terminated"
    assert not own_client.platform.root.exists()
    assert set(threading.enumerate()) <= before
    watch.kill()  # it would retry for a minute
    watch.communicate()


def test_stop_aborts_a_stalled_upload(own_client: Client) -> None:
    file_id = own_client.open_file()
    part = {"index": 1, "size": 10, "md5": "0" * 32}
    url = dxpy.api.file_upload(file_id, part)["url"]
    host = own_client.platform.base_url.removeprefix("http://")
    address, port = host.split(":")
    with socket.create_connection((address, int(port))) as stuck:
        path = url.removeprefix(own_client.platform.base_url)
        stuck.sendall(f"PUT {path} HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc".encode())
        # The server creates the folder when it starts to read.
        wait_until((own_client.platform.store.root / file_id).exists)
        own_client.platform.stop()
    assert not own_client.platform.root.exists()


def test_stop_works_while_a_file_is_closing(own_client: Client) -> None:
    dxpy.upload_string("text", project=own_client.project, folder=own_client.folder)
    own_client.platform.stop()
    assert not own_client.platform.root.exists()


def test_a_stopped_platform_refuses_connections(own_client: Client) -> None:
    port = int(own_client.platform.base_url.rpartition(":")[2])
    own_client.platform.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


# Isolation


def test_a_platform_listens_on_loopback_only(client: Client) -> None:
    """In /proc/net/tcp addresses and ports are hexadecimal, and state 0A means listening."""
    port = int(client.platform.base_url.rpartition(":")[2])
    listening = [
        line.split()[1]
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        if table.exists()
        for line in table.read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_two_platforms_share_nothing(client: Client) -> None:
    with LocalPlatform() as other:
        assert other.base_url != client.platform.base_url
        assert other.user_token != client.platform.user_token
        assert other.project.id != client.project
        assert other.root != client.platform.root
        headers = {"Authorization": f"Bearer {client.platform.user_token}"}
        answer = send("POST", f"{other.base_url}/system/whoami", b"{}", headers)
        assert error_of(answer) == (401, "InvalidAuthentication")


def test_the_folder_is_private_and_a_job_has_its_own_token(client: Client) -> None:
    assert client.platform.root.stat().st_mode & 0o777 == 0o700
    job_id = client.run(client.applet(NO_OP))["id"]
    token = client.job(job_id).token
    assert len(token) >= 32
    assert token != client.platform.user_token
