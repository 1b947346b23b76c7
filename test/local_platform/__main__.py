"""`python -m local_platform serve` and `python -m local_platform exec -- COMMAND`."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from .platform import JOBS_AT_ONCE, LocalPlatform

# Any of these would lead dx to another platform, or through a proxy.
_NOT_INHERITED = ("DX_JOB_ID", "DX_WORKSPACE_ID", "DX_RESOURCES_ID", "DX_PROJECT_CACHE_ID")
_PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def client_environment(platform: LocalPlatform, inherited: Mapping[str, str]) -> dict[str, str]:
    """An environment in which `dx` talks to the platform, and to nothing else."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in (*_NOT_INHERITED, *_PROXIES) and not name.startswith("DX_")
    }
    # The dx that belongs to this Python comes first.
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return {**kept, "PATH": path, **platform.client_environment()}


def serve(platform: LocalPlatform) -> int:
    """Run until interrupted; print what makes a shell's dx talk to the platform."""
    for name in (*_NOT_INHERITED, *_PROXIES):
        print(f"unset {name}")
    for name, value in platform.client_environment().items():
        print(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


def execute(platform: LocalPlatform, command: list[str]) -> int:
    """Run a command to its end; its exit status is ours."""
    process = subprocess.Popen(command, env=client_environment(platform, os.environ))
    # An interrupt from the terminal reaches the command too, and the command decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    status = process.wait()
    return 128 - status if status < 0 else status


def main() -> int:
    parser = argparse.ArgumentParser(prog="local_platform", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=JOBS_AT_ONCE, help="how many jobs run at once (%(default)s)"
    )
    commands = parser.add_subparsers(dest="action", required=True)
    commands.add_parser("serve", help="print the exports for a shell, and run until interrupted")
    run = commands.add_parser("exec", help="run a command whose dx talks to the platform")
    run.add_argument("command", nargs="+", metavar="COMMAND")
    arguments = parser.parse_args()
    if arguments.action == "serve":
        # Blocked before any thread starts, so that sigwait is the one that gets them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with LocalPlatform(jobs_at_once=arguments.jobs) as platform:
        if arguments.action == "serve":
            return serve(platform)
        return execute(platform, arguments.command)


if __name__ == "__main__":
    sys.exit(main())
