"""Parsing of CRAM containers, CRAI files and ITF-8 numbers; invalid content is rejected."""

from pathlib import Path

import pytest

from readcount.formats.bam_index import IndexFormatError
from readcount.formats.cram import (
    DEFINITION_BYTES,
    ContainerError,
    check_definition,
    parse_itf8,
    read_containers,
    read_crai,
)


@pytest.mark.parametrize("content", [b"", b"CRAM", b"CRAM\3\0" + bytes(20) + b"\1", b"CRAM\7" * 9])
def test_content_that_is_not_cram_is_rejected(content: bytes) -> None:
    def read(start: int, size: int) -> bytes:
        return content[start : start + size]

    with pytest.raises(ContainerError):
        check_definition(read(0, DEFINITION_BYTES))
        read_containers(read, DEFINITION_BYTES, len(content))


@pytest.mark.parametrize("content", [b"x", b"0\t1\t2\t3\t4\n", b"\x1f\x8b\x08 cut", b"\xff\n"])
def test_content_that_is_not_crai_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.crai").write_bytes(content)
    with pytest.raises(IndexFormatError):
        read_crai(tmp_path / "x.crai")


@pytest.mark.parametrize(
    ("data", "number"),
    [
        ("00", 0),
        ("7f", 127),
        ("8080", 128),
        ("bfff", 16383),
        ("c04000", 16384),
        ("e0200000", 1 << 21),
        ("f100000000", 1 << 28),
        ("f7ffffff0f", 2**31 - 1),
        ("ffffffff0f", -1),
        ("fffffffffe", -2),
    ],
)
def test_itf8_numbers_are_parsed_as_specified(data: str, number: int) -> None:
    assert parse_itf8(b"x" + bytes.fromhex(data), 1) == (number, 1 + len(data) // 2)
    for end in range(len(data) // 2):
        with pytest.raises(IndexError):
            parse_itf8(bytes.fromhex(data)[:end], 0)
