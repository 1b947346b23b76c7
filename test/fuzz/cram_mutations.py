"""Damage to a CRAM and its index, as functions of the pair and a random number generator."""

import gzip
import random
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from readcount.formats.cram import parse_itf8

from .mutations import Mutation, Pair, flip

# The end-of-file container of version 3 (CRAM specification, "End of file").
END_OF_FILE = bytes.fromhex(
    "0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"
)
# Format of the samples: many containers, and no reference.
OPTIONS = ("no_ref=1", "seqs_per_slice=300", "slices_per_container=2")
FORMAT = [part for option in OPTIONS for part in ("--output-fmt-option", option)]
# Bits are flipped in this many bytes of a container: more than its header.
HEADER_BYTES = 30


# The CRAM is truncated


def cram_truncated_anywhere(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=pair.bam[: rng.randrange(len(pair.bam))])


def cram_truncated_between_containers(pair: Pair, rng: random.Random) -> Pair:
    parts = _split(pair)
    return replace(pair, bam=b"".join(parts[: rng.randrange(len(parts))]))


def cram_truncated_between_containers_with_eof_container(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=cram_truncated_between_containers(pair, rng).bam + END_OF_FILE)


# Bits of the CRAM are flipped


def cram_bit_flipped_anywhere(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=flip(pair.bam, rng, 0, None))


def cram_bit_flipped_in_container_header(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        where = rng.randrange(1, len(parts))
        parts[where] = flip(parts[where], rng, 0, HEADER_BYTES)

    return _with_parts(pair, damage)


def cram_stretch_zeroed(pair: Pair, rng: random.Random) -> Pair:
    start = rng.randrange(len(pair.bam))
    stop = min(len(pair.bam), start + rng.randint(1, 3000))
    return replace(pair, bam=pair.bam[:start] + bytes(stop - start) + pair.bam[stop:])


# Containers are swapped, removed, duplicated or inserted


def cram_containers_swapped(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        one, other = rng.sample(range(1, len(parts) - 1), 2)
        parts[one], parts[other] = parts[other], parts[one]

    return _with_parts(pair, damage)


def cram_container_removed(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        del parts[rng.randrange(len(parts) - 1)]

    return _with_parts(pair, damage)


def cram_container_duplicated(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        where = rng.randrange(len(parts) - 1)
        parts.insert(where, parts[where])

    return _with_parts(pair, damage)


def cram_garbage_appended(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=pair.bam + rng.randbytes(rng.randint(1, 1000)))


def cram_garbage_before_eof_container(pair: Pair, rng: random.Random) -> Pair:
    return _with_parts(pair, lambda parts: parts.insert(-1, rng.randbytes(rng.randint(1, 1000))))


# The index


def crai_bit_flipped_in_file(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=flip(pair.index, rng, 0, None))


def crai_bit_flipped_in_text(pair: Pair, rng: random.Random) -> Pair:
    return _with_text(pair, lambda text: flip(text, rng, 0, None))


def crai_number_changed(pair: Pair, rng: random.Random) -> Pair:
    def change(lines: list[bytes]) -> None:
        where = rng.randrange(len(lines))
        numbers = lines[where].split()
        column = rng.randrange(len(numbers))
        near = int(numbers[column]) + rng.randint(-3, 3)
        numbers[column] = str(rng.choice([0, 1, -1, near, rng.getrandbits(31)])).encode()
        lines[where] = b"\t".join(numbers) + b"\n"

    return _with_lines(pair, change)


def crai_number_of_another_line(pair: Pair, rng: random.Random) -> Pair:
    """Replaces a number by a plausible one: that of another line."""

    def change(lines: list[bytes]) -> None:
        one, other = rng.sample(range(len(lines)), 2)
        numbers, column = lines[one].split(), rng.randrange(6)
        numbers[column] = lines[other].split()[column]
        lines[one] = b"\t".join(numbers) + b"\n"

    return _with_lines(pair, change)


def crai_line_removed(pair: Pair, rng: random.Random) -> Pair:
    return _with_lines(pair, lambda lines: lines.pop(rng.randrange(len(lines))))


def crai_line_duplicated(pair: Pair, rng: random.Random) -> Pair:
    return _with_lines(pair, lambda lines: lines.insert(0, rng.choice(lines)))


def crai_lines_shuffled(pair: Pair, rng: random.Random) -> Pair:
    return _with_lines(pair, rng.shuffle)


def crai_truncated(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=pair.index[: rng.randrange(len(pair.index))])


def crai_text_truncated(pair: Pair, rng: random.Random) -> Pair:
    return _with_text(pair, lambda text: text[: rng.randrange(len(text))])


def cram_container_moved(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        part = parts.pop(rng.randrange(1, len(parts) - 1))
        parts.insert(rng.randrange(1, len(parts)), part)

    return _with_parts(pair, damage)


def cram_containers_reordered_and_reindexed(pair: Pair, rng: random.Random) -> Pair:
    """Shuffles the containers and creates a new index; no record is lost."""
    parts = _split(pair)
    middle = parts[1:-1]
    rng.shuffle(middle)
    return _indexed(b"".join([parts[0], *middle, parts[-1]]), pair)


def cram_appended_to_itself(pair: Pair, rng: random.Random) -> Pair:
    first = rng.choice([pair.bam, pair.bam.removesuffix(END_OF_FILE)])
    return replace(pair, bam=first + pair.bam)


def crai_positions_rotated(pair: Pair, rng: random.Random) -> Pair:
    """Replaces sequence, start and span of each line by those of the next or the previous one."""
    by = rng.choice([1, -1])

    def change(lines: list[bytes]) -> None:
        numbers = [line.split() for line in lines]
        positions = [line[:3] for line in numbers]
        for line, position in zip(numbers, positions[by:] + positions[:by], strict=True):
            line[:3] = position
        lines[:] = [b"\t".join(line) + b"\n" for line in numbers]

    return _with_lines(pair, change)


def crai_offsets_of_two_lines_swapped(pair: Pair, rng: random.Random) -> Pair:
    def change(lines: list[bytes]) -> None:
        one, other = rng.sample(range(len(lines)), 2)
        first, second = lines[one].split(), lines[other].split()
        first[3:], second[3:] = second[3:], first[3:]
        lines[one], lines[other] = (b"\t".join(line) + b"\n" for line in (first, second))

    return _with_lines(pair, change)


def crai_span_shortened(pair: Pair, rng: random.Random) -> Pair:
    """Shortens a span, as an old version of htslib did (samtools issue 1574)."""

    def change(lines: list[bytes]) -> None:
        where = rng.randrange(len(lines))
        numbers = lines[where].split()
        numbers[2] = str(int(numbers[2]) // rng.choice([2, 10, 1000])).encode()
        lines[where] = b"\t".join(numbers) + b"\n"

    return _with_lines(pair, change)


def records_reordered(pair: Pair, rng: random.Random) -> Pair:
    """Shuffles neighbouring records; the header may still say that they are sorted."""
    sort_order = rng.choice(["coordinate", "queryname", "unsorted", None])
    size = rng.choice([50, 300, 2000])

    def shuffle(lines: list[bytes]) -> list[bytes]:
        for first in range(0, len(lines), size):
            part = lines[first : first + size]
            rng.shuffle(part)
            lines[first : first + size] = part
        return lines

    return _rewritten(pair, shuffle, sort_order)


def index_before_records_were_removed(pair: Pair, rng: random.Random) -> Pair:
    first = rng.randrange(2000)
    last = first + rng.choice([1, 5, 100])
    rewritten = _rewritten(pair, lambda lines: lines[:first] + lines[last:], "coordinate")
    return replace(rewritten, index=pair.index)


def crai_lines_of_a_sequence_removed(pair: Pair, rng: random.Random) -> Pair:
    def change(lines: list[bytes]) -> None:
        tid = rng.choice(lines).split()[0]
        lines[:] = [line for line in lines if line.split()[0] != tid]

    return _with_lines(pair, change)


def crai_lines_of_a_sequence_renumbered(pair: Pair, rng: random.Random) -> Pair:
    """Replaces a reference ID by the next or the previous one."""

    def change(lines: list[bytes]) -> None:
        tid = rng.choice(lines).split()[0]
        other = b"%d" % (int(tid) + rng.choice([1, -1]))
        lines[:] = [other + line[len(tid) :] if line.split()[0] == tid else line for line in lines]

    return _with_lines(pair, change)


def cram_container_header_rewritten(pair: Pair, rng: random.Random) -> Pair:
    """Changes sequence, start or span of a container; the checksum is correct."""
    return _with_header_field_changed(pair, rng.randrange(3), rng)


def cram_number_of_records_rewritten(pair: Pair, rng: random.Random) -> Pair:
    """Changes the number of records in the header of a container; the checksum is correct."""
    return _with_header_field_changed(pair, 3, rng)


def _with_header_field_changed(pair: Pair, field: int, rng: random.Random) -> Pair:
    parts = _split(pair)
    where = rng.randrange(1, len(parts) - 1)
    parts[where] = _with_header_field(parts[where], field, lambda number: _other(number, rng))
    return replace(pair, bam=b"".join(parts))


def cram_container_and_crai_rewritten(pair: Pair, rng: random.Random) -> Pair:
    """Changes start or span of a container, and of its lines in the index.

    This happens if the program that wrote both is wrong, or if an index is made from such headers.
    """
    parts = _split(pair)
    where = rng.randrange(1, len(parts) - 1)
    offset = b"%d" % sum(map(len, parts[:where]))
    column = rng.choice([1, 2])
    by = rng.choice([2, 10, 1000])
    parts[where] = _with_header_field(parts[where], column, lambda number: number // by)

    def change(lines: list[bytes]) -> None:
        for at, line in enumerate(lines):
            numbers = line.split()
            if numbers[3] == offset:
                numbers[column] = b"%d" % (int(numbers[column]) // by)
                lines[at] = b"\t".join(numbers) + b"\n"

    return replace(_with_lines(pair, change), bam=b"".join(parts))


def _other(number: int, rng: random.Random) -> int:
    others = [number + 1, number - 1, number // 2, number + 100]
    return rng.choice([other for other in others if other != number])


def _with_header_field(container: bytes, field: int, change: Callable[[int], int]) -> bytes:
    """Returns a container with a field of its header changed, in the same number of bytes.

    Args:
        container: the bytes of the container.
        field: 0 for the sequence, 1 for the start, 2 for the span, 3 for the number of records.
        change: returns the new value for the old one.
    """
    begin = 4
    for _ in range(field):
        _, begin = parse_itf8(container, begin)
    number, after = parse_itf8(container, begin)
    size = after - begin
    changed = change(number) & 0xFFFFFFFF
    if size < 5:
        changed = min(changed, (1 << 7 * size) - 1)
        leading = 0xFF << 9 - size & 0xFF
        packed = (changed | leading << 8 * (size - 1)).to_bytes(size, "big")
    else:
        packed = (0xF << 36 | changed >> 4 << 8 | changed & 0xF).to_bytes(5, "big")
    content = container[:begin] + packed + container[after:]
    # The header ends with its checksum.
    end = next(
        end
        for end in range(after, len(container))
        if zlib.crc32(container[:end]) == int.from_bytes(container[end : end + 4], "little")
    )
    return content[:end] + zlib.crc32(content[:end]).to_bytes(4, "little") + content[end + 4 :]


def _rewritten(
    pair: Pair, change: Callable[[list[bytes]], list[bytes]], sort_order: str | None
) -> Pair:
    """Changes the lines of the records and writes a new CRAM in this order, with a new index.

    samtools can index most unsorted CRAM files; if it cannot, the index is kept.
    """
    with tempfile.TemporaryDirectory() as folder:
        cram = Path(folder) / "x.cram"
        cram.write_bytes(pair.bam)
        text = subprocess.check_output(["samtools", "view", "-h", cram]).splitlines(keepends=True)
        header = [line for line in text if line.startswith(b"@") and not line.startswith(b"@HD")]
        first = [f"@HD\tVN:1.6\tSO:{sort_order}\n".encode()] if sort_order else []
        records = change([line for line in text if not line.startswith(b"@")])
        command = ["samtools", "view", "--no-PG", "-C", "-o", str(cram), *FORMAT, "-"]
        subprocess.run(command, input=b"".join([*first, *header, *records]), check=True)
        return _indexed(cram.read_bytes(), pair)


def _indexed(cram: bytes, pair: Pair) -> Pair:
    """Returns a CRAM with a new index, or with the original one if samtools cannot index it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.cram"
        path.write_bytes(cram)
        indexed = subprocess.run(["samtools", "index", path], capture_output=True, check=False)
        index = Path(f"{path}.crai").read_bytes() if indexed.returncode == 0 else pair.index
    return Pair(cram, index, changed=True)


# See UNPROVABLE in mutations.py.
CRAM_UNPROVABLE: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (cram_container_and_crai_rewritten, cram_number_of_records_rewritten)
}
CRAM_MUTATIONS: dict[str, Mutation] = {
    name: function
    for name, function in list(globals().items())
    if name.startswith(("cram_", "crai_", "records_", "index_")) and name not in CRAM_UNPROVABLE
}


def _split(pair: Pair) -> list[bytes]:
    """Returns the header, the containers of records, and the end-of-file container."""
    lines = gzip.decompress(pair.index).splitlines()
    begins = sorted({int(line.split()[3]) for line in lines})
    edges = [0, *begins, len(pair.bam) - len(END_OF_FILE), len(pair.bam)]
    return [pair.bam[start:stop] for start, stop in pairwise(edges)]


def _with_parts(pair: Pair, damage: Callable[[list[bytes]], object]) -> Pair:
    parts = _split(pair)
    damage(parts)
    return replace(pair, bam=b"".join(parts))


def _with_text(pair: Pair, change: Callable[[bytes], bytes]) -> Pair:
    return replace(pair, index=gzip.compress(change(gzip.decompress(pair.index))))


def _with_lines(pair: Pair, change: Callable[[list[bytes]], object]) -> Pair:
    lines = gzip.decompress(pair.index).splitlines(keepends=True)
    change(lines)
    return replace(pair, index=gzip.compress(b"".join(lines)))
