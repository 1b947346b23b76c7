"""The report in a browser and the MultiQC file in MultiQC, from jobs run with the real dx."""

from pathlib import Path

from playwright.sync_api import Browser

from builders import make_bam
from dx_client import Applet, Run, files_of
from multiqc_run import sections
from visit import visit


def download(applet: Applet, run: Run, output: str, folder: Path) -> Path:
    """Downloads an output file under its own name; returns its path."""
    file_id = run.job["output"][output]["$dnanexus_link"]
    folder.mkdir(exist_ok=True)
    applet.dx.ok("download", "--no-progress", "-o", f"{folder}/", file_id)
    return folder / str(applet.dx.describe(file_id)["name"])


def test_the_report_opens_and_shows_the_results_of_the_job(
    applet: Applet, browser: Browser, tmp_path: Path
) -> None:
    bam = make_bam(tmp_path / "a <b>.bam", {"chr1": 30, "HLA-A*01:01": 2, "chrM": 0}, unplaced=4)
    run = applet.run(bam, Path(f"{bam}.bai"), "min_mapping_quality=20", "regions=chr1:1-20")
    assert run.state == "done", run.log
    assert run.produced == files_of("a <b>")
    described = applet.dx.describe(run.job["output"]["report_file"]["$dnanexus_link"])
    assert described["media"] == "text/html"

    with visit(browser, download(applet, run, "report_file", tmp_path / "out")) as page:
        assert page.title() == "a <b>.bam: records by region"
        text = page.inner_text("main")
        for words in (
            "20\nrecords counted",
            "4\nunplaced",
            "mapping quality 20 or more",
            "1 named",
        ):
            assert words in text
        checks = [line for line in run.log.splitlines() if "do not exceed the index totals" in line]
        assert len(checks) == 1
        assert page.get_by_role("listitem").get_by_text("do not exceed").inner_text() in checks[0]
        assert page.get_by_role("rowheader", name="chr1:1-20").count() == 1


def test_without_the_report_all_other_files_are_written(applet: Applet, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "ex.bam", {"chr1": 3})
    run = applet.run(bam, Path(f"{bam}.bai"), "report=false")
    assert run.produced == [name for name in files_of("ex") if not name.endswith(".html")]
    assert "report_file" not in run.job["output"]


def test_multiqc_shows_the_samples_of_several_jobs_in_one_plot(
    applet: Applet, tmp_path: Path
) -> None:
    for sample, records in {"NA1": 3, "NA2": 5, "NA3": 0}.items():
        bam = make_bam(tmp_path / f"{sample}.bam", {"1": records, "2": 7})
        run = applet.run(bam, Path(f"{bam}.bai"))
        download(applet, run, "multiqc_file", tmp_path / "files")
    (plot,) = sections(tmp_path / "files")
    assert {sample: [float(n) for n in row.values()] for sample, row in plot.items()} == {
        "NA1": [3, 7],
        "NA2": [5, 7],
        "NA3": [0, 7],
    }
