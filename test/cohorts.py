"""Simulates cohorts, with their statistics and reports."""

from dataclasses import replace

import numpy as np

from readcount.cohort.report import format_cohort_report
from readcount.cohort.samples_table import COUNTED, FAILED, SampleRow
from readcount.cohort.statistics import Statistics, statistics_of
from validation.cases import ordinary
from validation.simulation import (
    Truth,
    counts_in_windows,
    counts_of,
    whole_chromosomes,
    windows_of,
)

# Unusual samples by index: XXY, monosomy of 22, trisomy of 21, much mitochondrial DNA, another
# capture kit, a tenth of the depth.
ODD: dict[int, dict[str, object]] = {
    10: {"x": 2, "y": 1},
    21: {"copies": {"22": 1}},
    32: {"copies": {"21": 3}},
    43: {"mitochondria": 3000},
    54: {"noise": 0.3},
    65: {"depth": 3},
}
OTHER_KIT = 54


def truths_of(random: np.random.Generator, samples: int, odd: bool) -> list[Truth]:
    """Returns ordinary samples, alternately XY and XX; if `odd`, some are replaced by ODD ones."""
    truths = [ordinary(Truth(1 + at % 2, 1 - at % 2), random) for at in range(samples)]
    for at, changes in ODD.items() if odd else ():
        truths[at] = replace(truths[at], **changes)  # type: ignore[arg-type]
    return truths


def statistics_of_cohort(
    samples: int, odd: bool = False, windows: int = 0, seed: int = 1
) -> Statistics:
    """Returns the statistics of whole chromosomes, or of windows if a size is specified."""
    random = np.random.default_rng(seed)
    truths = truths_of(random, samples, odd)
    if windows:
        regions = windows_of(windows)
        kits = {}
        if odd:
            # In windows, the other capture kit differs by window rather than by chromosome.
            truths[OTHER_KIT] = replace(truths[OTHER_KIT], noise=0.005)
            kits[OTHER_KIT] = 2 ** random.normal(0, 0.6, len(regions.names))
        counts = counts_in_windows(truths, regions, random, kits)
    else:
        regions = whole_chromosomes()
        counts = counts_of(truths, random) if samples else np.zeros((25, 0), np.int64)
    return statistics_of(regions, [counts], samples)


def rows_of_cohort(samples: int, failed: int = 0, seed: int = 1) -> list[SampleRow]:
    """Returns rows of counted samples, with rows of failed samples in between."""
    random = np.random.default_rng(seed)
    rows = [
        SampleRow(f"S{at:03}", COUNTED, records=int(6e8 * 2 ** random.normal(0, 0.25)), unplaced=5)
        for at in range(samples)
    ]
    for at in range(failed):
        message = "mappings: bad.bam is truncated or corrupt (no BGZF end-of-file block)."
        rows.insert(7 * at, SampleRow(f"bad_{at}", FAILED, message))
    return rows


def page_of(
    samples: int, odd: bool = False, failed: int = 0, windows: int = 0, seed: int = 1
) -> str:
    """Returns the HTML report of a cohort."""
    statistics = statistics_of_cohort(samples, odd, windows, seed)
    return format_cohort_report(rows_of_cohort(samples, failed), statistics, f"cohort_{samples}")
