"""The benchmark: schedules, simulated headers and reads, and estimates of scaling."""

import random

import pytest

from benchmark.bams import chromosomes, human, reads_per_contig
from benchmark.scaling import Setting, estimate
from benchmark.schedule import (
    Costs,
    makespan,
    map_batches,
    our_schedule,
    tutorial_schedule,
)

COSTS = Costs(call=0.012, task=0.01, record=0.4e-6, decoded_record=0.65e-6)


@pytest.mark.parametrize(
    ("batches", "cores", "seconds"),
    [([], 2, 0), ([3], 2, 3), ([3, 2, 2], 2, 4), ([2, 2, 3], 2, 5), ([1] * 5, 4, 2)],
)
def test_a_free_core_takes_the_next_batch(batches: list[float], cores: int, seconds: float) -> None:
    assert makespan(batches, cores) == seconds


def test_pool_map_makes_up_to_four_batches_per_process_in_order() -> None:
    assert map_batches([1.0] * 5, 2) == [1] * 5
    assert map_batches([5, 4, 3, 2, 1, 0, 0, 0, 0], 2) == [9, 5, 1, 0, 0]
    assert len(map_batches([1.0] * 3366, 4)) == 16


def test_reads_per_contig_add_up_to_the_total() -> None:
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    assert reads_per_contig(shares, 11) == {"a": 6, "b": 3, "c": 2}


def test_simulated_headers_resemble_grch38() -> None:
    lengths, shares = human(random.Random(1))
    assert (len(lengths), len(shares)) == (3366, 2145)
    assert sum(shares.values()) == pytest.approx(1)
    assert len(chromosomes(random.Random(1))[0]) == 25


@pytest.mark.parametrize("cores", [4, 8, 16, 32, 64, 96])
def test_a_genome_keeps_all_cores_busy(cores: int) -> None:
    lengths, shares = human(random.Random(1))
    reads = reads_per_contig(shares, 850_000_000)
    records = [reads.get(name, 0) for name in lengths]
    assert our_schedule(records, cores, COSTS).ratio < 1.15
    assert tutorial_schedule(records, cores, COSTS).ratio > 3.5


def test_streaming_saves_the_download_and_subjobs_divide_the_time() -> None:
    costs = Costs(call=0.005, task=0.01, record=0.4e-6, decoded_record=0.6e-6)
    on_disk, streamed, shared = (
        estimate(1e12, 90, costs, setting)
        for setting in (
            Setting("on disk", 4),
            Setting("streamed", 4, streamed=True),
            Setting("shared", 4, streamed=True, subjobs=50),
        )
    )
    # Calculated by hand: a download at 200 MB/s, then 4444 core-seconds on 4 cores; streamed at
    # 800 MB/s, as 4 cores could count 900 MB/s.
    assert on_disk.seconds == pytest.approx(5000 + 1111 + 180, abs=1)
    assert streamed.seconds == pytest.approx(1250 + 180, abs=1)
    assert shared.seconds == pytest.approx(25 + 3 * 180, abs=1)
    assert shared.core_hours > streamed.core_hours
