"""Estimates time and cost of files of any size, on one or more workers, from measured costs."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.schedule import Costs
from readcount.request.request import STREAMS_PER_CORE

# Assumed bandwidth, per connection and per worker.
CONNECTION_BYTES_PER_SECOND = 50e6
WORKER_BYTES_PER_SECOND = 1.25e9
# Maximum number of connections that dxpy uses to download a file.
DOWNLOADS_AT_ONCE = 8
# Approximate time until a worker runs the job (UK Biobank community, article 34011715606429). main,
# subjobs and merge start one after another.
START_SECONDS = 180

# Run time of a job that takes the counts from the index of a human genome, as measured by `make
# bench-streamed`. It does not depend on the size of the file.
INDEX_SECONDS = 2.0


@dataclass(frozen=True)
class Setting:
    """Settings of a run: number of cores, streamed, number of subjobs, counts from the index."""

    name: str
    cores: int
    streamed: bool = False
    subjobs: int = 0
    from_index: bool = False


SETTINGS = (
    Setting("4 cores", 4),
    Setting("4 cores, stream_bam", 4, streamed=True),
    Setting("4 cores, counts_from=index", 4, from_index=True),
    Setting("16 cores, stream_bam", 16, streamed=True),
    Setting("subjobs=10, 4 cores each", 4, streamed=True, subjobs=10),
    Setting("subjobs=50, 4 cores each", 4, streamed=True, subjobs=50),
)


@dataclass(frozen=True)
class Estimate:
    """Estimated time and cost of a run.

    Attributes:
        seconds: from the start of the first worker to the end of the last one.
        core_hours: sum over all workers.
    """

    seconds: float
    core_hours: float


def estimate(size: float, bytes_per_record: float, costs: Costs, setting: Setting) -> Estimate:
    """Returns the estimate for a file of this size in bytes.

    Streaming is limited by the cores or the network, whichever is slower. The time of a download is
    added to that of counting.
    """
    workers = max(1, setting.subjobs)
    part = size / workers
    counting = costs.record * part / bytes_per_record / setting.cores
    if setting.from_index:
        busy = INDEX_SECONDS
    elif setting.streamed:
        streams = setting.cores * STREAMS_PER_CORE * CONNECTION_BYTES_PER_SECOND
        busy = max(counting, part / min(streams, WORKER_BYTES_PER_SECOND))
    else:
        downloads = min(setting.cores, DOWNLOADS_AT_ONCE) * CONNECTION_BYTES_PER_SECOND
        busy = part / min(downloads, WORKER_BYTES_PER_SECOND) + counting
    stages = 3 if setting.subjobs else 1
    # main and merge use a worker of 2 cores for little more than its start.
    cores = workers * setting.cores * (busy + START_SECONDS) + (stages - 1) * 2 * START_SECONDS
    return Estimate(busy + stages * START_SECONDS, cores / 3600)


def rows(bytes_per_record: float, costs: Costs) -> Iterator[str]:
    """Yields the lines of the table."""
    yield "| file | setting | minutes | core-hours |"
    yield "| ---: | --- | ---: | ---: |"
    for name, size in (("1 GB", 1e9), ("100 GB", 100e9), ("1 TB", 1e12)):
        for setting in SETTINGS:
            run = estimate(size, bytes_per_record, costs, setting)
            yield f"| {name} | {setting.name} | {run.seconds / 60:,.1f} | {run.core_hours:,.2f} |"
