"""Parses CRAM container headers and CRAI indexes.

A CRAI has a line per slice and reference sequence, but no record counts. These are in the container
headers (CRAM specification, CRAMv3.tex in hts-specs: "Container header structure" and "Indexing").
Done without htslib and pysam, which expose neither.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from readcount.formats.bam_index import IndexFormatError
from readcount.formats.bam_record import NO_SEQUENCE, Read
from readcount.formats.bgzf import decompressed

# The file definition, before the first container.
DEFINITION_BYTES = 26
# The supported major version. Version 2 has another container layout, and the length in the header
# of the first container written by htslib is not always correct.
VERSION = 3
# The end-of-file container of version 3 ("End of file container").
END_OF_FILE = bytes.fromhex(
    "0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"
)
# Maximum number of slices per container; more indicate that it is not a container. By default
# htslib writes one.
MAX_SLICES = 100_000
# Reference ID, start and span have 32 bits, offsets and sizes 64.
_INDEX_LINE = re.compile(r"(-?\d{1,10})\t(-?\d{1,10})\t(-?\d{1,10})" + r"\t(\d{1,19})" * 3)
# Size of the header of a container with up to some 60 slices, and of the longest: each number takes
# up to 5 bytes.
CONTAINER_HEADER_BYTES = 256
MAX_CONTAINER_HEADER_BYTES = 5 * (MAX_SLICES + 20)
# Reference ID of a multi-reference container.
SEVERAL = -2


class ContainerError(ValueError):
    """The containers of a CRAM file cannot be parsed."""


class VersionError(ContainerError):
    """The version of a CRAM file is not supported; the message is the version."""


class Container(NamedTuple):
    """A container header.

    Attributes:
        offset: file offset of its header in bytes.
        size: size in bytes including the header.
        tid: reference ID, or NO_SEQUENCE, or SEVERAL.
        records: number of records.
        start: position of its first record, 1-based, unless it is a multi-reference container.
        span: bases from there on.
    """

    offset: int
    size: int
    tid: int
    records: int
    start: int = 0
    span: int = 0

    @property
    def end(self) -> int:
        """The offset after it."""
        return self.offset + self.size


class Slice(NamedTuple):
    """A line of a CRAI: the records of one reference sequence in a slice.

    Attributes:
        tid: reference ID, or NO_SEQUENCE.
        start: position of its first record, 1-based.
        span: bases from there on.
        container: file offset of its container in bytes.
        offset: distance of the slice from the end of the container's header, in bytes.
        size: size of the slice in bytes.
    """

    tid: int
    start: int
    span: int
    container: int
    offset: int
    size: int


def check_definition(definition: bytes) -> None:
    """Raises ContainerError or VersionError unless this is the file definition of a CRAM 3 file."""
    if len(definition) < DEFINITION_BYTES:
        raise ContainerError("it is too short")
    if definition[4] != VERSION:
        raise VersionError(f"{definition[4]}.{definition[5]}")


def container_at(read: Read, offset: int) -> Container:
    """Returns the container at an offset; raises ContainerError if there is none."""
    for size in (CONTAINER_HEADER_BYTES, MAX_CONTAINER_HEADER_BYTES):
        data = read(offset, size)
        try:
            return _parse_container(data, offset)
        except IndexError:
            if len(data) < size:
                break
    raise ContainerError(f"no container begins at byte {offset}")


def read_containers(read: Read, begin: int, end: int) -> list[Container]:
    """Returns the containers between two offsets; raises ContainerError if they do not fit."""
    containers = []
    at = begin
    while at < end:
        containers.append(container_at(read, at))
        at = containers[-1].end
    if at != end:
        raise ContainerError(f"no container begins at byte {end}")
    return containers


def _parse_container(data: bytes, offset: int) -> Container:
    """Parses a container header; raises IndexError if it is truncated."""
    length = int.from_bytes(data[:4], "little", signed=True)
    at, numbers = 4, []
    for _ in range(4):
        number, at = parse_itf8(data, at)
        numbers.append(number)
    tid, start, span, records = numbers
    # Record counter, number of bases, number of blocks.
    at = _skip_number(data, _skip_number(data, at))
    at = _skip_number(data, at)
    slices, at = parse_itf8(data, at)
    if length < 0 or records < 0 or not 0 <= slices <= MAX_SLICES:
        raise ContainerError(f"no container begins at byte {offset}")
    for _ in range(slices):
        at = _skip_number(data, at)
    if at + 4 > len(data):
        raise IndexError
    if zlib.crc32(data[:at]) != int.from_bytes(data[at : at + 4], "little"):
        raise ContainerError(f"no container begins at byte {offset}")
    return Container(offset, at + 4 + length, tid, records, start, span)


def parse_itf8(data: bytes, at: int) -> tuple[int, int]:
    """Parses an ITF8 integer; returns it and the offset after it; raises IndexError.

    The leading 1 bits of the first byte give the number of further bytes.
    """
    more = min(4, _leading_ones(data[at]))
    end = at + 1 + more
    if end > len(data):
        raise IndexError
    if more == 4:
        # Only the lower four bits of the last byte are used.
        value = (int.from_bytes(data[at : at + 4], "big") << 4 | data[at + 4] & 0xF) & 0xFFFFFFFF
    else:
        value = int.from_bytes(data[at:end], "big") & ((1 << 7 * (1 + more)) - 1)
    return (value - (1 << 32) if value >> 31 else value), end


def _skip_number(data: bytes, at: int) -> int:
    """Returns the offset after an ITF8 or LTF8 integer; both give their length in the same way."""
    return at + 1 + _leading_ones(data[at])


def _leading_ones(byte: int) -> int:
    return 8 - (byte ^ 0xFF).bit_length()


def read_crai(path: Path) -> dict[int, list[Slice]]:
    """Returns the lines of a CRAI, compressed or not, by container offset, in file order.

    Raises IndexFormatError.
    """
    data = path.read_bytes()
    try:
        text = decompressed(data).decode("ascii")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise IndexFormatError("it cannot be read to its end") from error
    lines: dict[int, list[Slice]] = defaultdict(list)
    for line in text.splitlines():
        found = _INDEX_LINE.fullmatch(line)
        if not found:
            raise IndexFormatError("not every line has six numbers")
        one = Slice(*map(int, found.groups()))
        if one.span < 0:
            raise IndexFormatError("a slice has a negative span")
        lines[one.container].append(one)
    return dict(sorted(lines.items()))


def check_listed(container: Container, lines: Sequence[Slice]) -> None:
    """Raises IndexFormatError if a container's header does not match its lines in the CRAI."""
    if container.records == 0:
        agree = not lines
    elif container.tid == SEVERAL:
        agree = len(lines) > 0
    else:
        agree = {line.tid for line in lines} == {container.tid} and (
            container.tid == NO_SEQUENCE or _cover(lines, container)
        )
    if not agree:
        raise IndexFormatError(f"it does not have what the file has at byte {container.offset}")


def _cover(lines: Sequence[Slice], container: Container) -> bool:
    """Whether lines cover all positions of a single-reference container."""
    start = min(line.start for line in lines)
    end = max(line.start + line.span for line in lines)
    return start <= container.start and end >= container.start + container.span
