"""What files of any size take, on one worker and on several, by costs that were measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.schedule import Costs
from readcount.request.request import STREAMS_PER_CORE

# What the table supposes of the network: for each connection, and for all of a worker's.
CONNECTION_BYTES_PER_SECOND = 50e6
WORKER_BYTES_PER_SECOND = 1.25e9
# Connections with which dxpy downloads a file, at most.
DOWNLOADS_AT_ONCE = 8
# Until a worker runs what it is to run, about (UK Biobank community, article 34011715606429); main,
# subjobs and merge start one after the other.
START_SECONDS = 180

# From the start of a job to its end, if the counts are from the index of a human genome: its size
# does not grow with that of the file. `make bench-streamed` measures it.
INDEX_SECONDS = 2.0


@dataclass(frozen=True)
class Setting:
    """A way to run the applet: on how many cores, streamed, with subjobs, or from the index."""

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
    Setting("subjobs=10, of 4 cores", 4, streamed=True, subjobs=10),
    Setting("subjobs=50, of 4 cores", 4, streamed=True, subjobs=50),
)


@dataclass(frozen=True)
class Estimate:
    """What a run comes to.

    Attributes:
        seconds: from the start of the first worker to the end of the last one.
        core_hours: of all workers.
    """

    seconds: float
    core_hours: float


def estimate(size: float, bytes_per_record: float, costs: Costs, setting: Setting) -> Estimate:
    """Returns what a file of a size in bytes takes.

    A worker is limited by its cores or its network, whichever is slower; a download is added.
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
    # main and merge have a worker of 2 cores for little more than its start.
    cores = workers * setting.cores * (busy + START_SECONDS) + (stages - 1) * 2 * START_SECONDS
    return Estimate(busy + stages * START_SECONDS, cores / 3600)


def rows(bytes_per_record: float, costs: Costs) -> Iterator[str]:
    """Returns the table, line by line."""
    yield "| file | setting | minutes | core-hours |"
    yield "| ---: | --- | ---: | ---: |"
    for name, size in (("1 GB", 1e9), ("100 GB", 100e9), ("1 TB", 1e12)):
        for setting in SETTINGS:
            made = estimate(size, bytes_per_record, costs, setting)
            yield (
                f"| {name} | {setting.name} | {made.seconds / 60:,.1f} | {made.core_hours:,.2f} |"
            )
