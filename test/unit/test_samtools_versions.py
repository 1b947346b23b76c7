"""What the applet relies on in samtools, from 1.16 to the newest.

Each test is a fact about the samtools on the PATH; `make test` runs them with the machine's, with
1.18 and with 1.24. Where versions differ (measured with 1.16.1, 1.18, 1.21 and 1.24):

| what | 1.16 | 1.18 and later |
| --- | --- | --- |
| `view -c` of a CRAM with `required_fields` | reads no more than that | sets it itself |
| `view -c -e` of a CRAM, without its reference | counts | fails: asks for every field |
| `view -c -d RG:x` of a CRAM, without its reference and the option | fails | counts |
| `view` of an address that refuses | says so | 1.24: also a line for each further attempt |
| `view -C` of a slice with only unmapped records at position 1 | span 1 | 1.24: span 0 |

By a span of 0 no version finds the records of such a slice. The applet refuses the file then: the
counts do not add up to the records in the containers.

The same in all of them: a region that is not in the header counts 0 with exit status 0 and a
complaint; braces keep a name from being taken for a span; `*` is the unplaced records, and unknown
in a file without records; `##idx##` names the index; `-M -L -` reads BED from standard input;
`idxstats -` counts a stream, and complains that it has no index; a missing end-of-file block is a
complaint of `view` with exit status 0, and one of `quickcheck` with another; `index` names records
that are out of order, and an index that it cannot write.
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
    """Returns exit status, output and complaints."""
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
    """Its reference is nowhere."""
    reads = [Read("chr1", at, read_group="a" if at < 9 else None) for at in range(30)]
    groups = ["@RG\tID:a\tSM:x"]
    return cram_of(write_bam(tmp_path, {"chr1": 1000}, reads, more_header=groups))


FIELDS = ["--input-fmt-option", "required_fields=0x3e"]


def test_the_version_is_the_one_that_was_asked_for(request: pytest.FixtureRequest) -> None:
    wanted = request.config.getoption("--samtools")
    assert version() >= (1, 16)
    assert not wanted or version() == tuple(map(int, wanted.split(".")))


def test_the_log_names_all_versions() -> None:
    words = r"samtools \d+\.\d+\S*, htslib \d+\.\d+\S*, pysam \d+\.\d+\.\d+, Python 3\.\d+\.\d+"
    assert re.match(words, check_versions())


@pytest.mark.parametrize("said", ["samtools 1.15.1\nUsing htslib 1.15.1", "samtools 0.1.19", "?"])
def test_an_older_samtools_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    program = tmp_path / "samtools"
    program.write_text(f"#!/bin/sh\nprintf '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    samtools_path.cache_clear()
    with pytest.raises(MissingToolError, match=r"the applet needs samtools 1\.16 or later"):
        check_versions()
    samtools_path.cache_clear()


def test_an_unknown_region_counts_0_with_a_complaint(bam: Path) -> None:
    status, counted, said = samtools("view", "-c", bam, "{nochr}")
    assert (status, counted) == (0, "0\n")
    assert "specifies an invalid region or unknown reference" in said


def test_a_name_like_a_span_needs_braces(bam: Path) -> None:
    assert "Range is ambiguous" in samtools("view", "-c", bam, "chr1:1-5")[2]
    assert samtools("view", "-c", bam, "{chr1}:1-5") == (0, "5\n", "")
    assert samtools("view", "-c", bam, "{chr1:1-5}") == (0, "3\n", "")


def test_unplaced_records_are_at_a_star(bam: Path, tmp_path: Path) -> None:
    assert samtools("view", "-c", bam, "*") == (0, "2\n", "")
    without = make_bam(tmp_path / "none.bam", {"chr1": 0})
    assert "specifies an invalid region or unknown" in samtools("view", "-c", without, "*")[2]


def test_an_index_may_be_anywhere(bam: Path, tmp_path: Path) -> None:
    index = Path(f"{bam}.bai").rename(tmp_path / "other.bai")
    assert samtools("view", "-c", f"{bam}##idx##{index}", "{chr1}") == (0, "30\n", "")
    status, _, said = samtools("view", "-c", bam, "{chr1}")
    assert status == 1
    assert "Could not retrieve index file" in said


def test_a_bed_file_comes_from_standard_input(bam: Path) -> None:
    bed = b"chr1\t0\t10\n"
    assert samtools("view", "-c", "-M", "-L", "-", bam, stdin=bed) == (0, "10\n", "")


def test_a_stream_is_tallied_with_a_complaint_about_its_index(bam: Path) -> None:
    stream = subprocess.check_output(["samtools", "view", "-u", str(bam)])
    status, tally, said = samtools("idxstats", "-", stdin=stream)
    assert (status, tally.splitlines()[0]) == (0, "chr1\t10000\t30\t0")
    assert all(re.search(r"\bindex\b.*['\"]-['\"]", line) for line in said.splitlines())


def test_a_truncated_file_is_a_complaint(bam: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.bam"
    cut.write_bytes(bam.read_bytes()[:-28])
    status, counted, said = samtools("view", "-c", cut)
    assert (status, counted) == (0, "35\n")
    assert "EOF marker is absent" in said
    assert samtools("quickcheck", "-u", cut)[0] != 0
    cut.write_bytes(bam.read_bytes()[:60])
    assert samtools("view", "-H", cut)[0] == 1


def test_index_names_records_that_are_out_of_order(tmp_path: Path) -> None:
    record = "r\t0\tchr1\t{}\t9\t5M\t*\t0\t0\t*\t*\n"
    lines = "@SQ\tSN:chr1\tLN:99\n" + record.format(9) + record.format(3)
    unsorted = tmp_path / "unsorted.bam"
    samtools("view", "-b", "-o", unsorted, "-", stdin=lines.encode())
    status, _, said = samtools("index", unsorted, tmp_path / "x.bai")
    assert status == 1
    assert "Unsorted positions" in said
    options = "cram,no_ref=1,seqs_per_slice=1"
    samtools("view", "-O", options, "-o", tmp_path / "x.cram", "-", stdin=lines.encode())
    status, _, said = samtools("index", tmp_path / "x.cram")
    assert status == 1
    assert "not sorted by chromosome" in said


def test_index_says_that_it_cannot_write(bam: Path, tmp_path: Path) -> None:
    status, _, said = samtools("index", bam, tmp_path / "nowhere" / "x.bai")
    assert status == 1
    assert "failed to create or write index" in said


def test_a_cram_is_counted_without_its_reference(cram: Path) -> None:
    assert samtools("view", "-c", *FIELDS, cram, "chr1") == (0, "30\n", "")
    stream = subprocess.check_output(["samtools", "view", "-u", "-e", "pos > 5", *FIELDS, cram])
    assert samtools("idxstats", "-", stdin=stream)[1].startswith("chr1\t1000\t25\t0")


def test_a_read_group_of_a_cram_needs_no_reference(cram: Path) -> None:
    with_tag = ["--input-fmt-option", "required_fields=0x103e"]
    assert samtools("view", "-c", *with_tag, "-d", "RG:a", cram, "chr1") == (0, "9\n", "")


def test_an_expression_on_a_cram_needs_the_reference_since_1_17(cram: Path) -> None:
    status, counted, said = samtools("view", "-c", "-e", "pos > 5", *FIELDS, cram, "chr1")
    if version() < (1, 17):
        assert (status, counted, said) == (0, "25\n", "")
    else:
        assert status == 1
        assert "Unable to fetch reference" in said


def test_a_refused_connection_is_named() -> None:
    status, _, said = samtools("view", "-c", "http://127.0.0.1:9/x.bam")
    assert status == 1
    assert "ailed to open" in said
