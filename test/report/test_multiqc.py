"""MultiQC recognizes the files and draws one bar per sample."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from multiqc_run import sections
from readcount.outputs.multiqc import MAX_PARTS, format_multiqc
from readcount.outputs.result import Result
from readcount.regions.counts import RegionCount
from readcount.regions.region import Region
from readcount.verification.verify import VerifiedCounts
from steps import region_counts


def write_sample(
    folder: Path, sample: str, records: dict[str, int], counted: str = "all records"
) -> None:
    regions = [RegionCount(Region(name), number) for name, number in records.items()]
    counts = Result(VerifiedCounts(region_counts(regions)), dict.fromkeys(records, 1000), counted)
    folder.mkdir(exist_ok=True)
    number = len(list(folder.iterdir()))
    path = folder / f"{number}_count_mqc.tsv"
    path.write_text(format_multiqc(counts, sample), encoding="utf-8")


def test_a_plot_has_one_bar_per_sample(tmp_path: Path) -> None:
    write_sample(tmp_path / "in", "one", {"chr1": 5, "chr2": 7})
    write_sample(tmp_path / "in", "two", {"chr1": 6, "chr2": 0})
    write_sample(tmp_path / "in", "three", {"chr1": 3_000_000_000, "chr2": 1})
    (plot,) = sections(tmp_path / "in")
    assert {name: [int(float(n)) for n in row.values()] for name, row in plot.items()} == {
        "one": [5, 7],
        "two": [6, 0],
        "three": [3_000_000_000, 1],
    }
    page = (tmp_path / "out" / "multiqc_report.html").read_text()
    assert "Records by region: all records" in page
    assert "counted by samtools_count: all records." in page


def test_numeric_names_of_samples_and_chromosomes_are_kept(tmp_path: Path) -> None:
    write_sample(tmp_path / "in", "1001", {"1": 5, "2": 7, "X": 1})
    (plot,) = sections(tmp_path / "in")
    assert list(plot) == ["1001"]
    assert list(plot["1001"]) == ["1", "2", "X"]


def test_a_plot_of_thousands_of_sequences_has_a_limited_number_of_parts(tmp_path: Path) -> None:
    for sample in ("one", "two"):
        write_sample(tmp_path / "in", sample, {f"contig{n}": n for n in range(3000)})
    (plot,) = sections(tmp_path / "in")
    for row in plot.values():
        assert len(row) == MAX_PARTS + 1
        assert sum(int(float(number)) for number in row.values()) == sum(range(3000))


def test_counts_with_other_filters_are_in_a_separate_plot(tmp_path: Path) -> None:
    write_sample(tmp_path / "in", "one", {"chr1": 5})
    write_sample(tmp_path / "in", "two", {"chr1": 4}, counted="without DUP")
    assert sorted(list(plot) for plot in sections(tmp_path / "in")) == [["one"], ["two"]]


@pytest.mark.parametrize("sequences", [{}, {"chr1": 0}], ids=["no sequences", "no records"])
def test_a_sample_without_records_does_not_hide_the_others(
    tmp_path: Path, sequences: dict[str, int]
) -> None:
    write_sample(tmp_path / "in", "empty", sequences)
    write_sample(tmp_path / "in", "one", {"chr1": 5, "chr2": 6})
    (plot,) = sections(tmp_path / "in")
    assert [int(float(number)) for number in plot["one"].values()] == [5, 6]


def test_scripts_in_names_do_not_run_in_multiqc(browser: Browser, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)></script><script>alert(1)</script>"
    write_sample(tmp_path / "in", f'#"{evil}', {evil: 5, f'"{evil}': 9}, counted=evil)
    assert len(sections(tmp_path / "in")) == 1
    page = browser.new_context(offline=True).new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto((tmp_path / "out" / "multiqc_report.html").as_uri())
    page.wait_for_selector(".js-plotly-plot .legend", timeout=60_000)
    assert dialogs == []
    page.context.close()
