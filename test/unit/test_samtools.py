"""Counting with samtools: which records are counted, and how errors of samtools are reported."""

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
from readcount.source.alignments import Alignments
from readcount.source.opening import open_alignments
from steps import ask, count_here, count_regions, files_of, local_files, opened, planned
from strategies import COUNTED, DECODED


@pytest.fixture(autouse=True)
def clear_cached_samtools_path() -> Iterator[None]:
    samtools.samtools_path.cache_clear()
    yield
    samtools.samtools_path.cache_clear()


def put_fake_samtools_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
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
@pytest.mark.parametrize("costs", [COUNTED, DECODED])
def test_each_reference_name_selects_only_its_own_records(tmp_path: Path, costs: Costs) -> None:
    expected = {contig: 2 * number + 1 for number, contig in enumerate(ODD_CONTIGS)}
    alignments = opened(make_bam(tmp_path, expected, unplaced=3))
    plan = planned(alignments, costs=costs)
    counts = count_here(alignments, plan).counts
    assert {count.region.contig: count.records for count in counts} == expected


SECONDARY, SUPPLEMENTARY, DUPLICATE, FAILED, UNMAPPED = 0x100, 0x800, 0x400, 0x200, 0x4


@pytest.mark.samtools
@pytest.mark.parametrize("costs", [COUNTED, DECODED])
def test_every_placed_record_is_counted(tmp_path: Path, costs: Costs) -> None:
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
    plan = planned(alignments, costs=costs)
    assert list(count_here(alignments, plan).counts.records) == [8, 1]


def test_no_temporary_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alignments = opened(make_bam(tmp_path, {"chr1": 3}))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    for costs in (COUNTED, DECODED):
        count_here(alignments, planned(alignments, costs=costs))
    assert list((tmp_path / "tmp").iterdir()) == []


def one_task(bam: Path, counted: bool = True) -> tuple[Alignments, Task]:
    """Returns a file and a task that counts chr1, or that decodes its records."""
    alignments = opened(bam)
    plan = planned(
        alignments, ask(regions=["chr1"]), costs=COUNTED if counted else DECODED, processes=1
    )
    (task, *_) = plan.tasks
    return alignments, task


READ_INPUT = "cat >/dev/null; "


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'bad block' >&2; exit 1", "exit status 1, bad block."),
        (READ_INPUT + "echo 3; echo 'odd, but going on' >&2", "exit status 0, odd, but going on."),
        (READ_INPUT + "echo 3; exit 2", "exit status 2, without a message."),
        (READ_INPUT + "echo three", "exit status 0, three."),
        (READ_INPUT, "exit status 0, without a message."),
        (
            READ_INPUT + r"printf 'bad \377 byte\nand more' >&2",
            "bad \N{REPLACEMENT CHARACTER} byte.",
        ),
    ],
)
def test_a_count_is_accepted_only_if_samtools_reports_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    alignments, task = one_task(make_bam(tmp_path, {"chr1": 3}))
    put_fake_samtools_on_path(tmp_path, monkeypatch, script)
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
        (READ_INPUT + "echo 'cut off' >&2", InputError, "exit status 0, cut off"),
        (READ_INPUT + "exit 2", InputError, "exit status 2, without a message"),
        (READ_INPUT + "kill -9 $$", SamtoolsKilledError, "killed or ran out of memory"),
        (READ_INPUT + "echo no BAM", InputError, "exit status 0, the stream ends within a block"),
        ("exec cat /dev/zero", InputError, "a block|the stream"),
    ],
)
def test_a_stream_of_records_is_accepted_only_if_samtools_reports_no_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    kind: type[Exception],
    words: str,
) -> None:
    alignments, task = one_task(make_bam(tmp_path, {"chr1": 3}), counted=False)
    put_fake_samtools_on_path(tmp_path, monkeypatch, script)
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
def test_a_killed_or_crashed_samtools_is_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    alignments, task = one_task(make_bam(tmp_path, {"chr1": 3}))
    put_fake_samtools_on_path(tmp_path, monkeypatch, script)
    with pytest.raises(SamtoolsKilledError, match=words) as caught:
        run_task(alignments.parts, (0, task))
    assert is_a_known_message(str(caught.value), "AppInternalError")


def test_messages_stay_short_despite_long_names_and_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alignments, task = one_task(
        make_bam(tmp_path / f"{'long' * 60}.bam", {"chr1": 3, "HLA" * 80: 1})
    )
    put_fake_samtools_on_path(tmp_path, monkeypatch, "seq -s' ' 1 9999 >&2; exit 1")
    with pytest.raises(InputError) as caught:
        run_task(alignments.parts, (0, task))
    assert len(str(caught.value)) <= MESSAGE_LENGTH
    assert "9998 9999" in caught.value.details


def test_a_missing_samtools_is_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alignments, task = one_task(make_bam(tmp_path, {"chr1": 3}))
    samtools.samtools_path.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        run_task(alignments.parts, (0, task))
    assert is_a_known_message(str(caught.value), "AppInternalError")


@pytest.mark.samtools
def test_a_file_that_is_truncated_after_it_was_opened_is_rejected(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 30_000, "chr2": 30_000})
    for counted in (True, False):
        alignments, task = one_task(bam, counted)
        content = bam.read_bytes()
        bam.write_bytes(content[: len(content) // 4])
        with pytest.raises(InputError) as caught:
            run_task(alignments.parts, (0, task))
        assert is_a_known_message(str(caught.value), "AppError")
        bam.write_bytes(content)


@pytest.mark.samtools
def test_filters_are_applied_as_by_samtools(tmp_path: Path) -> None:
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


def test_an_error_in_a_worker_reaches_the_parent_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alignments = opened(make_bam(tmp_path, {"chr1": 3, "chr2": 2}))
    plan = planned(alignments, costs=COUNTED)
    put_fake_samtools_on_path(tmp_path, monkeypatch, "echo broken >&2; exit 1")
    words = r"counting chr[12] of sample.bam: exit status 1, broken"
    with start_workers(2) as workers, pytest.raises(InputError, match=words):
        list(workers.results(partial(run_task, alignments.parts), enumerate(plan.tasks)))


DUPLICATE_READ_GROUPS = ["@RG\tID:lane1\tSM:x", "@RG\tID:lane1\tSM:y"]
DUPLICATE_PROGRAMS = ["@PG\tID:a\tPN:a\tPP:missing", "@PG\tID:a\tPN:b"]


@pytest.mark.samtools
@pytest.mark.parametrize("cram", [False, True])
@pytest.mark.parametrize(
    "more_header", [DUPLICATE_READ_GROUPS, DUPLICATE_PROGRAMS], ids=["read groups", "programs"]
)
@pytest.mark.parametrize("regions", [[], ["chr1:1-5000", "chr2"]], ids=["whole", "spans"])
def test_a_harmless_warning_is_not_an_error(
    tmp_path: Path, cram: bool, more_header: list[str], regions: list[str]
) -> None:
    bam = make_bam(tmp_path, {"chr1": 3, "chr2": 2}, more_header=more_header)
    file = cram_of(bam, "multi_seq_per_slice=0") if cram else bam
    log: list[str] = []
    with start_workers(2) as workers:
        result = count_regions(files_of(file), workers, log.append, ask(regions=regions))
    assert list(result.counts.records) == [3, 2]
    # Each samtools call that reads the header of a CRAM warns; the log has each warning once.
    warnings = [line for line in log if "[W::" in line]
    assert len(warnings) == len(set(warnings))
    assert all("Duplicate entry" in line for line in warnings)
    assert bool(warnings) == (cram and more_header is DUPLICATE_READ_GROUPS)


@pytest.mark.samtools
@pytest.mark.parametrize("cram", [False, True])
def test_an_index_is_created_despite_a_harmless_warning(tmp_path: Path, cram: bool) -> None:
    bam = make_bam(tmp_path, {"chr1": 3}, more_header=DUPLICATE_READ_GROUPS)
    file = cram_of(bam) if cram else bam
    index_of(file).unlink()
    alignments = open_alignments(local_files(str(file), None))
    assert list(count_here(alignments, planned(alignments)).counts.records) == [3]
