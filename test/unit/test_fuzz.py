"""No damage to a BAM or its index gives a wrong count; `make fuzz` tries far more of it."""

import random
from pathlib import Path

import pytest

from fuzz import bgzf
from fuzz.__main__ import (
    FILTERED,
    OURS,
    REFUSED,
    RIGHT,
    SPANS,
    WRONG,
    Choice,
    Counts,
    classify,
    cram_sample,
    fuzz,
    sample,
    write_pair,
)
from fuzz.cram_mutations import CRAM_MUTATIONS, END_OF_FILE
from fuzz.mutations import MUTATIONS, Pair

Sample = tuple[Pair, Counts]


@pytest.fixture(scope="module", params=[0, 300], ids=["none unplaced", "some unplaced"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample(tmp_path_factory.mktemp("whole") / "whole.bam", unplaced=request.param)


def test_what_is_whole_is_counted(whole: Sample, tmp_path: Path) -> None:
    pair, expected = whole
    assert classify(OURS, write_pair(pair, tmp_path / "whole"), expected) == RIGHT


@pytest.mark.parametrize("name", MUTATIONS)
def test_damage_is_noticed_or_changes_nothing(whole: Sample, tmp_path: Path, name: str) -> None:
    pair, expected = whole
    for attempt in range(2):
        damaged = MUTATIONS[name](pair, random.Random(attempt))
        bam = write_pair(damaged, tmp_path / str(attempt))
        assert classify(OURS, bam, expected) != WRONG


@pytest.fixture(scope="module", params=[0, 300], ids=["none unplaced", "some unplaced"])
def whole_cram(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return cram_sample(tmp_path_factory.mktemp("whole") / "whole.bam", unplaced=request.param)


def test_a_whole_cram_is_counted(whole_cram: Sample, tmp_path: Path) -> None:
    pair, expected = whole_cram
    assert pair.bam.endswith(END_OF_FILE)
    assert classify(OURS, write_pair(pair, tmp_path / "whole", "crai"), expected) == RIGHT


@pytest.mark.parametrize("name", CRAM_MUTATIONS)
def test_damage_to_a_cram_is_noticed_or_changes_nothing(
    whole_cram: Sample, tmp_path: Path, name: str
) -> None:
    pair, expected = whole_cram
    for attempt in range(2):
        damaged = CRAM_MUTATIONS[name](pair, random.Random(attempt))
        cram = write_pair(damaged, tmp_path / str(attempt), "crai")
        assert classify(OURS, cram, expected) != WRONG


@pytest.mark.parametrize("end_put_back", [False, True])
def test_no_cut_gives_a_count(whole: Sample, tmp_path: Path, end_put_back: bool) -> None:
    """At the edges of blocks, beside them, and anywhere."""
    pair, expected = whole
    blocks = bgzf.starts(bgzf.split(pair.bam))
    edges = [blocks[number][0] for number in (0, 1, 2, len(blocks) // 2, -2)]
    for end in [*edges, edges[1] + 1, edges[3] - 1, edges[3] + 10, edges[4] - 5, edges[4] + 27]:
        content = pair.bam[:end] + (bgzf.END_OF_FILE if end_put_back else b"")
        bam = write_pair(Pair(content, pair.index), tmp_path / str(end))
        what = classify(OURS, bam, expected)
        # What is cut off behind the last placed record takes nothing from a count.
        assert what == REFUSED or (what == RIGHT and end_put_back and end >= edges[4])


def test_the_index_of_a_sibling_is_refused(tmp_path: Path) -> None:
    """Made from the same header, of about as many reads: some offsets even decode."""
    one, counts = sample(tmp_path / "one.bam", unplaced=0)
    other, _ = sample(tmp_path / "other.bam", unplaced=0, fewer=7)
    bam = write_pair(Pair(one.bam, other.index), tmp_path / "mixed")
    assert classify(OURS, bam, counts) == REFUSED


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("choice", [FILTERED, SPANS], ids=["filtered", "spans"])
def test_damage_is_noticed_where_no_statistics_tell(
    tmp_path: Path, choice: Choice, name: str
) -> None:
    pair, expected = sample(tmp_path / "whole.bam", unplaced=0, choice=choice)
    damaged = MUTATIONS[name](pair, random.Random(1))
    assert classify(OURS, write_pair(damaged, tmp_path / "1"), expected, choice) != WRONG


@pytest.mark.parametrize("cram", [False, True])
def test_the_tally_has_every_run(tmp_path: Path, cram: bool) -> None:
    tally = fuzz(number=5, seed=1, keep=tmp_path, cram=cram)
    assert sum(tally.values()) == 5 * 3
    assert not [key for key in tally if key[1:] == (OURS, WRONG)]
