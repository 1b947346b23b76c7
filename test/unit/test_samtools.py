"""samtools is asked for the right records, and not believed when it complains."""

import pickle
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from builders import Read, contig_of, make_bam, write_bam
from messages import is_a_known_message
from readcount import samtools
from readcount.counting.pool import start_workers
from readcount.counting.tasks import RECOUNTED, run_task
from readcount.errors import (
    MESSAGE_LENGTH,
    InputError,
    MissingToolError,
    SamtoolsKilledError,
)
from readcount.planning.merge import TaskCounts
from readcount.planning.task import Call, Group
from readcount.request.region import Region
from readcount.source.commands import count_region
from readcount.source.contigs import Contig
from steps import indexed, opened

pytestmark = pytest.mark.samtools


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

    counted = {contig: count_region(bam, Region(contig)) for contig in wanted}

    assert counted == wanted


def test_a_name_that_samtools_cannot_be_told_is_an_error(tmp_path: Path) -> None:
    bam = indexed(make_bam(tmp_path, {"a": 2, "a 1}:": 1}))
    with pytest.raises(InputError):
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
    assert count_region(bam, Region(contig)) == 8


def group_of(contigs: dict[str, Contig]) -> Group:
    return Group(
        numbers=tuple(range(len(contigs))),
        contigs=tuple(contigs),
        reaches=tuple(contig.indexed.reach or contig.length for contig in contigs.values()),
        in_index=tuple(contig.indexed.records or 0 for contig in contigs.values()),
        records=0,
        seconds=0,
    )


def test_a_call_counts_its_region_or_its_window(tmp_path: Path) -> None:
    bam = indexed(write_bam(tmp_path, {"chr1": 100}, [Read("chr1", at) for at in range(20)]))
    chr1 = Region("chr1")
    windows = [None, Region("chr1", end=5), Region("chr1", 5, 8), Region("chr1", start=8)]
    calls = [Call(0, chr1, records=0, seconds=0, window=window) for window in windows]
    assert [run_task(bam, numbered) for numbered in enumerate(calls)] == [
        TaskCounts(0, (20,)),
        TaskCounts(1, (5,)),
        TaskCounts(2, (3,)),
        TaskCounts(3, (12,)),
    ]


def test_a_call_with_an_index_of_its_own_counts_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = [Read(name, at, "9000M") for name in ("chr1", "chr2") for at in range(0, 90_000, 700)]
    path = write_bam(tmp_path, {"chr1": 100_000, "chr2": 100_000}, reads)
    bam, entry = indexed(path), opened(path).contigs["chr2"].indexed.entry
    chr2 = Region("chr2")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    for window in (None, Region("chr2", end=50_000), Region("chr2", start=50_000)):
        with_all, with_one = (
            run_task(bam, (0, Call(0, chr2, records=0, seconds=0, window=window, entry=index)))
            for index in (None, entry)
        )
        assert entry is not None
        assert with_one == with_all
    assert list((tmp_path / "tmp").iterdir()) == []
    # It really is without the other sequence.
    misled = Call(0, Region("chr1"), records=0, seconds=0, entry=entry)
    assert run_task(bam, (0, misled)).records == (0,)


def test_a_group_counts_each_of_its_sequences(tmp_path: Path) -> None:
    wanted = {"chr1": 3, "HLA-A*01:01": 2, "{chr1}": 4, "a}:1": 1, "größe": 6}
    bam = indexed(make_bam(tmp_path, wanted | {"other": 5}, unplaced=7))
    group = group_of({name: contig_of(10_000, records) for name, records in wanted.items()})
    assert run_task(bam, (4, group)) == TaskCounts(4, tuple(wanted.values()))


@pytest.mark.parametrize("in_index", [0, 5, 9])
def test_a_group_counts_again_what_the_index_does_not_confirm(
    tmp_path: Path, in_index: int
) -> None:
    reads = [Read("chr1", at) for at in (5, 1000, 70_000, 5_000_000)]
    bam = indexed(write_bam(tmp_path, {"chr1": 1000, "chr2": 50}, [*reads, Read("chr2")]))
    group = group_of({"chr1": contig_of(1000, in_index), "chr2": contig_of(50, 1)})
    assert run_task(bam, (0, group)).records == (4, 1)


def test_a_group_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bam = indexed(make_bam(tmp_path, {"chr1": 3}))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    run_task(bam, (0, group_of({"chr1": contig_of(10_000, 3)})))
    assert list((tmp_path / "tmp").iterdir()) == []


VIEW = "cat >/dev/null; "
TALLY = "cat >/dev/null; printf 'chr1\\t9\\t3\\t0\\n*\\t0\\t0\\t0\\n'; "


@pytest.mark.parametrize(
    ("view", "idxstats", "kind", "words"),
    [
        (VIEW + "echo 'bad block' >&2; exit 1", TALLY, InputError, "exit status 1, bad block"),
        (VIEW + "echo 'cut off' >&2", TALLY, InputError, "exit status 0, cut off"),
        (VIEW + "exit 2", TALLY, InputError, "exit status 2, nothing"),
        (VIEW + "kill -9 $$", TALLY, SamtoolsKilledError, "killed or ran out of memory"),
        (VIEW, TALLY + "exit 3", InputError, "exit status 3, nothing"),
        (VIEW, TALLY + "kill -9 $$", SamtoolsKilledError, "killed or ran out of memory"),
        (VIEW, TALLY + "echo 'bad block' >&2", InputError, "exit status 0, bad block"),
        (VIEW, "echo chr1", InputError, "exit status 0, chr1"),
        (VIEW + "exec cat /dev/zero", "exit 4", InputError, "exit status 4"),
    ],
)
def test_a_group_is_believed_only_if_both_processes_are_content(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    view: str,
    idxstats: str,
    kind: type[Exception],
    words: str,
) -> None:
    script = f'if [ "$1" = view ]; then {view or ":"}\nelse {idxstats}\nfi'
    put_samtools_on_the_path(tmp_path, monkeypatch, script)
    with pytest.raises(kind, match=words):
        run_task(indexed(tmp_path / "sample.bam"), (0, group_of({"chr1": contig_of(9, 3)})))


def test_a_group_that_the_index_knows_nothing_of_is_not_counted_one_by_one(tmp_path: Path) -> None:
    names = [f"chr{number}" for number in range(RECOUNTED + 1)]
    bam = indexed(make_bam(tmp_path, dict.fromkeys(names, 1)))
    with pytest.raises(InputError, match=r"has 2 records in the index, but the count is 1"):
        run_task(bam, (0, group_of({name: contig_of(10_000, 2) for name in names})))


def test_a_group_in_a_bam_cut_in_half_is_an_error(tmp_path: Path) -> None:
    path = make_bam(tmp_path, {"chr1": 30_000, "chr2": 30_000})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    group = group_of({"chr1": contig_of(10_000, 30_000), "chr2": contig_of(10_000, 30_000)})
    with pytest.raises(InputError, match="EOF marker is absent"):
        run_task(indexed(path), (0, group))


def test_an_unknown_region_is_an_error_whatever_the_exit_status(tmp_path: Path) -> None:
    bam = indexed(make_bam(tmp_path, {"chr1": 3}))
    with pytest.raises(InputError, match=r"while counting chr2 of .* exit status") as got:
        count_region(bam, Region("chr2"))
    assert "'{chr2}' ended with exit status" in got.value.details


def test_a_bam_cut_in_half_is_an_error(tmp_path: Path) -> None:
    path = make_bam(tmp_path, {"chr1": 30_000, "chr2": 30_000})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="EOF marker is absent"):
        count_region(indexed(path), Region("chr1"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'bad block' >&2; exit 1", "exit status 1, bad block."),
        ("echo 3; echo 'odd, but going on' >&2", "exit status 0, odd, but going on."),
        ("echo 3; exit 2", "exit status 2, 3."),
        ("echo three", "exit status 0, three."),
        ("true", "exit status 0, nothing."),
        (r"printf 'bad \377 byte\nand more' >&2", "bad \N{REPLACEMENT CHARACTER} byte."),
    ],
)
def test_only_a_number_without_complaint_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    put_samtools_on_the_path(tmp_path, monkeypatch, script)
    with pytest.raises(InputError) as caught:
        count_region(indexed(tmp_path / "sample.bam"), Region("chr1"))
    assert str(caught.value).startswith(
        "mappings_sorted_bam: samtools failed while counting chr1 of sample.bam: "
    )
    assert words in str(caught.value)
    assert is_a_known_message(str(caught.value), "AppError")
    assert f"{tmp_path}/samtools view -c" in caught.value.details


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -9 $$", "killed or ran out of memory while counting chr1 of sample.bam"),
        ("echo 'x: Cannot allocate memory' >&2; exit 1", "killed or ran out of memory"),
        ("kill -11 $$", r"crashed \(Segmentation fault\) while counting chr1"),
    ],
)
def test_a_samtools_that_did_not_end_by_itself_is_not_the_users_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    put_samtools_on_the_path(tmp_path, monkeypatch, script)
    with pytest.raises(SamtoolsKilledError, match=words) as caught:
        count_region(indexed(tmp_path / "sample.bam"), Region("chr1"))
    assert is_a_known_message(str(caught.value), "AppInternalError")


def test_messages_stay_short_whatever_they_have_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_samtools_on_the_path(tmp_path, monkeypatch, "seq -s' ' 1 9999 >&2; exit 1")
    with pytest.raises(InputError) as caught:
        count_region(indexed(tmp_path / f"{'long' * 60}.bam"), Region("HLA" * 100))
    assert len(str(caught.value)) <= MESSAGE_LENGTH
    assert "9998 9999" in caught.value.details


def test_a_worker_without_samtools_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        count_region(indexed(tmp_path / "sample.bam"), Region("chr1"))
    assert is_a_known_message(str(caught.value), "AppInternalError")


def test_an_error_survives_pickling() -> None:
    error = InputError("a.bam is damaged", "samtools said more")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_an_error_reaches_the_parent_of_a_pool_whole(tmp_path: Path) -> None:
    bam = indexed(make_bam(tmp_path, {"chr1": 3}))
    calls = [Call(0, Region("chr1"), 1, 1), Call(1, Region("chr2"), 1, 1)]
    with start_workers(2) as workers, pytest.raises(InputError, match="counting chr2"):
        list(workers.results(partial(run_task, bam), enumerate(calls)))
