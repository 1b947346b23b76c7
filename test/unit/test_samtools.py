"""samtools reads the right records, and is not believed when it complains."""

import pickle
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from builders import Read, cram_of, index_of, make_bam, write_bam
from messages import is_a_known_message
from readcount import samtools
from readcount.counting.pool import start_workers
from readcount.counting.tasks import run_task
from readcount.errors import MESSAGE_LENGTH, InputError, MissingToolError, SamtoolsKilledError
from readcount.planning.costs import Costs
from readcount.planning.task import Task
from readcount.request.filters import Filters
from readcount.source.alignments import Alignments, open_alignments
from readcount.source.files import local_files
from steps import ask, count_here, count_regions, files_of, opened, planned
from strategies import COUNTED, LOOKED_AT


@pytest.fixture(autouse=True)
def look_for_samtools_again() -> Iterator[None]:
    samtools.samtools_path.cache_clear()
    yield
    samtools.samtools_path.cache_clear()


def put_samtools_on_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "samtools"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    samtools.samtools_path.cache_clear()
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


@pytest.mark.samtools
@pytest.mark.parametrize("costs", [COUNTED, LOOKED_AT])
def test_every_name_counts_its_own_records(tmp_path: Path, costs: Costs) -> None:
    wanted = {contig: 2 * number + 1 for number, contig in enumerate(ODD_CONTIGS)}
    alignments = opened(make_bam(tmp_path, wanted, unplaced=3))
    plan, _ = planned(alignments, costs=costs)
    counted = count_here(alignments, plan).counts
    assert {one.region.contig: one.records for one in counted} == wanted


SECONDARY, SUPPLEMENTARY, DUPLICATE, FAILED, UNMAPPED = 0x100, 0x800, 0x400, 0x200, 0x4


@pytest.mark.samtools
@pytest.mark.parametrize("costs", [COUNTED, LOOKED_AT])
def test_every_placed_record_counts(tmp_path: Path, costs: Costs) -> None:
    reads = [
        Read("chr1"),
        *(Read("chr1", flag=flag) for flag in (SECONDARY, SUPPLEMENTARY, DUPLICATE, FAILED)),
        Read("chr1", flag=UNMAPPED, cigar=None),
        Read("chr1", cigar=None),
        Read("chr1", position=995),
        Read("other"),
        Read(None),
    ]
    alignments = opened(write_bam(tmp_path, {"chr1": 1000, "other": 1000}, reads))
    plan, _ = planned(alignments, costs=costs)
    assert list(count_here(alignments, plan).counts.records) == [8, 1]


def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alignments = opened(make_bam(tmp_path, {"chr1": 3}))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    for costs in (COUNTED, LOOKED_AT):
        count_here(alignments, planned(alignments, costs=costs)[0])
    assert list((tmp_path / "tmp").iterdir()) == []


def one_task(bam: Path, counted: bool = True) -> tuple[Alignments, Task]:
    """A file and a task that counts chr1, or that looks at its records."""
    alignments = opened(bam)
    plan, _ = planned(
        alignments, ask(regions=["chr1"]), costs=COUNTED if counted else LOOKED_AT, processes=1
    )
    (task, *_) = plan.tasks
    return alignments, task


READ = "cat >/dev/null; "


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'bad block' >&2; exit 1", "exit status 1, bad block."),
        (READ + "echo 3; echo 'odd, but going on' >&2", "exit status 0, odd, but going on."),
        (READ + "echo 3; exit 2", "exit status 2, without a message."),
        (READ + "echo three", "exit status 0, three."),
        (READ, "exit status 0, without a message."),
        (READ + r"printf 'bad \377 byte\nand more' >&2", "bad \N{REPLACEMENT CHARACTER} byte."),
    ],
)
def test_only_a_number_without_complaint_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    alignments, task = one_task(make_bam(tmp_path, {"chr1": 3}))
    put_samtools_on_the_path(tmp_path, monkeypatch, script)
    with pytest.raises(InputError) as caught:
        run_task(alignments.parts, (0, task))
    assert str(caught.value).startswith(
        "mappings_sorted_bam: samtools failed while counting chr1 of sample.bam: "
    )
    assert words in str(caught.value)
    assert is_a_known_message(str(caught.value), "AppError")


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("echo 'bad block' >&2; exit 1", InputError, "exit status 1, bad block"),
        (READ + "echo 'cut off' >&2", InputError, "exit status 0, cut off"),
        (READ + "exit 2", InputError, "exit status 2, without a message"),
        (READ + "kill -9 $$", SamtoolsKilledError, "killed or ran out of memory"),
        (READ + "echo no BAM", InputError, "exit status 0, the stream ends within a block"),
        ("exec cat /dev/zero", InputError, "a block|the stream"),
    ],
)
def test_a_stream_of_records_is_believed_only_if_samtools_is_content(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    kind: type[Exception],
    words: str,
) -> None:
    alignments, task = one_task(make_bam(tmp_path, {"chr1": 3}), counted=False)
    put_samtools_on_the_path(tmp_path, monkeypatch, script)
    with pytest.raises(kind, match=words):
        run_task(alignments.parts, (0, task))


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
    alignments, task = one_task(make_bam(tmp_path, {"chr1": 3}))
    put_samtools_on_the_path(tmp_path, monkeypatch, script)
    with pytest.raises(SamtoolsKilledError, match=words) as caught:
        run_task(alignments.parts, (0, task))
    assert is_a_known_message(str(caught.value), "AppInternalError")


def test_messages_stay_short_whatever_they_have_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alignments, task = one_task(
        make_bam(tmp_path / f"{'long' * 60}.bam", {"chr1": 3, "HLA" * 80: 1})
    )
    put_samtools_on_the_path(tmp_path, monkeypatch, "seq -s' ' 1 9999 >&2; exit 1")
    with pytest.raises(InputError) as caught:
        run_task(alignments.parts, (0, task))
    assert len(str(caught.value)) <= MESSAGE_LENGTH
    assert "9998 9999" in caught.value.details


def test_a_worker_without_samtools_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alignments, task = one_task(make_bam(tmp_path, {"chr1": 3}))
    samtools.samtools_path.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        run_task(alignments.parts, (0, task))
    assert is_a_known_message(str(caught.value), "AppInternalError")


@pytest.mark.samtools
def test_a_file_that_is_cut_after_it_was_opened_is_an_error(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 30_000, "chr2": 30_000})
    for counted in (True, False):
        alignments, task = one_task(bam, counted)
        content = bam.read_bytes()
        bam.write_bytes(content[: len(content) // 4])
        with pytest.raises(InputError) as refused:
            run_task(alignments.parts, (0, task))
        assert is_a_known_message(str(refused.value), "AppError")
        bam.write_bytes(content)


@pytest.mark.samtools
def test_filters_are_those_of_samtools(tmp_path: Path) -> None:
    reads = [Read("chr1", at, mapping_quality=at, flag=at % 2 << 8) for at in range(100)]
    bam = write_bam(tmp_path, {"chr1": 1000}, reads)
    filters = Filters(min_mapping_quality=30, exclude_flags=SECONDARY)
    for counted in (True, False):
        alignments, task = one_task(bam, counted)
        assert list(run_task(alignments.parts, (0, task), filters).records) == [35]


def test_an_error_survives_pickling() -> None:
    error = InputError("a.bam is damaged", "samtools said more")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_an_error_reaches_the_parent_of_a_pool_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alignments = opened(make_bam(tmp_path, {"chr1": 3, "chr2": 2}))
    plan, _ = planned(alignments, costs=COUNTED)
    put_samtools_on_the_path(tmp_path, monkeypatch, "echo broken >&2; exit 1")
    words = r"counting chr[12] of sample.bam: exit status 1, broken"
    with start_workers(2) as workers, pytest.raises(InputError, match=words):
        list(workers.results(partial(run_task, alignments.parts), enumerate(plan.tasks)))


GROUPS = ["@RG\tID:lane1\tSM:x", "@RG\tID:lane1\tSM:y"]
PROGRAMS = ["@PG\tID:a\tPN:a\tPP:missing", "@PG\tID:a\tPN:b"]


@pytest.mark.samtools
@pytest.mark.parametrize("cram", [False, True])
@pytest.mark.parametrize("more_header", [GROUPS, PROGRAMS], ids=["read groups", "programs"])
@pytest.mark.parametrize("regions", [[], ["chr1:1-5000", "chr2"]], ids=["whole", "spans"])
def test_a_warning_that_changes_no_count_is_no_error(
    tmp_path: Path, cram: bool, more_header: list[str], regions: list[str]
) -> None:
    bam = make_bam(tmp_path, {"chr1": 3, "chr2": 2}, more_header=more_header)
    file = cram_of(bam, "multi_seq_per_slice=0") if cram else bam
    log: list[str] = []
    with start_workers(2) as workers:
        result = count_regions(files_of(file), workers, log.append, ask(regions=regions))
    assert list(result.counts.records) == [3, 2]
    # samtools reads the header of a CRAM in each call; the log has what it says once.
    warnings = [line for line in log if "[W::" in line]
    assert len(warnings) == len(set(warnings))
    assert all("Duplicate entry" in line for line in warnings)
    assert bool(warnings) == (cram and more_header is GROUPS)


@pytest.mark.samtools
@pytest.mark.parametrize("cram", [False, True])
def test_an_index_is_made_in_spite_of_such_a_warning(tmp_path: Path, cram: bool) -> None:
    bam = make_bam(tmp_path, {"chr1": 3}, more_header=GROUPS)
    file = cram_of(bam) if cram else bam
    index_of(file).unlink()
    alignments = open_alignments(local_files(str(file), None))
    assert list(count_here(alignments, planned(alignments)[0]).counts.records) == [3]
