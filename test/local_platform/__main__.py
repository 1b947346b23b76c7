"""`python -m local_platform serve` and `python -m local_platform exec -- COMMAND`."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from .network import Network
from .server import JOBS_AT_ONCE, LocalPlatform

# Any of these would lead dx to another platform, or through a proxy.
_DX = ("DX_JOB_ID", "DX_WORKSPACE_ID", "DX_RESOURCES_ID", "DX_PROJECT_CACHE_ID", "DX_CLI_WD")
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def client_environment(platform: LocalPlatform, inherited: Mapping[str, str]) -> dict[str, str]:
    """An environment in which `dx` talks to the platform, and to nothing else."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in PROXIES and not name.startswith("DX_")
    }
    # The dx that belongs to this Python comes first.
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return {**kept, "PATH": path, **platform.client_environment()}


def serve(jobs_at_once: int, network: Network) -> int:
    """Run until interrupted; print what makes a shell's dx talk to the platform."""
    interrupted = threading.Event()
    # Not blocked and waited for: the processes of jobs would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    with LocalPlatform(jobs_at_once, network) as platform:
        for name in (*_DX, *PROXIES):
            print(f"unset {name}")
        for name, value in platform.client_environment().items():
            print(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        interrupted.wait()
    return 0


def execute(jobs_at_once: int, network: Network, command: list[str]) -> int:
    """Run a command to its end; its exit status is ours."""
    process: subprocess.Popen[bytes] | None = None
    told_to_end = False

    def end(*_: object) -> None:
        nonlocal told_to_end
        told_to_end = True
        if process is not None:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    with LocalPlatform(jobs_at_once, network) as platform:
        # An interrupt from the terminal reaches the command too, and the command decides. A
        # function, since to ignore the signal would be inherited by the processes of jobs.
        signal.signal(signal.SIGINT, lambda *_: None)
        try:
            process = subprocess.Popen(command, env=client_environment(platform, os.environ))
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        if told_to_end:  # before `process` had a value
            process.terminate()
        status = process.wait()
        return 128 - status if status < 0 else status


def main() -> int:
    parser = argparse.ArgumentParser(prog="local_platform", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=JOBS_AT_ONCE, help="how many jobs run at once (%(default)s)"
    )
    parser.add_argument(
        "--bytes-per-second",
        type=float,
        default=0,
        metavar="BYTES",
        help="how fast each download is (as fast as it can be)",
    )
    parser.add_argument(
        "--latency",
        type=float,
        default=0,
        metavar="SECONDS",
        help="how long each transfer takes to begin (%(default)s)",
    )
    parser.add_argument(
        "--call-latency",
        type=float,
        default=0,
        metavar="SECONDS",
        help="how long each call of the API takes (%(default)s)",
    )
    commands = parser.add_subparsers(dest="action", required=True)
    commands.add_parser("serve", help="print the exports for a shell, and run until interrupted")
    run = commands.add_parser("exec", help="run a command whose dx talks to the platform")
    run.add_argument("command", nargs="+", metavar="COMMAND")
    arguments = parser.parse_args()
    network = Network(arguments.bytes_per_second, arguments.latency, arguments.call_latency)
    if arguments.action == "serve":
        return serve(arguments.jobs, network)
    return execute(arguments.jobs, network, arguments.command)


if __name__ == "__main__":
    sys.exit(main())
