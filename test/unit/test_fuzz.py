"""No damage to a BAM or its index gives a wrong count; `make fuzz` tries far more of it."""

import random
import shutil
from functools import cache
from pathlib import Path

import pytest

from fuzz import bgzf
from fuzz.__main__ import (
    CHOICES,
    OURS,
    REFUSED,
    RIGHT,
    WHOLE,
    WRONG,
    Choice,
    classify,
    fuzz,
    make_sample,
    truth_of,
    write_pair,
)
from fuzz.cram_mutations import CRAM_MUTATIONS
from fuzz.mutations import MUTATIONS, Pair

# The records without a position, and whether all records have one size.
KINDS = ((300, 0), (0, 0), (300, 1))
# What is asked for; INDEX comes last.
ASKED = [WHOLE, *CHOICES.values()]


@pytest.fixture(scope="module")
def bams(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return [make_sample(tmp_path_factory.mktemp("whole"), False, *kind) for kind in KINDS]


@pytest.fixture(scope="module")
def crams(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return [make_sample(tmp_path_factory.mktemp("whole"), True, unplaced) for unplaced in (0, 300)]


@cache
def truth_of_whole(whole: Pair, asked: int) -> dict[str, int]:
    """What is right for an undamaged file: by the number of the choice in ASKED."""
    return truth_of(whole, ASKED[asked])


def what_came(folder: Path, damaged: Pair, whole: Pair, choice: Choice, index: str = "bai") -> str:
    """Counts a damaged file, and says what came of it."""
    bam = write_pair(damaged, folder / "damaged", index)
    changed = damaged.changed
    expected = truth_of(bam, choice) if changed else truth_of_whole(whole, ASKED.index(choice))
    what = classify(OURS, bam, expected, choice)
    shutil.rmtree(folder / "damaged")
    return what


@pytest.mark.parametrize("number", range(len(ASKED)), ids=["whole", *CHOICES])
def test_what_is_whole_is_counted(
    bams: list[Pair], crams: list[Pair], tmp_path: Path, number: int
) -> None:
    bam, cram = bams[number % len(bams)], crams[number % len(crams)]
    assert what_came(tmp_path, bam, bam, ASKED[number]) == RIGHT
    assert what_came(tmp_path, cram, cram, ASKED[number], "crai") == RIGHT


# Each kind of damage comes to each of the files, and what is asked for differs from one kind to the
# next.


@pytest.mark.parametrize("name", MUTATIONS)
def test_damage_is_noticed_or_changes_nothing(bams: list[Pair], tmp_path: Path, name: str) -> None:
    first = [*MUTATIONS].index(name)
    for attempt, choice in enumerate([WHOLE, ASKED[1 + first % 4]]):
        whole = bams[(first + attempt) % len(bams)]
        damaged = MUTATIONS[name](whole, random.Random(attempt))
        assert what_came(tmp_path, damaged, whole, choice) != WRONG


@pytest.mark.parametrize("name", CRAM_MUTATIONS)
def test_damage_to_a_cram_is_noticed_or_changes_nothing(
    crams: list[Pair], tmp_path: Path, name: str
) -> None:
    first = [*CRAM_MUTATIONS].index(name)
    for attempt, choice in enumerate([WHOLE, ASKED[1 + first % 5]]):
        whole = crams[(first + attempt) % len(crams)]
        damaged = CRAM_MUTATIONS[name](whole, random.Random(attempt))
        assert what_came(tmp_path, damaged, whole, choice, "crai") != WRONG


@pytest.mark.parametrize(("number", "end_put_back"), [(0, True), (1, True), (2, False)])
def test_no_cut_gives_a_count(
    bams: list[Pair], tmp_path: Path, number: int, end_put_back: bool
) -> None:
    """At the edges of blocks, beside them, and anywhere."""
    whole = bams[number]
    blocks = bgzf.starts(bgzf.split(whole.bam))
    edges = [blocks[number][0] for number in (0, 1, 2, len(blocks) // 2, -2)]
    for end in [*edges, edges[1] + 1, edges[3] - 1, edges[3] + 10, edges[4] - 5, edges[4] + 27]:
        content = whole.bam[:end] + (bgzf.END_OF_FILE if end_put_back else b"")
        what = what_came(tmp_path, Pair(content, whole.index), whole, WHOLE)
        # What is cut off after the last placed record takes nothing from a count.
        assert what == REFUSED or (what == RIGHT and end_put_back and end >= edges[4])


@pytest.mark.parametrize("cram", [False, True])
def test_the_tally_has_every_run(tmp_path: Path, cram: bool) -> None:
    tally = fuzz(number=5, seed=1, keep=tmp_path, cram=cram)
    assert sum(tally.values()) == 5 * 3
    assert not [key for key in tally if key[1:] == (OURS, WRONG)]
