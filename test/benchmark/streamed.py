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
HEAD = """| | started | wall (s) | bytes of the file | all bytes | requests | balance: bytes | CPU |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(frozen=True)
class Measured:
    """Measurements of a job.

    Attributes:
        wall: seconds from its start until its outputs were available.
        sent: bytes of the BAM or CRAM sent by the platform.
        sent_in_total: bytes of all files sent, including indexes.
        requests: number of requests for the BAM or CRAM.
        subjobs: bytes of the BAM or CRAM, and seconds of CPU time, of each counting subjob.
        outputs: content of the output files, by field.
    """

    wall: float
    sent: int
    sent_in_total: int
    requests: int
    subjobs: Sequence[tuple[int, float]]
    outputs: dict[str, bytes]


def run(platform: LocalPlatform, applet: Applet, files: Sequence[str], setting: str) -> Measured:
    """Runs a single job to its end, for the uploaded files: a BAM or CRAM and its index."""
    names = ("mappings_sorted_bam", "mappings_sorted_bai")
    values = [f"{name}={file}" for name, file in zip(names, files, strict=True)]
    inputs = [part for value in [*values, *filter(None, [setting])] for part in ("-i", value)]
    platform.network = Network(RATE, LATENCY)
    job_id = applet.dx.ok("run", applet.id, *inputs, "--brief", "-y")
    applet.dx("wait", job_id)
    job = platform.jobs.by_id[job_id]
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
        sent=sum(one.sent for one in of_bam),
        sent_in_total=sum(one.sent for one in transfers),
        requests=len(of_bam),
        subjobs=subjobs,
        outputs={name: path.read_bytes() for name, path in contents.items()},
    )


def cpu_of(subjob: Job) -> float:
    """Returns the CPU seconds according to the log of a subjob."""
    lines = [str(line["msg"]) for line in subjob.log.follow(1000, wait=False)]
    cpu_line = next(line for line in lines if line.endswith("s of CPU time"))
    return float(cpu_line.split()[0].replace(",", ""))


def compare(platform: LocalPlatform, applet: Applet, path: Path) -> Iterator[str]:
    """Runs all settings in turn in each round; yields the rows of a table."""
    paths = (path, index_of(path))
    files = [applet.dx.ok("upload", "--wait", "--brief", str(one)) for one in paths]
    measured: dict[str, list[Measured]] = {name: [] for name in SETTINGS}
    for number in range(ROUNDS):
        for name, setting in SETTINGS.items():
            measured[name].append(run(platform, applet, files, setting))
            show_progress(f"{path.name}: round {number + 1} of {ROUNDS}, {name}")
    show_progress("")
    first = measured["download, then count"][0]
    size = path.stat().st_size
    for name, runs in measured.items():
        # The other outputs state the source of the counts.
        compared = ["count_file"] if name == FROM_INDEX else [*first.outputs]
        if any(one.outputs[field] != first.outputs[field] for one in runs for field in compared):
            raise SystemExit(f"the outputs of {name} differ from those of a downloaded file")
        subjobs = max((one.subjobs for one in runs), key=len)
        yield (
            f"| {name} | {len(subjobs) or ''} "
            f"| {median(one.wall for one in runs):,.1f} "
            f"| {median(one.sent for one in runs) / size:.3f} "
            f"| {median(one.sent_in_total for one in runs) / size:.3f} "
            f"| {median(one.requests for one in runs):,.0f} "
            f"| {balance(runs, 0)} | {balance(runs, 1)} |"
        )


def balance(runs: Sequence[Measured], part: int) -> str:
    """Returns the largest share of a subjob divided by the mean."""
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
        f"# Streamed: {ROUNDS} rounds, {RATE / 1e6:,.0f} MB/s per connection, "
        f"{1e3 * LATENCY:,.0f} ms latency, one job at a time"
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
