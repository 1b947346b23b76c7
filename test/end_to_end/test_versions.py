"""Jobs of each kind, with each supported version of samtools and the Python packages."""

import re
from pathlib import Path

import pytest

from builders import Read, cram_of, index_of, write_bam
from dx_client import Applet

pytestmark = pytest.mark.samtools

LENGTH = 200_000
RECORDS = {"chr1": 30_000, "chr2": 20_000, "empty": 0}
GROUPS = ["@RG\tID:a\tSM:x", "@RG\tID:b\tSM:x"]


@pytest.fixture(scope="module")
def bam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BAM with two read groups and two mapping qualities."""
    reads = [
        Read(
            contig,
            7 * number % (LENGTH - 100),
            "100M",
            mapping_quality=60 if number % 4 else 3,
            read_group="ab"[number % 2],
        )
        for contig, records in RECORDS.items()
        for number in range(records)
    ]
    folder = tmp_path_factory.mktemp("bam")
    contigs = dict.fromkeys(RECORDS, LENGTH)
    return write_bam(folder, contigs, [*reads, *[Read(None)] * 500], more_header=GROUPS)


@pytest.fixture(scope="module")
def cram(bam: Path) -> Path:
    """The same records as a CRAM whose reference is not available."""
    return cram_of(bam, "seqs_per_slice=1000")


KINDS = {
    "filters": (
        ("min_mapping_quality=20", "read_groups=a", "exclude_flags=UNMAP,DUP", "require_flags=0"),
        sum(number % 4 != 0 and number % 2 == 0 for n in RECORDS.values() for number in range(n)),
    ),
    "streamed": (("stream_bam=true",), 50_000),
    "subjobs": (("subjobs=2", "include_unplaced=true"), 50_500),
}


@pytest.mark.parametrize(("options", "total"), KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("kind", ["bam", "cram"])
def test_every_kind_of_job_returns_the_expected_total(
    applet: Applet, bam: Path, cram: Path, kind: str, options: tuple[str, ...], total: int
) -> None:
    file = bam if kind == "bam" else cram
    run = applet.run(file, index_of(file), *options)
    assert run.state == "done", run.log
    assert run.count_file
    assert run.count_file.endswith(f"Total reads: {total}")


def test_spans_and_intervals_are_counted_in_a_cram(
    applet: Applet, cram: Path, tmp_path: Path
) -> None:
    bed = tmp_path / "x.bed"
    bed.write_text("chr1\t0\t1000\nchr2\t500\t600\n")
    run = applet.run(cram, index_of(cram), "regions=chr1:1-50000", bed=bed)
    assert run.state == "done", run.log
    assert run.count_file
    first, second, third, _ = (int(line.split(": ")[1]) for line in run.count_file.splitlines())
    starts = {name: [7 * n % (LENGTH - 100) for n in range(RECORDS[name])] for name in RECORDS}
    assert first == sum(start < 50_000 for start in starts["chr1"])
    assert second == sum(start < 1000 for start in starts["chr1"])
    assert third == sum(400 < start < 600 for start in starts["chr2"])


@pytest.mark.parametrize("kind", ["bam", "cram"])
def test_an_index_is_created_for_a_file_without_one(
    applet: Applet, bam: Path, cram: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    run = applet.run(bam if kind == "bam" else cram, None)
    assert run.state == "done", run.log
    assert run.count_file
    assert run.count_file.endswith("Total reads: 50000")
    assert "no index given: created a " in run.log
    version = request.config.getoption("--samtools")
    assert re.search(rf"samtools {re.escape(version or '1.')}", run.log)
