"""What a CRAM file and its index say about where the records are.

A CRAI has a line for each slice and reference sequence, but no numbers of records. Those are in
the headers of the containers that hold the slices (CRAM specification, CRAMv3.tex beside
SAMv1.tex: "Container header structure" and "Indexing"). Read without htslib and pysam, which show
neither.
"""

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from readcount.formats.bam_index import IndexFormatError
from readcount.formats.bam_record import NO_REFERENCE

# The file definition, before the first container.
DEFINITION_BYTES = 26
# The version whose containers have this layout. Version 2 has another one, and the first container
# that htslib writes of it is not always as long as its header says.
VERSION = 3
# The container at the end of a file of version 3 ("End of file container").
END_OF_FILE = bytes.fromhex(
    "0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"
)
# Most slices of a container: more are a sign that it is not one. By default htslib writes one.
MAX_SLICES = 100_000
# Sequence, start and span have 32 bits, offsets and sizes 64.
_INDEX_LINE = re.compile(r"(-?\d{1,10})\t(-?\d{1,10})\t(-?\d{1,10})" + r"\t(\d{1,19})" * 3)
# The header of a container with up to some 60 slices, and the longest: each number takes up to 5
# bytes.
CONTAINER_HEADER_BYTES = 256
MAX_CONTAINER_HEADER_BYTES = 5 * (MAX_SLICES + 20)
# The reference sequence of a container that may hold records of several.
SEVERAL = -2

# Returns up to a number of bytes from an offset of the file on.
Read = Callable[[int, int], bytes]


class ContainerError(ValueError):
    """The containers of a CRAM file cannot be followed."""


class VersionError(ContainerError):
    """A CRAM file is of a version whose containers are not read; the message is the version."""


class Container(NamedTuple):
    """A container, by its header.

    Attributes:
        offset: of its header in the file, in bytes.
        size: in bytes, with its header.
        tid: number of the reference sequence, or NO_REFERENCE, or SEVERAL.
        records: how many it holds.
        start: position of its first record, 1-based, if it holds records of one sequence.
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
        """The offset of what follows."""
        return self.offset + self.size


class Slice(NamedTuple):
    """A line of a CRAI: what a slice holds of one reference sequence.

    Attributes:
        tid: number of the reference sequence, or NO_REFERENCE.
        start: position of its first record, 1-based.
        span: bases from there on.
        container: offset of its container in the file, in bytes.
        offset: from the end of the container's header to the slice, in bytes.
        size: of the slice, in bytes.
    """

    tid: int
    start: int
    span: int
    container: int
    offset: int
    size: int


def check_definition(definition: bytes) -> None:
    """Raises ContainerError, or VersionError, unless a file begins with these bytes."""
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
    """Returns the containers from one offset to another; raises ContainerError if others are."""
    containers = []
    at = begin
    while at < end:
        containers.append(container_at(read, at))
        at = containers[-1].end
    if at != end:
        raise ContainerError(f"no container begins at byte {end}")
    return containers


def _parse_container(data: bytes, offset: int) -> Container:
    """Parses the header of a container; raises IndexError if data ends before it does."""
    length = int.from_bytes(data[:4], "little", signed=True)
    at, numbers = 4, []
    for _ in range(4):
        number, at = parse_itf8(data, at)
        numbers.append(number)
    tid, start, span, records = numbers
    # The number of the first record, how many bases there are, and how many blocks.
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
    """Returns a signed number of 32 bits, and the offset after it; raises IndexError.

    Its first byte begins with a 1 for each further byte.
    """
    more = min(4, _leading_ones(data[at]))
    end = at + 1 + more
    if end > len(data):
        raise IndexError
    if more == 4:
        # Only the lower half of the last byte is used.
        value = (int.from_bytes(data[at : at + 4], "big") << 4 | data[at + 4] & 0xF) & 0xFFFFFFFF
    else:
        value = int.from_bytes(data[at:end], "big") & ((1 << 7 * (1 + more)) - 1)
    return (value - (1 << 32) if value >> 31 else value), end


def _skip_number(data: bytes, at: int) -> int:
    """Returns the offset after a number of 32 or 64 bits, which have the same form."""
    return at + 1 + _leading_ones(data[at])


def _leading_ones(byte: int) -> int:
    return 8 - (byte ^ 0xFF).bit_length()


def read_crai(path: Path) -> list[Slice]:
    """Returns the lines of a CRAI, compressed or not; raises IndexFormatError if it is none."""
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("ascii")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise IndexFormatError("it cannot be read to its end") from error
    slices = []
    for line in text.splitlines():
        found = _INDEX_LINE.fullmatch(line)
        if not found:
            raise IndexFormatError("not every line has six numbers")
        slices.append(Slice(*map(int, found.groups())))
        if slices[-1].span < 0:
            raise IndexFormatError("a slice has a negative span")
    return slices


def by_container(slices: Iterable[Slice]) -> dict[int, list[Slice]]:
    """Returns the lines of a CRAI by the offset of their container, in the order of the file."""
    lines: dict[int, list[Slice]] = defaultdict(list)
    for line in slices:
        lines[line.container].append(line)
    return dict(sorted(lines.items()))


def check_listed(container: Container, lines: Sequence[Slice]) -> None:
    """Raises IndexFormatError if a container's header and its lines of the CRAI do not agree."""
    if container.records == 0:
        agree = not lines
    elif container.tid == SEVERAL:
        agree = len(lines) > 0
    else:
        agree = {line.tid for line in lines} == {container.tid} and (
            container.tid == NO_REFERENCE or _cover(lines, container)
        )
    if not agree:
        raise IndexFormatError(f"it does not have what the file has at byte {container.offset}")


def _cover(lines: Sequence[Slice], container: Container) -> bool:
    """Whether lines cover the first to the last position of a container of one sequence."""
    start = min(line.start for line in lines)
    end = max(line.start + line.span for line in lines)
    return start <= container.start and end >= container.start + container.span
