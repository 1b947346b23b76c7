"""The commands `python -m local_platform serve` and `... exec -- COMMAND`."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from local_platform_tests.client import HANG_SECONDS

TEST_FOLDER = Path(__file__).parent.parent


# Runs an applet that outputs the signal settings of its process.
SIGNALS = """\
import dxpy
code = '''
import json, signal
json.dump({"signals": {
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "terminate": int(signal.getsignal(signal.SIGTERM)),
    "interruptible": callable(signal.getsignal(signal.SIGINT)),
}}, open("job_output.json", "w"))
'''
applet = dxpy.api.applet_new({
    "project": dxpy.PROJECT_CONTEXT_ID, "name": "probe", "dxapi": "1.0.0",
    "outputSpec": [{"name": "signals", "class": "hash"}],
    "runSpec": {"interpreter": "python3", "code": code, "distribution": "Ubuntu",
                "release": "24.04", "version": "0"},
})["id"]
job = dxpy.DXApplet(applet).run({}, project=dxpy.PROJECT_CONTEXT_ID)
job.wait_on_done(interval=0.1)
print(job.describe()["output"]["signals"])
"""
DEFAULT_SIGNALS = {"blocked": [], "terminate": int(signal.SIG_DFL), "interruptible": True}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Returns an environment that points dx elsewhere; temporary files go to tmp_path."""
    return {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(TEST_FOLDER),
        "http_proxy": "http://127.0.0.1:9",
        "DX_JOB_ID": "job-000000000000000000000000",
        "DX_APISERVER_HOST": "elsewhere.invalid",
        "DX_CLI_WD": "/elsewhere",
    }


@contextlib.contextmanager
def local_platform(
    arguments: Sequence[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Starts `python -m local_platform`; at the end kills what is left of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local_platform", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # Also kills the command that it runs, which keeps the pipes open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=HANG_SECONDS)


def execute(environment: dict[str, str], *command: str) -> tuple[int | None, str]:
    """Runs a command with `exec`; returns its exit status and its output."""
    with local_platform(["exec", "--", *command], environment) as process:
        output, errors = process.communicate(timeout=HANG_SECONDS)
        return process.returncode, output + errors


def test_exec_connects_dx_to_the_platform(environment: dict[str, str], tmp_path: Path) -> None:
    assert execute(environment, "dx", "pwd") == (0, "local:/\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 128 + 9),
        (["sh", "-c", 'exit "$2"', "--", "a", "5"], 5),
    ],
)
def test_exec_exits_with_the_status_of_the_command(
    environment: dict[str, str], tmp_path: Path, command: list[str], status: int
) -> None:
    assert execute(environment, *command)[0] == status
    assert list(tmp_path.iterdir()) == []


def test_exec_reports_a_missing_command(environment: dict[str, str], tmp_path: Path) -> None:
    assert execute(environment, "no-such-command") == (
        127,
        "no-such-command: No such file or directory\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_exec_changes_only_the_platform_and_proxy_variables(environment: dict[str, str]) -> None:
    environment["UNRELATED"] = "kept"
    _, printed = execute(environment, "env")
    variables = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    assert variables["UNRELATED"] == "kept"
    assert "http_proxy" not in variables
    assert {name for name in variables if name.startswith("DX_")} == {
        *("DX_APISERVER_PROTOCOL", "DX_APISERVER_HOST", "DX_APISERVER_PORT"),
        *("DX_SECURITY_CONTEXT", "DX_PROJECT_CONTEXT_ID", "DX_USER_CONF_DIR"),
    }


def test_exec_forwards_sigterm_to_the_command(environment: dict[str, str], tmp_path: Path) -> None:
    command = ["sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"]
    with local_platform(["exec", "--", *command], environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        process.communicate(timeout=HANG_SECONDS)
        assert process.returncode == 3
    assert list(tmp_path.iterdir()) == []


def exports(process: subprocess.Popen[str]) -> str:
    """Returns the export lines that `serve` prints first."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("export DX_USER_CONF_DIR="):
        lines.append(process.stdout.readline())
        assert lines[-1], "serve ended before it printed all exports"
    return "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_prints_exports_for_a_shell_and_exits_on_a_signal(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with local_platform(["serve"], environment) as process:
        script = exports(process) + 'dx pwd && exec python -c "$1"'
        shell = subprocess.run(
            ["sh", "-c", script, "sh", SIGNALS],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_SECONDS,
        )
        assert (shell.stdout, shell.stderr) == (f"local:/\n{DEFAULT_SIGNALS}\n", "")
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(number)
        output, errors = process.communicate(timeout=HANG_SECONDS)
        assert (process.returncode, output, errors) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_jobs_do_not_inherit_signal_settings_from_exec(environment: dict[str, str]) -> None:
    """Processes inherit ignored and blocked signals, and a Pool stops its workers with SIGTERM."""
    assert execute(environment, "python", "-c", SIGNALS) == (0, f"{DEFAULT_SIGNALS}\n")
