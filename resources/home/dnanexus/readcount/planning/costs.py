"""What counting costs, so that tasks can be made that cost about the same.

Costs are seconds of one core of 2020s hardware for 150-base reads in a BAM. Only their ratios
matter: they decide what shares a call and what is cut, never what is counted. `make bench` measures
them anew.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """What counting takes, and how fine to cut it.

    Attributes:
        call: to start samtools, and to look at both ends of a part.
        call_per_sequence: what it grows by with each reference sequence of the header.
        byte: of the file, to count its records.
        decoded_byte: of the file, to look at each of its records.
        span: to look up records in a span.
        gap_bytes: between two parts of the file; to read fewer takes less time than to skip them.
        large_tasks_per_core: a core's share of the time is that of this many large tasks.
        small_tasks_per_large: a large task takes the time of this many small ones, which fill up
            what is left at the end.
        calls_per_task: minimum cost of a task, in calls that read nothing.
    """

    call: float
    call_per_sequence: float
    byte: float
    decoded_byte: float
    span: float
    gap_bytes: int
    large_tasks_per_core: float
    small_tasks_per_large: float
    calls_per_task: float


# By the schedules that `make bench` prints a 30x genome on 96 cores takes 1.09 times total / cores
# with large tasks and small ones, and 1.21 times with tasks that are all alike.
DOWNLOADED = Costs(
    call=6e-3,
    call_per_sequence=1.0e-6,
    byte=4.4e-9,
    decoded_byte=7.5e-9,
    span=3e-7,
    gap_bytes=1 << 17,
    large_tasks_per_core=2,
    small_tasks_per_large=6,
    calls_per_task=2,
)
# Over a connection of 50 MB/s, with a request for each part. Four connections share a core: where a
# core takes longer than a fourth of what the network takes, they wait for it.
STREAMED = Costs(
    call=0.05,
    call_per_sequence=4e-6,
    byte=2.0e-8,
    decoded_byte=3.0e-8,
    span=1.2e-6,
    gap_bytes=1 << 20,
    large_tasks_per_core=2,
    small_tasks_per_large=2,
    calls_per_task=12,
)


def costs_for(streamed: bool) -> Costs:
    """Returns the costs of a file that is streamed, or downloaded."""
    return STREAMED if streamed else DOWNLOADED
