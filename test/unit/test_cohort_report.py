"""The HTML report and the MultiQC tables of a cohort, for any number of samples."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape

import numpy as np
import pytest

from cohorts import page_of, rows_of_cohort, statistics_of_cohort
from readcount.cohort.layout import RegionColumns
from readcount.cohort.multiqc_statistics import format_copies, format_general_statistics
from readcount.cohort.report import (
    MAX_DIFFERING,
    MAX_FAILED,
    MAX_LABELS,
    MAX_WITH_NAMES,
    format_cohort_report,
    histogram_of,
    place_labels,
)
from readcount.cohort.samples_table import COUNTED, FAILED, SampleRow
from readcount.cohort.statistics import Statistics, statistics_of

EVIL = "</script><script>alert(1)</script>'\"&amp;{{ 7 * 7 }}=1+1"


def headings(page: str) -> list[str]:
    return re.findall("<h2.*?>(.*?)</h2>", page)


def names_in_table(page: str) -> list[str]:
    return [unescape(name) for name in re.findall(r"<th scope=row>(.*?)(?: <small|<td)", page)]


def test_failed_samples_come_first_followed_by_samples_that_differ() -> None:
    page = page_of(100, odd=True, failed=3)
    assert headings(page)[:3] == ["Failed samples", "Samples that differ", "X against Y"]
    assert page.count("bad.bam is truncated or corrupt") == 3
    section = page[page.index('id="differing"') : page.index('id="sexes"')]
    assert re.findall('<dt class="name">(.*?)</dt>', section) == [
        *("S010", "S021", "S032", "S043", "S054", "S065")
    ]
    for text in (
        "; sex chromosomes: other",
        "chr22: 0.",
        "chr21: 1.",
        " times the usual share (log2 ",
        "MT per autosome: ",
        "Records per Mb: ",
        "Spread of the shares: ",
    ):
        assert text in section
    assert not re.search("bad|poor|wrong|fail", section)


def test_the_page_of_three_samples_says_why_statistics_are_missing() -> None:
    page = page_of(3)
    assert "cohorts of 10 samples or more" in page
    assert "differ</b>" not in page
    assert headings(page) == [
        *("Samples that differ", "X against Y", "Records per sample", "Share of each chromosome"),
        *("What was counted", "Table of samples"),
    ]
    assert names_in_table(page) == ["S000", "S001", "S002"]


def test_no_sample_of_an_ordinary_cohort_differs() -> None:
    assert "None: all values are within five robust deviations" in page_of(30)


def test_windows_add_principal_components_and_profiles_of_differing_samples() -> None:
    page = page_of(100, odd=True, windows=3_000_000)
    assert "Principal components" in headings(page)
    assert page.count('class="dots along"') == 6
    assert 'aria-label="Profile of S021: chr22: 0.5' in page


@pytest.mark.parametrize(("samples", "max_bytes"), [(1000, 5_000_000), (3000, 8_000_000)])
def test_the_page_of_many_samples_is_not_too_large(samples: int, max_bytes: int) -> None:
    page = page_of(samples, odd=True, failed=5)
    assert len(page.encode()) < max_bytes
    assert len(names_in_table(page)) == samples
    with_names = samples <= MAX_WITH_NAMES
    assert page.count("<circle role") == (samples if with_names else 6)
    # Samples that differ are always named.
    assert page.count('<script type="application/json">') == (2 if with_names else 1)
    assert page.count("<table>") == -(-samples // 1000)


def test_with_many_failed_samples_only_the_first_are_shown() -> None:
    rows = [SampleRow(f"F{at}", FAILED, "it is truncated") for at in range(1000)]
    page = format_cohort_report(rows, statistics_of_cohort(0), "cohort")
    assert page.count("it is truncated") == MAX_FAILED
    assert f"The first {MAX_FAILED} of 1,000. All are in" in page
    assert "No sample was counted." in page
    assert MAX_DIFFERING < 1000


@pytest.mark.parametrize("samples", [0, 1, 2, 9, 10, 51])
@pytest.mark.parametrize("contigs", [[], ["*"], ["chr1"], ["a", "b", "c"]], ids=str)
def test_any_cohort_has_a_page(samples: int, contigs: list[str]) -> None:
    ends = [0 if contig == "*" else 1000 for contig in contigs]
    regions = RegionColumns(contigs, contigs, [0] * len(contigs), ends, [True] * len(contigs))
    for filled_with in np.zeros, np.ones:
        block = filled_with((len(contigs), samples), np.int64)
        statistics = statistics_of(regions, [block], samples)
        rows = [
            SampleRow(f"S{at}", COUNTED, records=int(block[:, at].sum())) for at in range(samples)
        ]
        assert names_in_table(format_cohort_report(rows, statistics, "x")) == [
            row.sample for row in rows
        ]


def test_text_from_the_files_is_escaped() -> None:
    statistics = statistics_of_cohort(12)
    rows = [SampleRow(EVIL + str(at), COUNTED, EVIL, records=5) for at in range(12)]
    failed = SampleRow(EVIL, FAILED, EVIL)
    page = format_cohort_report([failed, *rows], statistics, EVIL, EVIL, EVIL)
    assert page.count("<script") == page.count("</script>") == 2
    assert EVIL not in page
    assert "alert(1)</script>" not in page
    assert names_in_table(page) == [row.sample for row in rows]


@pytest.mark.parametrize("letter", ["x", "&", "\U0001d535"])
def test_long_names_and_messages_do_not_make_a_large_page(letter: str) -> None:
    rows = [
        SampleRow(f"{at}{letter * 10_000}", COUNTED, letter * 10_000, records=5) for at in range(12)
    ]
    page = format_cohort_report(rows, statistics_of_cohort(12), "cohort")
    assert len(page.encode()) < 300_000


def test_statistics_of_another_number_of_samples_are_rejected() -> None:
    with pytest.raises(ValueError, match="2 samples, but statistics of 3"):
        format_cohort_report(rows_of_cohort(2), statistics_of_cohort(3), "cohort")


def test_a_wide_range_of_records_is_shown_on_a_logarithmic_scale() -> None:
    even, wide = histogram_of([5_000_000] * 60), histogram_of([1000, 10_000_000, *[50_000] * 60])
    assert (even.is_log, wide.is_log) == (False, True)
    assert [text for _, text in wide.x_ticks] == ["1 k", "10 k", "100 k", "1 M", "10 M"]
    assert wide.bars[0][-1] == "1 sample with 1 k to 1.36 k records"
    assert sum(int(bar[-1].split()[0]) for bar in wide.bars) == 62
    assert [bar[-1] for bar in histogram_of([0] * 60).bars] == [
        "60 samples with 0 to 0.0333 records"
    ]


def test_labels_do_not_overlap() -> None:
    labels = list(place_labels([(300, 200, "one"), (302, 202, "two"), (630, 200, "at the edge")]))
    assert [label.anchor for label in labels] == ["start", "start", "end"]
    assert abs(labels[0].y - labels[1].y) >= 14
    assert len(labels) <= MAX_LABELS


@dataclass(frozen=True)
class Columns:
    names: Sequence[str]
    rows: Sequence[Sequence[str]]


def columns_of(text: str) -> Columns:
    lines = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return Columns(lines[0], lines[1:])


def test_general_statistics_have_a_row_per_sample_and_only_columns_with_values() -> None:
    statistics = statistics_of_cohort(12)
    table = columns_of(format_general_statistics([f"S{at}" for at in range(12)], statistics))
    assert table.names == [
        *('"Sample"', '"records_per_mb"', '"copies_x"', '"copies_y"', '"mt_per_autosome"'),
        *('"spread"', '"sex_chromosomes"'),
    ]
    assert len(table.rows) == 12
    assert table.rows[1][0] == '"S1"' and table.rows[1][-1] == "XX"


def test_the_copies_plot_contains_the_samples_with_copies() -> None:
    statistics = statistics_of_cohort(3)
    table = columns_of(format_copies(["1", "2", "3"], statistics))
    assert [row[0] for row in table.rows] == ['"1"', '"2"', '"3"']
    assert float(table.rows[0][1]) == pytest.approx(1, abs=0.05)
    assert format_copies([], empty_statistics()) == ""


def empty_statistics() -> Statistics:
    return statistics_of(RegionColumns([], [], [], [], []), [], 0)
