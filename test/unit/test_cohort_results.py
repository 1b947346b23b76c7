"""Results of the samples of a cohort, shares of subjobs, progress in the log, and the request."""

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from messages import is_a_known_message
from readcount.cohort.columns import ColumnStore
from readcount.cohort.count import Counted, NotCounted, of_cohort
from readcount.cohort.progress import Progress
from readcount.cohort.request import CohortRequest
from readcount.cohort.results import Results
from readcount.cohort.samples import Sample, SampleFile
from readcount.cohort.schedule import sizes_of, split_by_size
from readcount.cohort.shares import SampleShare, ShareWriter, deal_samples, read_share
from readcount.errors import NEW_INDEX, InputError, SubjobError

PLAN = "d" * 64


def sample(name: str) -> Sample:
    files = (SampleFile({"$dnanexus_link": f"file-{name}{end}"}, f"{name}{end}") for end in ".:")
    return Sample(name, *files)


def new_results(folder: Path, *names: str, fail: bool = False) -> tuple[Results, list[str]]:
    log: list[str] = []
    store = ColumnStore(folder / "columns", 2)
    return Results(list(map(sample, names)), fail, log.append, store), log


def counted(*records: int, sm: str = "") -> Counted:
    return Counted(np.array(records), [sm] if sm else [], 7)


def test_rows_are_in_sample_order_for_any_order_of_results(tmp_path: Path) -> None:
    results, log = new_results(tmp_path, "a", "b", "c")
    results.add(2, counted(5, 6, sm="c"))
    results.add(1, NotCounted("mappings: b is truncated.", "the details"))
    results.add(0, counted(1, 2, sm="other"))
    assert [row.sample for _, row in results.in_order()] == ["a", "b", "c"]
    assert results.counted == {0: "a", 2: "c"}
    assert [sample.name for sample in results.failed] == ["b"]
    assert log == ["b failed: mappings: b is truncated.", "the details"]
    assert [row.records for _, row in results.in_order()] == [3, None, 11]
    assert "another sample name (SM): other" in results.rows[0].message
    assert results.store.block([0, 2], slice(0, 2)).tolist() == [[1, 5], [2, 6]]
    results.check_totals({0: 3, 2: 11})
    with pytest.raises(ValueError, match="the column of a has 11 records instead of 3"):
        results.check_totals({0: 11, 2: 3})


def test_a_sample_counted_twice_or_not_at_all_is_an_error(tmp_path: Path) -> None:
    results, _ = new_results(tmp_path, "a", "b")
    results.add(0, counted(1, 2))
    with pytest.raises(ValueError, match=r"samples \[1\] were not counted"):
        results.in_order()
    with pytest.raises(ValueError, match="sample 0 was counted twice"):
        results.add(0, NotCounted("x"))


def test_a_failed_sample_is_an_error_if_requested_or_if_all_failed(tmp_path: Path) -> None:
    message = "mappings: a. is truncated or corrupt. Upload it again."
    results, _ = new_results(tmp_path, "a", "b", fail=True)
    with pytest.raises(InputError, match=r"1 of 2 samples cannot be counted \(a\)\. a: ") as error:
        results.add(0, NotCounted(message))
    assert is_a_known_message(str(error.value), "AppError")
    results, _ = new_results(tmp_path, "a", "b")
    results.add(0, NotCounted(message))
    results.add(1, NotCounted(message))
    with pytest.raises(InputError, match=r"2 of 2 samples cannot be counted \(a, b\)") as error:
        results.in_order()
    assert error.value.details == f"a: {message}\nb: {message}"


def test_messages_use_the_input_names_of_the_cohort_applet() -> None:
    assert of_cohort(
        f"mappings_sorted_bai: x.bai does not match x.bam: it is shorter. {NEW_INDEX}"
    ) == (
        "mappings_indexes: x.bai does not match x.bam: it is shorter. Provide the index of this "
        "file."
    )
    assert of_cohort(
        "mappings_sorted_bam: x cannot be streamed. Run the job again without stream_bam, subjobs "
        "and counts_from."
    ) == ("mappings: x cannot be streamed. Run the job again.")


# Subjobs.


def test_samples_are_assigned_to_subjobs_by_size() -> None:
    sizes = {number: float(size) for number, size in enumerate([1, 1, 1, 1, 4, 8])}
    assert deal_samples(sizes, 2) == [[5], [0, 1, 2, 3, 4]]
    assert sorted(chain(*deal_samples(sizes, 4))) == list(range(6))
    assert deal_samples(sizes, 100) == [[5], [4], [0], [1], [2], [3]]
    assert deal_samples({}, 3) == []


def test_large_samples_are_counted_by_all_processes() -> None:
    gb = 10**9
    many = dict.fromkeys(range(100), 100 * gb)
    assert split_by_size(many, 16, from_index=False) == (list(range(100)), [])
    few = dict.fromkeys(range(3), 100 * gb)
    assert split_by_size(few, 16, from_index=False) == ([], [0, 1, 2])
    assert split_by_size(few, 16, from_index=True) == ([0, 1, 2], [])
    assert split_by_size({0: 1000, 1: gb}, 16, from_index=False) == ([0], [1])
    assert sizes_of({0: 0, 1: 10**10}, from_index=True) == {0: 0.5, 1: 0.5}


SHARE = SampleShare(PLAN, 1, 3, {4: "x", 9: "y", 2: "z"})
BIG = 2**40


def write_share(path: Path, share: SampleShare = SHARE) -> Path:
    with ShareWriter(path, share) as writer:
        writer.add(9, counted(1, BIG, sm="s"))
        writer.add(2, NotCounted("message", "details"))
        writer.add(4, counted(0, 3))
    return path


def test_a_subjob_returns_one_file_of_columns_that_numpy_can_read(tmp_path: Path) -> None:
    path = write_share(tmp_path / "counts.npz")
    read = dict(read_share(path, SHARE, 2))
    assert read.pop(2) == NotCounted("message", "details")
    four, nine = (one for _, one in sorted(read.items()) if isinstance(one, Counted))
    assert (four.records.tolist(), four.sample_names, four.unplaced) == ([0, 3], [], 7)
    assert (nine.records.tolist(), nine.sample_names, nine.unplaced) == ([1, BIG], ["s"], 7)
    with np.load(path, allow_pickle=False) as file:
        assert file["sample9"].tolist() == [1, BIG]
        about = json.loads(file["about"].tobytes())
    assert about["samples"]["9"]["name"] == "y"


OTHER_SHARES = {
    "another plan": SampleShare("e" * 64, 1, 3, SHARE.samples),
    "another subjob": SampleShare(PLAN, 0, 3, SHARE.samples),
    "another number of subjobs": SampleShare(PLAN, 1, 4, SHARE.samples),
    "other sample names": SampleShare(PLAN, 1, 3, {4: "y", 9: "x", 2: "z"}),
    "other sample numbers": SampleShare(PLAN, 1, 3, {5: "x", 9: "y", 2: "z"}),
    "fewer samples": SampleShare(PLAN, 1, 3, {4: "x", 9: "y"}),
}


@pytest.mark.parametrize("share", OTHER_SHARES.values(), ids=OTHER_SHARES.keys())
def test_the_file_of_another_subjob_is_rejected(tmp_path: Path, share: SampleShare) -> None:
    path = write_share(tmp_path / "counts.npz")
    with pytest.raises(SubjobError) as error:
        list(read_share(path, share, 2))
    assert is_a_known_message(str(error.value), "AppInternalError")


def test_a_file_with_other_regions_or_a_corrupt_file_is_rejected(tmp_path: Path) -> None:
    path = write_share(tmp_path / "counts.npz")
    with pytest.raises(SubjobError, match="are incomplete"):
        list(read_share(path, SHARE, 3))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SubjobError, match="cannot be read"):
        list(read_share(path, SHARE, 2))


# The log.


def test_the_log_shows_how_many_samples_are_done_and_the_time_left() -> None:
    now, lines = [0.0], list[str]()
    progress = Progress(dict.fromkeys(range(40), 1.0), lines.append, lambda: now[0])
    for number in range(40):
        now[0] += 3
        progress.done(number, failed=number in (5, 6))
    assert lines[0] == "4 of 40 samples done, about 2 min left"
    assert lines[1].startswith("8 of 40 samples done, 2 failed, about ")
    assert lines[-1] == "40 of 40 samples done, 2 failed, in 2 min"
    assert len(lines) == 10


def test_a_slow_cohort_logs_a_line_every_minute() -> None:
    now, lines = [0.0], list[str]()
    progress = Progress(dict.fromkeys(range(1000), 1.0), lines.append, lambda: now[0])
    for number in range(10):
        now[0] += 30
        progress.done(number, failed=False)
    assert [line.split()[0] for line in lines] == ["2", "4", "6", "8", "10"]
    assert lines[0].endswith("about 8.3 h left")


# The request.


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"on_failed_sample": "ignore"}, "on_failed_sample: 'ignore' is not a valid value"),
        ({"subjobs": 501}, "subjobs: must be from 0"),
        ({"windows": -1}, "windows:"),
        ({"counts_from": "index", "windows": 5}, "counts_from: 'index' cannot be combined"),
        ({"output_prefix": "a/b"}, "output_prefix:"),
    ],
)
def test_an_invalid_value_is_rejected(inputs: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        CohortRequest(**inputs)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert is_a_known_message(str(error.value), "AppError")


def test_counts_from_the_index_can_be_combined_with_subjobs() -> None:
    assert CohortRequest(counts_from="index", subjobs=4).of_sample.from_index
