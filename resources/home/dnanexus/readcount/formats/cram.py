"""What a CRAM file and its index say about where the records are.

A CRAI has a line for each slice and reference sequence, but no numbers of records. Those are in
the headers of the containers that hold the slices (CRAM specification, CRAMv3.tex beside
SAMv1.tex: "Container header structure" and "Indexing"). Read without htslib and pysam, which show
neither.
"""

import gzip
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from readcount.formats.bam_index import INTERVAL, ContigIndex, IndexFormatError
from readcount.formats.bgzf import NO_REFERENCE
from readcount.formats.threads import Read, in_threads

# The file definition, before the first container.
DEFINITION_BYTES = 26
# The version whose containers have this layout. Version 2 has another one, and the first container
# that htslib writes of it is not always as long as its header says.
VERSION = 3
# More in a container are a sign that it is not one: by default htslib writes one slice.
MOST_SLICES = 100_000
# Sequence, start and span have 32 bits, offsets and sizes 64.
_INDEX_LINE = re.compile(r"(-?\d{1,10})\t(-?\d{1,10})\t(-?\d{1,10})" + r"\t(\d{1,19})" * 3)
# The header of a container with up to some 60 slices, and the longest: each number takes up to 5
# bytes.
HEADER_BYTES = 256
LONGEST_HEADER_BYTES = 5 * (MOST_SLICES + 20)
# About the size of a record.
BYTES_PER_RECORD = 90
# The reference sequence of a container that may hold records of several.
SEVERAL = -2


# Takes an offset and a number of bytes; returns a file at that offset, which has at least so many
# bytes there, unless it ends before.
HeaderAt = Callable[[int, int], BinaryIO]


class ContainerError(ValueError):
    """The containers of a CRAM file cannot be followed to its end."""


class VersionError(ContainerError):
    """A CRAM file is of a version whose containers are not read; the message is the version."""


class Container(NamedTuple):
    """A container of records.

    Attributes:
        offset: of its header in the file, in bytes.
        contig: number of the reference sequence, or NO_REFERENCE, or SEVERAL.
        records: how many it holds.
        start: position of its first record, from 1, if it holds records of one sequence.
        span: bases from there on.
    """

    offset: int
    contig: int
    records: int
    start: int = 0
    span: int = 0


class Slice(NamedTuple):
    """A line of a CRAI: what a slice holds of one reference sequence.

    Attributes:
        contig: number of the reference sequence, or NO_REFERENCE.
        start: position of its first record, from 1.
        span: bases from there on.
        container: offset of its container in the file, in bytes.
        offset: from the end of the container's header to the slice, in bytes.
        size: of the slice, in bytes.
    """

    contig: int
    start: int
    span: int
    container: int
    offset: int
    size: int


def read_containers(path: Path) -> list[Container]:
    """Returns the containers of a CRAM file; that of the header and the last one hold no record.

    Raises:
        VersionError: they are of another version.
        ContainerError: they cannot be followed to the end.
    """
    with path.open("rb") as file:
        definition = file.read(DEFINITION_BYTES)
        end = file.seek(0, os.SEEK_END)

        def header_at(at: int, size: int) -> BinaryIO:
            file.seek(at)
            return file

        return _follow(definition, end, header_at)


def read_containers_streamed(read: Read, end: int, likely: Sequence[int]) -> list[Container]:
    """Returns the containers of a CRAM file as read_containers does, raising the same.

    The header of a container says where the next one begins. So that this is not one request after
    the other, the headers at likely offsets are read first, many at a time.

    Args:
        read: of the file.
        end: size of the file in bytes.
        likely: offsets of containers, by the index.
    """
    headers = dict(zip(likely, _headers_at(read, likely), strict=True))

    return _follow(read(0, DEFINITION_BYTES), end, partial(_header_at, read, headers))


def read_containers_at(read: Read, offsets: Sequence[int]) -> list[Container]:
    """Returns the containers at these offsets; raises ContainerError where there is none."""
    headers = dict(zip(offsets, _headers_at(read, offsets), strict=True))
    return [_container_at(partial(_header_at, read, headers), at)[0] for at in offsets]


def _headers_at(read: Read, offsets: Sequence[int]) -> Iterator[bytes]:
    return in_threads(lambda at: read(at, HEADER_BYTES), offsets)


def _header_at(read: Read, headers: Mapping[int, bytes], at: int, size: int) -> BinaryIO:
    """Returns the header that has been read, or else up to so many bytes of it."""
    known = headers.get(at) if size == HEADER_BYTES else None
    return BytesIO(known or read(at, size))


def _follow(definition: bytes, end: int, header_at: HeaderAt) -> list[Container]:
    if len(definition) < DEFINITION_BYTES:
        raise ContainerError("it is too short")
    if definition[4] != VERSION:
        raise VersionError(f"{definition[4]}.{definition[5]}")
    containers = []
    at = DEFINITION_BYTES
    while at < end:
        container, size = _container_at(header_at, at)
        containers.append(container)
        at += size
    if at != end:
        raise ContainerError("its last container is truncated")
    return containers


def _container_at(header_at: HeaderAt, at: int) -> tuple[Container, int]:
    """Reads the header of a container; returns it, and how many bytes the container has.

    Raises:
        ContainerError: there is none, or it is corrupt.
    """
    for size in (HEADER_BYTES, LONGEST_HEADER_BYTES):
        file = header_at(at, size)
        begin = file.tell()
        try:
            container, length = _read_container(file, at)
        except EOFError:
            continue
        return container, file.tell() - begin + length
    raise ContainerError(f"no container begins at byte {at}")


def _read_container(file: BinaryIO, at: int) -> tuple[Container, int]:
    """Reads the header of a container; returns it, and how many bytes follow.

    Raises:
        EOFError: there is none, or it is corrupt.
    """
    begin = file.tell()
    length = int.from_bytes(_read(file, 4), "little", signed=True)
    contig, start, span, records = (_read_itf8(file) for _ in range(4))
    # The number of the first record, and how many bases and blocks there are.
    _skip_ltf8(file)
    _skip_ltf8(file)
    _read_itf8(file)
    slices = _read_itf8(file)
    if length < 0 or records < 0 or not 0 <= slices <= MOST_SLICES:
        raise EOFError
    for _ in range(slices):
        _read_itf8(file)
    size = file.tell() - begin
    checksum = int.from_bytes(_read(file, 4), "little")
    file.seek(begin)
    if zlib.crc32(_read(file, size)) != checksum:
        raise EOFError
    file.seek(4, os.SEEK_CUR)
    return Container(at, contig, records, start, span), length


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _read_itf8(file: BinaryIO) -> int:
    """Reads a signed number of 32 bits: its first byte begins with a 1 for each further byte."""
    first = _read(file, 1)
    more = min(4, _leading_ones(first))
    data = first + _read(file, more)
    if more == 4:
        # Only the lower half of the last byte is used.
        value = (int.from_bytes(data[:4], "big") << 4 | data[4] & 0xF) & 0xFFFFFFFF
    else:
        value = int.from_bytes(data, "big") & ((1 << 7 * (1 + more)) - 1)
    return value - (1 << 32) if value >> 31 else value


def _skip_ltf8(file: BinaryIO) -> None:
    """Skips a number of 64 bits, which has the same form as those of 32."""
    _read(file, _leading_ones(_read(file, 1)))


def _leading_ones(byte: bytes) -> int:
    return 8 - (byte[0] ^ 0xFF).bit_length()


def read_crai(path: Path) -> list[Slice]:
    """Returns the lines of a CRAI, which may be compressed or not.

    Raises:
        IndexFormatError: it is not a CRAI, or is damaged.
    """
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


def guess_containers(slices: Iterable[Slice]) -> list[Container]:
    """Returns the containers that an index lists, with the records that they may hold.

    Only one thing is certain: a sequence in none of them is not in the index.
    """
    sizes: dict[int, int] = defaultdict(int)
    for part in slices:
        sizes[part.container] = max(sizes[part.container], part.offset + part.size)
    return [
        Container(offset, SEVERAL, 1 + size // BYTES_PER_RECORD)
        for offset, size in sorted(sizes.items())
    ]


def cram_index(
    slices: Iterable[Slice], containers: Iterable[Container], contigs: int
) -> list[ContigIndex]:
    """Returns what is known of each reference sequence, in header order.

    The number of records of a sequence is certain only where no container holds it and others.

    Raises:
        IndexFormatError: the index does not list the containers of the file.
    """
    by_container: dict[int, list[Slice]] = defaultdict(list)
    by_contig: dict[int, list[Slice]] = defaultdict(list)
    for part in slices:
        by_container[part.container].append(part)
        by_contig[part.contig].append(part)

    certain: dict[int, int] = defaultdict(int)
    shared: dict[int, float] = defaultdict(float)
    for container in containers:
        parts = by_container.pop(container.offset, [])
        listed = {part.contig for part in parts}
        if container.records == 0:
            as_in_file = not listed
        elif container.contig == SEVERAL:
            as_in_file = bool(listed)
            for contig in listed:
                shared[contig] += container.records / len(listed)
        else:
            as_in_file = listed == {container.contig} and _cover(parts, container)
            certain[container.contig] += container.records
        if not as_in_file:
            raise IndexFormatError(f"it does not have what the file has at byte {container.offset}")
    if by_container:
        raise IndexFormatError(f"the file has no container at byte {min(by_container)}")
    if not by_contig.keys() <= set(range(NO_REFERENCE, contigs)):
        raise IndexFormatError("it has more reference sequences")

    return [
        ContigIndex(
            records=None if contig in shared else certain[contig],
            offsets=_offsets(sorted(by_contig[contig])),
            reach=_reach(by_contig[contig]),
            expected=certain[contig] + shared[contig],
        )
        for contig in range(contigs)
    ]


def _cover(slices: Sequence[Slice], container: Container) -> bool:
    """Whether slices reach from the first to the last position of a container of one sequence.

    By a line with another position or span, samtools would not find the records.
    """
    start = min(part.start for part in slices)
    end = max(part.start + part.span for part in slices)
    return container.contig == NO_REFERENCE or (
        start <= container.start and end >= container.start + container.span
    )


def out_of_order(slices: Iterable[Slice]) -> int | None:
    """Returns the first reference sequence whose lines are not in file order; None if all are.

    htslib looks slices up as if they were, and silently skips some if not.
    """
    last: dict[int, tuple[int, int]] = {}
    for part in slices:
        offset = part.container, part.offset
        if offset <= last.get(part.contig, (-1, -1)):
            return part.contig
        last[part.contig] = offset
    return None


def scatters_unplaced(slices: Iterable[Slice], containers: Iterable[Container]) -> bool:
    """Whether a container that may hold several sequences holds unplaced records.

    samtools 1.16 does not find all of these if there are others, in containers of their own.
    """
    several = {container.offset for container in containers if container.contig == SEVERAL}
    return any(part.contig == NO_REFERENCE and part.container in several for part in slices)


def _reach(slices: Iterable[Slice]) -> int:
    """Returns a position, 0-based, that no record of a sequence reaches, by an INTERVAL or more."""
    last = max((part.start - 1 + part.span for part in slices), default=0)
    return (max(0, last) // INTERVAL + 2) * INTERVAL


def _offsets(slices: Sequence[Slice]) -> tuple[int, ...]:
    """Returns the file offsets at which each INTERVAL begins, and the sequence ends."""
    offsets: list[int] = []
    for part in slices:
        last = max(0, part.start - 2 + part.span) // INTERVAL
        offsets += [part.container + part.offset] * (last + 1 - len(offsets))
    if not offsets:
        return ()
    end = slices[-1]
    return (*offsets, end.container + end.offset + end.size)
