"""Filters, regions and other inputs, passed with the real dx, and rejection of invalid ones."""

import subprocess
from pathlib import Path

import pysam
import pytest

from builders import Read, cram_of, index_of, write_bam
from dx_client import Applet, files_of

LENGTHS = {"chr1": 10_000, "chr2": 5_000, "HLA-A*01:01": 300, "chrUn_decoy": 300}
READS = [
    Read("chr1", 0, "1000M", 0x63, 60, "lane1"),
    Read("chr1", 100, "100M", 0x100, 60, "lane1"),
    Read("chr1", 200, "100M", 0x800, 10, "lane2"),
    Read("chr1", 5_000, "100M", 0x400, 19, "lane2"),
    Read("chr2", 10, "50M", 0, 20, None),
    Read("chr2", 10, None, 0x4, 0, "lane1"),
    Read("HLA-A*01:01", 3, "10M", 0x10, 1, "lane1"),
    Read("chrUn_decoy", 3, "10M"),
    Read(None, flag=0x4),
    Read(None, flag=0x404),
]
HEADER = ["@RG\tID:lane1\tSM:x", "@RG\tID:lane2\tSM:x"]
ALL = {"chr1": 4, "chr2": 2, "HLA-A*01:01": 1, "chrUn_decoy": 1}


def text(counts: dict[str, int]) -> str:
    """Returns the text of the count file with these counts."""
    lines = [f"Region {region}: {records}\n" for region, records in counts.items()]
    return "".join(lines) + f"Total reads: {sum(counts.values())}"


@pytest.fixture(scope="module")
def bam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bam(tmp_path_factory.mktemp("bam"), LENGTHS, READS, more_header=HEADER)


CASES: dict[str, tuple[list[str], dict[str, int]]] = {
    # Each filter excludes records that pass the other two.
    "mapping quality, flags by name and read groups": (
        [
            "min_mapping_quality=10",
            "exclude_flags=secondary,DUP",
            "read_groups=lane1",
            "read_groups=lane2",
        ],
        {"chr1": 2, "chr2": 0, "HLA-A*01:01": 0, "chrUn_decoy": 0},
    ),
    "required flags": (
        ["require_flags=PROPER_PAIR,READ1"],
        {"chr1": 1, "chr2": 0, "HLA-A*01:01": 0, "chrUn_decoy": 0},
    ),
    "flags as a number and primary chromosomes": (
        ["exclude_flags=0x904", "primary_chromosomes_only=true"],
        {"chr1": 2, "chr2": 1},
    ),
    "regions and unplaced records": (
        [
            *("regions=chr1:101-5,000", "regions={HLA-A*01:01}"),
            *("regions=chr2:-10", "regions=chr2:11", "include_unplaced=true"),
        ],
        {"chr1:101-5000": 3, "HLA-A*01:01": 1, "chr2:1-10": 0, "chr2:11-": 2, "*": 2},
    ),
    "all combined": (
        [
            "regions=chr1",
            "regions=chrUn_decoy",
            "primary_chromosomes_only=true",
            "include_unplaced=true",
            "exclude_flags=DUP",
            "require_flags=0",
        ],
        {"chr1": 3, "*": 1},
    ),
    "default values": (
        ["include_unplaced=false", "min_mapping_quality=0", "exclude_flags=", "output_prefix="],
        ALL,
    ),
}


@pytest.mark.parametrize(("options", "counts"), CASES.values(), ids=CASES.keys())
def test_options_determine_which_records_are_counted(
    applet: Applet, bam: Path, options: list[str], counts: dict[str, int]
) -> None:
    run = applet.run(bam, index_of(bam), *options)
    assert run.state == "done", run.log
    assert run.count_file == text(counts)
    assert run.job["output"]["total_records"] == sum(counts.values())


def test_a_bed_file_defines_named_regions(applet: Applet, bam: Path, tmp_path: Path) -> None:
    bed = tmp_path / "exons.bed"
    bed.write_text("#exons\nchr1\t0\t101\texon 1\nchr1\t50\t5001\nchr2\t60\t61\texon 3\t0\t+\n")
    run = applet.run(bam, index_of(bam), "regions=chr2", "output_prefix=my exons", bed=bed)
    assert run.state == "done", run.log
    bedgraph = "my exons_count.bedgraph.gz"
    assert run.produced == files_of("my exons", bedgraph, f"{bedgraph}.tbi")
    assert run.count_file == text({"chr2": 2, "chr1:1-101": 2, "chr1:51-5001": 4, "chr2:61-61": 0})
    assert run.table == (
        "region\tcontig\tstart\tend\tlength\trecords\n"
        "chr2\tchr2\t0\t5000\t5000\t2\n"
        "exon 1\tchr1\t0\t101\t101\t2\n"
        "chr1:51-5001\tchr1\t50\t5001\t4951\t4\n"
        "exon 3\tchr2\t60\t61\t1\t0\n"
    )


def test_the_output_prefix_also_names_a_created_index(applet: Applet, bam: Path) -> None:
    run = applet.run(bam, None, "output_prefix=NA12878")
    assert run.produced == files_of("NA12878", "NA12878.bai")


def test_a_cram_has_the_same_counts_as_its_bam(applet: Applet, bam: Path) -> None:
    options, _ = CASES["all combined"]
    run = applet.run(cram_of(bam), None, *options, "read_groups=lane1", "regions=chr2:1-100")
    assert run.state == "done", run.log
    assert run.count_file == text({"chr1": 2, "chr2:1-100": 1, "*": 0})


def test_an_invalid_value_fails_the_job_without_outputs(applet: Applet, bam: Path) -> None:
    """The unit tests cover the other messages."""
    run = applet.run(bam, index_of(bam), "read_groups=lane3")
    reason, message = run.failure
    assert (run.state, reason) == ("failed", "AppError")
    assert "read_groups: sample.bam has no read group 'lane3'" in message
    assert run.produced == []


def test_an_unknown_flag_is_rejected_before_the_download(applet: Applet, bam: Path) -> None:
    run = applet.run(bam, index_of(bam), "exclude_flags=DUPLICATE")
    assert "unknown flag in 'DUPLICATE'" in run.failure[1]
    assert "downloaded" not in run.log


def test_an_invalid_bed_line_is_rejected_with_its_line_number(
    applet: Applet, bam: Path, tmp_path: Path
) -> None:
    bed = tmp_path / "x.bed"
    bed.write_text("chr1\t0\t10\nchr1 5\n")
    run = applet.run(bam, index_of(bam), bed=bed)
    reason, message = run.failure
    assert (run.state, reason) == ("failed", "AppError")
    words = "a BED line has at least three columns (reference sequence, start, end), found"
    assert f"regions_bed: x.bed, line 2: {words}" in message
    assert run.produced == []


@pytest.mark.parametrize(
    "option", ["min_mapping_quality=high", "primary_chromosomes_only=perhaps", "regions_bed=chr1"]
)
def test_dx_run_rejects_a_value_of_the_wrong_class(applet: Applet, bam: Path, option: str) -> None:
    bam_id = applet.dx.upload(bam)
    rejected = applet.dx(
        "run", applet.id, "-y", "-i", f"mappings_sorted_bam={bam_id}", "-i", option
    )
    assert rejected.returncode != 0
    assert option.partition("=")[2] in rejected.stderr


def test_regions_with_alternative_names_keep_the_name_from_the_input(
    applet: Applet, bam: Path, tmp_path: Path
) -> None:
    aliased = tmp_path / "aliased.bam"
    header = subprocess.check_output(["samtools", "view", "-H", bam], text=True)
    sequences = header.replace("SN:chr1\t", "SN:chr1\tAN:1,CM000663.2\t")
    (tmp_path / "header.sam").write_text(sequences.replace("SO:coordinate", "SO:unsorted"))
    with aliased.open("wb") as file:
        command = ["samtools", "reheader", "-P", str(tmp_path / "header.sam"), str(bam)]
        subprocess.run(command, stdout=file, check=True)
    subprocess.run(["samtools", "index", aliased], check=True)
    intervals = tmp_path / "targets.interval_list"
    intervals.write_text("@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:10000\nCM000663.2\t101\t5000\t+\texon 1\n")
    run = applet.run(aliased, Path(f"{aliased}.bai"), "regions=1", bed=intervals)
    assert run.state == "done", run.log
    assert run.count_file == text({"1": 4, "CM000663.2:101-5000": 3})
    assert "the header says SO:unsorted" in run.log
    assert run.table
    assert run.table.splitlines()[2] == "exon 1\tchr1\t100\t5000\t4900\t3"


@pytest.mark.parametrize("options", [(), ("subjobs=2",)])
def test_windows_are_counted_and_returned_as_bedgraph(
    applet: Applet, bam: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    windows = ("windows=4000", "primary_chromosomes_only=true")
    run = applet.run(bam, index_of(bam), *windows, *options)
    assert run.state == "done", run.log
    assert run.count_file == text(
        {
            "chr1:1-4000": 3,
            "chr1:4001-8000": 1,
            "chr1:8001-10000": 0,
            "chr2:1-4000": 2,
            "chr2:4001-5000": 0,
        }
    )
    for field, name in (("bedgraph_file", "x.gz"), ("bedgraph_index", "x.gz.tbi")):
        link = run.job["output"][field]["$dnanexus_link"]
        applet.dx.ok("download", link, "-f", "-o", str(tmp_path / name))
    with pysam.TabixFile(str(tmp_path / "x.gz")) as bedgraph:
        assert list(bedgraph.fetch("chr2")) == ["chr2\t0\t4000\t2", "chr2\t4000\t5000\t0"]
