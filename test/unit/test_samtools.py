"""samtools is asked for the right records, and not believed when it complains."""

import multiprocessing
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from builders import Read, make_bam, write_bam
from readcount import samtools
from readcount.counts import RegionCount
from readcount.errors import CountError, MissingToolError
from readcount.inputs import IndexedBam
from readcount.plan import Task, plan_tasks
from readcount.regions import Region
from readcount.samtools import count_region, run_task


def indexed(bam: Path) -> IndexedBam:
    return IndexedBam(path=bam, name="the user's.bam")


@pytest.fixture(autouse=True)
def look_for_samtools_again() -> Iterator[None]:
    samtools.samtools_path.cache_clear()
    yield
    samtools.samtools_path.cache_clear()


def put_samtools_on_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "samtools"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


ODD_CONTIGS = [
    "chr1",
    "chr1:1-100",
    "HLA-A*01:01:01:01",
    "a,b",
    "*x",
    "=",
    "#x",
    "track",
    ".",
    "-c",
    "{",
    "}",
    "{}",
    "{chr1}",
    "{chr1}:1-2",
    "chr1}:1-2",
    "}:",
    "it's",
    'a"b',
    "größe",
]


def test_every_name_counts_its_own_records(tmp_path: Path) -> None:
    wanted = {contig: 2 * number + 1 for number, contig in enumerate(ODD_CONTIGS)}
    bam = indexed(make_bam(tmp_path, wanted, unplaced=3))

    counted = {contig: count_region(bam, Region(contig)).records for contig in wanted}

    assert counted == wanted


def test_a_name_that_samtools_cannot_be_told_is_an_error(tmp_path: Path) -> None:
    bam = indexed(make_bam(tmp_path, {"a": 2, "a 1}:": 1}))
    with pytest.raises(CountError):
        count_region(bam, Region("a 1}:"))


SECONDARY, SUPPLEMENTARY, DUPLICATE, FAILED, UNMAPPED = 0x100, 0x800, 0x400, 0x200, 0x4


@pytest.mark.parametrize("contig", ["chr1", "chr1}:1"], ids=["as argument", "as BED line"])
def test_every_placed_record_counts(tmp_path: Path, contig: str) -> None:
    reads = [
        Read(contig),
        *(Read(contig, flag=flag) for flag in (SECONDARY, SUPPLEMENTARY, DUPLICATE, FAILED)),
        Read(contig, flag=UNMAPPED, cigar=None),
        Read(contig, cigar=None),
        Read(contig, position=995),
        Read("other"),
        Read(None),
    ]
    bam = indexed(write_bam(tmp_path, {contig: 1000, "other": 1000}, reads))
    assert count_region(bam, Region(contig)) == RegionCount(Region(contig), 8)


def test_a_task_counts_each_of_its_regions(tmp_path: Path) -> None:
    bam = indexed(make_bam(tmp_path, {"chr1": 3, "chr2": 0, "chr3": 5}))
    task = Task(regions=(Region("chr3"), Region("chr2")))
    assert run_task(bam, task) == [RegionCount(Region("chr3"), 5), RegionCount(Region("chr2"), 0)]


def test_an_unknown_region_is_an_error_whatever_the_exit_status(tmp_path: Path) -> None:
    bam = indexed(make_bam(tmp_path, {"chr1": 3}))
    with pytest.raises(CountError) as caught:
        count_region(bam, Region("chr2"))
    assert "region chr2 of the user's.bam" in str(caught.value)
    assert "'{chr2}' ended with exit status" in str(caught.value)


def test_a_bam_cut_in_half_is_an_error(tmp_path: Path) -> None:
    path = make_bam(tmp_path, {"chr1": 30_000, "chr2": 30_000})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CountError, match="EOF marker is absent"):
        count_region(indexed(path), Region("chr1"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no space' >&2; exit 1", "exit status 1 and said: no space"),
        ("echo 3; echo 'odd, but going on' >&2", "exit status 0 and said: odd, but going on"),
        ("echo 3; exit 2", "exit status 2 and said: 3"),
        ("echo three", "exit status 0 and said: three"),
        ("true", "exit status 0 and said: nothing"),
        ("kill -9 $$", "exit status -9 and said: nothing"),
        (r"printf 'bad \377 byte' >&2", "said: bad \N{REPLACEMENT CHARACTER} byte"),
    ],
)
def test_only_a_number_without_complaint_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    put_samtools_on_the_path(tmp_path, monkeypatch, script)
    with pytest.raises(CountError) as caught:
        count_region(indexed(tmp_path / "sample.bam"), Region("chr1"))
    message = str(caught.value)
    assert "region chr1" in message
    assert f"{tmp_path}/samtools view -c {tmp_path}/sample.bam '{{chr1}}'" in message
    assert words in message


def test_a_worker_without_samtools_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="samtools is not installed"):
        count_region(indexed(tmp_path / "sample.bam"), Region("chr1"))


def test_an_error_survives_pickling() -> None:
    error = CountError("a.bam", "chr1", ["samtools", "view"], 1, "no")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_an_error_reaches_the_parent_of_a_pool_whole(tmp_path: Path) -> None:
    bam = indexed(make_bam(tmp_path, {"chr1": 3}))
    tasks = plan_tasks([Region("chr1"), Region("chr2")])
    with (
        multiprocessing.get_context("fork").Pool(2) as pool,
        pytest.raises(CountError, match="region chr2"),
    ):
        list(pool.imap_unordered(partial(run_task, bam), tasks, chunksize=1))
