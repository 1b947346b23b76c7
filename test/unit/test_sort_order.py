"""Sorted records are counted and unsorted ones rejected, independently of the header's SO."""

import subprocess
from pathlib import Path

import pysam
import pytest

from builders import Read, cram_of, make_bam, write_bam
from messages import is_a_known_message
from readcount.counting.pool import start_workers
from readcount.errors import InputError
from readcount.planning.costs import DOWNLOADED
from readcount.source.opening import open_alignments
from steps import ask, count_here, count_regions, local_files, opened, planned
from strategies import COUNTED, DECODED

pytestmark = pytest.mark.samtools

READS = {"chr1": 30, "chr2": 20}
HEADER_ORDERS = ["unsorted", "unknown", "queryname", "coordinate"]


def with_header_order(file: Path, header_order: str) -> Path:
    """Writes the file with another sort order in its header, and indexes it."""
    with pysam.AlignmentFile(str(file), require_index=False) as alignments:
        header = str(alignments.header).replace("SO:coordinate", f"SO:{header_order}")
    text = file.with_suffix(".sam")
    text.write_text(header)
    changed = file.with_name(f"{header_order}{file.suffix}")
    changed.write_bytes(subprocess.check_output(["samtools", "reheader", "-P", text, file]))
    subprocess.run(["samtools", "index", changed], check=True)
    return changed


@pytest.mark.parametrize("header_order", HEADER_ORDERS)
@pytest.mark.parametrize(("kind", "with_index"), [("bam", False), ("cram", True)])
def test_sorted_records_are_counted_regardless_of_the_header(
    tmp_path: Path, header_order: str, kind: str, with_index: bool
) -> None:
    bam = make_bam(tmp_path, READS, unplaced=2)
    file = with_header_order(bam if kind == "bam" else cram_of(bam), header_order)
    index = Path(f"{file}.{'bai' if kind == 'bam' else 'crai'}")
    if not with_index:
        index.unlink()
    log: list[str] = []
    files = local_files(str(file), str(index) if with_index else None)
    with start_workers(2) as workers:
        result = count_regions(files, workers, log.append)
    assert [count.records for count in result.counts] == [30, 20]
    warnings = [line for line in log if f"SO:{header_order}" in line]
    assert len(warnings) == (header_order in ("unsorted", "queryname"))


ORDERS = {
    "unsorted positions": [("chr1", 500), ("chr1", 100), ("chr2", 5)],
    "repeated sequence": [("chr1", 5), ("chr2", 5), ("chr1", 900)],
    "unsorted sequences": [("chr2", 5), ("chr1", 5), ("chr1", 900)],
}


def write_in_order(file: Path, header_order: str, order: list[tuple[str, int]], each: int) -> None:
    """Writes records in this order of positions, this many (`each`) at each position."""
    lines = "".join(f"@SQ\tSN:{name}\tLN:1000\n" for name in READS)
    records = "".join(
        f"r{number}\t0\t{name}\t{at}\t60\t10M\t*\t0\t0\t*\t*\n"
        for name, at in order
        for number in range(each)
    )
    cram = ",no_ref=1,seqs_per_slice=5" if file.suffix == ".cram" else ""
    subprocess.run(
        ["samtools", "view", "-O", f"{file.suffix[1:]}{cram}", "-o", file, "-"],
        input=f"@HD\tVN:1.6\tSO:{header_order}\n{lines}{records}",
        text=True,
        check=True,
    )


@pytest.mark.parametrize("header_order", HEADER_ORDERS)
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_an_unsorted_bam_is_rejected_regardless_of_the_header(
    tmp_path: Path, header_order: str, order: list[tuple[str, int]]
) -> None:
    file = tmp_path / "sample.bam"
    write_in_order(file, header_order, order, each=2)
    with pytest.raises(InputError, match="is not coordinate-sorted") as caught:
        open_alignments(local_files(str(file), None))
    assert "samtools sort -o sorted_sample.bam sample.bam" in str(caught.value)
    assert is_a_known_message(str(caught.value), "AppError")


@pytest.mark.parametrize("header_order", ["queryname", "coordinate"])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("each", [1, 14])
def test_the_order_of_records_in_a_cram_does_not_matter(
    tmp_path: Path, header_order: str, order: list[tuple[str, int]], each: int
) -> None:
    """The applet decodes whole containers; samtools would stop at a record after the region."""
    if each > 1 and order == ORDERS["unsorted positions"]:
        pytest.skip("samtools does not index slices that are out of order")
    file = tmp_path / "sample.cram"
    write_in_order(file, header_order, order, each)
    subprocess.run(["samtools", "index", file], check=True)
    regions = ["chr1", "chr1:1-150", "chr1:450-950", "chr2:1-20"]
    expected = [
        each * sum(name == "chr1" for name, _ in order),
        each * sum(name == "chr1" and at <= 150 for name, at in order),
        each * sum(name == "chr1" and at > 440 for name, at in order),
        each,
    ]
    for costs in (DOWNLOADED, COUNTED, DECODED):
        alignments = opened(file, Path(f"{file}.crai"))
        plan = planned(alignments, ask(regions=regions), costs=costs)
        assert list(count_here(alignments, plan).counts.records) == expected


def test_an_unsorted_bam_with_the_index_of_a_sorted_copy_is_rejected(tmp_path: Path) -> None:
    ordered = write_bam(tmp_path, {"chr1": 1000}, [Read("chr1", at) for at in (5, 500, 900)])
    by_name = tmp_path / "by_name.bam"
    pysam.sort("-n", "-o", str(by_name), str(ordered))
    with pytest.raises(InputError):
        alignments = open_alignments(local_files(str(by_name), f"{ordered}.bai"))
        count_here(alignments, planned(alignments))
