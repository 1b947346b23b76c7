"""Estimated cost of counting, used to make tasks of about equal cost.

Costs are seconds on one core of 2020s hardware for 150-base reads in a BAM. Only their ratios
matter: they decide what is grouped into one call and what is split, never what is counted. `make
bench` measures them again.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Costs of the steps of counting, and the granularity of tasks.

    Attributes:
        call: starting samtools and checking both ends of a part.
        call_per_sequence: additional cost of a call per reference sequence in the header.
        byte: counting the records in one byte of the file.
        decoded_byte: decoding the positions of the records in one byte of the file.
        span: looking up records in a span.
        gap_bytes: gaps between parts that are smaller than this are read rather than skipped.
        large_tasks_per_core: number of large tasks that make up one core's share of the time.
        small_tasks_per_large: number of small tasks that take as long as a large one; small tasks
            fill the remaining time at the end.
        calls_per_task: minimum cost of a task, in units of calls that read nothing.
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


# According to the schedules printed by `make bench`, a 30x genome on 96 cores takes 1.09 times
# total / cores with large and small tasks, and 1.21 times with tasks of equal size.
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
# For a connection of 50 MB/s and one request per part. Four connections share a core: they wait for
# it if decoding takes more than a quarter of the transfer time.
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
