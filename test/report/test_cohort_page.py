"""The report of a cohort in Chromium: with pointer and keyboard, printed, and without scripts."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from cohorts import page_of, statistics_of_cohort
from readcount.cohort import report
from readcount.cohort.report import format_cohort_report
from readcount.cohort.samples_table import COUNTED, FAILED, SampleRow
from visit import visit

EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>'\"{{7*7}}=1+1"
PHONE = {"width": 360, "height": 740}
WIDE = {"width": 1200, "height": 900}
WINDOWS = 3_000_000


def write(path: Path, page: str) -> Path:
    file = path / "cohort_report.html"
    file.write_text(page, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes the report of 100 samples in windows, six of which differ, and two failed samples."""
    page = page_of(100, odd=True, failed=2, windows=WINDOWS)
    return write(tmp_path_factory.mktemp("hundred"), page)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("three"), page_of(3))


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("thousand"), page_of(1000, odd=True, failed=1))


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes a page like that of a large cohort: no names in the charts, and a table in parts."""
    monkeypatch.setattr(report, "MAX_WITH_NAMES", 50)
    monkeypatch.setattr(report, "MAX_ROWS_OF_PART", 40)
    return write(tmp_path, page_of(100, odd=True))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("large"), page_of(2500, odd=True))


def visible_names(page: Page) -> list[str]:
    names: list[str] = page.locator("tbody tr:visible th").all_inner_texts()
    return names


def column_header(page: Page, name: str) -> Locator:
    return page.get_by_role("columnheader", name=name, exact=True).first


def dot(page: Page, sample: str) -> Locator:
    return page.locator(f"#plot-of-sexes circle[data-name={sample}]")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, WIDE], ids=["phone", "wide"])
@pytest.mark.parametrize("cohort", ["hundred", "three", "parts"])
def test_the_page_is_accessible_and_fits_the_viewport(
    browser: Browser,
    request: pytest.FixtureRequest,
    cohort: str,
    color_scheme: str,
    viewport: dict[str, int],
) -> None:
    """Accessibility is checked by axe-core: contrast, names, roles, headings, order."""
    file = request.getfixturevalue(cohort)
    with visit(browser, file, color_scheme=color_scheme, viewport=viewport) as page:
        result = Axe().run(page)
        assert result.violations_count == 0, result.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_the_page_starts_with_failed_and_differing_samples(browser: Browser, hundred: Path) -> None:
    with visit(browser, hundred, viewport=WIDE) as page:
        text = page.inner_text("main")
        for words in ("100\nsamples counted", "2\nfailed", "6\ndiffer from the others"):
            assert words in text
        assert text.index("bad_0") < text.index("S010") < text.index("X against Y")
        failed = page.get_by_role("heading", name="Failed samples").bounding_box()
        assert failed is not None and failed["y"] < WIDE["height"]


def test_hovering_over_a_dot_shows_its_sample(browser: Browser, hundred: Path) -> None:
    with visit(browser, hundred, viewport=WIDE) as page:
        tip = page.locator(".plot-of-dots:has(#plot-of-sexes) .tip")
        assert not tip.is_visible()
        dot(page, "S010").hover()
        assert tip.inner_text().startswith("S010: 1.9")
        assert tip.inner_text().endswith("other, differs")
        page.mouse.move(1, 1)
        assert not tip.is_visible()


def test_arrow_keys_move_between_dots_and_enter_finds_the_sample(
    browser: Browser, hundred: Path
) -> None:
    with visit(browser, hundred, viewport=WIDE) as page:
        plot = page.locator("#plot-of-sexes")
        assert plot.locator("[tabindex='0']").count() == 1
        plot.locator("[tabindex='0']").focus()
        seen = set()
        for _ in range(100):
            focused = page.locator(":focus")
            seen.add(focused.get_attribute("data-name"))
            shown = page.locator(".plot-of-dots:has(#plot-of-sexes) .tip").inner_text()
            assert shown == focused.get_attribute("aria-label")
            page.keyboard.press("ArrowRight")
        assert len(seen) == 100
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        name = page.locator(":focus").get_attribute("data-name")
        page.keyboard.press("Enter")
        assert visible_names(page) == [name]
        assert page.get_by_role("status").last.inner_text() == "1 of 100 rows"


def test_hovering_over_a_heat_map_shows_sample_and_chromosome(
    browser: Browser, hundred: Path
) -> None:
    with visit(browser, hundred, viewport=WIDE) as page:
        differing, everyone = page.locator("svg.cells").all()
        for heat, row, rows, column, words in (
            (differing, 1, 6, 21, "S021, chr22: 0.5"),
            (differing, 2, 6, 20, "S032, chr21: 1."),
            (everyone, 32, 100, 20, "S032, chr21: 1."),
            (everyone, 1, 100, 23, "S001, chrY: not compared"),
        ):
            box = heat.bounding_box()
            assert box is not None
            x, y = box["width"] * (column + 0.5) / 24, box["height"] * (row + 0.5) / rows
            heat.hover(position={"x": x, "y": y})
            assert page.locator(".tip:visible").inner_text().startswith(words)


@pytest.mark.parametrize(
    ("column", "once", "twice"),
    [
        ("Records per Mb", None, "S065"),
        ("Copies of Y", None, None),
        ("MT per autosome", "S043", None),
        ("Largest shift", "S021", None),
        ("Differs in", None, None),
        ("Sample", "S000", "S099"),
    ],
)
def test_the_table_sorts_by_value(
    browser: Browser, hundred: Path, column: str, once: str | None, twice: str | None
) -> None:
    with visit(browser, hundred, viewport=WIDE) as page:
        for expected in (once, twice):
            column_header(page, column).get_by_role("button").click()
            first = visible_names(page)[0]
            assert expected is None or first == expected
        column_header(page, "Differs in").get_by_role("button").click()
        assert set(visible_names(page)[:6]) == {"S010", "S021", "S032", "S043", "S054", "S065"}


def test_charts_of_a_thousand_samples_show_their_names(browser: Browser, thousand: Path) -> None:
    with visit(browser, thousand, viewport=WIDE) as page:
        assert page.locator("#plot-of-sexes circle[role]").count() == 1000
        dot(page, "S010").hover()
        assert page.locator(".tip:visible").inner_text().startswith("S010")
        page.get_by_label("Name contains").fill("S99")
        assert visible_names(page) == [f"S99{at}" for at in range(10)]


def test_the_search_finds_samples_in_all_parts_of_a_large_table(
    browser: Browser, large: Path
) -> None:
    """The charts of 2,500 samples have no names."""
    with visit(browser, large, viewport=WIDE) as page:
        assert page.locator("details").count() == 3
        assert len(visible_names(page)) == 1000
        assert page.locator("#plot-of-sexes circle[role]").count() == 6
        page.get_by_label("Name contains").fill("S2499")
        assert visible_names(page) == ["S2499"]
        assert page.locator("details:visible").count() == 1
        page.get_by_label("Name contains").fill("")
        assert len(visible_names(page)) == 1000


def test_without_scripts_all_content_is_shown(browser: Browser, hundred: Path) -> None:
    with visit(browser, hundred, java_script_enabled=False) as page:
        assert len(visible_names(page)) == 100
        assert page.locator("#plot-of-sexes circle title").count() == 100
        assert page.locator("svg:visible").count() >= 10
        assert page.locator("button").count() == 0


def test_print_shows_the_charts_and_the_first_rows(browser: Browser, thousand: Path) -> None:
    with visit(browser, thousand, color_scheme="dark") as page:
        page.emulate_media(media="print")
        assert len(visible_names(page)) == 100
        assert page.locator("#plot-of-sexes").is_visible()
        assert not page.get_by_label("Name contains").is_visible()
        white = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert white == "rgb(255, 255, 255)"


def test_markup_in_names_is_escaped(browser: Browser, tmp_path: Path) -> None:
    rows = [SampleRow(f"{EVIL}{at}", COUNTED, EVIL, records=5) for at in range(12)]
    rows.append(SampleRow(EVIL, FAILED, EVIL))
    page_text = format_cohort_report(rows, statistics_of_cohort(12), EVIL, EVIL, EVIL)
    with visit(browser, write(tmp_path, page_text), viewport=PHONE) as page:
        assert visible_names(page)[0].startswith(f"{EVIL}0")
        page.locator("#plot-of-sexes circle[role]").first.focus()
        assert page.locator(".tip:visible").inner_text().startswith(EVIL)
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
