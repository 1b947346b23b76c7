"""An index and a BAM that do not match are noticed, and no good ones are refused."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings

from builders import Read, write_bam
from fuzz import bgzf
from index_entries import Bins, bins_of
from messages import is_a_known_message
from readcount.errors import MESSAGE_LENGTH, InputError
from readcount.formats.bam_index import read_index
from readcount.formats.bam_record import LAST_POSITION, last_record, record_at, record_before
from readcount.formats.bgzf import BlockError, last_blocks, stored_blocks
from readcount.planning.costs import Costs
from readcount.source.bam_offsets import record_offsets
from readcount.verification.verify import verify
from steps import ask, count_here, files_of, opened, planned
from strategies import COUNTED, INTERVAL, LOOKED_AT, Case, cases, examples

READS = {
    "chr1": [Read("chr1", 40 * number, "300M") for number in range(3000)],
    "chr2": [Read("chr2", 90 * number) for number in range(2000)],
}
LENGTHS = {"chr1": 200_000, "chr2": 200_000}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small blocks."""
    bam = tmp_path_factory.mktemp("whole") / "sample.bam"
    write_bam(bam, LENGTHS, [*READS["chr1"], *READS["chr2"], *[Read(None)] * 100])
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), 3000))
    pysam.index(str(bam))
    return bam


@pytest.mark.samtools
@given(case=cases())
@settings(parent=examples(60))
def test_all_records_of_a_span_are_where_the_index_says(
    tmp_path_factory: pytest.TempPathFactory, case: Case
) -> None:
    path = tmp_path_factory.mktemp("any") / "sample.bam"
    bam = write_bam(path, case.lengths, case.reads, csi=case.csi)
    index = read_index(Path(f"{bam}.bai"))
    spans = [(0, 5), (INTERVAL - 3, INTERVAL + 2), (INTERVAL, INTERVAL + 5), (100, LAST_POSITION)]
    starts, ends = (np.array(column) for column in zip(*spans, strict=True))
    with pysam.AlignmentFile(str(bam), index_filename=f"{bam}.bai") as alignments:
        at = alignments.tell()
        for record in alignments.fetch(until_eof=True):
            begin, end = record.reference_start, record.reference_end or record.reference_start + 1
            found = (
                record_offsets(index.columns(record.reference_id))
                if record.reference_name
                else None
            )
            for span in range(len(spans)) if found else ():
                lows, highs = found.of_spans(starts, ends)  # type: ignore[union-attr]
                if begin < ends[span] and end > starts[span]:
                    assert lows[span] <= at < highs[span]
                inner, stop = found.inner(*spans[span])  # type: ignore[union-attr]
                # A record without a position may be the first of a span from the beginning on.
                if inner <= at < stop and begin >= 0:
                    assert spans[span][0] <= begin
            at = alignments.tell()


def placements_of(bam: Path) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Where each record begins in the file, and the end; and where each is, by pysam."""
    offsets, placements = [], []
    with pysam.AlignmentFile(str(bam)) as alignments:
        offsets.append(alignments.tell())
        for record in alignments.fetch(until_eof=True):
            start = record.reference_start
            end = start + 1 if record.is_unmapped else max(start + 1, record.reference_end or 0)
            placements.append((record.reference_id, start, end))
            offsets.append(alignments.tell())
    return offsets, placements


@pytest.mark.samtools
@pytest.mark.parametrize("size", [0, 300, 3000, 100_000], ids=lambda size: f"blocks of {size}")
def test_the_records_beside_any_place_are_found(tmp_path: Path, size: int) -> None:
    """Also where a block does not begin with a record, as not every program writes it."""
    reads = [*READS["chr1"][:60], Read("chr1", 7000, "1M1I" * 10_000), *READS["chr2"][:40]]
    bam = write_bam(tmp_path, LENGTHS, [*reads, Read("chr2", 9000, None, 0x4), Read(None)])
    content = bam.read_bytes()
    if size:
        data = b"".join(map(bgzf.unpack, bgzf.split(content)))
        parts = [data[at : at + min(size, 60_000)] for at in range(0, len(data), min(size, 60_000))]
        bam.write_bytes(b"".join(map(bgzf.pack, parts)) + bgzf.END_OF_FILE)
        content = bam.read_bytes()
    offsets, placements = placements_of(bam)

    def read(start: int, length: int) -> bytes:
        return content[start : start + length]

    for at, offset in enumerate(offsets):
        before = record_before(read, offset, offsets[0])
        after = record_at(read, offset, len(content))
        assert before == (placements[at - 1] if at else None)
        assert after == (placements[at] if at < len(placements) else None)
    for offset in offsets[1:-1]:
        with pytest.raises(BlockError):
            record_before(read, offset + 1, offsets[0])


def test_the_last_record_is_found_by_its_size() -> None:
    def record(size: int, name: bytes = b"r") -> bytes:
        fields = b"".join(
            number.to_bytes(4, "little", signed=True)
            for number in (0, 5, (0x1247 << 16) + len(name) + 1, 0, 0, -1, -1, 0)
        )
        content = fields + name + b"\0"
        return size.to_bytes(4, "little") + content + bytes(size - len(content))

    short, long = record(40), record(90)
    assert last_record(b"") is None
    assert last_record(short + long) == len(short)
    # The first bytes are the end of another record.
    assert last_record(b"tail of one" + short + long) == 11 + len(short)
    assert last_record(short[5:] + long[:-1]) is None
    # An array of as many bytes as its number says, as the last tag, is no record.
    array = b"MLBC" + (50).to_bytes(4, "little") + bytes(range(50))
    assert last_record(b"x" + long[:-1] + array) is None


def test_blocks_are_found_from_their_end(whole: Path) -> None:
    content = whole.read_bytes()
    starts = [start for start, _ in bgzf.starts(bgzf.split(content))]
    assert last_blocks(content) == starts
    assert last_blocks(content[starts[3] + 1 : starts[9]]) == [
        start - starts[3] - 1 for start in starts[4:9]
    ]
    assert last_blocks(content[: starts[5] - 1]) == []
    assert last_blocks(b"") == []


def test_content_is_stored_in_blocks_that_samtools_takes() -> None:
    content = bytes(range(256)) * 1000
    assert gzip.decompress(stored_blocks(content)) == content
    assert stored_blocks(b"") == b""


def blocks(*numbers: int) -> tuple[int, ...]:
    """Virtual file offsets of the beginnings of blocks."""
    return tuple(number << 16 for number in numbers)


# Four of the smallest bins, and the one above them: some of its records lie between the others.
ENTRY = Bins(
    shift=14,
    depth=5,
    bins=[
        (4681, 0, blocks(10, 20)),
        (4682, 0, blocks(20, 30)),
        (585, 0, blocks(30, 35, 45, 50)),
        (4683, 0, blocks(35, 45)),
        (4684, 0, blocks(50, 60)),
    ],
    linear=blocks(10, 20, 30, 45),
    bounds=(10 << 16, 60 << 16),
)


def test_an_entry_tells_where_the_records_of_a_region_lie() -> None:
    offsets = record_offsets(ENTRY.columns())
    assert offsets
    spans = {
        (0, LAST_POSITION): blocks(10, 60),
        (0, 5): blocks(10, 20),
        # From the first record that overlaps it, up to the first that can begin after it.
        (2 * INTERVAL, 2 * INTERVAL + 1): blocks(30, 50),
        (2 * INTERVAL - 1, LAST_POSITION): blocks(20, 60),
        (900 * INTERVAL, LAST_POSITION): blocks(45, 60),
    }
    starts, ends = (np.array(column) for column in zip(*spans, strict=True))
    lows, highs = offsets.of_spans(starts, ends)
    assert list(zip(lows.tolist(), highs.tolist(), strict=True)) == list(spans.values())


def test_an_entry_tells_between_which_records_all_begin_in_a_span() -> None:
    offsets = record_offsets(ENTRY.columns())
    assert offsets
    assert offsets.inner(0, 4 * INTERVAL) == blocks(10, 60)
    # Records of the large bin begin anywhere in it.
    assert offsets.inner(1, 3 * INTERVAL + 7) == blocks(20, 50)
    assert offsets.inner(5, 6) == blocks(20, 20)
    assert offsets.inner(5 * INTERVAL, 9 * INTERVAL) == blocks(60, 60)


def with_bin(number: int, other: tuple[int, int, tuple[int, ...]]) -> Bins:
    """The entry with another bin in the place of one."""
    return ENTRY._replace(bins=[other if one[0] == number else one for one in ENTRY.bins])


FAULTS: dict[str, tuple[Bins, str]] = {
    "a bin of another number": (
        with_bin(4682, (4690, 0, blocks(20, 30)))._replace(linear=()),
        "its bins are not in order",
    ),
    "a bin on another level": (
        with_bin(4683, (74, 0, blocks(35, 45)))._replace(linear=()),
        "its bins are not in order",
    ),
    "a bin of no level": (with_bin(4681, (37449, 0, blocks(10, 20))), "a bin that does not exist"),
    "a bin without a chunk": (with_bin(4681, (4681, 0, ())), "offsets are not those"),
    "a bin twice": (with_bin(4683, (4682, 0, blocks(35, 45))), "it contains a bin twice"),
    "a bin lost": (ENTRY._replace(bins=[*ENTRY.bins[:1], *ENTRY.bins[2:]]), "it skips"),
    "a chunk that ends early": (with_bin(4682, (4682, 0, blocks(20, 29))), "it skips"),
    "a chunk that begins late": (with_bin(4683, (4683, 0, blocks(36, 45))), "it skips"),
    "a chunk turned round": (with_bin(4683, (4683, 0, blocks(45, 35))), "its offsets are not"),
    "a first chunk that begins late": (with_bin(4681, (4681, 0, blocks(11, 20))), "its offsets"),
    "a last chunk that ends late": (with_bin(4684, (4684, 0, blocks(50, 61))), "its offsets"),
    "no bins": (ENTRY._replace(bins=[]), "it has no offsets of its records"),
    "a linear index that falls": (ENTRY._replace(linear=blocks(10, 20, 30, 29)), "is not in order"),
    "one that points elsewhere": (
        ENTRY._replace(linear=blocks(10, 20, 9, 45)),
        "points outside its records",
    ),
}


@pytest.mark.parametrize(("damaged", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_an_index_that_contradicts_itself_is_found_out(damaged: Bins, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        record_offsets(damaged.columns())


LATE: dict[str, tuple[Bins, tuple[int, ...]]] = {
    "not in order": (ENTRY._replace(linear=blocks(10, 21, 30, 45)), blocks(20)),
    "short": (ENTRY._replace(linear=blocks(10, 20, 30)), blocks(50)),
    "of a CSI": (
        Bins(14, 6, [(37449, 10 << 16, blocks(9, 20))], (), blocks(9, 20)),  # type: ignore[arg-type]
        blocks(9),
    ),
}


@pytest.mark.parametrize(("late", "first"), LATE.values(), ids=LATE.keys())
def test_records_that_the_linear_index_leaves_out_are_within_what_is_read(
    late: Bins, first: tuple[int, ...]
) -> None:
    """As samtools up to 1.13 left out unmapped ones."""
    offsets = record_offsets(late.columns())
    assert offsets
    assert tuple(offsets.not_in_linear) == first
    starts = np.array(offsets.starts) << 14
    lows, _ = offsets.of_spans(starts, starts + 1)
    assert (lows <= np.array(offsets.highs)).all()


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_mapped_record_that_the_linear_index_leaves_out_shows_that_it_is_wrong(
    tmp_path: Path, which: str
) -> None:
    reads = [Read("a", at, "9M") for at in range(0, 5 * INTERVAL, 100)]
    bam = write_bam(tmp_path, {"a": 6 * INTERVAL}, reads)
    offsets, _ = placements_of(bam)
    linear = bins_of(read_index(Path(f"{bam}.bai")), 0).linear
    index = Path(f"{bam}.bai").read_bytes()
    wrong = linear[1 if which == "first" else 2]
    later = offsets[offsets.index(wrong) + 1]
    at = index.rindex(wrong.to_bytes(8, "little"))
    Path(f"{bam}.bai").write_bytes(index[:at] + later.to_bytes(8, "little") + index[at + 8 :])
    with pytest.raises(InputError, match="its linear index skips some of its records") as refused:
        planned(opened(bam), ask(regions=["a:50001-50009"]))
    assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.parametrize("field", [4, 8], ids=["size of bins", "levels"])
@pytest.mark.parametrize("more", [1, -1])
def test_a_csi_whose_bins_are_of_another_size_is_refused(
    tmp_path: Path, field: int, more: int
) -> None:
    """One number in it decides where all records of long reads are looked for."""
    reads = [Read("a", 50 * n, f"{40 + n * n % 40_000}M") for n in range(7_000)]
    bam = write_bam(tmp_path, {"a": 400_000}, reads, csi=True)
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), 12_000, level=0))
    pysam.index("-c", str(bam), f"{bam}.bai")
    spans = [f"a:{at}-{at + 10}" for at in range(9_000, 340_000, 30_000)]
    assert planned(opened(bam), ask(regions=spans))
    index = Path(f"{bam}.bai")
    data = bytearray(gzip.decompress(index.read_bytes()))
    data[field] += more
    index.write_bytes(gzip.compress(data))
    for span in spans:
        with pytest.raises(InputError, match="inconsistent for a") as refused:
            planned(opened(bam), ask(regions=[span]))
        assert is_a_known_message(str(refused.value), "AppError")


def flip(block: bytes, at: int) -> bytes:
    return block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]


DAMAGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "lost": lambda blocks: blocks[:1] + blocks[2:],
    "doubled": lambda blocks: blocks[:2] + blocks[1:],
    "cut": lambda blocks: [*blocks[:4], bgzf.END_OF_FILE],
    "magic": lambda blocks: [blocks[0], flip(blocks[1], 1), *blocks[2:]],
    "extra field": lambda blocks: [blocks[0], flip(blocks[1], 12), *blocks[2:]],
    "size": lambda blocks: [blocks[0], flip(blocks[1], bgzf.SIZE_AT), *blocks[2:]],
    "data": lambda blocks: [blocks[0], flip(blocks[1], 30), *blocks[2:]],
    "garbage": lambda blocks: [*blocks[:-1], b"garbage", blocks[-1]],
}


@pytest.mark.samtools
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.parametrize("costs", [COUNTED, LOOKED_AT], ids=["counted", "looked at"])
@pytest.mark.parametrize("asked", ["regions=chr1", "spans", "filters"])
def test_a_file_that_does_not_match_its_index_is_refused(
    whole: Path,
    tmp_path: Path,
    damage: Callable[[list[bytes]], list[bytes]],
    costs: Costs,
    asked: str,
) -> None:
    bam = tmp_path / "sample.bam"
    shutil.copy(f"{whole}.bai", f"{bam}.bai")
    bam.write_bytes(b"".join(damage(bgzf.split(whole.read_bytes()))))
    request = {
        "regions=chr1": ask(include_unplaced=True),
        "spans": ask(regions=["chr1:1-90000", "chr2:1-190000"], include_unplaced=True),
        "filters": ask(exclude_flags="UNMAP", min_mapping_quality=1, include_unplaced=True),
    }[asked]
    with pytest.raises(InputError) as refused:
        alignments = opened(bam)
        plan, _ = planned(alignments, request, costs=costs)
        verify(count_here(alignments, plan, request.filters), alignments.evidence, request.filters)
    assert len(str(refused.value)) <= MESSAGE_LENGTH
    assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.samtools
def test_blocks_in_another_order_have_the_same_records(whole: Path, tmp_path: Path) -> None:
    """A sequence is decoded whole, so that the order of its records does not matter."""
    bam = tmp_path / "sample.bam"
    shutil.copy(f"{whole}.bai", f"{bam}.bai")
    blocks = bgzf.split(whole.read_bytes())
    bam.write_bytes(b"".join([*blocks[:3], blocks[4], blocks[3], *blocks[5:]]))
    request = ask(regions=["chr1"], min_mapping_quality=1)
    alignments = opened(bam)
    plan, _ = planned(alignments, request, costs=LOOKED_AT)
    assert list(count_here(alignments, plan, request.filters).counts.records) == [3000]


@pytest.mark.samtools
def test_blocks_in_another_order_are_noticed_where_a_span_is_counted(tmp_path: Path) -> None:
    """Blocks of one size, so that the index still fits; records of the span are elsewhere."""
    names = (f"read{number:05}" for number in range(10_000))
    bam = write_bam(tmp_path, LENGTHS, [*READS["chr1"], *READS["chr2"]], names=names)
    blocks = bgzf.split(bgzf.in_small_blocks(bam.read_bytes(), 3000, level=0))
    bam.write_bytes(b"".join(blocks))
    pysam.index(str(bam))
    assert len(blocks[5]) == len(blocks[40])
    blocks[5], blocks[40] = blocks[40], blocks[5]
    bam.write_bytes(b"".join(blocks))
    alignments = opened(bam)
    plan, _ = planned(alignments, ask(regions=["chr1:1-40000"]), costs=LOOKED_AT)
    with pytest.raises(InputError, match="is before the previous one") as refused:
        count_here(alignments, plan)
    assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.samtools
def test_placed_records_between_unplaced_ones_are_noticed(tmp_path: Path) -> None:
    """As after samtools cat, with the index of the first file: the others would be left out."""
    bam = write_bam(tmp_path, LENGTHS, [*READS["chr1"][:100], *[Read(None)] * 200])
    content = bgzf.content_of(bam.read_bytes())
    unplaced = content.records[100:]
    for at in (1, 50, 199):
        records = [*content.records[:100], *unplaced[:at], content.records[7], *unplaced[at:]]
        bam.write_bytes(bgzf.Content(content.header, records).as_bam(3000))
        alignments = opened(bam)
        with pytest.raises(InputError, match="the file has a record of chr1") as refused:
            alignments.evidence.check_index(())
        assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.samtools
def test_damage_elsewhere_does_not_matter(whole: Path, tmp_path: Path) -> None:
    """A span needs only its part of the file."""
    bam = tmp_path / "sample.bam"
    shutil.copy(f"{whole}.bai", f"{bam}.bai")
    blocks = bgzf.split(whole.read_bytes())
    bam.write_bytes(b"".join([*blocks[:-9], flip(blocks[-9], 30), *blocks[-8:]]))
    alignments = opened(bam)
    plan, _ = planned(alignments, ask(regions=["chr1:50001-80000"]), costs=LOOKED_AT)
    assert list(count_here(alignments, plan).counts.records) == [757]


def test_a_damaged_index_has_a_message_that_helps(whole: Path, tmp_path: Path) -> None:
    bam = Path(shutil.copy(whole, tmp_path))
    index = Path(f"{whole}.bai").read_bytes()
    # The first number of a bin follows the number of sequences, and of bins of the first one.
    Path(f"{bam}.bai").write_bytes(index[:12] + (37449).to_bytes(4, "little") + index[16:])
    with pytest.raises(InputError, match=r"sample.bam.bai is inconsistent for chr1") as refused:
        planned(opened(bam), ask(regions=["chr1:1-500"]))
    assert is_a_known_message(str(refused.value), "AppError")
    assert files_of(bam).index
