"""Counting a sample of a cohort, in one process or in all, by the regions of the first sample."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import LENGTH, cram_of, make_bam, write_bam
from readcount.cohort.count import (
    Counted,
    NotCounted,
    Reference,
    RegionsError,
    count_in_one_process,
    count_with_all_processes,
    reference_of,
    regions_of,
    write_reference,
)
from readcount.counting.pool import Workers, start_workers
from readcount.errors import InputError, SamtoolsKilledError
from readcount.samtools import samtools_path
from readcount.source.files import InputFiles
from steps import ask, files_of, opened

pytestmark = pytest.mark.samtools


def no_log(line: str) -> None:
    """Discards a line of the log."""


def reference(files: InputFiles, **inputs: Any) -> Reference:
    return reference_of(files, ask(**inputs), no_log)


def count(path: Path, shared: Reference, folder: Path) -> Counted | NotCounted:
    number, result = count_in_one_process(write_reference(shared, folder), (7, files_of(path)))
    assert number == 7
    return result


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with start_workers(2) as workers:
        yield workers


def test_one_process_and_all_processes_return_the_same_counts(
    tmp_path: Path, workers: Workers
) -> None:
    bam = make_bam(tmp_path / "a.bam", {"chr1": 50, "chr2": 0, "chr3": 7}, unplaced=3)
    shared = reference(files_of(bam), include_unplaced=True)
    for path in (bam, cram_of(bam)):
        one = count(path, shared, tmp_path)
        assert isinstance(one, Counted)
        assert one.records.tolist() == [50, 0, 7, 3]
        other = count_with_all_processes(files_of(path), shared, workers, no_log)
        assert isinstance(other, Counted)
        assert other.records.tolist() == one.records.tolist()
        assert other[1:] == one[1:]


def test_sequences_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    one = make_bam(tmp_path / "one.bam", {"chr1": 1, "chr2": 2, "chr10": 10})
    other = make_bam(tmp_path / "other.bam", {"chr1": 11, "chr10": 110, "chr2": 22}, unplaced=5)
    settings: list[dict[str, Any]] = [{}, {"windows": LENGTH}, {"regions": ["chr10", "chr2"]}]
    for inputs in settings:
        shared = reference(files_of(one), include_unplaced=True, **inputs)
        counted = count(other, shared, tmp_path)
        assert isinstance(counted, Counted), counted
        labels = [label.partition(":")[0] for label in shared.regions.labels()]
        expected = {"chr1": 11, "chr2": 22, "chr10": 110, "*": 5}
        assert counted.records.tolist() == [expected[label] for label in labels]


def test_only_the_sequences_of_the_regions_must_be_in_the_header(tmp_path: Path) -> None:
    one = make_bam(tmp_path / "one.bam", {"chr1": 1, "chr2": 2})
    more = opened(make_bam(tmp_path / "more.bam", {"chr1": 1, "chr2": 2, "decoy": 3})).sequences
    fewer = opened(make_bam(tmp_path / "fewer.bam", {"chr1": 1})).sequences
    shared = reference(files_of(one), regions=["chr1:1-100"])
    for sequences in (more, fewer):
        assert regions_of(sequences, "x.bam", shared)[0] == shared.regions[0]
    with pytest.raises(InputError, match=r"genome than one\.bam: it also has decoy\."):
        regions_of(more, "x.bam", reference(files_of(one)))
    with pytest.raises(InputError, match=r"genome than one\.bam: it has no sequence chr2\."):
        regions_of(fewer, "x.bam", reference(files_of(one)))
    # Other sequences do not matter if only primary chromosomes are counted.
    primary = reference(files_of(one), primary_chromosomes_only=True)
    assert list(regions_of(more, "x.bam", primary)) == list(primary.regions)


def test_an_unknown_region_is_an_error_of_the_regions_not_of_the_sample(tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "a.bam", {"chr1": 1})
    with pytest.raises(RegionsError, match=r"^regions: 'chr7' "):
        reference(files_of(bam), regions=["chr7"])


def test_counting_a_sample_leaves_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bam = make_bam(tmp_path / "a.bam", {"chr1": 1})
    other = write_bam(tmp_path / "b.bam", {"chr1": LENGTH + 1}, [])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    shared = reference(files_of(bam))
    assert isinstance(count(bam, shared, tmp_path), Counted)
    assert isinstance(count(other, shared, tmp_path), NotCounted)
    assert list((tmp_path / "temporary").iterdir()) == []


SIGNALS = {signal.SIGSEGV: True, signal.SIGKILL: False}


@pytest.mark.parametrize(("killed_by", "fails_sample"), SIGNALS.items())
def test_a_samtools_crash_fails_the_sample_but_a_kill_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed_by: signal.Signals,
    fails_sample: bool,
) -> None:
    bam = make_bam(tmp_path / "a.bam", {"chr1": 1})
    shared = reference(files_of(bam))
    real, folder = shutil.which("samtools"), tmp_path / "bin"
    folder.mkdir()
    script = folder / "samtools"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = view ] && kill -{killed_by.value} $$\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    samtools_path.cache_clear()
    if fails_sample:
        result = count(bam, shared, tmp_path)
        assert isinstance(result, NotCounted)
        assert result.message.startswith("mappings: samtools crashed")
    else:
        with pytest.raises(SamtoolsKilledError, match="ran out of memory"):
            count(bam, shared, tmp_path)
    monkeypatch.undo()
    samtools_path.cache_clear()
