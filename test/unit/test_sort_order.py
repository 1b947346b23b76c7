"""Records in order are counted, whatever the header says; others are refused, whatever it says."""

import subprocess
from pathlib import Path

import pysam
import pytest

from builders import Read, cram_of, make_bam, write_bam
from messages import is_a_known_message
from readcount.counting.pool import start_workers
from readcount.errors import InputError
from readcount.source.alignments import open_alignments
from readcount.source.files import local_files
from steps import count_regions

pytestmark = pytest.mark.samtools

READS = {"chr1": 30, "chr2": 20}
CLAIMS = ["unsorted", "unknown", "queryname", "coordinate"]


def with_claim(file: Path, claim: str) -> Path:
    """Writes the file with another sort order in its header, and indexes it."""
    with pysam.AlignmentFile(str(file), require_index=False) as alignments:
        header = str(alignments.header).replace("SO:coordinate", f"SO:{claim}")
    text = file.with_suffix(".sam")
    text.write_text(header)
    changed = file.with_name(f"{claim}{file.suffix}")
    changed.write_bytes(subprocess.check_output(["samtools", "reheader", "-P", text, file]))
    subprocess.run(["samtools", "index", changed], check=True)
    return changed


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("kind", ["bam", "cram"])
@pytest.mark.parametrize("with_index", [True, False])
def test_records_in_order_are_counted_whatever_the_header_says(
    tmp_path: Path, claim: str, kind: str, with_index: bool
) -> None:
    bam = make_bam(tmp_path, READS, unplaced=2)
    file = with_claim(bam if kind == "bam" else cram_of(bam), claim)
    index = Path(f"{file}.{'bai' if kind == 'bam' else 'crai'}")
    if not with_index:
        index.unlink()
    log: list[str] = []
    files = local_files(str(file), str(index) if with_index else None)
    with start_workers(2) as workers:
        result = count_regions(files, workers, log.append)
    assert [count.records for count in result.regions] == [30, 20]
    claims = [line for line in log if f"SO:{claim}" in line]
    assert len(claims) == (claim in ("unsorted", "queryname"))


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("kind", ["bam", "cram"])
@pytest.mark.parametrize(
    "order",
    [
        [("chr1", 500), ("chr1", 100), ("chr2", 5)],
        [("chr1", 5), ("chr2", 5), ("chr1", 900)],
        [("chr2", 5), ("chr1", 5), ("chr1", 900)],
    ],
    ids=["position", "sequence again", "sequences"],
)
def test_records_out_of_order_are_refused_whatever_the_header_says(
    tmp_path: Path, claim: str, kind: str, order: list[tuple[str, int]]
) -> None:
    lines = "".join(f"@SQ\tSN:{name}\tLN:1000\n" for name in READS)
    # Enough that a CRAM has several slices.
    records = "".join(
        f"r{number}\t0\t{name}\t{at}\t60\t10M\t*\t0\t0\t*\t*\n"
        for name, at in order
        for number in range(2 if kind == "bam" else 11_000)
    )
    file = tmp_path / f"sample.{kind}"
    subprocess.run(
        ["samtools", "view", "-O", f"{kind}{',no_ref=1' * (kind == 'cram')}", "-o", file, "-"],
        input=f"@HD\tVN:1.6\tSO:{claim}\n{lines}{records}",
        text=True,
        check=True,
    )
    with pytest.raises(InputError, match="is not coordinate-sorted") as refused:
        open_alignments(local_files(str(file), None))
    assert f"samtools sort -o sorted_sample.{kind} sample.{kind}" in str(refused.value)
    assert is_a_known_message(str(refused.value), "AppError")


def test_an_index_of_a_sorted_copy_does_not_make_a_file_sorted(tmp_path: Path) -> None:
    ordered = write_bam(tmp_path, {"chr1": 1000}, [Read("chr1", at) for at in (5, 500, 900)])
    by_name = tmp_path / "by_name.bam"
    pysam.sort("-n", "-o", str(by_name), str(ordered))
    with pytest.raises(InputError):
        open_alignments(local_files(str(by_name), f"{ordered}.bai")).evidence.check_index()
