"""Filters mean the same as in samtools; invalid ones are rejected before any file is read."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import is_a_known_message
from readcount.errors import MESSAGE_LENGTH, InputError
from readcount.request.filters import NO_FILTERS, Filters, make_filters
from readcount.samtools import parse_flags

# SAM specification, section 1.4.
FLAGS = {
    "PAIRED": 0x1,
    "PROPER_PAIR": 0x2,
    "UNMAP": 0x4,
    "MUNMAP": 0x8,
    "REVERSE": 0x10,
    "MREVERSE": 0x20,
    "READ1": 0x40,
    "READ2": 0x80,
    "SECONDARY": 0x100,
    "QCFAIL": 0x200,
    "DUP": 0x400,
    "SUPPLEMENTARY": 0x800,
}


def samtools_flags(text: str) -> int:
    """Returns the FLAG bits that `samtools flags` prints."""
    printed = subprocess.check_output(["samtools", "flags", text], text=True)
    return int(printed.split("\t")[0], 16)


@pytest.mark.parametrize(
    "text",
    [
        *FLAGS,
        "UNMAP,SECONDARY,SUPPLEMENTARY,DUP",
        "secondary,Supplementary",
        "0",
        "2308",
        "0x900",
        "0X9ff",
        "010",
        "4095",
    ],
)
def test_flags_are_parsed_as_by_samtools(text: str) -> None:
    assert parse_flags("require_flags", text) == samtools_flags(text)


@given(st.lists(st.sampled_from([*FLAGS]), min_size=1))
def test_flag_names_may_repeat_and_come_in_any_order(names: list[str]) -> None:
    flags = parse_flags("exclude_flags", ",".join(names))
    assert flags == sum({FLAGS[name] for name in names})


def test_blank_text_means_no_flags() -> None:
    assert parse_flags("require_flags", " ") == 0


@pytest.mark.parametrize(
    "text",
    [
        "UNMAPED",
        "UNMAP,,DUP",
        "UNMAP DUP",
        "4,8",
        "-4",
        "08",
        "0x",
        "1e3",
        "4.0",
        "65536",
        "ü",
        ",",
    ],
)
def test_an_invalid_flag_is_rejected_with_the_name_of_the_input(text: str) -> None:
    """In samtools 1.16, an unknown name silently means no filter."""
    with pytest.raises(InputError, match=r"^exclude_flags: ") as error:
        parse_flags("exclude_flags", text)
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("quality", [-1, 256, 10**20])
def test_an_invalid_mapping_quality_is_rejected(quality: int) -> None:
    with pytest.raises(InputError, match=rf"min_mapping_quality: {quality} is not") as error:
        make_filters(min_mapping_quality=quality)
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("name", ["", "a\tb", "ü", "a\n"])
def test_an_invalid_read_group_name_is_rejected(name: str) -> None:
    with pytest.raises(InputError, match=r"read_groups: .* is not a valid read") as error:
        make_filters(read_groups=["fine", name])
    assert is_a_known_message(str(error.value), "AppError")


def test_error_messages_stay_short_for_any_input() -> None:
    for inputs in ({"require_flags": "x" * 9999}, {"read_groups": ["\n" * 9999]}):
        with pytest.raises(InputError) as error:
            make_filters(**inputs)
        assert len(str(error.value)) <= MESSAGE_LENGTH


def test_default_inputs_mean_no_filters() -> None:
    assert make_filters() == make_filters(0, "0", "", []) == NO_FILTERS
    assert (NO_FILTERS.is_empty, NO_FILTERS.as_samtools()) == (True, [])


def test_filters_are_described_for_the_log() -> None:
    assert str(NO_FILTERS) == "all records"
    filters = Filters(20, 0x42, 0x9900, ("a", "b"))
    assert str(filters) == (
        "mapping quality 20 or more, with PROPER_PAIR,READ1, without SECONDARY,SUPPLEMENTARY,"
        "0x9000, read group a or b"
    )
