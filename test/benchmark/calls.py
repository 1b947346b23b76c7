"""Lists the requests of a job and what they cost: `python -m benchmark.calls [FOLDER...]`.

Each call of the API and each transfer takes 100 ms, as on the real platform. A folder has the files
of the applet, such as those of an earlier version to compare with; default: this one.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import example
from benchmark.settings import ROUNDS, show_progress
from dx_client import PROJECT, Applet, Dx, build_applet, copy_of_applet
from local_platform import LocalPlatform
from local_platform.__main__ import client_environment
from local_platform.network import Network

SECONDS = 0.1
WAYS = {
    "downloaded": "",
    "streamed": "stream_bam=true",
    "from the index": "counts_from=index",
}


@dataclass(frozen=True)
class Measured:
    """What jobs of one way took.

    Attributes:
        requests: of each route, in a job.
        seconds: from the start of a job's program to its end.
        without: the same where requests take no time.
    """

    requests: Counter[str]
    seconds: float
    without: float


def run(
    platform: LocalPlatform, applet: Applet, given: Sequence[str], network: Network
) -> tuple[Counter[str], float]:
    """Runs a job by itself; returns the requests that it made, and its seconds."""
    inputs = [part for value in given for part in ("-i", value)]
    job_id = applet.dx.ok("run", applet.id, *inputs, "--brief", "-y")
    job = platform.jobs.by_id[job_id]
    platform.network = network
    with platform.store.changed:
        platform.store.changed.wait_for(lambda: job.is_final)
    platform.network = Network()
    if job.state != "done" or job.started_running is None or job.stopped_running is None:
        raise SystemExit(f"{given}: {job.failure}")
    requests = Counter(one.route for one in network.requests if one.caller == job_id)
    return requests, (job.stopped_running - job.started_running) / 1e3


def measure(folder: Path, bam: Path) -> Iterator[Measured]:
    """Runs the jobs of an applet in each way, round after round."""
    with LocalPlatform(jobs_at_once=1) as platform, tempfile.TemporaryDirectory() as copy:
        dx = Dx(client_environment(platform, os.environ), "/")
        applet = build_applet(dx, copy_of_applet(Path(copy), folder))
        files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": Path(f"{bam}.bai")}
        given = [
            f"{name}={dx.ok('upload', '--wait', '--brief', str(path))}"
            for name, path in files.items()
        ]
        for way, option in WAYS.items():
            inputs = [*given, *filter(None, [option])]
            slow, fast = [], []
            for number in range(ROUNDS):
                show_progress(f"{folder}: {way}, round {number + 1} of {ROUNDS}")
                slow.append(run(platform, applet, inputs, Network(0, SECONDS, SECONDS)))
                fast.append(run(platform, applet, inputs, Network()))
            show_progress("")
            yield Measured(
                slow[0][0],
                # The minimum, because other load on the machine only adds to the time of a round.
                min(seconds for _, seconds in slow),
                min(seconds for _, seconds in fast),
            )


def rows(measured: Sequence[Measured]) -> Iterator[str]:
    """Yields the rows of a table with a column for each way of each applet."""

    def row(name: str, values: Sequence[object]) -> str:
        return f"| {name} | {' | '.join(map(str, values))} |"

    routes = sorted({route for one in measured for route in one.requests})
    for route in routes:
        yield row(f"`{route}`", [one.requests[route] or "" for one in measured])
    yield row("all", [one.requests.total() for one in measured])
    yield row("job, 100 ms a request", [f"{one.seconds:.1f} s" for one in measured])
    yield row("job, 0 ms a request", [f"{one.without:.1f} s" for one in measured])


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]] or [PROJECT]
    with tempfile.TemporaryDirectory() as folder:
        bam = Path(folder) / "example.bam"
        example.main(bam)
        # By way, the applets side by side.
        of_applets = [list(measure(one.resolve(), bam)) for one in folders]
    measured = [one for of_way in zip(*of_applets, strict=True) for one in of_way]
    names = [""] if len(folders) == 1 else [f", {folder.name or folder}" for folder in folders]
    print(f"| request | {' | '.join(f'{way}{name}' for way in WAYS for name in names)} |")
    print(f"| --- |{' ---: |' * len(measured)}")
    for line in rows(measured):
        print(line)


if __name__ == "__main__":
    main()
