"""RegionList and RegionCounts, which store columns, behave like lists of their rows."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import readcount.regions.bed as bed_module
from readcount.errors import InputError
from readcount.regions.bed import read_bed
from readcount.regions.counts import RegionCount, RegionCounts
from readcount.regions.region import UNPLACED, Region
from readcount.regions.region_list import RegionList, joined
from readcount.source.sequences import SequenceDictionary

HEADER = SequenceDictionary({"chr1": 1000, "chr2": 500})
LENGTHS = {"chr1": 1000, "chr2": 500, "b c": 90, "5": 100, "12": 100}


@st.composite
def any_region(draw: st.DrawFn) -> Region:
    contig = draw(st.sampled_from([*HEADER.lengths]))
    start = draw(st.none() | st.integers(0, 400))
    end = draw(st.none() | st.integers(401, 500))
    name, alias = draw(st.sampled_from(["", "exon"])), draw(st.sampled_from(["", "1"]))
    return draw(st.just(Region(contig, start, end, name, alias=alias)) | st.just(UNPLACED))


any_regions = st.lists(any_region(), max_size=6)


@given(any_regions, any_regions)
def test_a_region_list_behaves_like_a_list(first: list[Region], more: list[Region]) -> None:
    regions = joined([RegionList.of(HEADER, some) for some in (first, more)])
    expected = [*first, *more]
    assert regions == expected
    assert [regions[number] for number in range(len(expected))] == expected
    assert regions[1:3] == expected[1:3]
    assert list(regions.texts()) == [str(region) for region in expected]
    assert list(regions.labels()) == [region.name or str(region) for region in expected]
    spans = [
        number
        for number, region in enumerate(expected)
        if region.start is not None or region.end is not None
    ]
    assert regions.spans.tolist() == spans
    assert regions.whole.tolist() == sorted({*range(len(expected))} - {*spans})
    on_chr1 = regions.regions_on({"chr1"})
    assert on_chr1 == [region for region in expected if region.contig == "chr1"]


def test_there_is_one_count_per_region() -> None:
    counts = RegionCounts(RegionList.of_whole(["a", "b"]), np.array([3, 4]))
    assert counts == [RegionCount(Region("a"), 3), RegionCount(Region("b"), 4)]
    with pytest.raises(ValueError, match="1 counts for 2 regions"):
        RegionCounts(counts.regions, np.array([3]))


LINES = st.sampled_from(
    [
        "chr1\t5\t10",
        "chr1\t0\t1000\texon 1\t0\t+",
        "chr2\t07\t9\t x ",
        "chr2 3 4",
        "#x",
        "",
        "1\t1\t2",
        "track x",
        "chr1\t5\t5",
        "chr1\t9\t5",
        "chr1\t5\t1001",
        "chr1\t-5\t9",
        "chr1\t5",
        "b c\t1\t2",
        "chr3\t1\t2",
        "chr1\t1\t",
        "chr1\t1\t٣",
        # "5" is a sequence name, a start, or a digit of a start.
        "5\t15\t20",
        "5\t6\t20",
        "12\t5\t7",
        "5\t5\t20\t99",
        # Two numbers in a field, and an empty field.
        "chr1\t1 2\t30",
        "chr1\t\t40",
        "chr1\t99999999999999999999\t3",
        " chr1\t1\t2",
    ]
)


@given(st.lists(LINES, max_size=8))
@example(["5\t5\t20\t99"])
@example(["chr1\t1 2\t30", "chr1\t\t40"])
def test_reading_lines_in_blocks_is_equivalent_to_reading_them_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = tmp_path_factory.mktemp("bed") / "x.bed"
    path.write_text("".join(f"{line}\n" for line in lines))

    def read(block_characters: int, one_by_one: bool = False) -> list[Region] | str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bed_module, "BLOCK_CHARACTERS", block_characters)
            if one_by_one:
                patch.setattr(bed_module, "_plain_lines", lambda *arguments: None)
            try:
                return list(read_bed(path, SequenceDictionary(LENGTHS, {"1": "chr1"})))
            except InputError as error:
                return str(error)

    assert read(1) == read(20) == read(1 << 18) == read(20, one_by_one=True)
