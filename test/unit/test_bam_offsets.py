"""Record offsets from the index of a BAM; files that do not match their index are rejected."""

import gzip
import random
import shutil
from array import array
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
from readcount.formats.bam_record import (
    LAST_POSITION,
    LOOKBACK_BYTES,
    last_record,
    record_at,
    record_before,
)
from readcount.formats.bgzf import BlockError, last_blocks, stored_blocks
from readcount.planning.costs import Costs
from readcount.source.bam_offsets import record_offsets
from readcount.verification.verify import verify
from steps import ask, count_here, files_of, opened, planned
from strategies import COUNTED, DECODED, INTERVAL, Case, cases, examples

READS = {
    "chr1": [Read("chr1", 40 * number, "300M") for number in range(3000)],
    "chr2": [Read("chr2", 90 * number) for number in range(2000)],
}
LENGTHS = {"chr1": 200_000, "chr2": 200_000}


@pytest.fixture(scope="module")
def intact_bam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a BAM of many small blocks, with its index."""
    bam = tmp_path_factory.mktemp("intact") / "sample.bam"
    write_bam(bam, LENGTHS, [*READS["chr1"], *READS["chr2"], *[Read(None)] * 100])
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), 3000))
    pysam.index(str(bam))
    return bam


@pytest.mark.samtools
@given(case=cases())
@settings(parent=examples(60))
def test_all_records_of_a_span_are_within_its_offsets(
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
            start, end = record.reference_start, record.reference_end or record.reference_start + 1
            offsets = (
                record_offsets(index.columns(record.reference_id))
                if record.reference_name
                else None
            )
            for span in range(len(spans)) if offsets else ():
                lows, highs = offsets.of_spans(starts, ends)  # type: ignore[union-attr]
                if start < ends[span] and end > starts[span]:
                    assert lows[span] <= at < highs[span]
                inner, stop = offsets.inner(*spans[span])  # type: ignore[union-attr]
                # A record with POS 0 is sorted first, so a span that starts at 0 may include it.
                if inner <= at < stop and start >= 0:
                    assert spans[span][0] <= start
            at = alignments.tell()


def placements_of(bam: Path) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Returns the offsets of all records and of the end, and the placements of the records."""
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
@pytest.mark.parametrize(
    "size", [0, 300, 3000, 100_000], ids=lambda size: f"blocks of {size}" if size else "default"
)
def test_the_records_before_and_after_an_offset_are_found(tmp_path: Path, size: int) -> None:
    """Some programs write blocks that do not begin with a record."""
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

    for number, offset in enumerate(offsets):
        before = record_before(read, offset, offsets[0])
        after = record_at(read, offset, len(content))
        assert (before and before[:3]) == (placements[number - 1] if number else None)
        assert (after and after[:3]) == (placements[number] if number < len(placements) else None)
    for offset in offsets[1:-1]:
        with pytest.raises(BlockError):
            record_before(read, offset + 1, offsets[0])


def test_the_record_that_ends_at_the_end_of_the_data_is_found() -> None:
    def record(size: int, name: bytes = b"r", kind: bytes = b"Z") -> bytes:
        fields = b"".join(
            number.to_bytes(4, "little", signed=True)
            for number in (0, 5, (0x1247 << 16) + len(name) + 1, 0, 0, -1, -1, 0)
        )
        content = fields + name + b"\0XX" + kind
        return size.to_bytes(4, "little") + (content + b"a" * size)[: size - 1] + b"\0"

    short, long = record(40), record(90)
    assert last_record(b"") is None
    assert last_record(short + long) == len(short)
    # The data starts with the end of another record.
    assert last_record(b"tail of one" + short + long) == 11 + len(short)
    assert last_record(short[5:] + long[:-1]) is None
    # The length of a byte array at the end is not taken for the size of a record.
    array = b"MLBC" + (50).to_bytes(4, "little") + bytes(range(50))
    assert last_record(b"x" + long[:-1] + array) is None
    # An array of small numbers may have the fields of a record, but then no tags.
    assert last_record(b"x" + record(90, kind=b"\1")) is None
    assert last_record(record(90, kind=b"\1")) is None


def test_the_complete_blocks_at_the_end_of_the_data_are_found(intact_bam: Path) -> None:
    content = intact_bam.read_bytes()
    starts = [start for start, _ in bgzf.starts(bgzf.split(content))]
    assert last_blocks(content) == starts
    assert last_blocks(content[starts[3] + 1 : starts[9]]) == [
        start - starts[3] - 1 for start in starts[4:9]
    ]
    assert last_blocks(content[: starts[5] - 1]) == []
    assert last_blocks(b"") == []


def test_stored_blocks_decompress_to_their_content() -> None:
    content = bytes(range(256)) * 1000
    assert gzip.decompress(stored_blocks(content)) == content
    assert stored_blocks(b"") == b""


def blocks(*numbers: int) -> tuple[int, ...]:
    """Returns the virtual file offsets at which blocks at these file offsets begin."""
    return tuple(number << 16 for number in numbers)


# Four of the smallest bins and their parent, which has records between those of the others.
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


def test_offsets_of_a_span_include_all_records_that_overlap_it() -> None:
    offsets = record_offsets(ENTRY.columns())
    assert offsets
    spans = {
        (0, LAST_POSITION): blocks(10, 60),
        (0, 5): blocks(10, 20),
        # From the first record that overlaps the span to the first that can start after it.
        (2 * INTERVAL, 2 * INTERVAL + 1): blocks(30, 50),
        (2 * INTERVAL - 1, LAST_POSITION): blocks(20, 60),
        (900 * INTERVAL, LAST_POSITION): blocks(45, 60),
    }
    starts, ends = (np.array(column) for column in zip(*spans, strict=True))
    lows, highs = offsets.of_spans(starts, ends)
    assert list(zip(lows.tolist(), highs.tolist(), strict=True)) == list(spans.values())


def test_inner_offsets_include_only_records_that_start_in_the_span() -> None:
    offsets = record_offsets(ENTRY.columns())
    assert offsets
    assert offsets.inner(0, 4 * INTERVAL) == blocks(10, 60)
    # Records of the parent bin can start anywhere in it.
    assert offsets.inner(1, 3 * INTERVAL + 7) == blocks(20, 50)
    assert offsets.inner(5, 6) == blocks(20, 20)
    assert offsets.inner(5 * INTERVAL, 9 * INTERVAL) == blocks(60, 60)


def with_bin(number: int, replacement: tuple[int, int, tuple[int, ...]]) -> Bins:
    """Returns the entry with one bin replaced."""
    return ENTRY._replace(bins=[replacement if one[0] == number else one for one in ENTRY.bins])


FAULTS: dict[str, tuple[Bins, str]] = {
    "a wrong bin number": (
        with_bin(4682, (4690, 0, blocks(20, 30)))._replace(linear=()),
        "its bins are not in order",
    ),
    "a bin on the wrong level": (
        with_bin(4683, (74, 0, blocks(35, 45)))._replace(linear=()),
        "its bins are not in order",
    ),
    "a bin number out of range": (
        with_bin(4681, (37449, 0, blocks(10, 20))),
        "a bin that does not exist",
    ),
    "a bin without chunks": (with_bin(4681, (4681, 0, ())), "offsets are not those"),
    "a duplicate bin": (with_bin(4683, (4682, 0, blocks(35, 45))), "it contains a bin twice"),
    "a missing bin": (ENTRY._replace(bins=[*ENTRY.bins[:1], *ENTRY.bins[2:]]), "it skips"),
    "a chunk that ends early": (with_bin(4682, (4682, 0, blocks(20, 29))), "it skips"),
    "a chunk that starts late": (with_bin(4683, (4683, 0, blocks(36, 45))), "it skips"),
    "a chunk with begin and end swapped": (
        with_bin(4683, (4683, 0, blocks(45, 35))),
        "its offsets are not",
    ),
    "a first chunk that starts late": (with_bin(4681, (4681, 0, blocks(11, 20))), "its offsets"),
    "a last chunk that ends late": (with_bin(4684, (4684, 0, blocks(50, 61))), "its offsets"),
    "no bins": (ENTRY._replace(bins=[]), "it has no offsets of its records"),
    "a linear index that decreases": (
        ENTRY._replace(linear=blocks(10, 20, 30, 29)),
        "is not in order",
    ),
    "a linear index that points outside": (
        ENTRY._replace(linear=blocks(10, 20, 9, 45)),
        "points outside its records",
    ),
}


@pytest.mark.parametrize(("entry", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_an_inconsistent_index_entry_is_rejected(entry: Bins, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record_offsets(entry.columns())


SKIPPING: dict[str, tuple[Bins, tuple[int, ...]]] = {
    "a late offset": (ENTRY._replace(linear=blocks(10, 21, 30, 45)), blocks(20)),
    "too few offsets": (ENTRY._replace(linear=blocks(10, 20, 30)), blocks(50)),
    "CSI": (
        Bins(14, 6, [(37449, 10 << 16, blocks(9, 20))], (), blocks(9, 20)),  # type: ignore[arg-type]
        blocks(9),
    ),
}


@pytest.mark.parametrize(("entry", "first"), SKIPPING.values(), ids=SKIPPING.keys())
def test_offsets_of_spans_include_records_that_the_linear_index_skips(
    entry: Bins, first: tuple[int, ...]
) -> None:
    """The linear index of samtools up to 1.13 skips unmapped records."""
    offsets = record_offsets(entry.columns())
    assert offsets
    assert tuple(offsets.not_in_linear) == first
    starts = np.array(offsets.starts) << 14
    lows, _ = offsets.of_spans(starts, starts + 1)
    assert (lows <= np.array(offsets.highs)).all()


@pytest.mark.parametrize("interval", [1, 2])
def test_a_linear_index_that_skips_a_mapped_record_is_rejected(
    tmp_path: Path, interval: int
) -> None:
    reads = [Read("a", at, "9M") for at in range(0, 5 * INTERVAL, 100)]
    bam = write_bam(tmp_path, {"a": 6 * INTERVAL}, reads)
    offsets, _ = placements_of(bam)
    linear = bins_of(read_index(Path(f"{bam}.bai")), 0).linear
    index = Path(f"{bam}.bai").read_bytes()
    correct = linear[interval]
    late = offsets[offsets.index(correct) + 1]
    at = index.rindex(correct.to_bytes(8, "little"))
    Path(f"{bam}.bai").write_bytes(index[:at] + late.to_bytes(8, "little") + index[at + 8 :])
    with pytest.raises(InputError, match="its linear index skips some of its records") as error:
        planned(opened(bam), ask(regions=["a:50001-50009"]))
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("field", [4, 8], ids=["min_shift", "depth"])
@pytest.mark.parametrize("change", [1, -1])
def test_a_csi_with_wrong_bin_sizes_is_rejected(tmp_path: Path, field: int, change: int) -> None:
    """A wrong value of one of these fields would misplace the records of all long reads."""
    reads = [Read("a", 50 * n, f"{40 + n * n % 40_000}M") for n in range(7_000)]
    bam = write_bam(tmp_path, {"a": 400_000}, reads, csi=True)
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), 12_000, level=0))
    pysam.index("-c", str(bam), f"{bam}.bai")
    spans = [f"a:{at}-{at + 10}" for at in range(9_000, 340_000, 30_000)]
    assert planned(opened(bam), ask(regions=spans))
    index = Path(f"{bam}.bai")
    data = bytearray(gzip.decompress(index.read_bytes()))
    data[field] += change
    index.write_bytes(gzip.compress(data))
    for span in spans:
        with pytest.raises(InputError, match="inconsistent for a") as error:
            planned(opened(bam), ask(regions=[span]))
        assert is_a_known_message(str(error.value), "AppError")


def flip(block: bytes, at: int) -> bytes:
    return block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]


DAMAGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "missing": lambda blocks: blocks[:1] + blocks[2:],
    "duplicated": lambda blocks: blocks[:2] + blocks[1:],
    "truncated": lambda blocks: [*blocks[:4], bgzf.END_OF_FILE],
    "magic": lambda blocks: [blocks[0], flip(blocks[1], 1), *blocks[2:]],
    "extra field": lambda blocks: [blocks[0], flip(blocks[1], 12), *blocks[2:]],
    "size": lambda blocks: [blocks[0], flip(blocks[1], bgzf.SIZE_AT), *blocks[2:]],
    "data": lambda blocks: [blocks[0], flip(blocks[1], 30), *blocks[2:]],
    "garbage": lambda blocks: [*blocks[:-1], b"garbage", blocks[-1]],
}


@pytest.mark.samtools
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.parametrize("costs", [COUNTED, DECODED], ids=["counted", "decoded"])
@pytest.mark.parametrize("kind", ["sequences", "spans", "filters"])
def test_a_file_that_does_not_match_its_index_is_rejected(
    intact_bam: Path,
    tmp_path: Path,
    damage: Callable[[list[bytes]], list[bytes]],
    costs: Costs,
    kind: str,
) -> None:
    bam = tmp_path / "sample.bam"
    shutil.copy(f"{intact_bam}.bai", f"{bam}.bai")
    bam.write_bytes(b"".join(damage(bgzf.split(intact_bam.read_bytes()))))
    request = {
        "sequences": ask(include_unplaced=True),
        "spans": ask(regions=["chr1:1-90000", "chr2:1-190000"], include_unplaced=True),
        "filters": ask(exclude_flags="UNMAP", min_mapping_quality=1, include_unplaced=True),
    }[kind]
    with pytest.raises(InputError) as error:
        alignments = opened(bam)
        plan = planned(alignments, request, costs=costs)
        verify(count_here(alignments, plan, request.filters), alignments, request.filters)
    assert len(str(error.value)) <= MESSAGE_LENGTH
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.samtools
def test_reordered_blocks_do_not_change_the_count_of_a_sequence(
    intact_bam: Path, tmp_path: Path
) -> None:
    """All records of the sequence are decoded, so their order does not matter."""
    bam = tmp_path / "sample.bam"
    shutil.copy(f"{intact_bam}.bai", f"{bam}.bai")
    blocks = bgzf.split(intact_bam.read_bytes())
    bam.write_bytes(b"".join([*blocks[:3], blocks[4], blocks[3], *blocks[5:]]))
    request = ask(regions=["chr1"], min_mapping_quality=1)
    alignments = opened(bam)
    plan = planned(alignments, request, costs=DECODED)
    assert list(count_here(alignments, plan, request.filters).counts.records) == [3000]


@pytest.mark.samtools
def test_reordered_blocks_are_detected_when_a_span_is_counted(tmp_path: Path) -> None:
    """The blocks have the same size: the index still fits, but the span's records have moved."""
    names = (f"read{number:05}" for number in range(10_000))
    bam = write_bam(tmp_path, LENGTHS, [*READS["chr1"], *READS["chr2"]], names=names)
    blocks = bgzf.split(bgzf.in_small_blocks(bam.read_bytes(), 3000, level=0))
    bam.write_bytes(b"".join(blocks))
    pysam.index(str(bam))
    assert len(blocks[5]) == len(blocks[40])
    blocks[5], blocks[40] = blocks[40], blocks[5]
    bam.write_bytes(b"".join(blocks))
    alignments = opened(bam)
    plan = planned(alignments, ask(regions=["chr1:1-40000"]), costs=DECODED)
    with pytest.raises(InputError, match="is before the previous one") as error:
        count_here(alignments, plan)
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.samtools
def test_placed_records_among_unplaced_ones_are_detected(tmp_path: Path) -> None:
    """As after samtools cat with the index of the first file, which omits the other records."""
    bam = write_bam(tmp_path, LENGTHS, [*READS["chr1"][:100], *[Read(None)] * 200])
    content = bgzf.content_of(bam.read_bytes())
    unplaced = content.records[100:]
    for at in (1, 50, 199):
        records = [*content.records[:100], *unplaced[:at], content.records[7], *unplaced[at:]]
        bam.write_bytes(bgzf.Content(content.header, records).as_bam(3000))
        alignments = opened(bam)
        with pytest.raises(InputError, match="the file has a record of chr1") as error:
            alignments.check_index(())
        assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.samtools
def test_damage_outside_the_span_does_not_matter(intact_bam: Path, tmp_path: Path) -> None:
    """Only the part of the file with the span's records is read."""
    bam = tmp_path / "sample.bam"
    shutil.copy(f"{intact_bam}.bai", f"{bam}.bai")
    blocks = bgzf.split(intact_bam.read_bytes())
    bam.write_bytes(b"".join([*blocks[:-9], flip(blocks[-9], 30), *blocks[-8:]]))
    alignments = opened(bam)
    plan = planned(alignments, ask(regions=["chr1:50001-80000"]), costs=DECODED)
    assert list(count_here(alignments, plan).counts.records) == [757]


def test_an_array_at_the_end_of_a_long_record_is_not_taken_for_a_record(tmp_path: Path) -> None:
    """The moves of a nanopore read (mv) are zeros and ones, which have the fields of a record."""
    header = pysam.AlignmentHeader.from_references(["chr1", "chr2"], [9_000, 9_000])
    rng = random.Random(1)
    bam = tmp_path / "sample.bam"
    with pysam.AlignmentFile(str(bam), "wb", header=header) as file:
        for contig, position in ((0, 5), (0, 7), (1, 9), (-1, -1)):
            record = pysam.AlignedSegment(header)
            record.query_name, record.reference_id, record.reference_start = "a", contig, position
            record.flag = 0 if contig >= 0 else 4
            moves = bytearray(rng.choices((0, 1), k=900_000))
            # A size of 257 bytes up to the end, name_length 1, and all other fields 0.
            moves[-261:-225] = bytes([1, 1, 0, 0, *bytes(8), 1, *bytes(23)])
            moves[-225] = 0
            record.set_tag("mv", array("b", moves))
            file.write(record)
    pysam.index(str(bam))
    assert bam.stat().st_size > 4 * LOOKBACK_BYTES
    for regions, counts in (([], [2, 1]), (["chr1:1-6", "chr2"], [1, 1])):
        alignments = opened(bam)
        plan = planned(alignments, ask(regions=regions))
        alignments.check_index(plan.edges)
        assert count_here(alignments, plan).counts.records.tolist() == counts


def test_an_invalid_bin_number_is_rejected(intact_bam: Path, tmp_path: Path) -> None:
    bam = Path(shutil.copy(intact_bam, tmp_path))
    index = Path(f"{intact_bam}.bai").read_bytes()
    # The first bin number follows magic, n_ref and n_bin.
    Path(f"{bam}.bai").write_bytes(index[:12] + (37449).to_bytes(4, "little") + index[16:])
    with pytest.raises(InputError, match=r"sample.bam.bai is inconsistent for chr1") as error:
        planned(opened(bam), ask(regions=["chr1:1-500"]))
    assert is_a_known_message(str(error.value), "AppError")
    assert files_of(bam).index
