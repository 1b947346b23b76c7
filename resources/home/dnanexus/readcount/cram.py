"""What a CRAM file and its index say about where the records are, read without htslib.

A .crai has a line for each slice and reference sequence, but no numbers of records. Those are in
the headers of the containers that hold the slices, which are read here one after the other,
without the index (CRAM specification, CRAMv3.tex beside SAMv1.tex: "Container header structure"
and "Indexing"). Nothing here decides a count: that is samtools' part.
"""

import gzip
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from readcount.index import INTERVAL, NO_PLACE, ContigIndex, IndexFormatError

# The file definition, before the first container.
DEFINITION_BYTES = 26
# The version whose containers are laid out as below. Those of version 2 are not, and in what htslib
# writes of it the first one is not always as long as it says.
VERSION = 3
# More in a container are a sign that it is none: htslib writes one slice unless told otherwise.
MOST_SLICES = 100_000
# Sequence, start and span have 32 bits, and what is in bytes has 64.
_INDEX_LINE = re.compile(r"(-?\d{1,10})\t(-?\d{1,10})\t(-?\d{1,10})" + r"\t(\d{1,19})" * 3)
# The header of a container with up to some 30 slices, and how many are read at a time in place.
HEADER_BYTES = 256
READERS = 32
# What a record takes up, give or take.
BYTES_PER_RECORD = 90
# Stands for the numbers of several reference sequences, as NO_PLACE does for that of none.
SEVERAL = -2


class ContainerError(ValueError):
    """The containers of a CRAM file cannot be followed to its end."""


class Container(NamedTuple):
    """A container of records.

    Attributes:
        offset: where it begins in the file, in bytes.
        contig: number of the reference sequence, or NO_PLACE, or SEVERAL.
        records: how many it holds.
    """

    offset: int
    contig: int
    records: int


class Slice(NamedTuple):
    """A line of a .crai: what a slice holds of one reference sequence.

    Attributes:
        contig: number of the reference sequence, or NO_PLACE.
        start: position of its first record, from 1.
        span: bases from there on.
        container: where its container begins in the file, in bytes.
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
    """Gives the containers of a CRAM file; that of the header and the empty last one hold none.

    Raises:
        ContainerError: they cannot be followed to the end, or are of another version.
    """
    with path.open("rb") as file:
        definition = file.read(DEFINITION_BYTES)
        end = file.seek(0, os.SEEK_END)

        def header_at(at: int) -> BinaryIO:
            file.seek(at)
            return file

        return _follow(definition, end, header_at)


def read_containers_in_place(
    read: Callable[[int, int], bytes], end: int, likely: Sequence[int]
) -> list[Container]:
    """Gives the containers of a CRAM file as read_containers does, raising the same.

    Where one begins is known when the header of the one before it has been read. So that this is
    not one request after the other, the headers at likely places are read first, many at a time.

    Args:
        read: gives the bytes from an offset on, up to a number of them.
        end: size of the file in bytes.
        likely: where containers begin, by the index.
    """
    # Here, as a file on disk needs none, and to load it takes 12 ms.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(READERS) as readers:
        known = dict(
            zip(likely, readers.map(lambda at: read(at, HEADER_BYTES), likely), strict=True)
        )

    def header_at(at: int) -> BinaryIO:
        return BytesIO(known.get(at) or read(at, HEADER_BYTES))

    return _follow(read(0, DEFINITION_BYTES), end, header_at)


def _follow(definition: bytes, end: int, header_at: Callable[[int], BinaryIO]) -> list[Container]:
    if len(definition) < DEFINITION_BYTES or definition[4] != VERSION:
        raise ContainerError(f"it is not of version {VERSION}")
    containers = []
    at = DEFINITION_BYTES
    while at < end:
        file = header_at(at)
        start = file.tell()
        try:
            container, length = _read_container(file, at)
        except EOFError as error:
            raise ContainerError(f"no container begins at byte {at}") from error
        containers.append(container)
        at += file.tell() - start + length
    if at != end:
        raise ContainerError("its last container is not whole")
    return containers


def _read_container(file: BinaryIO, at: int) -> tuple[Container, int]:
    """Reads the header of a container; gives it, and how many bytes follow.

    Raises:
        EOFError: here is none.
    """
    length = int.from_bytes(_read(file, 4), "little", signed=True)
    contig, _, _, records = (_read_itf8(file) for _ in range(4))
    # The number of the first record, and how many bases and blocks there are.
    _skip_ltf8(file)
    _skip_ltf8(file)
    _read_itf8(file)
    slices = _read_itf8(file)
    if length < 0 or records < 0 or not 0 <= slices <= MOST_SLICES:
        raise EOFError
    for _ in range(slices):
        _read_itf8(file)
    # A checksum, which htslib looks at.
    _read(file, 4)
    return Container(at, contig, records), length


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
        # Of the last byte only half counts.
        value = (int.from_bytes(data[:4], "big") << 4 | data[4] & 0xF) & 0xFFFFFFFF
    else:
        value = int.from_bytes(data, "big") & ((1 << 7 * (1 + more)) - 1)
    return value - (1 << 32) if value >> 31 else value


def _skip_ltf8(file: BinaryIO) -> None:
    """Passes over a number of 64 bits, which is like those of 32."""
    _read(file, _leading_ones(_read(file, 1)))


def _leading_ones(byte: bytes) -> int:
    return 8 - (byte[0] ^ 0xFF).bit_length()


def read_crai(path: Path) -> list[Slice]:
    """Gives the lines of a .crai, which may be compressed or not.

    Raises:
        IndexFormatError: it is none, or is damaged.
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
    return slices


def guess_containers(slices: Iterable[Slice]) -> list[Container]:
    """Gives the containers that an index has, with the records that they may hold.

    What is certain is only that a sequence that is in none of them is not in the index.
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
    """Gives what is known of each reference sequence, in header order.

    How many records a sequence has is certain only where no container holds it and others.

    Raises:
        IndexFormatError: the index does not have the containers of the file.
    """
    by_container: dict[int, list[Slice]] = defaultdict(list)
    by_contig: dict[int, list[Slice]] = defaultdict(list)
    for part in slices:
        by_container[part.container].append(part)
        by_contig[part.contig].append(part)

    certain: dict[int, int] = defaultdict(int)
    shared: dict[int, float] = defaultdict(float)
    for container in containers:
        listed = {part.contig for part in by_container.pop(container.offset, [])}
        if container.records == 0:
            as_in_file = not listed
        elif container.contig == SEVERAL:
            as_in_file = bool(listed)
            for contig in listed:
                shared[contig] += container.records / len(listed)
        else:
            as_in_file = listed == {container.contig}
            certain[container.contig] += container.records
        if not as_in_file:
            raise IndexFormatError(f"it does not have what the file has at byte {container.offset}")
    if by_container:
        raise IndexFormatError(f"the file has no container at byte {min(by_container)}")
    if not by_contig.keys() <= set(range(NO_PLACE, contigs)):
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


def out_of_order(slices: Iterable[Slice]) -> int | None:
    """Gives the first reference sequence whose lines do not follow the file; None if all do.

    htslib looks slices up as if they did, and passes over some without a word if not.
    """
    last: dict[int, tuple[int, int]] = {}
    for part in slices:
        place = part.container, part.offset
        if place <= last.get(part.contig, (-1, -1)):
            return part.contig
        last[part.contig] = place
    return None


def scatters_unplaced(slices: Iterable[Slice], containers: Iterable[Container]) -> bool:
    """Whether a container that may hold several sequences holds records without a place.

    samtools 1.16 does not find all of these if there are others, in containers of their own.
    """
    several = {container.offset for container in containers if container.contig == SEVERAL}
    return any(part.contig == NO_PLACE and part.container in several for part in slices)


def _reach(slices: Iterable[Slice]) -> int:
    """Gives a position, 0-based, that no record of a sequence reaches, by an INTERVAL or more."""
    last = max((part.start - 1 + part.span for part in slices), default=0)
    return (max(0, last) // INTERVAL + 2) * INTERVAL


def _offsets(slices: Sequence[Slice]) -> tuple[int, ...]:
    """Gives where in the file each INTERVAL of a sequence begins, and the sequence ends."""
    offsets: list[int] = []
    for part in slices:
        last = max(0, part.start - 2 + part.span) // INTERVAL
        offsets += [part.container + part.offset] * (last + 1 - len(offsets))
    if not offsets:
        return ()
    end = slices[-1]
    return (*offsets, end.container + end.offset + end.size)
