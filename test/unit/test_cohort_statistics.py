"""Statistics of a cohort: samples that differ, sex chromosomes, bins, and known assemblies."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cohorts import ODD, statistics_of_cohort, truths_of
from readcount.cohort.assemblies import ASSEMBLIES, Assembly, chromosomes_of
from readcount.cohort.copies import UNCLEAR, XX, XY
from readcount.cohort.layout import RegionColumns, layout_of
from readcount.cohort.robust import deviation, median
from readcount.cohort.statistics import COLUMNS, Statistics, statistics_of
from readme import ROOT
from validation.cases import (
    CASES,
    OTHER_GENOMES,
    Case,
    Genome,
    alone,
    calls_of_other_genome,
    in_cohorts,
    ordinary,
    wrong,
)
from validation.simulation import (
    GRCH38,
    Truth,
    counts_in_windows,
    counts_of,
    whole_chromosomes,
    windows_of,
)

# For each odd sample, the column in which it differs, and its sex chromosomes or largest shift.
EXPECTED: dict[int, tuple[str, str]] = {
    10: ("copies_", "other"),
    21: ("largest_shift", "chr22"),
    32: ("largest_shift", "chr21"),
    43: ("mt_per_autosome", ""),
    54: ("spread", ""),
    65: ("records_per_mb", ""),
}


def statistics_of_counts(
    counts: NDArray[np.int64], regions: RegionColumns, block: int = 7
) -> Statistics:
    def blocks() -> Iterator[NDArray[np.int64]]:
        return (counts[start : start + block] for start in range(0, len(counts), block))

    return statistics_of(regions, blocks(), counts.shape[1])


def select_rows(regions: RegionColumns, rows: Sequence[int]) -> RegionColumns:
    return RegionColumns(
        [regions.names[at] for at in rows],
        [regions.contigs[at] for at in rows],
        [regions.starts[at] for at in rows],
        [regions.ends[at] for at in rows],
        [regions.whole[at] for at in rows],
    )


def differing(statistics: Statistics) -> dict[int, list[str]]:
    return {at: list(names) for at, names in enumerate(statistics.differs) if names}


def check_odd_samples(statistics: Statistics) -> None:
    assert set(differing(statistics)) == set(ODD)
    for at, (column, expected) in EXPECTED.items():
        assert any(name.startswith(column) for name in statistics.differs[at])
        shift = statistics.shift_of(at)
        assert shift and (not expected or expected in (shift[0], statistics.sex_chromosomes[at]))


@pytest.mark.parametrize("seed", range(5))
def test_only_the_six_odd_samples_differ(seed: int) -> None:
    check_odd_samples(statistics_of_cohort(100, odd=True, seed=seed))


@pytest.mark.parametrize("seed", range(3))
def test_the_same_six_samples_differ_in_windows(seed: int) -> None:
    statistics = statistics_of_cohort(100, odd=True, windows=1_000_000, seed=seed)
    check_odd_samples(statistics)
    assert {"pc1", "pc5"} < statistics.values.keys()
    assert statistics.bins is not None and statistics.bins.shifts.shape == (2887, 100)


def test_no_sample_of_an_ordinary_cohort_differs() -> None:
    for samples in (1, 2, 3, 9, 10, 30, 300):
        statistics = statistics_of_cohort(samples, seed=samples)
        assert not differing(statistics)
        assert statistics.sex_chromosomes == [XX if at % 2 else XY for at in range(samples)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_sample_is_called_incorrectly(case: Case) -> None:
    random = np.random.default_rng(27)
    calls, shifts = in_cohorts(case, 3, random)
    assert wrong(case, alone(case, 5, random)) == wrong(case, calls) == 0
    assert not case.shift or shifts == 3


@pytest.mark.parametrize("case", CASES[4:16], ids=lambda case: case.name)
def test_ordinary_samples_of_at_least_0_1x_are_called(case: Case) -> None:
    assert alone(case, 5, np.random.default_rng(27))[case.right] >= 3


@pytest.mark.parametrize("males", [0, 1, 3, 7, 15, 97, 100])
def test_sex_chromosomes_are_called_in_cohorts_of_any_composition(males: int) -> None:
    random = np.random.default_rng(males)
    truths = [ordinary(Truth(1, 1) if at < males else Truth(2, 0), random) for at in range(100)]
    statistics = statistics_of_counts(counts_of(truths, random), whole_chromosomes())
    assert statistics.sex_chromosomes == [XY] * males + [XX] * (100 - males)
    minority = {*range(males)} if males < 5 else {*range(males, 100)} if males > 95 else set()
    assert differing(statistics).keys() == minority


@pytest.mark.parametrize("genome", OTHER_GENOMES, ids=lambda genome: genome.name)
def test_sex_chromosomes_are_not_called_for_other_genomes(genome: Genome) -> None:
    for samples in (3, 40):
        assert {*calls_of_other_genome(genome, samples, np.random.default_rng(1))} <= {UNCLEAR, ""}


def test_the_validation_table_lists_all_cases_and_no_wrong_calls() -> None:
    text = (ROOT / "test" / "validation" / "README.md").read_text()
    rows = re.findall(r"^\| (.*?) \|.*\| (\d+) \|$", text, re.MULTILINE)
    names = [case.name for case in CASES] + [genome.name for genome in OTHER_GENOMES]
    assert [name for name, _ in rows] == names
    assert {number for _, number in rows} == {"0"}


def test_values_follow_their_definitions() -> None:
    """The two autosomes have 20 and 10 records per known base, X has 5, Y 2 and M 600."""
    known = GRCH38.known
    density = {"20": 20, "21": 10, "X": 5, "Y": 2}
    names = [f"chr{name}" for name in density] + ["chrM"]
    ends = [GRCH38.lengths[name] for name in density] + [16_569]
    regions = RegionColumns(names, names, [0] * 5, ends, [True] * 5)
    records = [known[name] * number for name, number in density.items()] + [16_569 * 600]
    statistics = statistics_of_counts(np.array([records]).T, regions)
    assert statistics.genome == "GRCh38"
    assert {name: column[0] for name, column in statistics.columns().items()} == {
        "records_per_mb": "1.5e+07",
        "copies_x": "0.667",
        "copies_y": "0.267",
        "sex_chromosomes": "unclear",
        "mt_per_autosome": "40",
        "largest_shift": "",
        "spread": "",
        "differs": "",
    }


def test_shift_and_spread_are_log2_relative_to_the_median_of_the_cohort() -> None:
    random = np.random.default_rng(1)
    records = np.array([*GRCH38.known.values(), 16_569]) + random.integers(0, 100, 25)
    counts = records[:, None] * np.array([1, 2, 3])
    counts[4, 2] *= 2
    statistics = statistics_of_counts(counts, whole_chromosomes())
    contig, shift = statistics.shift_of(2) or ("", 0)
    assert (contig, round(shift, 3)) == ("chr5", 1)
    assert statistics.columns()["largest_shift"][2] == "chr5 +1.00"
    assert statistics.values["spread"][2] == pytest.approx(0, abs=0.001)


def test_block_size_and_row_order_do_not_change_the_statistics() -> None:
    random = np.random.default_rng(2)
    windows = windows_of(20_000_000)
    counts = counts_in_windows(truths_of(random, 12, odd=False), windows, random)
    order = random.permutation(len(counts))
    shuffled = select_rows(windows, order.tolist())
    expected = statistics_of_counts(counts, windows, 1).columns()
    assert statistics_of_counts(counts, windows, 10_000).columns() == expected
    assert statistics_of_counts(counts[order], shuffled, 5).columns() == expected


def test_many_windows_are_merged_into_bins() -> None:
    windows = windows_of(50_000)
    layout = layout_of(windows, samples=5000)
    bins = layout.sums(iter([np.ones((len(windows.names), 2), np.int64)]), 2)
    assert int(layout.first_bins[-1]) <= 2003 + 22
    assert bins.sum() == 2 * len(windows.names)
    sizes = layout.ends - layout.starts
    assert sizes[: layout.first_bins[22]].max() == 50_000 * 29


def test_windows_identify_the_assembly_only_if_they_cover_the_genome() -> None:
    windows = windows_of(10_000_000)
    assert layout_of(windows, 1).assembly == GRCH38
    part = select_rows(windows, range(1, len(windows.names)))
    layout = layout_of(part, 1)
    assert (layout.assembly, layout.complete) == (None, False)
    counts = np.random.default_rng(1).poisson(1000, (len(part.names), 30))
    statistics = statistics_of_counts(counts, part)
    assert set(statistics.sex_chromosomes) == {""}
    assert "only parts of the chromosomes" in statistics.notes[0]


def test_other_regions_of_a_sequence_that_is_counted_whole_are_ignored() -> None:
    regions = RegionColumns(
        ["chr1", "exon", "chr1", "chr2", "*"],
        ["chr1", "chr1", "chr1", "chr2", "*"],
        [0, 5, 0, 0, 0],
        [100, 10, 100, 200, 0],
        [True, False, True, True, False],
    )
    layout = layout_of(regions, 1)
    assert layout.bin_of_row.tolist() == [0, -1, -1, 1, -1]
    assert layout.bases.tolist() == [100, 200]


def test_statistics_without_records_or_samples_are_empty() -> None:
    random = np.random.default_rng(1)
    counts = counts_of(truths_of(random, 30, odd=False), random)
    counts[:, 4] = 0
    statistics = statistics_of_counts(counts, whole_chromosomes())
    assert differing(statistics) == {4: ["records_per_mb"]}
    columns = statistics.columns()
    assert [columns[name][4] for name in COLUMNS if name in columns] == [
        *("0", "", "", "unclear", "", "", "", "records_per_mb")
    ]
    for samples in (0, 1, 12):
        statistics = statistics_of_counts(np.zeros((25, samples), np.int64), whole_chromosomes())
        assert len(statistics.columns()["differs"]) == samples
    statistics = statistics_of_counts(np.zeros((0, 3), np.int64), RegionColumns([], [], [], [], []))
    assert statistics.columns()["records_per_mb"] == ["", "", ""]


@pytest.mark.parametrize("seed", range(3))
def test_few_records_do_not_make_a_sample_differ_by_chance(seed: int) -> None:
    """Every tenth sample has at most a few hundred records on Y; the others are deep."""
    random = np.random.default_rng(seed)
    truths = truths_of(random, 100, odd=False)
    for at in range(0, 100, 10):
        truths[at] = replace(truths[at], depth=10 ** random.uniform(-5, -2.5))
    statistics = statistics_of_counts(counts_of(truths, random), whole_chromosomes())
    assert {name for names in differing(statistics).values() for name in names} <= {
        *("records_per_mb", "spread")
    }
    assert {*statistics.sex_chromosomes} == {XX, XY, UNCLEAR}


def test_median_and_deviation_ignore_unknown_values() -> None:
    random = np.random.default_rng(1)
    values = random.normal(0, 1, (50, 8))
    values[random.random(values.shape) < 0.3] = np.nan
    values[3] = np.nan
    values[4, 2] = -np.inf
    known = np.where(np.isfinite(values), values, np.nan)
    has_values = np.arange(50) != 3
    assert np.array_equal(median(values)[has_values], np.nanmedian(known[has_values], axis=1))
    assert np.isnan(median(values)[3])
    off = np.abs(known - median(values)[:, None])
    expected = 1.4826 * np.nanmedian(off[has_values], axis=1)
    assert np.allclose(deviation(values)[has_values], expected)


def test_counts_for_another_number_of_regions_are_rejected() -> None:
    with pytest.raises(ValueError, match="24 rows of counts for 25 regions"):
        statistics_of_counts(np.ones((24, 3), np.int64), whole_chromosomes())


@pytest.mark.parametrize("assembly", ASSEMBLIES, ids=lambda assembly: assembly.name)
def test_assemblies_are_recognized_by_sequence_lengths(assembly: Assembly) -> None:
    for name in ("{}", "chr{}"):
        lengths = {name.format(key): length for key, length in assembly.lengths.items()}
        assert chromosomes_of(lengths)[0] is assembly
    accessions = {f"NC_{at:06}.9": length for at, length in enumerate(assembly.lengths.values())}
    found, chromosomes = chromosomes_of(accessions)
    assert (found, [*chromosomes.values()]) == (assembly, [*assembly.lengths])
    assert all(assembly.known[name] <= length for name, length in assembly.lengths.items())
    other = {f"chr{key}": length + 1 for key, length in assembly.lengths.items()}
    assert chromosomes_of(other)[0] is None


def test_known_bases_match_published_totals() -> None:
    """The total of T2T-CHM13 with M is from deepTools; the others detect accidental edits."""
    sums = {assembly.name: sum(assembly.known.values()) for assembly in ASSEMBLIES}
    assert sums["T2T-CHM13"] + 16_569 == 3_117_292_070
    assert sums == {
        "GRCh37": 2_861_327_216,
        "GRCh38": 2_937_639_113,
        "T2T-CHM13": 3_117_275_501,
    }
