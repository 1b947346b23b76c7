"""The HTML report shows all counts, or only the largest if it would be too long."""

import re
from html import unescape
from pathlib import Path

import pytest

from readcount.outputs.report import (
    MAX_BARS,
    draw,
    format_report,
    powers_of_ten,
    round_numbers,
    rows_that_fit,
    short,
)
from readcount.outputs.result import Result
from readcount.regions.counts import RegionCount
from readcount.regions.list_regions import describe_regions
from readcount.regions.region import UNPLACED, Region
from readcount.request.request import Request
from readcount.verification.verify import VerifiedCounts
from steps import ask, region_counts

MAX_BYTES = 500_000


def counts_of(records: dict[str, int], length: int = 10**6) -> Result:
    regions = [RegionCount(Region(name), number) for name, number in records.items()]
    verified = VerifiedCounts(region_counts(regions), checks=("they agree",))
    return Result(verified, dict.fromkeys(records, length), unplaced=3)


def page_of(counts: Result) -> str:
    return format_report(counts, "sample.bam", "sample")


def names_in_table(page: str) -> list[str]:
    return [unescape(name) for name in re.findall(r"<th scope=row>(.*?)(?: <small|<td>)", page)]


def test_the_table_lists_all_regions_in_output_order() -> None:
    records = {f"contig{n}": n % 7 for n in range(3366)}
    page = page_of(counts_of(records))
    assert names_in_table(page) == list(records)
    assert "regions (of 3,366) with the most records, in" in page
    assert "This page shows" not in page
    assert len(page.encode()) < MAX_BYTES


def test_with_too_many_regions_the_page_shows_the_largest_and_says_so() -> None:
    records = {f"contig{n}": n for n in range(20_000)}
    page = page_of(counts_of(records))
    names = names_in_table(page)
    assert len(names) > 3000
    assert names == [f"contig{n}" for n in range(19_999, 19_999 - len(names), -1)]
    assert f"shows the {len(names):,} regions (of 20,000) with the most records." in page
    assert "sample_count.tsv" in page
    assert len(page.encode()) < MAX_BYTES


@pytest.mark.parametrize("letter", ["x", "&", "<", "'", "\U0001d535"])
@pytest.mark.parametrize("length", [300, 100_000])
def test_long_names_do_not_make_a_long_page(letter: str, length: int) -> None:
    regions = 2000 if length == 300 else 60
    page = page_of(counts_of({f"{n}{letter * length}": 5 for n in range(regions)}))
    assert len(page.encode()) < MAX_BYTES
    assert len(names_in_table(page)) >= 60


def test_as_many_rows_as_fit_are_kept() -> None:
    counts = counts_of({f"c{n}": n for n in range(50)})
    assert [row.records for row in rows_that_fit(counts, most_bytes=250)] == [49, 48, 47]
    assert len(rows_that_fit(counts, most_bytes=10_000)) == 50


def test_the_chart_shows_the_largest_regions_in_output_order() -> None:
    page = page_of(counts_of({f"c{n}": n for n in range(200)}))
    labels = re.findall(r'<li title="(\w+)">', page)
    assert labels == [f"c{n}" for n in range(200 - MAX_BARS, 200)]


def windows_of(contig: str, number: int) -> Result:
    """Returns the counts of windows of 100 bases, which are almost equal."""
    regions = [
        RegionCount(Region(contig, 100 * window, 100 * window + 100), 500 + window % 3)
        for window in range(number)
    ]
    return Result(VerifiedCounts(region_counts(regions)), {contig: 100 * number})


def headings(page: str) -> list[str]:
    return re.findall("<h2.*?>(.*?)</h2>", page)


def test_a_page_with_many_windows_begins_with_profiles_along_the_sequences() -> None:
    page = page_of(windows_of("chr1", 100))
    first, second, *_ = headings(page)
    assert (first, second) == ("Records along each sequence", "Regions with the most records")
    assert page.index('class="profiles"') < page.index('class="chart"')


@pytest.mark.parametrize("counts", [counts_of({"a": 5, "b": 6}), windows_of("chr1", 10)])
def test_a_page_with_few_regions_begins_with_one_bar_per_region(counts: Result) -> None:
    first, second, *_ = headings(page_of(counts))
    assert (first, second) == ("Records by region", "What was counted")


def test_rows_have_a_share_of_the_total_and_a_density_per_megabase() -> None:
    counts = [RegionCount(Region("a"), 30), RegionCount(Region("b", 100, 200), 10)]
    a, b = rows_that_fit(Result(VerifiedCounts(region_counts(counts)), {"a": 3000}))
    assert (a.length, a.share, a.per_megabase) == (3000, 0.75, 10_000)
    assert (b.length, b.share, b.per_megabase) == (100, 0.25, 100_000)


def test_unplaced_records_have_neither_length_nor_density() -> None:
    (row,) = rows_that_fit(Result(VerifiedCounts(region_counts([RegionCount(UNPLACED, 4)])), {}))
    assert (row.name, row.length, row.records, row.per_megabase) == ("unplaced", None, 4, None)


def test_a_named_region_shows_its_position() -> None:
    exon = RegionCount(Region("chr1", 9, 20, name="exon 1"), 4)
    counts = Result(VerifiedCounts(region_counts([exon])), {"chr1": 100})
    assert "<th scope=row>exon 1 <small>chr1:10-20</small>" in page_of(counts)


@pytest.mark.parametrize("records", [{}, {"a": 0}, {"a": 0, "b": 0}], ids=str)
def test_a_page_is_created_even_without_records(records: dict[str, int]) -> None:
    page = page_of(counts_of(records))
    assert "<b>0</b> records counted" in page
    assert names_in_table(page) == list(records)


@pytest.mark.parametrize(
    ("unplaced", "regions", "words"),
    [
        (7, [], "<b>7</b> unplaced records in the file"),
        (None, [], "<b>?</b> unplaced records: not counted, and not in the index"),
        (None, [RegionCount(UNPLACED, 6)], "<b>6</b> unplaced records counted"),
    ],
    ids=["index", "unknown", "counted"],
)
def test_the_page_shows_where_the_number_of_unplaced_records_comes_from(
    unplaced: int | None, regions: list[RegionCount], words: str
) -> None:
    assert words in page_of(Result(VerifiedCounts(region_counts(regions)), {}, unplaced=unplaced))


EVIL = "</script><script>alert(1)</script>'\"&amp;{{ 7 * 7 }}=1+1"


def test_text_from_the_input_files_is_escaped() -> None:
    regions = [RegionCount(Region("c", 0, 5, name=EVIL), 4), RegionCount(Region(EVIL), 1)]
    counts = Result(
        VerifiedCounts(region_counts(regions), checks=(EVIL,)),
        {"c": 10, EVIL: 10},
        records_counted=EVIL,
        regions_counted=EVIL,
    )
    page = format_report(counts, EVIL, EVIL)
    assert page.count("<script>") == page.count("</script>") == 1
    assert EVIL not in page
    assert names_in_table(page) == [EVIL, EVIL]
    assert "49" not in names_in_table(page)[0]


@pytest.mark.parametrize(
    ("values", "scale", "bars", "ticks"),
    [
        ([0, 50, 100], "linear", [0, 50, 100], [0, 20, 40, 60, 80, 100]),
        ([9, 99], "log", [50, 100], [0, 15.05, 52.07]),
        ([0, 0], "linear", [0, 0], None),
        ([0, 0], "log", [0, 0], None),
        ([0.001, 0.002], "log", [50, 100], None),
    ],
)
def test_bar_lengths_follow_the_scale(
    values: list[float], scale: str, bars: list[float], ticks: list[float] | None
) -> None:
    chart = draw("records", scale, values)
    assert chart.bars == pytest.approx(bars, abs=0.05)
    if ticks:
        assert [position for position, _ in chart.ticks] == pytest.approx(ticks, abs=0.01)


@pytest.mark.parametrize("longest", [1e-9, 0.3, 1, 7, 10, 99, 100, 101, 12345, 10**9, 3 * 10**12])
def test_the_axis_has_a_few_ticks_within_its_range(longest: float) -> None:
    for ticks in round_numbers(longest), powers_of_ten(longest):
        assert ticks[0] == 0
        assert ticks == sorted(set(ticks))
        assert 2 <= len(ticks) <= 7
        assert ticks[-1] <= longest * (1 + 1e-6)


def test_a_long_log_axis_skips_powers_of_ten() -> None:
    assert powers_of_ten(5_000) == [0, 1, 10, 100, 1000]
    assert powers_of_ten(5_000_000) == [0, 100, 10_000, 1_000_000]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.25, "0.25"), (20, "20"), (5000, "5 k"), (1.5e6, "1.5 M"), (2e9, "2 G")],
)
def test_axis_labels_are_short(number: float, text: str) -> None:
    assert short(number) == text


@pytest.mark.parametrize(
    ("request_", "bed", "words"),
    [
        (ask(), None, "all reference sequences"),
        (ask(regions=["a"]), None, "1 named region"),
        (ask(regions=["a", "b"]), "x.bed", "2 named regions and the intervals of x.bed"),
        (
            ask(primary_chromosomes_only=True, include_unplaced=True),
            None,
            "all reference sequences on chromosomes 1-22, X, Y and M, and unplaced records",
        ),
    ],
)
def test_the_regions_are_described_in_words(request_: Request, bed: str | None, words: str) -> None:
    assert describe_regions(request_, Path("/in", bed) if bed else None) == words
