"""Which samples are counted side by side, and what each takes."""

from collections.abc import Mapping, Sequence

# Seconds that one of four connections of a core takes, to open a sample and to count its records.
SECONDS_TO_OPEN = 0.5
SECONDS_PER_BYTE = 2e-8
# A file that one samtools call reads in about a second.
SMALL_BYTES = 50_000_000


def sizes_of(bytes_of: Mapping[int, int], from_index: bool) -> dict[int, float]:
    """Returns about how many seconds each sample takes, by its number.

    Args:
        bytes_of: the size of each file.
        from_index: whether the records are not read.
    """
    return {
        number: SECONDS_TO_OPEN + (0 if from_index else size * SECONDS_PER_BYTE)
        for number, size in bytes_of.items()
    }


def split_by_size(
    bytes_of: Mapping[int, int], processes: int, from_index: bool
) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the samples that are counted side by side, and those counted one after another.

    A process that counts a sample should not be the last one that is busy: a sample which takes
    more than half of the share of a process is counted by all of them.

    Args:
        bytes_of: the size of each file, by the number of the sample.
        processes: how many there are.
        from_index: whether the records are not read.

    >>> split_by_size({0: 5_000, 1: 10**12, 2: 6_000}, processes=8, from_index=False)
    ([2, 0], [1])
    """
    largest_first = sorted(bytes_of, key=lambda number: (-bytes_of[number], number))
    most = max(SMALL_BYTES, sum(bytes_of.values()) / (2 * processes))
    alone = [number for number in largest_first if bytes_of[number] > most and not from_index]
    return [number for number in largest_first if number not in set(alone)], alone
