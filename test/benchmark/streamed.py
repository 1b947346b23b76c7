"""Measures streaming and subjobs on a local platform: `python -m benchmark.streamed`."""

import os
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.bams import bam_of_shape
from benchmark.settings import (
    BENCH,
    CONTIG_READS,
    LATENCY,
    RATE,
    READS,
    ROUNDS,
    SEED,
    show_progress,
)
from builders import cram_of, index_of
from dx_client import Applet, Dx, build_applet, copy_of_applet
from local_platform import LocalPlatform
from local_platform.__main__ import client_environment
from local_platform.job import Job
from local_platform.network import Network

SUBJOBS = (1, 2, 7, 30)
FROM_INDEX = "`counts_from=index`"
SETTINGS = {
    "download, then count": "",
    "`stream_bam`": "stream_bam=true",
    FROM_INDEX: "counts_from=index",
    **{f"`subjobs={number}`": f"subjobs={number}" for number in SUBJOBS},
}
HEAD = """| | started | wall (s) | of the file | of all | requests | balance: bytes | CPU |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True)
class Measured:
    """What a job took.

    Attributes:
        wall: seconds from its start until its outputs were there.
        moved: bytes of the BAM or CRAM that left the platform.
        moved_in_all: bytes of all files, indexes among them.
        requests: for the BAM or CRAM.
        subjobs: bytes of it and seconds of CPU time of each subjob that counted.
        outputs: what the files hold that it made.
    """

    wall: float
    moved: int
    moved_in_all: int
    requests: int
    subjobs: Sequence[tuple[int, float]]
    outputs: dict[str, bytes]


def run(
    platform: LocalPlatform, applet: Applet, files: Sequence[str], setting: str
) -> Measured | None:
    """Runs a job by itself on a file and its index, which are at the platform, to its end.

    Returns None if the index of a CRAM does not have the counts.
    """
    names = ("mappings_sorted_bam", "mappings_sorted_bai")
    given = [f"{name}={file}" for name, file in zip(names, files, strict=True)]
    inputs = [part for value in [*given, *filter(None, [setting])] for part in ("-i", value)]
    platform.network = Network(RATE, LATENCY)
    job_id = applet.dx.ok("run", applet.id, *inputs, "--brief", "-y")
    applet.dx("wait", job_id)
    job = platform.jobs.by_id[job_id]
    if job.failure and "share containers" in str(job.failure):
        return None
    if job.output is None or job.started_running is None:
        raise SystemExit(f"{setting}: {job.failure}")
    transfers = platform.network.transfers
    of_bam = [transfer for transfer in transfers if transfer.file_id == files[0]]
    subjobs = [
        (sum(one.sent for one in of_bam if one.caller == part.id), cpu_of(part))
        for part in platform.jobs.by_id.values()
        if part.parent is job and part.function == "count_part"
    ]
    contents = {
        name: platform.store.content(platform.store.find_object(value["$dnanexus_link"]))
        for name, value in job.output.items()
        if isinstance(value, dict)
    }
    return Measured(
        wall=(job.modified - job.started_running) / 1e3,
        moved=sum(one.sent for one in of_bam),
        moved_in_all=sum(one.sent for one in transfers),
        requests=len(of_bam),
        subjobs=subjobs,
        outputs={name: path.read_bytes() for name, path in contents.items()},
    )


def cpu_of(subjob: Job) -> float:
    """Returns the seconds that a subjob says in its log."""
    lines = [str(line["msg"]) for line in subjob.log.follow(1000, wait=False)]
    said = next(line for line in lines if line.endswith("s of CPU time"))
    return float(said.split()[0].replace(",", ""))


def compare(platform: LocalPlatform, applet: Applet, path: Path) -> Iterator[str]:
    """Runs all settings in turn, round after round; gives the rows of a table."""
    both = (path, index_of(path))
    files = [applet.dx.ok("upload", "--wait", "--brief", str(one)) for one in both]
    measured: dict[str, list[Measured]] = {name: [] for name in SETTINGS}
    for number in range(ROUNDS):
        for name, setting in SETTINGS.items():
            done = run(platform, applet, files, setting)
            measured[name] += [done] if done else []
            show_progress(f"{path.name}: round {number + 1} of {ROUNDS}, {name}")
    show_progress("")
    first = measured["download, then count"][0]
    size = path.stat().st_size
    for name, runs in measured.items():
        if not runs:
            yield f"| {name} | | refused | | | | | |"
            continue
        # The other outputs say where the counts are from.
        same = ["count_file"] if name == FROM_INDEX else [*first.outputs]
        if any(one.outputs[field] != first.outputs[field] for one in runs for field in same):
            raise SystemExit(f"{name} does not give the outputs of a job on its own")
        subjobs = max((one.subjobs for one in runs), key=len)
        yield (
            f"| {name} | {len(subjobs) or ''} "
            f"| {median(one.wall for one in runs):,.1f} "
            f"| {median(one.moved for one in runs) / size:.3f} "
            f"| {median(one.moved_in_all for one in runs) / size:.3f} "
            f"| {median(one.requests for one in runs):,.0f} "
            f"| {balance(runs, 0)} | {balance(runs, 1)} |"
        )


def balance(runs: Sequence[Measured], part: int) -> str:
    """Returns the largest subjob's share against the mean."""
    if len(runs[0].subjobs) < 2:
        return ""
    shares = [[subjob[part] for subjob in one.subjobs] for one in runs]
    return f"{median(max(share) / statistics.mean(share) for share in shares):.2f}"


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def main() -> None:
    bams = [bam_of_shape(shape, READS, SEED, BENCH) for shape in ("human", "chromosomes", "deep")]
    crams = [bam.with_suffix(".cram") for bam in bams[:2]]
    for bam, cram in zip(bams, crams, strict=False):
        if not index_of(cram).exists():
            cram_of(bam)
    bams += [bam_of_shape("contigs", CONTIG_READS, SEED, BENCH), *crams]
    print(
        f"# Streamed: {ROUNDS} rounds, {RATE / 1e6:,.0f} MB/s for each connection, "
        f"{1e3 * LATENCY:,.0f} ms to begin one, jobs one after the other"
    )
    with LocalPlatform(jobs_at_once=1) as platform, tempfile.TemporaryDirectory() as folder:
        dx = Dx(client_environment(platform, os.environ), "/")
        applet = build_applet(dx, copy_of_applet(Path(folder)))
        for path in bams:
            print(f"\n## {path.name}, {path.stat().st_size / 1e6:,.0f} MB\n")
            print(HEAD, flush=True)
            for row in compare(platform, applet, path):
                print(row, flush=True)
    print("\nAll outputs are byte-identical.")


if __name__ == "__main__":
    main()
