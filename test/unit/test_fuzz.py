"""Damaged files and indexes never result in wrong counts; `make fuzz` tries many more."""

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

# Number of unplaced records, and the kind of the other records.
SAMPLES = ((300, PLAIN), (0, PLAIN), (300, EVEN))
# INDEX is last; the test of damage to a BAM leaves it out.
ALL_CHOICES = [WHOLE, *CHOICES.values()]


@pytest.fixture(scope="module")
def bams(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return [make_sample(tmp_path_factory.mktemp("whole"), BAM, *sample) for sample in SAMPLES]


@pytest.fixture(scope="module")
def crams(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    return [make_sample(tmp_path_factory.mktemp("whole"), CRAM, unplaced) for unplaced in (0, 300)]


@cache
def expected_of_undamaged(undamaged: Pair, number: int) -> dict[str, int]:
    """Returns the correct counts of an undamaged file for a choice, given its index."""
    return truth_of(undamaged, ALL_CHOICES[number])


def outcome_of(
    folder: Path, damaged: Pair, undamaged: Pair, choice: Choice, index: str = "bai"
) -> str:
    """Counts a damaged file; returns RIGHT, REFUSED or WRONG."""
    bam = write_pair(damaged, folder / "damaged", index)
    if damaged.changed:
        expected = truth_of(bam, choice)
    elif choice in ALL_CHOICES:
        expected = expected_of_undamaged(undamaged, ALL_CHOICES.index(choice))
    else:
        expected = truth_of(undamaged, choice)
    outcome = classify(OURS, bam, expected, choice)
    shutil.rmtree(folder / "damaged")
    return outcome


@pytest.mark.parametrize("number", range(len(ALL_CHOICES)), ids=["whole", *CHOICES])
def test_undamaged_files_are_counted(
    bams: list[Pair], crams: list[Pair], tmp_path: Path, number: int
) -> None:
    bam, cram = bams[number % len(bams)], crams[number % len(crams)]
    assert outcome_of(tmp_path, bam, bam, ALL_CHOICES[number]) == RIGHT
    assert outcome_of(tmp_path, cram, cram, ALL_CHOICES[number], "crai") == RIGHT


# Each mutation is applied to two files. The choice for the second one depends on the mutation.


@pytest.mark.parametrize("name", MUTATIONS)
def test_damage_to_a_bam_is_detected_or_harmless(
    bams: list[Pair], tmp_path: Path, name: str
) -> None:
    number = [*MUTATIONS].index(name)
    for attempt, choice in enumerate([WHOLE, ALL_CHOICES[1 + number % 4]]):
        undamaged = bams[(number + attempt) % len(bams)]
        damaged = MUTATIONS[name](undamaged, random.Random(attempt))
        assert outcome_of(tmp_path, damaged, undamaged, choice) != WRONG


@pytest.mark.parametrize("name", CRAM_MUTATIONS)
def test_damage_to_a_cram_is_detected_or_harmless(
    crams: list[Pair], tmp_path: Path, name: str
) -> None:
    number = [*CRAM_MUTATIONS].index(name)
    for attempt, choice in enumerate([WHOLE, ALL_CHOICES[1 + number % 5]]):
        undamaged = crams[(number + attempt) % len(crams)]
        damaged = CRAM_MUTATIONS[name](undamaged, random.Random(attempt))
        assert outcome_of(tmp_path, damaged, undamaged, choice, "crai") != WRONG


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    """Draws spans and whole sequences, or windows, possibly with a minimum mapping quality."""
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
        for sample in (*SAMPLES, (300, LONG))
    ]


@given(data=st.data(), choice=choices(), seed=st.integers(0, 2**32))
@settings(parent=examples(40))
def test_any_damage_results_in_correct_counts_or_an_error(
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
    assert outcome_of(folder, damaged, sample, choice, kind.index) != WRONG


@pytest.mark.parametrize(("number", "restore_end"), [(0, True), (1, True), (2, False)])
def test_a_truncated_bam_is_never_miscounted(
    bams: list[Pair], tmp_path: Path, number: int, restore_end: bool
) -> None:
    """Truncated at and next to the starts of blocks, and within blocks."""
    undamaged = bams[number]
    blocks = bgzf.starts(bgzf.split(undamaged.bam))
    starts = [blocks[block][0] for block in (0, 1, 2, len(blocks) // 2, -2)]
    ends = [*starts, starts[1] + 1, starts[3] - 1, starts[3] + 10, starts[4] - 5, starts[4] + 27]
    for end in ends:
        content = undamaged.bam[:end] + (bgzf.END_OF_FILE if restore_end else b"")
        outcome = outcome_of(tmp_path, Pair(content, undamaged.index), undamaged, WHOLE)
        # Truncation after the last placed record does not change the counts.
        assert outcome == REFUSED or (outcome == RIGHT and restore_end and end >= starts[4])


@pytest.mark.parametrize("kind", [BAM, BAM_WITH_CSI, CRAM], ids=["bam", "csi", "cram"])
def test_the_tally_includes_every_run(tmp_path: Path, kind: Kind) -> None:
    tally = fuzz(number=5, seed=1, keep=tmp_path, kind=kind)
    assert sum(tally.values()) == 5 * 3
    assert not [key for key in tally if key[1:] == (OURS, WRONG)]
