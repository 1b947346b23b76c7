"""The behavior of samtools that the applet relies on, from version 1.16 to the newest.

Each test checks a fact about the samtools on the PATH. `make test` runs them with the machine's
version, with 1.18 and with 1.24. Differences (measured with 1.16.1, 1.18, 1.21 and 1.24):

| command | 1.16 | 1.18 and later |
| --- | --- | --- |
| `view -c` of a CRAM with `required_fields` | decodes only these fields | sets the option itself |
| `view -c -e` of a CRAM, without its reference | counts | fails: requires every field |
| `view -c -d RG:x` of a CRAM, without its reference and the option | fails | counts |
| `view` of a URL that refuses connections | one error | 1.24: also a line for each retry |
| `view -C` of a slice with only unmapped records at position 1 | span 1 | 1.24: span 0 |

No version finds the records of a slice with span 0. The applet then rejects the file, because the
counts do not add up to the records in the containers.

The same in all versions: a region that is not in the header is counted as 0 with exit status 0 and
a warning; braces distinguish a name from a span; `*` selects unplaced records, and is unknown in a
file without records; `##idx##` specifies the index; `-M -L -` reads BED from standard input;
`idxstats -` counts a stream, and warns that it has no index; `view` warns of a missing end-of-file
block with exit status 0, and `quickcheck` fails; `index` reports records that are out of order, and
an index that it cannot write.
"""

import re
import subprocess
from pathlib import Path

import pytest

from builders import Read, cram_of, make_bam, write_bam
from readcount.errors import MissingToolError
from readcount.samtools import check_versions, samtools_path

pytestmark = pytest.mark.samtools


def samtools(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
    """Runs samtools; returns its exit status, standard output and standard error."""
    command = ["samtools", *map(str, arguments)]
    ended = subprocess.run(command, input=stdin, capture_output=True, check=False)
    return ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode()


def version() -> tuple[int, int]:
    """Returns the version of samtools."""
    found = re.match(r"samtools (\d+)\.(\d+)", samtools("--version")[1])
    assert found
    return int(found[1]), int(found[2])


@pytest.fixture
def bam(tmp_path: Path) -> Path:
    return make_bam(tmp_path, {"chr1": 30, "chr1:1-5": 3, "empty": 0}, unplaced=2)


@pytest.fixture
def cram(tmp_path: Path) -> Path:
    """Returns a CRAM whose reference is not available."""
    reads = [Read("chr1", at, read_group="a" if at < 9 else None) for at in range(30)]
    groups = ["@RG\tID:a\tSM:x"]
    return cram_of(write_bam(tmp_path, {"chr1": 1000}, reads, more_header=groups))


# FLAG, RNAME, POS, MAPQ and CIGAR, which can be decoded without the reference.
FIELDS = ["--input-fmt-option", "required_fields=0x3e"]


def test_samtools_has_the_requested_version(request: pytest.FixtureRequest) -> None:
    requested = request.config.getoption("--samtools")
    assert version() >= (1, 16)
    assert not requested or version() == tuple(map(int, requested.split(".")))


def test_the_log_names_all_versions() -> None:
    words = r"samtools \d+\.\d+\S*, htslib \d+\.\d+\S*, pysam \d+\.\d+\.\d+, Python 3\.\d+\.\d+"
    assert re.match(words, check_versions())


@pytest.mark.parametrize("output", ["samtools 1.15.1\nUsing htslib 1.15.1", "samtools 0.1.19", "?"])
def test_an_unsupported_samtools_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    program = tmp_path / "samtools"
    program.write_text(f"#!/bin/sh\nprintf '{output}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    samtools_path.cache_clear()
    with pytest.raises(MissingToolError, match=r"the applet needs samtools 1\.16 or later"):
        check_versions()
    samtools_path.cache_clear()


def test_an_unknown_region_is_counted_as_0_with_a_warning(bam: Path) -> None:
    status, count, stderr = samtools("view", "-c", bam, "{nochr}")
    assert (status, count) == (0, "0\n")
    assert "specifies an invalid region or unknown reference" in stderr


def test_a_name_like_a_span_needs_braces(bam: Path) -> None:
    assert "Range is ambiguous" in samtools("view", "-c", bam, "chr1:1-5")[2]
    assert samtools("view", "-c", bam, "{chr1}:1-5") == (0, "5\n", "")
    assert samtools("view", "-c", bam, "{chr1:1-5}") == (0, "3\n", "")


def test_a_star_selects_unplaced_records(bam: Path, tmp_path: Path) -> None:
    assert samtools("view", "-c", bam, "*") == (0, "2\n", "")
    empty = make_bam(tmp_path / "none.bam", {"chr1": 0})
    assert "specifies an invalid region or unknown" in samtools("view", "-c", empty, "*")[2]


def test_an_index_may_be_anywhere(bam: Path, tmp_path: Path) -> None:
    index = Path(f"{bam}.bai").rename(tmp_path / "other.bai")
    assert samtools("view", "-c", f"{bam}##idx##{index}", "{chr1}") == (0, "30\n", "")
    status, _, stderr = samtools("view", "-c", bam, "{chr1}")
    assert status == 1
    assert "Could not retrieve index file" in stderr


def test_a_bed_file_can_be_read_from_standard_input(bam: Path) -> None:
    bed = b"chr1\t0\t10\n"
    assert samtools("view", "-c", "-M", "-L", "-", bam, stdin=bed) == (0, "10\n", "")


def test_idxstats_counts_a_stream_and_warns_about_its_missing_index(bam: Path) -> None:
    stream = subprocess.check_output(["samtools", "view", "-u", str(bam)])
    status, table, stderr = samtools("idxstats", "-", stdin=stream)
    assert (status, table.splitlines()[0]) == (0, "chr1\t10000\t30\t0")
    assert all(re.search(r"\bindex\b.*['\"]-['\"]", line) for line in stderr.splitlines())


def test_view_only_warns_about_a_missing_end_of_file_block(bam: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.bam"
    truncated.write_bytes(bam.read_bytes()[:-28])
    status, count, stderr = samtools("view", "-c", truncated)
    assert (status, count) == (0, "35\n")
    assert "EOF marker is absent" in stderr
    assert samtools("quickcheck", "-u", truncated)[0] != 0
    # A header that is truncated is an error.
    truncated.write_bytes(bam.read_bytes()[:60])
    assert samtools("view", "-H", truncated)[0] == 1


def test_index_reports_records_that_are_out_of_order(tmp_path: Path) -> None:
    record = "r\t0\tchr1\t{}\t9\t5M\t*\t0\t0\t*\t*\n"
    lines = "@SQ\tSN:chr1\tLN:99\n" + record.format(9) + record.format(3)
    unsorted = tmp_path / "unsorted.bam"
    samtools("view", "-b", "-o", unsorted, "-", stdin=lines.encode())
    status, _, stderr = samtools("index", unsorted, tmp_path / "x.bai")
    assert status == 1
    assert "Unsorted positions" in stderr
    options = "cram,no_ref=1,seqs_per_slice=1"
    samtools("view", "-O", options, "-o", tmp_path / "x.cram", "-", stdin=lines.encode())
    status, _, stderr = samtools("index", tmp_path / "x.cram")
    assert status == 1
    assert "not sorted by chromosome" in stderr


def test_index_reports_that_it_cannot_write(bam: Path, tmp_path: Path) -> None:
    status, _, stderr = samtools("index", bam, tmp_path / "nowhere" / "x.bai")
    assert status == 1
    assert "failed to create or write index" in stderr


def test_a_cram_is_counted_without_its_reference(cram: Path) -> None:
    assert samtools("view", "-c", *FIELDS, cram, "chr1") == (0, "30\n", "")
    stream = subprocess.check_output(["samtools", "view", "-u", "-e", "pos > 5", *FIELDS, cram])
    assert samtools("idxstats", "-", stdin=stream)[1].startswith("chr1\t1000\t25\t0")


def test_filtering_a_cram_by_read_group_needs_no_reference(cram: Path) -> None:
    with_tag = ["--input-fmt-option", "required_fields=0x103e"]
    assert samtools("view", "-c", *with_tag, "-d", "RG:a", cram, "chr1") == (0, "9\n", "")


def test_an_expression_on_a_cram_needs_the_reference_since_1_17(cram: Path) -> None:
    status, count, stderr = samtools("view", "-c", "-e", "pos > 5", *FIELDS, cram, "chr1")
    if version() < (1, 17):
        assert (status, count, stderr) == (0, "25\n", "")
    else:
        assert status == 1
        assert "Unable to fetch reference" in stderr


def test_a_refused_connection_is_reported() -> None:
    status, _, stderr = samtools("view", "-c", "http://127.0.0.1:9/x.bam")
    assert status == 1
    assert "ailed to open" in stderr
