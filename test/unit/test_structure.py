"""An index and a BAM that do not hold together are found out, and no good ones are refused."""

import gzip
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import Read, cram_of, write_bam
from fuzz import bgzf
from messages import is_a_known_message
from oracle import count_one_by_one
from readcount.counting.pool import Workers, start_workers
from readcount.errors import MESSAGE_LENGTH, InputError
from readcount.formats.bam_index import INTERVAL, Bins, read_index
from readcount.formats.bgzf import BlockError, follow_blocks
from readcount.request.region import UNPLACED, Region
from readcount.request.region_list import RegionList
from readcount.request.request import Request
from readcount.source.bam import BamEvidence
from readcount.source.structure import cut_between, merge_ranges, record_offsets
from steps import ask, count_regions, files_of, indexed, opened
from strategies import Case, cases


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with start_workers(2) as workers:
        yield workers


def check(bam: Path, regions: list[Region], workers: Workers) -> str:
    return opened(bam).evidence.check_structure(RegionList(regions), workers)


@given(case=cases())
@settings(max_examples=100, deadline=None)
def test_no_index_that_samtools_writes_is_refused(
    tmp_path_factory: pytest.TempPathFactory, workers: Workers, case: Case
) -> None:
    path = tmp_path_factory.mktemp("any") / "sample.bam"
    bam = write_bam(path, case.lengths, case.reads, csi=case.csi)
    spans = [Region(name, 0, length) for name, length in case.lengths.items()]
    assert check(bam, [*map(Region, case.lengths), *spans, UNPLACED], workers)


@given(case=cases(), slices=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_no_index_of_a_cram_is_refused_but_out_of_order(
    tmp_path_factory: pytest.TempPathFactory, workers: Workers, case: Case, slices: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "sample.bam"
    # samtools indexes no CRAM in which a mapped record has no position.
    reads = [read for read in case.reads if read.position >= 0 or read.contig is None]
    bam = write_bam(path, case.lengths, reads, csi=case.csi)
    cram = cram_of(bam, "no_ref=1", "seqs_per_slice=2", f"slices_per_container={slices}")
    index = Path(f"{cram}.crai")
    assert "in their order" in check(cram, [], workers)
    lines = gzip.decompress(index.read_bytes())
    if lines:
        index.write_bytes(gzip.compress(lines + lines))
        with pytest.raises(InputError, match="contradicts itself at") as refused:
            check(cram, [], workers)
        assert is_a_known_message(str(refused.value), "AppError")


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_all_records_of_a_span_lie_where_it_is_looked_for_them(
    tmp_path_factory: pytest.TempPathFactory, case: Case
) -> None:
    path = tmp_path_factory.mktemp("any") / "sample.bam"
    bam = write_bam(path, case.lengths, case.reads, csi=case.csi)
    spans = [
        Region(name, start, start + 5)
        for name, length in case.lengths.items()
        for start in {0, length // 2, INTERVAL - 3, INTERVAL}
    ]
    index = read_index(Path(f"{bam}.bai"))
    places = {name: record_offsets(index.bins(number)) for number, name in enumerate(case.lengths)}
    with pysam.AlignmentFile(str(bam), index_filename=f"{bam}.bai") as alignments:
        at = alignments.tell()
        for record in alignments.fetch(until_eof=True):
            for span in spans:
                begin = max(0, record.reference_start)
                behind = record.reference_end or begin + 1
                reaches = begin < (span.end or 0) and behind > (span.start or 0)
                if span.contig == record.reference_name and reaches:
                    found = places[span.contig]
                    assert found
                    low, high = found.of(span)
                    assert low <= at < high
            at = alignments.tell()


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
    places = record_offsets(ENTRY)
    assert places
    assert places.of(Region("chr1")) == ENTRY.bounds
    assert places.of(Region("chr1", 0, 5)) == blocks(10, 20)
    # Up to where the first record can be that begins behind it, and from the first that reaches it.
    assert places.of(Region("chr1", 2 * INTERVAL, 2 * INTERVAL + 1)) == blocks(30, 50)
    assert places.of(Region("chr1", 2 * INTERVAL - 1, None)) == blocks(20, 60)
    assert places.of(Region("chr1", 900 * INTERVAL, None)) == blocks(45, 60)


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
    "a bin twice": (with_bin(4683, (4682, 0, blocks(35, 45))), "it has a bin twice"),
    "a bin lost": (ENTRY._replace(bins=[*ENTRY.bins[:1], *ENTRY.bins[2:]]), "it skips"),
    "a chunk that ends early": (with_bin(4682, (4682, 0, blocks(20, 29))), "it skips"),
    "a chunk that begins late": (with_bin(4683, (4683, 0, blocks(36, 45))), "it skips"),
    "a chunk turned round": (with_bin(4683, (4683, 0, blocks(45, 35))), "its offsets are not"),
    "a first chunk that begins late": (with_bin(4681, (4681, 0, blocks(11, 20))), "its offsets"),
    "a last chunk that ends late": (with_bin(4684, (4684, 0, blocks(50, 61))), "its offsets"),
    "no bins": (ENTRY._replace(bins=[]), "it has no offsets of its records"),
    "a linear index that is short": (ENTRY._replace(linear=blocks(10, 20, 30)), "ends before"),
    "a linear index that is late": (ENTRY._replace(linear=blocks(10, 21, 30, 45)), "skips"),
    "one that falls": (ENTRY._replace(linear=blocks(10, 20, 30, 29)), "is not in order"),
    "one that leads elsewhere": (ENTRY._replace(linear=blocks(10, 20, 9, 45)), "leads elsewhere"),
    "one of a CSI that is late": (
        Bins(14, 6, [(37449, 10 << 16, blocks(9, 20))], (), blocks(9, 20)),  # type: ignore[arg-type]
        "skips",
    ),
}


@pytest.mark.parametrize(("damaged", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_an_index_that_contradicts_itself_is_found_out(damaged: Bins, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        record_offsets(damaged)


def test_ranges_are_joined_and_cut_at_blocks() -> None:
    assert merge_ranges([(5, 9), (1, 2), (8, 12), (12, 13), (4, 4)]) == [(1, 2), (5, 13)]
    ranges = [blocks(0, 10), blocks(20, 22)]
    parts = list(cut_between(ranges, blocks(0, 3, 4, 8, 15, 20), size=4))  # type: ignore[arg-type]
    assert parts == [list(blocks(*part)) for part in ([0, 3, 4], [4, 8], [8, 10], [20, 22])]


def test_blocks_are_followed_to_the_end_of_the_file(whole: Path) -> None:
    parts = bgzf.split(whole.read_bytes())
    starts = blocks(*(start for start, _ in bgzf.starts(parts)))
    end = whole.stat().st_size << 16
    assert follow_blocks(whole, [0, end]) == len(parts)
    assert follow_blocks(whole, [starts[2], starts[5], starts[6]]) == 4
    with pytest.raises(BlockError, match=str((starts[5] >> 16) + 1)):
        follow_blocks(whole, [starts[2], starts[5] + (1 << 16), end])
    with pytest.raises(BlockError):
        follow_blocks(whole, [starts[2], end + (1 << 16)])


@pytest.mark.parametrize("last", [False, True])
def test_an_offset_lies_in_its_block(whole: Path, last: bool) -> None:
    parts = bgzf.split(whole.read_bytes())
    (start, end), length = bgzf.starts(parts)[3], len(bgzf.unpack(parts[3]))
    rest = [] if last else [end << 16]
    assert follow_blocks(whole, [start << 16, (start << 16) + length, *rest]) == len(rest)
    with pytest.raises(BlockError, match=str(start)):
        follow_blocks(whole, [start << 16, (start << 16) + length + 1, *rest])


@dataclass(frozen=True)
class Damage:
    """A way to damage blocks, number by number, and the regions whose count it can make wrong."""

    blocks: Callable[[list[bytes]], list[bytes]]
    regions: tuple[Region, ...] = (Region("chr1"), Region("chr1", 50_000, 80_000))


def flip(block: bytes, at: int) -> bytes:
    return block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]


DAMAGES: dict[str, Damage] = {
    "lost": Damage(lambda blocks: blocks[:1] + blocks[2:]),
    "doubled": Damage(lambda blocks: blocks[:2] + blocks[1:]),
    "cut": Damage(lambda blocks: [*blocks[:4], bgzf.END_OF_FILE]),
    "magic": Damage(lambda blocks: [blocks[0], flip(blocks[1], 1), *blocks[2:]], (Region("chr1"),)),
    "extra field": Damage(
        lambda blocks: [blocks[0], flip(blocks[1], 12), *blocks[2:]], (Region("chr1"),)
    ),
    "size": Damage(
        lambda blocks: [blocks[0], flip(blocks[1], bgzf.SIZE_AT), *blocks[2:]], (Region("chr1"),)
    ),
    "garbage behind": Damage(lambda blocks: [*blocks[:-1], b"garbage", blocks[-1]], (UNPLACED,)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_file_that_does_not_fit_its_index_is_found_out(
    whole: Path, tmp_path: Path, workers: Workers, damage: Damage
) -> None:
    bam = tmp_path / "sample.bam"
    shutil.copy(f"{whole}.bai", f"{bam}.bai")
    evidence = opened(whole).evidence
    assert isinstance(evidence, BamEvidence)
    bam.write_bytes(b"".join(damage.blocks(bgzf.split(whole.read_bytes()))))
    for region in damage.regions:
        with pytest.raises(InputError, match="no BGZF block begins at byte") as refused:
            replace(evidence, file=indexed(bam)).check_structure(RegionList([region]), workers)
        assert len(str(refused.value)) <= MESSAGE_LENGTH
        assert is_a_known_message(str(refused.value), "AppError")


def test_what_is_damaged_elsewhere_is_no_matter(
    whole: Path, tmp_path: Path, workers: Workers
) -> None:
    """A span needs only its part of the file."""
    bam = tmp_path / "sample.bam"
    shutil.copy(f"{whole}.bai", f"{bam}.bai")
    evidence = opened(whole).evidence
    assert isinstance(evidence, BamEvidence)
    blocks = bgzf.split(whole.read_bytes())
    bam.write_bytes(b"".join([*blocks[:-5], flip(blocks[-5], 1), *blocks[-4:]]))
    span = Region("chr1", 50_000, 80_000)
    assert replace(evidence, file=indexed(bam)).check_structure(RegionList([span]), workers)


def test_a_damaged_index_has_a_message_that_helps(
    whole: Path, tmp_path: Path, workers: Workers
) -> None:
    bam = Path(shutil.copy(whole, tmp_path))
    index = Path(f"{whole}.bai").read_bytes()
    # The first number of a bin follows the number of sequences, and of bins of the first one.
    Path(f"{bam}.bai").write_bytes(index[:12] + (37449).to_bytes(4, "little") + index[16:])
    with pytest.raises(InputError, match=r"sample.bam.bai contradicts itself at chr1") as refused:
        check(bam, [Region("chr1")], workers)
    assert is_a_known_message(str(refused.value), "AppError")


def test_the_structure_is_checked_where_the_index_has_no_number(
    whole: Path, workers: Workers
) -> None:
    def log_of(request: Request) -> str:
        lines: list[str] = []
        counts = count_regions(files_of(whole), workers, lines.append, request)
        assert counts.regions
        return "\n".join(lines)

    checked = "blocks of the file begin where"
    assert checked not in log_of(ask())
    assert checked not in log_of(ask(regions=["chr1"], include_unplaced=True))
    agrees = "agrees with itself, and the blocks of the file begin where it says"
    assert f"the index of 2 sequences {agrees}" in log_of(ask(min_mapping_quality=10))
    assert f"the index of 1 sequence {agrees}" in log_of(ask(regions=["chr1:5-500", "chr2"]))
    assert count_one_by_one(whole, LENGTHS) == [3000, 2000]
