"""Pairing of mappings with indexes by name, checks of names, sample sheets, the samples table."""

import pytest

from messages import is_a_known_message
from readcount.cohort.samples import Sample, SampleFile, check_names, pair_by_name
from readcount.cohort.samples_table import SampleRow, format_samples_table, note_on_sm
from readcount.cohort.sheets import format_sheet, parse_sheet
from readcount.errors import MESSAGE_LENGTH, InputError
from readcount.request.request import Link

PROJECT = "project-" + "P" * 24


def file_id(letter: str) -> str:
    return "file-" + letter * 24


def link(letter: str, project: str | None = PROJECT) -> Link:
    target = {"project": project, "id": file_id(letter)} if project else file_id(letter)
    return {"$dnanexus_link": target}


def files(*paths: str) -> list[SampleFile]:
    split = [path.rpartition("/") for path in paths]
    return [
        SampleFile({"$dnanexus_link": path}, name, f"/{folder}")
        for path, (folder, _, name) in zip(paths, split, strict=True)
    ]


def paired(mappings: list[SampleFile], indexes: list[SampleFile]) -> dict[str, str]:
    return {sample.mappings.path: sample.index.path for sample in pair_by_name(mappings, indexes)}


def pairing_error(mappings: list[SampleFile], indexes: list[SampleFile]) -> InputError:
    with pytest.raises(InputError) as error:
        check_names(pair_by_name(mappings, indexes), {})
    assert is_a_known_message(str(error.value), "AppError"), error.value
    assert len(str(error.value)) <= MESSAGE_LENGTH
    return error.value


@pytest.mark.parametrize(
    ("mappings", "index"),
    [
        ("x.bam", "x.bam.bai"),
        ("x.bam", "x.bai"),
        ("x.bam", "x.bam.csi"),
        ("x.bam", "x.csi"),
        ("x.bam", "x.bam.bai.gz"),
        ("x.cram", "x.cram.crai"),
        ("x.cram", "x.crai"),
        ("no_ending", "no_ending.bai"),
        ("no_ending", "no_ending.crai"),
    ],
)
def test_an_index_is_paired_with_the_file_of_the_same_name(mappings: str, index: str) -> None:
    assert paired(files(mappings), files("other.bam.bai", index, "x.bam.bai.old")) == {
        f"/{mappings}": f"/{index}"
    }


@pytest.mark.parametrize(
    ("mappings", "index"), [("x.bam", "x.crai"), ("x.cram", "x.bai"), ("x.cram", "x.cram.csi")]
)
def test_an_index_for_another_format_is_not_paired(mappings: str, index: str) -> None:
    assert "no index" in pairing_error(files(mappings), files(index)).details


def test_the_order_of_the_files_does_not_matter() -> None:
    names = [f"s{number}" for number in range(20)]
    mappings = files(*(f"{name}.bam" for name in names))
    indexes = files(*(f"{name}.bam.bai" for name in reversed(names)))
    assert paired(mappings, indexes) == {f"/{name}.bam": f"/{name}.bam.bai" for name in names}
    assert [sample.name for sample in pair_by_name(mappings, indexes)] == names


def test_an_index_in_the_same_folder_is_preferred() -> None:
    mappings, indexes = files("a/x.bam"), files("b/x.bam.bai", "a/x.bai")
    assert paired(mappings, indexes) == {"/a/x.bam": "/a/x.bai"}
    assert paired(mappings, indexes[:1]) == {"/a/x.bam": "/b/x.bam.bai"}


def test_the_error_about_missing_indexes_lists_all_files_without_one() -> None:
    names = [f"s{number}.bam" for number in range(9)]
    error = pairing_error(files(*names), files("s3.bam.bai"))
    assert "/s0.bam, /s1.bam, /s2.bam and 5 more" in str(error)
    assert error.details.splitlines() == [f"no index: /{name}" for name in names if "3" not in name]


def test_two_matching_indexes_are_rejected() -> None:
    error = pairing_error(files("x.bam", "y.bam"), files("x.bai", "x.bam.bai"))
    assert "/x.bam has more than one index: /x.bam.bai and /x.bai" in str(error)
    assert "there is no index of /y.bam" in str(error)
    # Indexes of the same name in two other folders.
    assert "more than one" in pairing_error(files("x.bam"), files("a/x.bai", "b/x.bai")).details


def test_a_duplicate_sample_name_is_rejected_with_the_names_of_both_files() -> None:
    error = pairing_error(files("a/x.bam", "b/x.bam"), files("a/x.bai", "b/x.bai"))
    assert "'x': /a/x.bam and /b/x.bam" in str(error)
    error = pairing_error(files("x.bam", "x.cram"), files("x.bai", "x.crai"))
    assert "'x': /x.bam and /x.cram" in str(error)


def test_a_sample_name_that_is_already_in_a_count_table_is_rejected() -> None:
    samples = pair_by_name(files("x.bam"), files("x.bai"))
    check_names(samples, {"t.tsv": ["y"]})
    with pytest.raises(InputError, match=r"'x': /x\.bam and t\.tsv"):
        check_names(samples, {"t.tsv": ["y", "x"]})


def test_the_same_file_for_two_samples_is_rejected() -> None:
    (one,), (index,) = files("x.bam"), files("x.bai")
    with pytest.raises(InputError, match=r"samples 'a' and 'b' have the same file") as error:
        check_names([Sample("a", one, index), Sample("b", one, index)], {})
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("name", ["region", "records", "", " x", "a\tb", "a\nb"])
def test_a_sample_name_that_is_not_a_valid_column_name_is_rejected(name: str) -> None:
    (one,), (index,) = files("x.bam"), files("x.bai")
    with pytest.raises(InputError, match="cannot be the name of a column") as error:
        check_names([Sample(name, one, index)], {})
    assert is_a_known_message(str(error.value), "AppError")


def test_a_file_that_cannot_be_described_still_becomes_a_sample() -> None:
    missing = SampleFile(link("G"), file_id("G"), fault="mappings: file-G cannot be found.")
    (sample,) = pair_by_name([missing], [])
    assert (sample.name, sample.fault) == (file_id("G"), missing.fault)


SHEETS = {
    "documented columns": "sample\tmappings\tindex\nx\t{a}\t{b}\n",
    "columns in another order and an extra one": "index\tsex\tmappings\tsample\n{b}\tXX\t{a}\tx\n",
    "comma-separated": "sample,mappings,index\nx,{a},{b}\n",
    "Windows line endings and BOM": "\ufeffsample\tmappings\tindex\r\nx\t{a}\t{b}\r\n\r\n",
    "dx generate_batch_inputs": (
        "batch ID\tmappings_sorted_bai\tmappings_sorted_bam\tmappings_sorted_bai ID"
        "\tmappings_sorted_bam ID\nx\tx.bam.bai\tx.bam\t{b}\t{a}\n"
    ),
    "dx generate_batch_inputs for other inputs": (
        "batch ID\tmy_bam\tother\tmy_bam ID\tother ID\nx\tx.bam\tx.bai\t{a}\t{b}\n"
    ),
}


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS.keys())
@pytest.mark.parametrize("project", [PROJECT, None])
def test_a_sheet_has_one_sample_per_line(sheet: str, project: str | None) -> None:
    prefix = f"{project}:" if project else ""
    text = sheet.format(a=prefix + file_id("A"), b=prefix + file_id("B"))
    (row,) = parse_sheet(text.encode(), "s.tsv")
    assert (row.sample, row.mappings, row.index) == ("x", link("A", project), link("B", project))


WRONG_SHEETS = {
    "no columns": ("", "must have the columns sample, mappings and index"),
    "other columns": ("sample\tbam\tbai\n", "It has: sample, bam, bai."),
    "no ID": ("sample\tmappings\tindex\nx\tx.bam\tx.bai\n", "line 2: mappings must be the ID of a"),
    "no index": (f"sample\tmappings\tindex\nx\t{file_id('A')}\t\n", "line 2: index must be the ID"),
    "a short line": ("sample\tmappings\tindex\nx\n", "line 2: has 1 columns, but the header has 3"),
    "not a text file": ("\0\1\2", "is not a text file"),
    "no column with indexes": (
        "batch ID\ta\tb\ta ID\tb ID\nx\tx.bam\ty.bam\tfile-1\tfile-2\n",
        "one of the columns a and b must have the names of indexes",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG_SHEETS.values(), ids=WRONG_SHEETS.keys())
def test_an_invalid_sheet_is_rejected_with_the_line_number(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_sheet(text.encode(), "s.tsv")
    assert message in str(error.value)
    assert is_a_known_message(str(error.value), "AppError"), error.value


def test_the_sheet_of_failed_samples_can_be_used_as_input() -> None:
    sample = Sample("x", SampleFile(link("A"), "x.bam"), SampleFile(link("B", None), "x.bai"))
    (row,) = parse_sheet(format_sheet([sample]).encode(), "s.tsv")
    assert (row.sample, row.mappings, row.index) == ("x", link("A"), link("B", None))
    assert parse_sheet(format_sheet([]).encode(), "s.tsv") == []


def test_the_samples_table_has_a_row_per_sample_and_extra_columns() -> None:
    rows = [
        SampleRow("a", "counted", "", "a.bam", "A", 12, 3),
        SampleRow("b", "failed", "two\tparts\nof a message", "b.bam"),
    ]
    assert format_samples_table(rows, {"spread": [0.25, None]}) == (
        "sample\tstatus\tmessage\tfile\tsm\trecords\tunplaced\tspread\n"
        "a\tcounted\t\ta.bam\tA\t12\t3\t0.25\n"
        "b\tfailed\ttwo parts of a message\tb.bam\t\t\t\t\n"
    )


def test_a_different_sample_name_in_the_read_groups_is_noted() -> None:
    assert note_on_sm("x", ["x"]) == note_on_sm("x", []) == ""
    assert "another sample name (SM): NA12878" in note_on_sm("x", ["NA12878"])
    assert "2 samples (SM): x, y" in note_on_sm("x", ["x", "y"])
