"""Records are counted in every span that they overlap, and in no other."""

import io
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import readcount.formats.bam_stream as bam_stream
from builders import Read, write_bam
from readcount.counting.overlaps import count_overlaps, tallied, within_extents
from readcount.formats.bam_stream import Positions, read_positions
from readcount.source.parts import Extent, Span

# Reference ID, start and end; 0-based, half-open.
Location = tuple[int, int, int]


@st.composite
def spans(draw: st.DrawFn) -> Location:
    start = draw(st.integers(0, 30))
    return draw(st.integers(0, 1)), start, start + draw(st.integers(1, 12))


def pieces_of(records: list[Location], size: int) -> Iterator[Positions]:
    """Yields the positions of records, this many at a time."""
    for first in range(0, len(records), size):
        columns = zip(*records[first : first + size], strict=True)
        yield Positions(*(np.array(column, np.int64) for column in columns))


@given(st.lists(spans(), max_size=40), st.lists(spans(), max_size=10), st.integers(1, 50))
def test_a_record_is_counted_in_each_span_that_it_overlaps(
    records: list[Location], regions: list[Location], size: int
) -> None:
    regions = [*regions, (0, 0, 1), (1, 0, 1)]
    tids, starts, ends = zip(*regions, strict=True)
    assert list(count_overlaps(pieces_of(records, size), tids, starts, ends)) == [
        sum(
            record[0] == tid and bool({*range(*record[1:])} & {*range(start, end)})
            for record in records
        )
        for tid, start, end in regions
    ]


READS = [
    Read("chr1", 0, "10M"),
    Read("chr1", 5, "3M2D1I4N2M1S"),
    Read("chr1", 7, "2S3=2X1H"),
    Read("chr1", 9, None, 0x4),
    Read("chr1", 9, "1I"),
    Read("chr1", 9, "10M", 0x4),
    Read("chr2", 3, "2147M" * 20),
    Read(None),
]
# The locations of READS.
LOCATIONS = [
    (0, 0, 10),
    (0, 5, 16),
    (0, 7, 12),
    (0, 9, 10),
    (0, 9, 10),
    (0, 9, 10),
    (1, 3, 42943),
    (-1, -1, 0),
]


# Longer than a BGZF block, so that the record continues in the next block.
LONG = Read("chr2", 10, "1M1I" * 20_000)


def stream_of(bam: Path, compressed: bool = False) -> bytes:
    return subprocess.check_output(["samtools", "view", "-b" if compressed else "-u", bam])


@pytest.mark.samtools
@pytest.mark.parametrize("piece_bytes", [bam_stream.FIRST_BYTES, bam_stream.PIECE_BYTES])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("long_reads", [0, 7])
def test_the_location_of_every_record_in_a_stream_is_decoded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    piece_bytes: int,
    compressed: bool,
    long_reads: int,
) -> None:
    monkeypatch.setattr(bam_stream, "PIECE_BYTES", piece_bytes)
    bam = write_bam(tmp_path, {"chr1": 1000, "chr2": 50_000}, READS * 1000 + [LONG] * long_reads)
    pieces = read_positions(io.BytesIO(stream_of(bam, compressed)))
    found = [tuple(map(int, record)) for piece in pieces for record in zip(*piece, strict=True)]
    assert sorted(found) == sorted(LOCATIONS * 1000 + [(1, 10, 20_010)] * long_reads)


def test_a_truncated_stream_is_an_error(tmp_path: Path) -> None:
    bam = write_bam(tmp_path, {"chr1": 1000, "chr2": 50_000}, READS)
    stream = stream_of(bam)
    for length in range(len(stream) - 1):
        with pytest.raises(ValueError, match=r"the stream (ends|is not)|decompress"):
            list(read_positions(io.BytesIO(stream[:length])))


def test_records_must_match_the_headers_of_their_containers() -> None:
    records = [(0, 5, 10), (0, 7, 9), (1, 0, 4), (-1, -1, 0)]

    def checked(*extents: Extent) -> int:
        pieces = within_extents(pieces_of(records, 3), extents)
        return sum(len(piece.tids) for piece in pieces)

    valid = [Extent(2, Span(0, 5, 10)), Extent(0, None), Extent(1, Span(1, 0, 4)), Extent(1, None)]
    assert checked(*valid) == checked() == 4
    for at, wrong in (
        (0, Extent(2, Span(0, 6, 10))),
        (0, Extent(2, Span(0, 5, 7))),
        (0, Extent(2, Span(1, 5, 10))),
        (0, Extent(1, Span(0, 5, 10))),
    ):
        with pytest.raises(ValueError, match=r"container"):
            checked(*valid[:at], wrong, *valid[at + 1 :])


def test_records_of_each_sequence_are_tallied() -> None:
    tally: Counter[int] = Counter()
    for _ in tallied(pieces_of([(0, 5, 10), (7, 7, 9), (7, 8, 9), (-1, -1, 0)], 2), tally):
        pass
    assert tally == {0: 1, 7: 2, -1: 1}
