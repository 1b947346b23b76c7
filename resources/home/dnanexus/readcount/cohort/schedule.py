"""Estimates the cost of samples, and decides which are counted in parallel."""

from collections.abc import Mapping, Sequence

# Seconds to open a sample, and to count a byte, for one of a core's four connections.
SECONDS_TO_OPEN = 0.5
SECONDS_PER_BYTE = 2e-8
# Size of a file that one samtools call reads in about a second.
SMALL_BYTES = 50_000_000


def sizes_of(bytes_of: Mapping[int, int], from_index: bool) -> dict[int, float]:
    """Returns the estimated seconds per sample, by sample number.

    Args:
        bytes_of: size of each file in bytes.
        from_index: whether counts are taken from the index.
    """
    return {
        number: SECONDS_TO_OPEN + (0 if from_index else size * SECONDS_PER_BYTE)
        for number, size in bytes_of.items()
    }


def split_by_size(
    bytes_of: Mapping[int, int], processes: int, from_index: bool
) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the samples counted in parallel, and those counted one after another.

    Samples that take more than half of a process's share of the time are counted one after another
    by all processes, so that no process is busy long after the others.

    Args:
        bytes_of: size of each file in bytes, by sample number.
        processes: number of processes.
        from_index: whether counts are taken from the index.

    >>> split_by_size({0: 5_000, 1: 10**12, 2: 6_000}, processes=8, from_index=False)
    ([2, 0], [1])
    """
    largest_first = sorted(bytes_of, key=lambda number: (-bytes_of[number], number))
    most = max(SMALL_BYTES, sum(bytes_of.values()) / (2 * processes))
    alone = [number for number in largest_first if bytes_of[number] > most and not from_index]
    return [number for number in largest_first if number not in set(alone)], alone
