"""The report in Chromium: it shows, sorts and filters the counts, and makes no requests."""

from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from readcount.outputs.report import MAX_BARS, format_report
from readcount.outputs.result import Result
from readcount.regions.counts import RegionCount
from readcount.regions.region import UNPLACED, Region
from readcount.verification.verify import VerifiedCounts
from steps import region_counts
from visit import visit

# (records, length); each column has a different sort order.
SEQUENCES = {"chr10": (5, 1000), "chr2": (900, 50_000), "chr1": (70, 100), "HLA-A*01:01": (0, 3000)}
EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>'\"{{7*7}}=1+1"
PHONE = {"width": 360, "height": 740}


def write_page(path: Path, sequences: dict[str, tuple[int, int]], unplaced: int = 3) -> Path:
    regions = [RegionCount(Region(name), records) for name, (records, _) in sequences.items()]
    lengths = {name: length for name, (_, length) in sequences.items()}
    checks = ("all counts match the index",)
    verified = VerifiedCounts(region_counts([*regions, RegionCount(UNPLACED, unplaced)]), checks)
    counts = Result(verified, lengths)
    file = path / "report.html"
    file.write_text(format_report(counts, "sample.bam", "sample"), encoding="utf-8")
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_page(tmp_path, SEQUENCES)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write_page(tmp_path, {f"contig{n}": (n, 2000) for n in range(200_000)})


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    """Writes the report of windows of one sequence with similar numbers of records."""
    regions = [RegionCount(Region("chr1", n * 100, n * 100 + 100), 500 + n % 3) for n in range(90)]
    counts = Result(VerifiedCounts(region_counts(regions)), {"chr1": 9000})
    file = tmp_path / "windows.html"
    file.write_text(format_report(counts, "sample.bam", "sample"), encoding="utf-8")
    return file


def visible_names(page: Page) -> list[str]:
    names: list[str] = page.locator("tbody tr:visible th").all_inner_texts()
    return names


def column_header(page: Page, name: str) -> Locator:
    return page.get_by_role("columnheader", name=name, exact=True)


def bar_lengths(page: Page) -> list[float]:
    """Returns the visible length of each bar, relative to the longest."""
    boxes = [bar.bounding_box() for bar in page.locator("svg:visible rect").all()]
    widths = [box["width"] if box else 0.0 for box in boxes]
    return [round(width / max(widths), 2) for width in widths]


def test_the_page_shows_what_was_counted(browser: Browser, file: Path) -> None:
    with visit(browser, file) as page:
        assert page.title() == "sample.bam: records by region"
        text = page.inner_text("body")
        for words in (
            "978\nrecords counted",
            "3\nunplaced",
            "chr2\nhas the most records: 900",
            "match the index",
        ):
            assert words in text
        assert visible_names(page) == [*SEQUENCES, "unplaced"]
        cells = page.locator("tbody tr").nth(1).locator("td, th").all_inner_texts()
        assert cells == ["2", "chr2", "900", "92.02", "18,000", "50,000"]


@pytest.mark.parametrize(
    ("measure", "scale", "lengths", "longest"),
    [
        ("records", "linear", [0.01, 1, 0.08, 0, 0], "900"),
        ("records", "log", [0.26, 1, 0.63, 0, 0.2], "900"),
        ("records per megabase", "linear", [0.01, 0.03, 1, 0, 0], "700,000"),
        ("records per megabase", "log", [0.63, 0.73, 1, 0, 0], "700,000"),
    ],
)
def test_bars_show_records_or_density_on_either_scale(
    browser: Browser, file: Path, measure: str, scale: str, lengths: list[float], longest: str
) -> None:
    with visit(browser, file) as page:
        page.get_by_label(measure, exact=True).check()
        page.get_by_label(scale, exact=True).check()
        assert bar_lengths(page) == pytest.approx(lengths, abs=0.011)
        assert longest in page.locator(".values:visible").inner_text().split("\n")


@pytest.mark.parametrize(
    ("column", "once", "twice"),
    [
        ("No.", "unplaced", "chr10"),
        ("Region", "chr1", "unplaced"),
        ("Records", "chr2", "HLA-A*01:01"),
        ("% of total", "chr2", "HLA-A*01:01"),
        ("Records per Mb", "chr1", "unplaced"),
        ("Length", "chr2", "unplaced"),
    ],
)
def test_the_table_sorts_by_each_column_in_both_directions(
    browser: Browser, file: Path, column: str, once: str, twice: str
) -> None:
    with visit(browser, file) as page:
        header = column_header(page, column)
        header.get_by_role("button").click()
        first, first_order = visible_names(page)[0], header.get_attribute("aria-sort")
        header.get_by_role("button").click()
        second, second_order = visible_names(page)[0], header.get_attribute("aria-sort")
        assert (first, second) == (once, twice)
        assert {first_order, second_order} == {"ascending", "descending"}
        assert page.locator("th[aria-sort]").count() == 1


def test_numbers_in_names_sort_numerically(browser: Browser, file: Path) -> None:
    with visit(browser, file) as page:
        column_header(page, "Region").get_by_role("button").click()
        assert visible_names(page) == ["chr1", "chr2", "chr10", "HLA-A*01:01", "unplaced"]


def test_the_filter_matches_parts_of_names_and_shows_the_number_of_rows(
    browser: Browser, file: Path
) -> None:
    with visit(browser, file) as page:
        found = page.get_by_role("status")
        assert found.inner_text() == "5 of 5 rows"
        page.get_by_label("Name contains").fill("CHR1")
        assert visible_names(page) == ["chr10", "chr1"]
        assert found.inner_text() == "2 of 5 rows"
        column_header(page, "Records").get_by_role("button").click()
        assert visible_names(page) == ["chr1", "chr10"]
        page.get_by_label("Name contains").fill("a*01")
        assert visible_names(page) == ["HLA-A*01:01"]
        page.get_by_label("Name contains").fill("")
        assert len(visible_names(page)) == 5


def test_200_000_regions_can_be_sorted_and_searched(browser: Browser, large: Path) -> None:
    with visit(browser, large) as page:
        shown = page.locator("tbody tr").count()
        assert f"This page shows the {shown:,} regions (of " in page.inner_text("main")
        assert visible_names(page)[0] == "contig199999"
        assert column_header(page, "Records").get_attribute("aria-sort") == "descending"
        assert page.locator("svg:visible rect").count() == MAX_BARS
        column_header(page, "Records").get_by_role("button").click()
        assert visible_names(page)[0] == f"contig{200_000 - shown}"
        page.get_by_label("Name contains").fill("contig199998")
        assert visible_names(page) == ["contig199998"]


def test_all_controls_work_with_the_keyboard(browser: Browser, file: Path) -> None:
    with visit(browser, file) as page:
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the table"
        reached = []
        while (focused := page.locator(":focus")).count():
            assert focused.evaluate("at => getComputedStyle(at).outlineStyle") != "none"
            reached.append(focused.evaluate("at => at.id || at.innerText"))
            page.keyboard.press("Tab")
        assert reached[1:6] == ["by-records", "by-linear", "table", "filter", ANY]
        assert reached[6:] == ["No.", "Region", "Records", "% of total", "Records per Mb", "Length"]
        column_header(page, "Records").get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert visible_names(page)[0] == "chr2"
        page.locator("#by-records").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("#by-density").is_checked()


def test_screen_readers_get_a_description_of_the_chart(browser: Browser, file: Path) -> None:
    with visit(browser, file) as page:
        chart = page.get_by_role("img")
        assert chart.count() == 1
        assert "the longest is that of chr2 with 900 records" in (
            chart.get_attribute("aria-label") or ""
        )
        assert page.get_by_role("rowheader", name="chr10").count() == 1


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, {"width": 1200, "height": 900}], ids=["phone", "wide"])
def test_the_page_is_accessible(
    browser: Browser, file: Path, color_scheme: str, viewport: dict[str, int]
) -> None:
    """Accessibility is checked by axe-core: contrast, names, roles, headings, order."""
    with visit(browser, file, color_scheme=color_scheme, viewport=viewport) as page:
        result = Axe().run(page)
        assert result.violations_count == 0, result.generate_report()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, {"width": 1200, "height": 900}], ids=["phone", "wide"])
def test_the_profile_of_windows_is_shown_above_the_bars(
    browser: Browser, windows: Path, color_scheme: str, viewport: dict[str, int]
) -> None:
    with visit(browser, windows, color_scheme=color_scheme, viewport=viewport) as page:
        profile = page.locator(".profiles svg").bounding_box()
        bars = page.locator(".chart svg:visible").bounding_box()
        assert profile is not None and bars is not None
        assert profile["y"] + profile["height"] < min(bars["y"], viewport["height"])
        result = Axe().run(page)
        assert result.violations_count == 0, result.generate_report()


@pytest.mark.parametrize("name", ["plain", EVIL, "x" * 400], ids=["plain", "evil", "long"])
def test_the_page_fits_a_phone(browser: Browser, tmp_path: Path, name: str) -> None:
    file = write_page(tmp_path, {name: (1234567, 10**6)} | SEQUENCES)
    with visit(browser, file, viewport=PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        chart = page.locator("svg:visible").bounding_box()
        assert chart is not None and chart["width"] > 90


def test_the_background_follows_the_color_scheme(browser: Browser, file: Path) -> None:
    def background(**options: Any) -> str:
        with visit(browser, file, **options) as page:
            return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert background(color_scheme="light") == "rgb(255, 255, 255)"
    assert background(color_scheme="dark") != "rgb(255, 255, 255)"


def test_print_shows_the_first_rows_and_no_controls(browser: Browser, large: Path) -> None:
    with visit(browser, large, color_scheme="dark") as page:
        page.get_by_label("Name contains").fill("contig1998")
        page.emulate_media(media="print")
        assert visible_names(page) == [f"contig{n}" for n in range(199899, 199799, -1)]
        assert not page.get_by_label("Name contains").is_visible()
        assert not page.get_by_label("log").is_visible()
        assert "Only the first 100 rows are printed." in page.inner_text("main")
        white = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert white == "rgb(255, 255, 255)"


def test_without_scripts_all_content_is_shown(browser: Browser, file: Path) -> None:
    with visit(browser, file, java_script_enabled=False) as page:
        assert visible_names(page) == [*SEQUENCES, "unplaced"]
        assert page.locator("button").count() == 0
        assert not page.get_by_label("Name contains").is_visible()
        page.get_by_label("log").check()
        assert bar_lengths(page)[0] == 0.26


def test_markup_in_names_is_escaped(browser: Browser, tmp_path: Path) -> None:
    file = write_page(tmp_path, {EVIL: (1, 1000), "chr1": (5, 100)})
    with visit(browser, file) as page:
        assert visible_names(page)[0] == EVIL
        assert page.locator(".labels li").first.get_attribute("title", timeout=1000) is not None
        page.get_by_label("Name contains").fill("<IMG")
        assert visible_names(page) == [EVIL]
        assert page.locator("img").count() == 0


@pytest.mark.parametrize("markup", ["<script>document.title = 'run'</script>", "<img src=x.png>"])
def test_the_content_security_policy_blocks_added_markup(
    browser: Browser, file: Path, markup: str
) -> None:
    """The page's policy allows only its own script, and no requests."""
    file.write_text(file.read_text().replace("</main>", f"{markup}</main>"))
    with (
        pytest.raises(AssertionError, match="Content Security Policy"),
        visit(browser, file) as page,
    ):
        assert page.title() == "sample.bam: records by region"
