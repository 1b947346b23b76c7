"""MultiQC reads the statistics of a cohort into its general statistics and a plot."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cohorts import statistics_of_cohort
from multiqc_run import sections
from readcount.cohort.layout import RegionColumns
from readcount.cohort.multiqc_statistics import format_copies, format_general_statistics
from readcount.cohort.statistics import Statistics, statistics_of


def write(folder: Path, samples: list[str], statistics: Statistics) -> None:
    folder.mkdir()
    for name, text in (
        ("cohort_statistics_mqc.tsv", format_general_statistics(samples, statistics)),
        ("cohort_copies_mqc.tsv", format_copies(samples, statistics)),
    ):
        if text:
            (folder / name).write_text(text, encoding="utf-8")


def general_statistics(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "out" / "multiqc_data" / "multiqc_general_stats.txt"
    with path.open(newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        return {
            row.pop("Sample"): {name.split("-")[-1]: text for name, text in row.items()}
            for row in rows
        }


@pytest.mark.parametrize("samples", [1, 50, 600])
def test_each_sample_has_general_statistics_and_a_dot(tmp_path: Path, samples: int) -> None:
    names = [str(1000 + at) for at in range(samples)]
    statistics = statistics_of_cohort(samples, odd=samples >= 100)
    write(tmp_path / "in", names, statistics)
    (plot,) = sections(tmp_path / "in")
    assert set(plot) == set(names)
    columns = statistics.columns()
    for name, row in general_statistics(tmp_path).items():
        at = names.index(name)
        assert float(row["copies_x"]) == pytest.approx(float(columns["copies_x"][at]))
        assert row["sex_chromosomes"] == columns["sex_chromosomes"][at]
    report = (tmp_path / "out" / "multiqc_report.html").read_text()
    assert "Copies of X and Y" in report


def test_a_sample_with_unknown_values_does_not_hide_the_others(tmp_path: Path) -> None:
    regions = RegionColumns(["chr1", "chrX"], ["chr1", "chrX"], [0, 0], [1000, 1000], [True, True])
    counts = np.array([[0, 5, 6, 7], [0, 5, 6, 7]])
    statistics = statistics_of(regions, [counts], 4)
    write(tmp_path / "in", ["a", "b", "c", "d"], statistics)
    sections(tmp_path / "in")
    rows = general_statistics(tmp_path)
    assert [float(row["records_per_mb"]) for row in rows.values()] == [0, 5000, 6000, 7000]
    data = json.loads((tmp_path / "out" / "multiqc_data" / "multiqc_data.json").read_text())
    assert data
