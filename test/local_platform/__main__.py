"""The commands `python -m local_platform serve` and `python -m local_platform exec -- COMMAND`."""

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

# These variables would make dx use another platform or a proxy.
_DX_NAMES = ("DX_JOB_ID", "DX_WORKSPACE_ID", "DX_RESOURCES_ID", "DX_PROJECT_CACHE_ID", "DX_CLI_WD")
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def client_environment(platform: LocalPlatform, inherited: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which `dx` connects only to this platform, without a proxy."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in PROXIES and not name.startswith("DX_")
    }
    # The dx installed with this Python comes first.
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return {**kept, "PATH": path, **platform.client_environment()}


def serve(jobs_at_once: int, network: Network) -> int:
    """Prints the exports that make a shell's dx use the platform, and runs until interrupted."""
    interrupted = threading.Event()
    # Handlers instead of sigwait(), because the processes of jobs would inherit blocked signals.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    with LocalPlatform(jobs_at_once, network) as platform:
        for name in (*_DX_NAMES, *PROXIES):
            print(f"unset {name}")
        for name, value in platform.client_environment().items():
            print(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        interrupted.wait()
    return 0


def execute(jobs_at_once: int, network: Network, command: list[str]) -> int:
    """Runs a command and returns its exit status."""
    process: subprocess.Popen[bytes] | None = None
    termination_requested = False

    def terminate(*_: object) -> None:
        nonlocal termination_requested
        termination_requested = True
        if process is not None:
            process.terminate()

    signal.signal(signal.SIGTERM, terminate)
    with LocalPlatform(jobs_at_once, network) as platform:
        # The terminal sends an interrupt to the command too, and the command handles it. Not
        # SIG_IGN, which the processes of jobs would inherit.
        signal.signal(signal.SIGINT, lambda *_: None)
        try:
            process = subprocess.Popen(command, env=client_environment(platform, os.environ))
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        if termination_requested:  # before `process` was set
            process.terminate()
        status = process.wait()
        return 128 - status if status < 0 else status


def main() -> int:
    parser = argparse.ArgumentParser(prog="local_platform", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=JOBS_AT_ONCE, help="number of concurrent jobs (%(default)s)"
    )
    parser.add_argument(
        "--bytes-per-second",
        type=float,
        default=0,
        metavar="BYTES",
        help="rate of each download (default: unlimited)",
    )
    parser.add_argument(
        "--latency",
        type=float,
        default=0,
        metavar="SECONDS",
        help="delay before each transfer starts (%(default)s)",
    )
    parser.add_argument(
        "--call-latency",
        type=float,
        default=0,
        metavar="SECONDS",
        help="delay of each API call (%(default)s)",
    )
    commands = parser.add_subparsers(dest="action", required=True)
    commands.add_parser("serve", help="print the exports for a shell and run until interrupted")
    run = commands.add_parser("exec", help="run a command whose dx uses the platform")
    run.add_argument("command", nargs="+", metavar="COMMAND")
    arguments = parser.parse_args()
    network = Network(arguments.bytes_per_second, arguments.latency, arguments.call_latency)
    if arguments.action == "serve":
        return serve(arguments.jobs, network)
    return execute(arguments.jobs, network, arguments.command)


if __name__ == "__main__":
    sys.exit(main())
