"""What can befall a CRAM and its index, each as a function of the pair and of chance."""

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

# The container that marks the end of a file of version 3 (CRAM specification, "End of file").
END_OF_FILE = bytes.fromhex(
    "0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"
)
# How samples are written: with many containers, and without a reference.
OPTIONS = ("no_ref=1", "seqs_per_slice=300", "slices_per_container=2")
FORMAT = [part for option in OPTIONS for part in ("--output-fmt-option", option)]
# More than the beginning of a container, up to its first slice, takes.
HEADER_BYTES = 30


# The CRAM is cut


def cram_cut_anywhere(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=pair.bam[: rng.randrange(len(pair.bam))])


def cram_cut_between_containers(pair: Pair, rng: random.Random) -> Pair:
    parts = _split(pair)
    return replace(pair, bam=b"".join(parts[: rng.randrange(len(parts))]))


def cram_cut_between_containers_with_end_put_back(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=cram_cut_between_containers(pair, rng).bam + END_OF_FILE)


# Bits of the CRAM flip


def cram_bit_flipped_anywhere(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=flip(pair.bam, rng, 0, None))


def cram_bit_flipped_in_container_header(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        where = rng.randrange(1, len(parts))
        parts[where] = flip(parts[where], rng, 0, HEADER_BYTES)

    return _with(pair, damage)


def cram_stretch_zeroed(pair: Pair, rng: random.Random) -> Pair:
    start = rng.randrange(len(pair.bam))
    stop = min(len(pair.bam), start + rng.randint(1, 3000))
    return replace(pair, bam=pair.bam[:start] + bytes(stop - start) + pair.bam[stop:])


# Containers are shuffled about


def cram_containers_swapped(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        one, other = rng.sample(range(1, len(parts) - 1), 2)
        parts[one], parts[other] = parts[other], parts[one]

    return _with(pair, damage)


def cram_container_lost(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        del parts[rng.randrange(len(parts) - 1)]

    return _with(pair, damage)


def cram_container_doubled(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        where = rng.randrange(len(parts) - 1)
        parts.insert(where, parts[where])

    return _with(pair, damage)


def cram_garbage_appended(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, bam=pair.bam + rng.randbytes(rng.randint(1, 1000)))


def cram_garbage_before_end(pair: Pair, rng: random.Random) -> Pair:
    return _with(pair, lambda parts: parts.insert(-1, rng.randbytes(rng.randint(1, 1000))))


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


def crai_numbers_of_another_line(pair: Pair, rng: random.Random) -> Pair:
    """A number that another line has is as plausible as can be."""

    def change(lines: list[bytes]) -> None:
        one, other = rng.sample(range(len(lines)), 2)
        numbers, column = lines[one].split(), rng.randrange(6)
        numbers[column] = lines[other].split()[column]
        lines[one] = b"\t".join(numbers) + b"\n"

    return _with_lines(pair, change)


def crai_line_lost(pair: Pair, rng: random.Random) -> Pair:
    return _with_lines(pair, lambda lines: lines.pop(rng.randrange(len(lines))))


def crai_line_doubled(pair: Pair, rng: random.Random) -> Pair:
    return _with_lines(pair, lambda lines: lines.insert(0, rng.choice(lines)))


def crai_lines_shuffled(pair: Pair, rng: random.Random) -> Pair:
    return _with_lines(pair, rng.shuffle)


def crai_cut(pair: Pair, rng: random.Random) -> Pair:
    return replace(pair, index=pair.index[: rng.randrange(len(pair.index))])


def crai_text_cut(pair: Pair, rng: random.Random) -> Pair:
    return _with_text(pair, lambda text: text[: rng.randrange(len(text))])


def cram_container_moved(pair: Pair, rng: random.Random) -> Pair:
    def damage(parts: list[bytes]) -> None:
        part = parts.pop(rng.randrange(1, len(parts) - 1))
        parts.insert(rng.randrange(1, len(parts)), part)

    return _with(pair, damage)


def cram_containers_in_another_order(pair: Pair, rng: random.Random) -> Pair:
    """All containers, with an index that fits: no record is lost."""
    parts = _split(pair)
    middle = parts[1:-1]
    rng.shuffle(middle)
    return _indexed(b"".join([parts[0], *middle, parts[-1]]), pair)


def cram_twice(pair: Pair, rng: random.Random) -> Pair:
    first = rng.choice([pair.bam, pair.bam.removesuffix(END_OF_FILE)])
    return replace(pair, bam=first + pair.bam)


def crai_places_rotated(pair: Pair, rng: random.Random) -> Pair:
    """Each line has sequence, start and span of the next one, or of the one before."""
    by = rng.choice([1, -1])

    def change(lines: list[bytes]) -> None:
        numbers = [line.split() for line in lines]
        places = [line[:3] for line in numbers]
        for line, place in zip(numbers, places[by:] + places[:by], strict=True):
            line[:3] = place
        lines[:] = [b"\t".join(line) + b"\n" for line in numbers]

    return _with_lines(pair, change)


def crai_lines_of_two_containers_swapped(pair: Pair, rng: random.Random) -> Pair:
    def change(lines: list[bytes]) -> None:
        one, other = rng.sample(range(len(lines)), 2)
        first, second = lines[one].split(), lines[other].split()
        first[3:], second[3:] = second[3:], first[3:]
        lines[one], lines[other] = (b"\t".join(line) + b"\n" for line in (first, second))

    return _with_lines(pair, change)


def crai_span_shorter(pair: Pair, rng: random.Random) -> Pair:
    """As an old version of htslib wrote some (samtools issue 1574)."""

    def change(lines: list[bytes]) -> None:
        where = rng.randrange(len(lines))
        numbers = lines[where].split()
        numbers[2] = str(int(numbers[2]) // rng.choice([2, 10, 1000])).encode()
        lines[where] = b"\t".join(numbers) + b"\n"

    return _with_lines(pair, change)


def records_in_another_order(pair: Pair, rng: random.Random) -> Pair:
    """Records of a slice, or of several, are shuffled; the header may say that they are sorted."""
    claim = rng.choice(["coordinate", "queryname", "unsorted", None])
    near = rng.choice([50, 300, 2000])

    def shuffle(lines: list[bytes]) -> list[bytes]:
        for first in range(0, len(lines), near):
            part = lines[first : first + near]
            rng.shuffle(part)
            lines[first : first + near] = part
        return lines

    return _rewritten(pair, shuffle, claim)


def index_before_records_were_removed(pair: Pair, rng: random.Random) -> Pair:
    first = rng.randrange(2000)
    last = first + rng.choice([1, 5, 100])
    rewritten = _rewritten(pair, lambda lines: lines[:first] + lines[last:], "coordinate")
    return replace(rewritten, index=pair.index)


def crai_lines_of_a_sequence_lost(pair: Pair, rng: random.Random) -> Pair:
    def change(lines: list[bytes]) -> None:
        tid = rng.choice(lines).split()[0]
        lines[:] = [line for line in lines if line.split()[0] != tid]

    return _with_lines(pair, change)


def crai_lines_of_a_sequence_renumbered(pair: Pair, rng: random.Random) -> Pair:
    """They are those of the sequence before, or after."""

    def change(lines: list[bytes]) -> None:
        tid = rng.choice(lines).split()[0]
        other = b"%d" % (int(tid) + rng.choice([1, -1]))
        lines[:] = [other + line[len(tid) :] if line.split()[0] == tid else line for line in lines]

    return _with_lines(pair, change)


def cram_container_header_rewritten(pair: Pair, rng: random.Random) -> Pair:
    """Sequence, start or span are others, and the checksum is right."""
    return _with_another_number(pair, rng.randrange(3), rng)


def cram_number_of_records_rewritten(pair: Pair, rng: random.Random) -> Pair:
    """It is another in the header of a container, and the checksum is right."""
    return _with_another_number(pair, 3, rng)


def _with_another_number(pair: Pair, which: int, rng: random.Random) -> Pair:
    parts = _split(pair)
    where = rng.randrange(1, len(parts) - 1)
    parts[where] = _with_number(parts[where], which, lambda number: _other(number, rng))
    return replace(pair, bam=b"".join(parts))


def cram_container_and_crai_rewritten(pair: Pair, rng: random.Random) -> Pair:
    """A container's start, or span, is another, and so are its lines of the index.

    As where the program that wrote both was wrong, or the index is made from the headers.
    """
    parts = _split(pair)
    where = rng.randrange(1, len(parts) - 1)
    offset = b"%d" % sum(map(len, parts[:where]))
    column = rng.choice([1, 2])
    by = rng.choice([2, 10, 1000])
    parts[where] = _with_number(parts[where], column, lambda number: number // by)

    def change(lines: list[bytes]) -> None:
        for at, line in enumerate(lines):
            numbers = line.split()
            if numbers[3] == offset:
                numbers[column] = b"%d" % (int(numbers[column]) // by)
                lines[at] = b"\t".join(numbers) + b"\n"

    return replace(_with_lines(pair, change), bam=b"".join(parts))


def _other(number: int, rng: random.Random) -> int:
    near = [number + 1, number - 1, number // 2, number + 100]
    return rng.choice([one for one in near if one != number])


def _with_number(container: bytes, which: int, change: Callable[[int], int]) -> bytes:
    """A container with another number in its header, which takes as many bytes as before.

    Args:
        container: its bytes.
        which: 0 for the sequence, 1 for the start, 2 for the span, 3 for the number of records.
        change: what becomes of it.
    """
    begin = 4
    for _ in range(which):
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


def _rewritten(pair: Pair, change: Callable[[list[bytes]], list[bytes]], claim: str | None) -> Pair:
    """Writes the records anew, in the order in which they come; keeps the index if there is none.

    samtools makes an index of most files that are not sorted.
    """
    with tempfile.TemporaryDirectory() as folder:
        cram = Path(folder) / "x.cram"
        cram.write_bytes(pair.bam)
        text = subprocess.check_output(["samtools", "view", "-h", cram]).splitlines(keepends=True)
        header = [line for line in text if line.startswith(b"@") and not line.startswith(b"@HD")]
        first = [f"@HD\tVN:1.6\tSO:{claim}\n".encode()] if claim else []
        records = change([line for line in text if not line.startswith(b"@")])
        command = ["samtools", "view", "--no-PG", "-C", "-o", str(cram), *FORMAT, "-"]
        subprocess.run(command, input=b"".join([*first, *header, *records]), check=True)
        return _indexed(cram.read_bytes(), pair)


def _indexed(cram: bytes, pair: Pair) -> Pair:
    """Other records with an index of their own, or with the one before if samtools makes none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.cram"
        path.write_bytes(cram)
        made = subprocess.run(["samtools", "index", path], capture_output=True, check=False)
        index = Path(f"{path}.crai").read_bytes() if made.returncode == 0 else pair.index
    return Pair(cram, index, changed=True)


# See UNPROVABLE of a BAM.
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
    """The CRAM's header, its containers of records, and the end."""
    lines = gzip.decompress(pair.index).splitlines()
    begins = sorted({int(line.split()[3]) for line in lines})
    edges = [0, *begins, len(pair.bam) - len(END_OF_FILE), len(pair.bam)]
    return [pair.bam[start:stop] for start, stop in pairwise(edges)]


def _with(pair: Pair, damage: Callable[[list[bytes]], object]) -> Pair:
    parts = _split(pair)
    damage(parts)
    return replace(pair, bam=b"".join(parts))


def _with_text(pair: Pair, change: Callable[[bytes], bytes]) -> Pair:
    return replace(pair, index=gzip.compress(change(gzip.decompress(pair.index))))


def _with_lines(pair: Pair, change: Callable[[list[bytes]], object]) -> Pair:
    lines = gzip.decompress(pair.index).splitlines(keepends=True)
    change(lines)
    return replace(pair, index=gzip.compress(b"".join(lines)))
