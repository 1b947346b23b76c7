"""No damage to a BAM or its index gives a wrong count; `make fuzz` tries far more of it."""

import random
import shutil
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
    FILTERED,
    INDEX,
    LONG,
    OURS,
    PLAIN,
    REFUSED,
    RIGHT,
    SOME,
    SPANS,
    WHOLE,
    WINDOWS,
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

SAMPLES = {
    "some unplaced": (300, PLAIN),
    "none unplaced": (0, PLAIN),
    "even": (300, EVEN),
}


@pytest.fixture(scope="module", params=[*SAMPLES.values()], ids=[*SAMPLES])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_sample(tmp_path_factory.mktemp("whole"), BAM, *request.param)


@pytest.fixture(scope="module", params=[0, 300], ids=["none unplaced", "some unplaced"])
def whole_cram(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_sample(tmp_path_factory.mktemp("whole"), CRAM, request.param)


def what_came(folder: Path, damaged: Pair, whole: Pair, choice: Choice, index: str = "bai") -> str:
    """Counts a damaged file, and says what came of it."""
    bam = write_pair(damaged, folder / "damaged", index)
    expected = truth_of(bam if damaged.changed else whole, choice)
    what = classify(OURS, bam, expected, choice)
    shutil.rmtree(folder / "damaged")
    return what


@pytest.mark.parametrize("choice", [WHOLE, *CHOICES.values()], ids=["whole", *CHOICES])
def test_what_is_whole_is_counted(
    whole: Pair, whole_cram: Pair, tmp_path: Path, choice: Choice
) -> None:
    assert what_came(tmp_path, whole, whole, choice) == RIGHT
    assert what_came(tmp_path, whole_cram, whole_cram, choice, "crai") == RIGHT


@pytest.mark.parametrize("name", MUTATIONS)
def test_damage_is_noticed_or_changes_nothing(whole: Pair, tmp_path: Path, name: str) -> None:
    """What is asked for differs from one kind of damage to the next."""
    choices = [WHOLE, FILTERED, SPANS, SOME, WINDOWS]
    first = [*MUTATIONS].index(name)
    for attempt, choice in enumerate([WHOLE, choices[first % 5], choices[(first + 2) % 5]]):
        damaged = MUTATIONS[name](whole, random.Random(attempt))
        assert what_came(tmp_path, damaged, whole, choice) != WRONG


@pytest.mark.parametrize("name", CRAM_MUTATIONS)
def test_damage_to_a_cram_is_noticed_or_changes_nothing(
    whole_cram: Pair, tmp_path: Path, name: str
) -> None:
    choices = [FILTERED, SPANS, SOME, WINDOWS, INDEX]
    for attempt, choice in enumerate([WHOLE, choices[[*CRAM_MUTATIONS].index(name) % 5]]):
        damaged = CRAM_MUTATIONS[name](whole_cram, random.Random(attempt))
        assert what_came(tmp_path, damaged, whole_cram, choice, "crai") != WRONG


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
        for sample in (*SAMPLES.values(), (300, LONG))
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


@pytest.mark.parametrize("end_put_back", [False, True])
def test_no_cut_gives_a_count(whole: Pair, tmp_path: Path, end_put_back: bool) -> None:
    """At the edges of blocks, beside them, and anywhere."""
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
