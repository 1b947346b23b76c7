"""No damage to a BAM or its index gives a wrong count; `make fuzz` tries far more of it."""

import random
import shutil
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import bgzf
from fuzz.__main__ import (
    BAM,
    BAM_WITH_CSI,
    CHOICES,
    CONTIGS,
    CRAM,
    EVEN,
    LONG,
    OURS,
    PLAIN,
    REFUSED,
    RIGHT,
    WHOLE,
    WRONG,
    Choice,
    Kind,
    classify,
    fuzz,
    make_sample,
    truth_of,
    write_pair,
)
from fuzz.cram_mutations import CRAM_MUTATIONS
from fuzz.mutations import MUTATIONS, Pair
from oracle import in_braces
from readcount.regions.region import Region
from steps import ask
from strategies import examples

# The records without a position, and what the others are like.
KINDS = ((300, PLAIN), (0, PLAIN), (300, EVEN))
# What is asked for; INDEX comes last.
ASKED = [WHOLE, *CHOICES.values()]


@pytest.fixture(scope="module")
def bams(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return [make_sample(tmp_path_factory.mktemp("whole"), BAM, *kind) for kind in KINDS]


@pytest.fixture(scope="module")
def crams(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return [make_sample(tmp_path_factory.mktemp("whole"), CRAM, unplaced) for unplaced in (0, 300)]


@cache
def truth_of_whole(whole: Pair, asked: int) -> dict[str, int]:
    """What is right for an undamaged file: by the number of the choice in ASKED."""
    return truth_of(whole, ASKED[asked])


def what_came(folder: Path, damaged: Pair, whole: Pair, choice: Choice, index: str = "bai") -> str:
    """Counts a damaged file, and says what came of it."""
    bam = write_pair(damaged, folder / "damaged", index)
    if damaged.changed:
        expected = truth_of(bam, choice)
    elif choice in ASKED:
        expected = truth_of_whole(whole, ASKED.index(choice))
    else:
        expected = truth_of(whole, choice)
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


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    """Some spans and whole sequences, or windows; and maybe a mapping quality."""
    filters = {"min_mapping_quality": draw(st.sampled_from([0, 20]))}
    size = draw(st.sampled_from([0, 0, 3_000, 70_000]))
    if size:
        windows = tuple(
            Region(name, start, min(start + size, length))
            for name, length in CONTIGS.items()
            for start in range(0, length, size)
        )
        return Choice(windows, ask(windows=size, **filters))
    regions = []
    for name in draw(st.lists(st.sampled_from([*CONTIGS]), min_size=1, max_size=4)):
        start = draw(st.integers(0, CONTIGS[name] - 1))
        length = draw(st.integers(1, 300) | st.integers(1, 100_000))
        span = Region(name, start, min(start + length, CONTIGS[name]))
        regions.append(draw(st.sampled_from([span, span, Region(name)])))
    return Choice(tuple(regions), ask(regions=[*map(in_braces, regions)], **filters))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Kind, Pair]]:
    return [
        (kind, make_sample(tmp_path_factory.mktemp("whole"), kind, *sample))
        for kind in (BAM, BAM_WITH_CSI, CRAM)
        for sample in (*KINDS, (300, LONG))
    ]


@given(data=st.data(), choice=choices(), seed=st.integers(0, 2**32))
@settings(parent=examples(40))
def test_any_damage_gives_the_counts_of_the_records_or_an_error(
    samples: list[tuple[Kind, Pair]],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    choice: Choice,
    seed: int,
) -> None:
    number = data.draw(st.integers(0, len(samples) - 1))
    kind, sample = samples[number]
    mutation = data.draw(st.sampled_from([*kind.mutations]))
    damaged = kind.mutations[mutation](sample, random.Random(seed))
    folder = tmp_path_factory.mktemp("any")
    assert what_came(folder, damaged, sample, choice, kind.index) != WRONG


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


@pytest.mark.parametrize("kind", [BAM, BAM_WITH_CSI, CRAM], ids=["bam", "csi", "cram"])
def test_the_tally_has_every_run(tmp_path: Path, kind: Kind) -> None:
    tally = fuzz(number=5, seed=1, keep=tmp_path, kind=kind)
    assert sum(tally.values()) == 5 * 3
    assert not [key for key in tally if key[1:] == (OURS, WRONG)]
