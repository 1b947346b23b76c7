"""Lists the requests of a job and how long it takes: `python -m benchmark.calls [FOLDER...]`.

Each API call and each transfer takes 100 ms, as on the real platform. Each folder contains a
version of the applet, for example an earlier one to compare with; default: this version.
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
MODES = {
    "downloaded": "",
    "streamed": "stream_bam=true",
    "from the index": "counts_from=index",
}


@dataclass(frozen=True)
class Measured:
    """Measurements of the jobs in one mode.

    Attributes:
        requests: number of requests by route, in a job.
        seconds: from the start of a job's program to its end.
        without_delay: the same, if requests take no time.
    """

    requests: Counter[str]
    seconds: float
    without_delay: float


def run(
    platform: LocalPlatform, applet: Applet, inputs: Sequence[str], network: Network
) -> tuple[Counter[str], float]:
    """Runs a single job; returns its requests by route, and its run time in seconds."""
    options = [part for value in inputs for part in ("-i", value)]
    job_id = applet.dx.ok("run", applet.id, *options, "--brief", "-y")
    job = platform.jobs.by_id[job_id]
    platform.network = network
    with platform.store.changed:
        platform.store.changed.wait_for(lambda: job.is_final)
    platform.network = Network()
    if job.state != "done" or job.started_running is None or job.stopped_running is None:
        raise SystemExit(f"{inputs}: {job.failure}")
    requests = Counter(request.route for request in network.requests if request.caller == job_id)
    return requests, (job.stopped_running - job.started_running) / 1e3


def measure(folder: Path, bam: Path) -> Iterator[Measured]:
    """Runs the jobs of an applet in each mode, several rounds each; yields a result per mode."""
    with LocalPlatform(jobs_at_once=1) as platform, tempfile.TemporaryDirectory() as copy:
        dx = Dx(client_environment(platform, os.environ), "/")
        applet = build_applet(dx, copy_of_applet(Path(copy), folder))
        files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": Path(f"{bam}.bai")}
        uploaded = [
            f"{name}={dx.ok('upload', '--wait', '--brief', str(path))}"
            for name, path in files.items()
        ]
        for mode, option in MODES.items():
            inputs = [*uploaded, *filter(None, [option])]
            slow, fast = [], []
            for number in range(ROUNDS):
                show_progress(f"{folder}: {mode}, round {number + 1} of {ROUNDS}")
                slow.append(run(platform, applet, inputs, Network(0, SECONDS, SECONDS)))
                fast.append(run(platform, applet, inputs, Network()))
            show_progress("")
            yield Measured(
                slow[0][0],
                # The minimum: other load on the machine can only make a round slower.
                min(seconds for _, seconds in slow),
                min(seconds for _, seconds in fast),
            )


def rows(measured: Sequence[Measured]) -> Iterator[str]:
    """Yields the rows of a table with a column per mode and applet."""

    def row(name: str, values: Sequence[object]) -> str:
        return f"| {name} | {' | '.join(map(str, values))} |"

    routes = sorted({route for one in measured for route in one.requests})
    for route in routes:
        yield row(f"`{route}`", [one.requests[route] or "" for one in measured])
    yield row("total", [one.requests.total() for one in measured])
    yield row("job, 100 ms per request", [f"{one.seconds:.1f} s" for one in measured])
    yield row("job, 0 ms per request", [f"{one.without_delay:.1f} s" for one in measured])


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]] or [PROJECT]
    with tempfile.TemporaryDirectory() as folder:
        bam = Path(folder) / "example.bam"
        example.main(bam)
        by_applet = [list(measure(path.resolve(), bam)) for path in folders]
    # Columns are sorted by mode, then by applet.
    measured = [one for by_mode in zip(*by_applet, strict=True) for one in by_mode]
    names = [""] if len(folders) == 1 else [f", {folder.name or folder}" for folder in folders]
    print(f"| request | {' | '.join(f'{mode}{name}' for mode in MODES for name in names)} |")
    print(f"| --- |{' ---: |' * len(measured)}")
    for line in rows(measured):
        print(line)


if __name__ == "__main__":
    main()
