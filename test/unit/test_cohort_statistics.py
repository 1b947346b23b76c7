"""The statistics of a cohort say which samples differ, and nothing wrong about sex chromosomes."""

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

BY: dict[int, tuple[str, str]] = {
    10: ("copies_", "other"),
    21: ("largest_shift", "chr22"),
    32: ("largest_shift", "chr21"),
    43: ("mt_per_autosome", ""),
    54: ("spread", ""),
    65: ("records_per_mb", ""),
}


def of_counts(counts: NDArray[np.int64], regions: RegionColumns, block: int = 7) -> Statistics:
    def blocks() -> Iterator[NDArray[np.int64]]:
        return (counts[start : start + block] for start in range(0, len(counts), block))

    return statistics_of(regions, blocks(), counts.shape[1])


def rows_of(regions: RegionColumns, rows: Sequence[int]) -> RegionColumns:
    return RegionColumns(
        [regions.names[at] for at in rows],
        [regions.contigs[at] for at in rows],
        [regions.starts[at] for at in rows],
        [regions.ends[at] for at in rows],
        [regions.whole[at] for at in rows],
    )


def differing(statistics: Statistics) -> dict[int, list[str]]:
    return {at: list(names) for at, names in enumerate(statistics.differs) if names}


def check_the_six(statistics: Statistics) -> None:
    assert set(differing(statistics)) == set(ODD)
    for at, (column, what) in BY.items():
        assert any(name.startswith(column) for name in statistics.differs[at])
        shift = statistics.shift_of(at)
        assert shift and (not what or what in (shift[0], statistics.sex_chromosomes[at]))


@pytest.mark.parametrize("seed", range(5))
def test_the_six_samples_that_are_odd_differ_and_no_other(seed: int) -> None:
    check_the_six(statistics_of_cohort(100, odd=True, seed=seed))


@pytest.mark.parametrize("seed", range(3))
def test_the_same_six_differ_in_windows(seed: int) -> None:
    its = statistics_of_cohort(100, odd=True, windows=1_000_000, seed=seed)
    check_the_six(its)
    assert {"pc1", "pc5"} < its.values.keys()
    assert its.bins is not None and its.bins.shifts.shape == (2887, 100)


def test_an_ordinary_cohort_has_no_sample_that_differs() -> None:
    for samples in (1, 2, 3, 9, 10, 30, 300):
        its = statistics_of_cohort(samples, seed=samples)
        assert not differing(its)
        assert its.sex_chromosomes == [XX if at % 2 else XY for at in range(samples)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_sample_is_called_wrong(case: Case) -> None:
    random = np.random.default_rng(27)
    among, shifts = in_cohorts(case, 3, random)
    assert wrong(case, alone(case, 5, random)) == wrong(case, among) == 0
    assert not case.shift or shifts == 3


@pytest.mark.parametrize("case", CASES[4:16], ids=lambda case: case.name)
def test_from_a_tenth_of_a_genome_on_ordinary_samples_are_called(case: Case) -> None:
    assert alone(case, 5, np.random.default_rng(27))[case.right] >= 3


@pytest.mark.parametrize("males", [0, 1, 3, 7, 15, 97, 100])
def test_sex_chromosomes_are_called_in_cohorts_of_any_composition(males: int) -> None:
    random = np.random.default_rng(males)
    truths = [ordinary(Truth(1, 1) if at < males else Truth(2, 0), random) for at in range(100)]
    its = of_counts(counts_of(truths, random), whole_chromosomes())
    assert its.sex_chromosomes == [XY] * males + [XX] * (100 - males)
    few = {*range(males)} if males < 5 else {*range(males, 100)} if males > 95 else set()
    assert differing(its).keys() == few


@pytest.mark.parametrize("genome", OTHER_GENOMES, ids=lambda genome: genome.name)
def test_samples_of_other_genomes_have_no_sex_chromosomes_called(genome: Genome) -> None:
    for samples in (3, 40):
        assert {*calls_of_other_genome(genome, samples, np.random.default_rng(1))} <= {UNCLEAR, ""}


def test_the_table_of_the_validation_has_all_cases_and_nothing_wrong() -> None:
    text = (ROOT / "test" / "validation" / "README.md").read_text()
    rows = re.findall(r"^\| (.*?) \|.*\| (\d+) \|$", text, re.MULTILINE)
    names = [case.name for case in CASES] + [genome.name for genome in OTHER_GENOMES]
    assert [name for name, _ in rows] == names
    assert {number for _, number in rows} == {"0"}


def test_values_are_those_of_their_definitions() -> None:
    """Two autosomes with 20 and 10 records per known base; X has 5, Y 2, M 600."""
    known = GRCH38.known
    density = {"20": 20, "21": 10, "X": 5, "Y": 2}
    names = [f"chr{name}" for name in density] + ["chrM"]
    ends = [GRCH38.lengths[name] for name in density] + [16_569]
    regions = RegionColumns(names, names, [0] * 5, ends, [True] * 5)
    records = [known[name] * number for name, number in density.items()] + [16_569 * 600]
    its = of_counts(np.array([records]).T, regions)
    assert its.genome == "GRCh38"
    assert {name: column[0] for name, column in its.columns().items()} == {
        "records_per_mb": "1.5e+07",
        "copies_x": "0.667",
        "copies_y": "0.267",
        "sex_chromosomes": "unclear",
        "mt_per_autosome": "40",
        "largest_shift": "",
        "spread": "",
        "differs": "",
    }


def test_shift_and_spread_are_log2_against_the_cohorts_median() -> None:
    random = np.random.default_rng(1)
    records = np.array([*GRCH38.known.values(), 16_569]) + random.integers(0, 100, 25)
    counts = records[:, None] * np.array([1, 2, 3])
    counts[4, 2] *= 2
    its = of_counts(counts, whole_chromosomes())
    contig, shift = its.shift_of(2) or ("", 0)
    assert (contig, round(shift, 3)) == ("chr5", 1)
    assert its.columns()["largest_shift"][2] == "chr5 +1.00"
    assert its.values["spread"][2] == pytest.approx(0, abs=0.001)


def test_blocks_of_any_size_give_the_same() -> None:
    random = np.random.default_rng(2)
    windows = windows_of(20_000_000)
    counts = counts_in_windows(truths_of(random, 12, odd=False), windows, random)
    order = random.permutation(len(counts))
    shuffled = rows_of(windows, order.tolist())
    expected = of_counts(counts, windows, 1).columns()
    assert of_counts(counts, windows, 10_000).columns() == expected
    assert of_counts(counts[order], shuffled, 5).columns() == expected


def test_many_windows_are_put_together_in_bins() -> None:
    windows = windows_of(50_000)
    layout = layout_of(windows, samples=5000)
    bins = layout.sums(iter([np.ones((len(windows.names), 2), np.int64)]), 2)
    assert int(layout.first_bins[-1]) <= 2003 + 22
    assert bins.sum() == 2 * len(windows.names)
    sizes = layout.ends - layout.starts
    assert sizes[: layout.first_bins[22]].max() == 50_000 * 29


def test_windows_of_a_whole_genome_are_that_genome_and_intervals_are_not() -> None:
    windows = windows_of(10_000_000)
    assert layout_of(windows, 1).assembly == GRCH38
    part = rows_of(windows, range(1, len(windows.names)))
    layout = layout_of(part, 1)
    assert (layout.assembly, layout.complete) == (None, False)
    counts = np.random.default_rng(1).poisson(1000, (len(part.names), 30))
    its = of_counts(counts, part)
    assert set(its.sex_chromosomes) == {""}
    assert "only parts of the chromosomes" in its.notes[0]


def test_of_a_sequence_that_is_counted_whole_other_regions_are_left_out() -> None:
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


def test_samples_without_records_and_matrices_without_samples_have_empty_values() -> None:
    random = np.random.default_rng(1)
    counts = counts_of(truths_of(random, 30, odd=False), random)
    counts[:, 4] = 0
    its = of_counts(counts, whole_chromosomes())
    assert differing(its) == {4: ["records_per_mb"]}
    columns = its.columns()
    assert [columns[name][4] for name in COLUMNS if name in columns] == [
        *("0", "", "", "unclear", "", "", "", "records_per_mb")
    ]
    for samples in (0, 1, 12):
        its = of_counts(np.zeros((25, samples), np.int64), whole_chromosomes())
        assert len(its.columns()["differs"]) == samples
    its = of_counts(np.zeros((0, 3), np.int64), RegionColumns([], [], [], [], []))
    assert its.columns()["records_per_mb"] == ["", "", ""]


@pytest.mark.parametrize("seed", range(3))
def test_few_records_do_not_make_a_sample_differ_by_chance(seed: int) -> None:
    """Most samples are deep, and every tenth has some hundred records on Y, or a few."""
    random = np.random.default_rng(seed)
    truths = truths_of(random, 100, odd=False)
    for at in range(0, 100, 10):
        truths[at] = replace(truths[at], depth=10 ** random.uniform(-5, -2.5))
    its = of_counts(counts_of(truths, random), whole_chromosomes())
    assert {name for names in differing(its).values() for name in names} <= {
        *("records_per_mb", "spread")
    }
    assert {*its.sex_chromosomes} == {XX, XY, UNCLEAR}


def test_the_median_is_that_of_the_values_that_are_known() -> None:
    random = np.random.default_rng(1)
    values = random.normal(0, 1, (50, 8))
    values[random.random(values.shape) < 0.3] = np.nan
    values[3] = np.nan
    values[4, 2] = -np.inf
    known = np.where(np.isfinite(values), values, np.nan)
    some = np.arange(50) != 3
    assert np.array_equal(median(values)[some], np.nanmedian(known[some], axis=1))
    assert np.isnan(median(values)[3])
    off = np.abs(known - median(values)[:, None])
    assert np.allclose(deviation(values)[some], 1.4826 * np.nanmedian(off[some], axis=1))


def test_a_matrix_of_other_regions_is_refused() -> None:
    with pytest.raises(ValueError, match="24 rows of counts for 25 regions"):
        of_counts(np.ones((24, 3), np.int64), whole_chromosomes())


@pytest.mark.parametrize("its", ASSEMBLIES, ids=lambda its: its.name)
def test_assemblies_are_known_by_their_lengths_with_any_names(its: Assembly) -> None:
    for name in ("{}", "chr{}"):
        lengths = {name.format(key): length for key, length in its.lengths.items()}
        assert chromosomes_of(lengths)[0] is its
    accessions = {f"NC_{at:06}.9": length for at, length in enumerate(its.lengths.values())}
    found, chromosomes = chromosomes_of(accessions)
    assert (found, [*chromosomes.values()]) == (its, [*its.lengths])
    assert all(its.known[name] <= length for name, length in its.lengths.items())
    other = {f"chr{key}": length + 1 for key, length in its.lengths.items()}
    assert chromosomes_of(other)[0] is None


def test_the_known_bases_are_those_that_are_published() -> None:
    """Sums: T2T-CHM13 with M by deepTools; the others so that no figure is changed unnoticed."""
    sums = {its.name: sum(its.known.values()) for its in ASSEMBLIES}
    assert sums["T2T-CHM13"] + 16_569 == 3_117_292_070
    assert sums == {
        "GRCh37": 2_861_327_216,
        "GRCh38": 2_937_639_113,
        "T2T-CHM13": 3_117_275_501,
    }
