"""Columns of counts, the matrices written from them, and columns read from count tables."""

import gzip
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest

from messages import is_a_known_message
from readcount.cohort import columns
from readcount.cohort.columns import ColumnStore
from readcount.cohort.matrix import REGION_HEADING, write_depth_matrix, write_matrix
from readcount.cohort.rows import Rows
from readcount.cohort.tables import Table, open_table, read_table, regions_of
from readcount.columns import Ints
from readcount.counting.pool import Workers, start_workers
from readcount.errors import InputError
from readcount.formats.bgzf import END_OF_FILE
from readcount.regions.region import UNPLACED, Region
from readcount.regions.region_list import RegionList
from readcount.request.filters import OPTIONS_DETAIL, Filters
from readcount.source.sequences import SequenceDictionary

LENGTHS = {"chr1": 1000, "chr10": 700, "chr2": 500}
REGIONS = RegionList.of(
    SequenceDictionary(LENGTHS),
    [
        Region("chr2", 0, 100, name="b"),
        Region("chr1", 5, 50),
        Region("chr10"),
        Region("chr1", 0, 60, name="a\u00e9"),
        UNPLACED,
    ],
)
ROWS = Rows.of(REGIONS, LENGTHS)
# Around the maximum of each integer type.
LARGE = [0, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**62]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with start_workers(2) as workers:
        yield workers


def random_counts(rows: int, seed: int) -> Ints:
    rng = random.Random(seed)
    limit = rng.choice([10, 300, 70_000, 2**33])
    return np.array([rng.randrange(limit) for _ in range(rows)], np.int64)


def store_with(folder: Path, rows: int, samples: list[int]) -> ColumnStore:
    store = ColumnStore(folder / "columns", rows)
    for sample in samples:
        store.add(sample, random_counts(rows, sample))
    return store


def read(path: Path) -> list[list[str]]:
    text = gzip.decompress(path.read_bytes()).decode()
    assert text.endswith("\n")
    return [line.split("\t") for line in text[:-1].split("\n")]


@pytest.mark.parametrize("block", [1, 7, 50, 10_000])
def test_each_column_has_the_counts_of_its_sample(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """The samples are added in one order and written in another."""
    monkeypatch.setattr(columns, "BLOCK_COUNTS", block)
    samples = list(range(9))
    random.Random(1).shuffle(samples)
    store = store_with(tmp_path, 23, samples)
    names = {number: f"s{number}" for number in (4, 0, 8, 2)}
    path = tmp_path / "m.tsv.gz"
    row_names = [f"row{number}" for number in range(23)]
    sums = write_matrix(path, "row", row_names, None, names, store, workers)
    heading, *lines = read(path)
    assert heading == ["row", "s4", "s0", "s8", "s2"]
    for at, number in enumerate(names, start=1):
        assert [int(line[at]) for line in lines] == random_counts(23, number).tolist()
        assert sums[at - 1] == random_counts(23, number).sum()
    assert [line[0] for line in lines] == row_names
    assert path.read_bytes().endswith(END_OF_FILE)
    assert path.read_bytes().count(END_OF_FILE) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["columns", "m.tsv.gz"]


WRITE_MANY = """
import resource, sys
from pathlib import Path
import numpy as np
from readcount.cohort.columns import ColumnStore
from readcount.cohort.matrix import write_matrix
from readcount.counting.pool import start_workers

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with start_workers(2) as workers:
    store = ColumnStore(Path("columns"), 5)
    for number in range(1000):
        store.add(number, np.arange(5) * number)
    names = {number: f"s{number}" for number in range(1000)}
    rows = map(str, range(5))
    sums = write_matrix(Path("m.tsv.gz"), "row", rows, None, names, store, workers)
assert sums.tolist() == [10 * number for number in range(1000)]
"""


def test_a_thousand_samples_need_few_open_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITE_MANY], cwd=tmp_path, check=True)
    assert [line[-1] for line in read(tmp_path / "m.tsv.gz")] == [
        *("s999", "0", "999", "1998", "2997", "3996")
    ]


def test_counts_of_any_size_are_stored_exactly(tmp_path: Path) -> None:
    for large in LARGE:
        store = ColumnStore(tmp_path / f"{large}", 2)
        store.add(0, np.array([large, 0]))
        store.add(1, np.array([1, large]))
        assert store.column(0).tolist() == [large, 0]
        assert store.block([1, 0], slice(0, 2)).tolist() == [[1, large], [large, 0]]


@pytest.mark.parametrize("counts", [[1], [1, 2, 3], [1, -1]])
def test_a_column_must_have_one_valid_count_per_row(tmp_path: Path, counts: list[int]) -> None:
    store = ColumnStore(tmp_path / "columns", 2)
    with pytest.raises(ValueError, match="sample 5"):
        store.add(5, np.array(counts))


def test_a_sample_can_have_only_one_column(tmp_path: Path) -> None:
    store = store_with(tmp_path, 3, [1, 2])
    with pytest.raises(ValueError, match="sample 2 has two columns"):
        store.add(2, random_counts(3, 2))
    with pytest.raises(ValueError, match="sample 1 has two columns"):
        store.open_for([3, 1])


def test_blocks_of_rows_are_small_and_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "BLOCK_COUNTS", 8)
    store = store_with(tmp_path, 11, [0, 1, 2])
    blocks = list(store.blocks([2, 0]))
    assert max(block.size for _, block in blocks) <= 8
    joined = np.concatenate([block for _, block in blocks])
    assert joined.tolist() == np.column_stack([random_counts(11, 2), random_counts(11, 0)]).tolist()
    assert [rows.start for rows, _ in blocks] == [0, 4, 8]


def test_rows_are_formatted_as_in_the_count_table() -> None:
    assert list(ROWS.texts()) == [
        "b\tchr2\t0\t100\t100",
        "chr1:6-50\tchr1\t5\t50\t45",
        "chr10\tchr10\t0\t700\t700",
        "a\u00e9\tchr1\t0\t60\t60",
        "*\t*\t0\t0\t0",
    ]


def test_the_depth_matrix_is_sorted_and_can_be_read_with_tabix(
    tmp_path: Path, workers: Workers
) -> None:
    store = store_with(tmp_path, len(ROWS), [0, 1])
    path = tmp_path / "cohort.rd.txt.gz"
    index = write_depth_matrix(path, ROWS, {1: "one", 0: "zero"}, store, workers)
    assert index.name == "cohort.rd.txt.gz.tbi"
    heading, *lines = read(path)
    assert heading == ["#Chr", "Start", "End", "one", "zero"]
    # In header order, without the row of unplaced records.
    assert [line[:3] for line in lines] == [
        ["chr1", "0", "60"],
        ["chr1", "5", "50"],
        ["chr10", "0", "700"],
        ["chr2", "0", "100"],
    ]
    for line, row in zip(lines, [3, 1, 2, 0], strict=True):
        assert list(map(int, line[3:])) == [random_counts(5, 1)[row], random_counts(5, 0)[row]]
    with pysam.TabixFile(str(path)) as table:
        assert list(table.header) == ["#Chr\tStart\tEnd\tone\tzero"]
        assert [line.split("\t")[:3] for line in table.fetch("chr1", 55, 58)] == [
            ["chr1", "0", "60"]
        ]


def test_a_sequence_too_long_for_tbi_gets_a_csi_index(tmp_path: Path, workers: Workers) -> None:
    lengths = {"chr1": 600_000_000}
    rows = Rows.of(RegionList.of_whole(lengths), lengths)
    store = store_with(tmp_path, 1, [0])
    assert write_depth_matrix(tmp_path / "m.gz", rows, {0: "x"}, store, workers).suffix == ".csi"


# Existing count tables.

TABLE = "region\tcontig\tstart\tend\tlength\trecords\n" + "".join(
    f"{text}\t{10 * number}\n" for number, text in enumerate(ROWS.texts())
)


def table_of(
    tmp_path: Path,
    text: str,
    name: str = "x_count.tsv",
    details: object = None,
    filters: Filters | None = None,
) -> Table:
    path = tmp_path / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return open_table(path, name, details, filters or Filters())


def test_a_count_table_becomes_a_column(tmp_path: Path) -> None:
    table = table_of(tmp_path, TABLE)
    assert table.samples == ["x"]
    store = ColumnStore(tmp_path / "columns", len(ROWS))
    assert read_table(table, ROWS, store, [7]).tolist() == [100]
    assert store.column(7).tolist() == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_a_matrix_is_read_back_into_the_same_columns(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(columns, "BLOCK_COUNTS", block)
    monkeypatch.setattr("readcount.cohort.tables.BLOCK_COUNTS", block)
    before = store_with(tmp_path, len(ROWS), [0, 1, 2])
    path = tmp_path / "c_counts.tsv.gz"
    names = {1: "one", 2: "two", 0: "zero"}
    write_matrix(path, REGION_HEADING, ROWS.texts(), None, names, before, workers)
    table = open_table(path, path.name, None, Filters())
    assert list(table.samples) == ["one", "two", "zero"]
    after = ColumnStore(tmp_path / "again", len(ROWS))
    after.add(0, random_counts(len(ROWS), 5))
    assert read_table(table, ROWS, after, [11, 12, 10]).tolist() == [
        random_counts(len(ROWS), number).sum() for number in names
    ]
    for number in names:
        assert after.column(10 + number).tolist() == before.column(number).tolist()
    assert after.column(0).tolist() == random_counts(len(ROWS), 5).tolist()
    regions, sequences = regions_of(table)
    assert list(Rows.of(regions, sequences.lengths).texts()) == list(ROWS.texts())


def test_a_row_of_a_table_is_a_whole_sequence_if_it_has_its_name_and_length(tmp_path: Path) -> None:
    """An interval may have the name of its sequence."""
    heading = TABLE.partition("\n")[0] + "\n"
    rows = ["a\ta\t0\t90\t90\t1\n", "b\tb\t5\t9\t4\t1\n", "b:1-8\tb\t0\t8\t8\t1\n"]
    text = heading + "".join([*rows, "*\t*\t0\t0\t0\t1\n"])
    regions, sequences = regions_of(table_of(tmp_path, text))
    assert list(regions) == [
        Region("a", name="a"),
        Region("b", 5, 9, name="b"),
        Region("b", 0, 8, name="b:1-8"),
        replace(UNPLACED, name="*"),
    ]
    assert sequences.lengths == {"a": 90, "b": 9}
    assert list(regions_of(table_of(tmp_path, heading))[0]) == []


def test_filters_are_compared_with_the_details_of_the_table(tmp_path: Path) -> None:
    quality = Filters(min_mapping_quality=20)
    details = {OPTIONS_DETAIL: ["-q", "20"]}
    assert table_of(tmp_path, TABLE, details=details, filters=quality).note == ""
    assert "does not say which filters" in table_of(tmp_path, TABLE, filters=quality).note
    with pytest.raises(InputError, match=r"other filters \(samtools view -q 20\) than .* \(none\)"):
        table_of(tmp_path, TABLE, details=details)


def test_a_table_of_counts_from_the_index_has_no_filters(tmp_path: Path) -> None:
    text = TABLE.replace("\n", "\tindex\n").replace("records\tindex", "records\tcounts_from")
    table = table_of(tmp_path, text)
    assert table.note == ""
    store = ColumnStore(tmp_path / "columns", len(ROWS))
    assert read_table(table, ROWS, store, [0]).tolist() == [100]
    with pytest.raises(InputError, match="other filters"):
        table_of(tmp_path, text, filters=Filters(exclude_flags=4))


WRONG_TABLES = {
    "other columns": ("a\tb\n", "is not a table of counts"),
    "no samples": (REGION_HEADING + "\n", "is not a table of counts"),
    "an empty file": ("", "is not a table of counts"),
    "fewer regions": (TABLE[: TABLE.index("*")], r"has fewer regions than this job \(5\)"),
    "more regions": (TABLE + "x\tx\t0\t1\t1\t1\n", "has more regions than this job"),
    "a different region": (TABLE.replace("5\t50", "5\t51"), "line 3: has region"),
    "a different region name": (TABLE.replace("b\tchr2", "c\tchr2"), "line 2: has region"),
    "an extra column": (TABLE.replace("\t40\n", "\t40\t1\n"), "line 6: is not a row"),
    "not a number": (TABLE.replace("\t40\n", "\tmany\n"), "line 6: is not a row"),
    "a negative number": (TABLE.replace("\t40\n", "\t-40\n"), "has a negative count"),
    "no newline at the end": (TABLE[:-1], "is truncated or corrupt"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_TABLES.values(), ids=WRONG_TABLES.keys())
def test_an_invalid_or_mismatched_table_is_rejected(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        table = table_of(tmp_path, text)
        read_table(table, ROWS, ColumnStore(tmp_path / "columns", len(ROWS)), [0])
    assert is_a_known_message(str(error.value), "AppError"), error.value


def test_a_truncated_table_is_rejected(tmp_path: Path) -> None:
    table = table_of(tmp_path, TABLE, "x_count.tsv.gz")
    table.path.write_bytes(table.path.read_bytes()[:-9])
    with pytest.raises(InputError, match="is truncated or corrupt"):
        read_table(table, ROWS, ColumnStore(tmp_path / "columns", len(ROWS)), [0])
