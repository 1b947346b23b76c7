"""Windows cover each region once, and their counts can be read as bedGraph."""

from pathlib import Path

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Read, write_bam
from messages import is_a_known_message
from oracle import records_of
from readcount.counting.pool import start_workers
from readcount.errors import InputError
from readcount.outputs.bedgraph import bedgraph_lines, write_bedgraph
from readcount.regions.counts import RegionCount
from readcount.regions.list_regions import list_regions
from readcount.regions.region import UNPLACED, Region
from readcount.regions.region_list import RegionList
from readcount.regions.windows import cut_into_windows
from readcount.source.sequences import SequenceDictionary
from steps import ask, count_regions, local_files

LENGTHS = {"chr1": 1000, "chr2": 250}


@given(st.integers(1, 1200), st.integers(0, 999), st.integers(1, 1000))
def test_windows_cover_a_region_once_and_in_order(size: int, start: int, more: int) -> None:
    region = Region("chr1", start, min(1000, start + more))
    windows = cut_into_windows(RegionList.of(SequenceDictionary(LENGTHS), [region]), size, LENGTHS)
    covered = [base for window in windows for base in range(window.start or 0, window.end or 0)]
    assert covered == list(range(start, region.end or 0))
    assert all((window.end or 0) - (window.start or 0) == size for window in windows[:-1])


def test_windows_divide_the_regions_that_other_inputs_select() -> None:
    request = ask(regions=["chr2", "chr1:901-"], windows=200, include_unplaced=True)
    assert list_regions(request, None, SequenceDictionary(LENGTHS)) == [
        Region("chr2", 0, 200),
        Region("chr2", 200, 250),
        Region("chr1", 900, 1000),
        UNPLACED,
    ]
    request = ask(primary_chromosomes_only=True, windows=1000)
    assert list_regions(request, None, SequenceDictionary(LENGTHS | {"alt": 5})) == [
        Region("chr1", 0, 1000),
        Region("chr2", 0, 250),
    ]


@pytest.mark.parametrize(
    ("lengths", "size", "words"),
    [
        ({"chr1": 20_000_001}, 1, "1 base results in 20,000,001 windows, and at most 20,000,000"),
        ({"chr1": 5}, -1, "positive number of bases, found -1"),
    ],
)
def test_invalid_window_sizes_are_rejected(lengths: dict[str, int], size: int, words: str) -> None:
    with pytest.raises(InputError, match=r"^windows: ") as caught:
        list_regions(ask(windows=size), None, SequenceDictionary(lengths))
    assert words in str(caught.value)
    assert is_a_known_message(str(caught.value), "AppError")


@pytest.mark.samtools
def test_a_record_is_counted_in_each_window_that_it_overlaps(tmp_path: Path) -> None:
    reads = [Read("chr1", 7 * number, "150M") for number in range(100)]
    reads += [Read("chr1", 950, "200M"), Read("chr2", 10, None, 0x4), Read(None)]
    bam = write_bam(tmp_path, LENGTHS, reads)
    with start_workers(2) as workers:
        files = local_files(str(bam), f"{bam}.bai")
        request = ask(windows=100, include_unplaced=True)
        result = count_regions(files, workers, lambda line: None, request)
    assert "in windows of 100 bases" in result.regions_counted
    assert result.counts[-1] == RegionCount(UNPLACED, 1)
    assert [count.records for count in result.counts[:-1]] == [
        sum(
            record.contig == count.region.contig
            and record.start < (count.region.end or 0)
            and record.end > (count.region.start or 0)
            for record in records_of(bam)
        )
        for count in result.counts[:-1]
    ]
    index = write_bedgraph(result, tmp_path / "x.bedgraph.gz")
    assert index.name == "x.bedgraph.gz.tbi"
    with pysam.TabixFile(str(tmp_path / "x.bedgraph.gz"), index=str(index)) as tabix:
        lines = list(tabix.fetch())
        fetched = list(tabix.fetch("chr1", 250, 450))
    assert "".join(f"{line}\n" for line in lines) == "".join(bedgraph_lines(result))
    # Unplaced records are not in the bedGraph.
    assert len(lines) == len(result.counts) - 1
    expected = [count.records for count in result.counts[2:5]]
    assert fetched == [
        f"chr1\t{start}\t{start + 100}\t{records}"
        for start, records in zip((200, 300, 400), expected, strict=True)
    ]
