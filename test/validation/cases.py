"""Kinds of simulated samples, and what the statistics should report for them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from readcount.cohort.assemblies import CHROMOSOMES
from readcount.cohort.copies import OTHER, UNCLEAR, XX, XY
from readcount.cohort.layout import RegionColumns
from readcount.cohort.statistics import Statistics, statistics_of
from validation.simulation import Truth, counts_of, mixed, whole_chromosomes

# Samples in a cohort, including the one to test.
COHORT = 50
Make = Callable[[np.random.Generator], Truth]

TWO_X = Truth(2, 0)
ONE_X_ONE_Y = Truth(1, 1)
AUTOSOMES = CHROMOSOMES[:22]


@dataclass(frozen=True)
class Case:
    """A kind of sample.

    Attributes:
        name: description.
        make: simulates a sample of this kind.
        right: expected value of sex_chromosomes; unclear is never wrong.
        shift: chromosome expected to have the largest shift, in a cohort.
        same_kind: whether the other samples of the cohort are of the same kind, with the same kit.
    """

    name: str
    make: Make
    right: str
    shift: str = ""
    same_kind: bool = False


def ordinary(truth: Truth, random: np.random.Generator) -> Truth:
    """Returns the sample with ordinary variation: depth, GC slope and mitochondria."""
    return replace(
        truth,
        depth=truth.depth * 2 ** random.normal(0, 0.25),
        gc_slope=truth.gc_slope + random.normal(0, 0.004),
        mitochondria=150 * 2 ** random.normal(0, 0.4),
    )


def _of(truth: Truth, **changes: object) -> Make:
    changed = replace(truth, **changes)  # type: ignore[arg-type]
    return lambda random: ordinary(changed, random)


def _mixture(one: Truth, other: Truth, share: float = 0.2) -> Make:
    return lambda random: ordinary(mixed(one, other, share), random)


def _uneven(truth: Truth, deviation: float, off_target: float = 0, **changes: object) -> Make:
    """Simulates data other than whole genomes, with another kit or other genes in each draw."""

    def make(random: np.random.Generator) -> Truth:
        captured = 2 ** random.normal(0, deviation, len(CHROMOSOMES))
        # Exomes have few targets on X, and hardly any on Y.
        captured[-2:] *= (0.7, 0.2)
        shares = off_target + (1 - off_target) * captured
        kit = dict(zip(CHROMOSOMES, shares.tolist(), strict=True))
        return ordinary(replace(truth, capture=kit, **changes), random)  # type: ignore[arg-type]

    return make


def _trisomy(name: str, truth: Truth, share: float = 1.0) -> Make:
    return _of(truth, copies={name: 2 + share})


CASES = (
    *(
        Case(f"{name}, {depth}x", _of(truth, depth=depth), name)
        for depth in (0.001, 0.01, 0.1, 1, 30, 60)
        for name, truth in ((XX, TWO_X), (XY, ONE_X_ONE_Y))
    ),
    Case(
        "XX, PCR (slope by GC)",
        lambda r: ordinary(replace(TWO_X, gc_slope=r.normal(0, 0.015)), r),
        XX,
    ),
    Case(
        "XY, PCR (slope by GC)",
        lambda r: ordinary(replace(ONE_X_ONE_Y, gc_slope=r.normal(0, 0.015)), r),
        XY,
    ),
    Case("XX, pseudoautosomal regions of Y not masked", _of(TWO_X, masked=False), XX),
    Case("XY, pseudoautosomal regions of Y not masked", _of(ONE_X_ONE_Y, masked=False), XY),
    Case("X0", _of(Truth(1, 0)), OTHER),
    Case("XXX", _of(Truth(3, 0)), OTHER),
    Case("XXY", _of(Truth(2, 1)), OTHER),
    Case("XYY", _of(Truth(1, 2)), OTHER),
    *(
        Case(f"trisomy {name}, {sex}", _trisomy(name, truth), sex, f"chr{name}")
        for name in ("13", "18", "21")
        for sex, truth in ((XX, TWO_X), (XY, ONE_X_ONE_Y))
    ),
    Case("trisomy 21 in 20 % of cells, XX", _trisomy("21", TWO_X, 0.2), XX, "chr21"),
    Case("XX with 20 % XY", _mixture(TWO_X, ONE_X_ONE_Y), UNCLEAR),
    Case("XY with 20 % XX", _mixture(ONE_X_ONE_Y, TWO_X), UNCLEAR),
    Case("XX with 20 % X0", _mixture(TWO_X, Truth(1, 0)), UNCLEAR),
    Case("XX with 20 % XXX", _mixture(TWO_X, Truth(3, 0)), UNCLEAR),
    Case("XX with 20 % XXY", _mixture(TWO_X, Truth(2, 1)), UNCLEAR),
    Case("XY with 20 % X0 (loss of Y)", _mixture(ONE_X_ONE_Y, Truth(1, 0)), UNCLEAR),
    Case("XY with 50 % X0 (loss of Y)", _mixture(ONE_X_ONE_Y, Truth(1, 0), 0.5), UNCLEAR),
    Case("XY with 20 % XXY", _mixture(ONE_X_ONE_Y, Truth(2, 1)), UNCLEAR),
    Case("XY with 20 % XYY", _mixture(ONE_X_ONE_Y, Truth(1, 2)), UNCLEAR),
    Case(
        "XX with 20 % XY, PCR (slope by GC)",
        lambda r: ordinary(replace(mixed(TWO_X, ONE_X_ONE_Y, 0.2), gc_slope=r.normal(0, 0.015)), r),
        UNCLEAR,
    ),
    Case(
        "XY with 20 % XX, PCR (slope by GC)",
        lambda r: ordinary(replace(mixed(ONE_X_ONE_Y, TWO_X, 0.2), gc_slope=r.normal(0, 0.015)), r),
        UNCLEAR,
    ),
    Case("exome, XX", _uneven(TWO_X, 0.5, depth=2), UNCLEAR),
    Case("exome, XY", _uneven(ONE_X_ONE_Y, 0.5, depth=2), UNCLEAR),
    Case("exome, half off target, XX", _uneven(TWO_X, 0.5, 0.5, depth=2), UNCLEAR),
    Case("exome, half off target, XY", _uneven(ONE_X_ONE_Y, 0.5, 0.5, depth=2), UNCLEAR),
    Case("RNA, XX", _uneven(TWO_X, 0.8, depth=2), UNCLEAR),
    Case("RNA, XY", _uneven(ONE_X_ONE_Y, 0.8, depth=2), UNCLEAR),
    *(
        Case(f"{name}, {sex}, among others of it", make, UNCLEAR, same_kind=True)
        for sex, truth in ((XX, TWO_X), (XY, ONE_X_ONE_Y))
        for name, make in (
            ("exome", _uneven(truth, 0.5, depth=2)),
            ("exome, half off target", _uneven(truth, 0.5, 0.5, depth=2)),
            ("RNA", _uneven(truth, 0.8, depth=2, noise=0.2)),
        )
    ),
    Case("other organisms, 10,000 records", _uneven(TWO_X, 1.0, depth=0.0005), UNCLEAR),
    Case("other organisms, 200 records", _uneven(TWO_X, 1.0, depth=0.00001), UNCLEAR),
)


def statistics(truths: list[Truth], random: np.random.Generator) -> Statistics:
    """Returns the statistics of a simulated cohort, counted by chromosome."""
    counts = counts_of(truths, random)
    return statistics_of(whole_chromosomes(), [counts], len(truths))


def alone(case: Case, draws: int, random: np.random.Generator) -> Counter[str]:
    """Returns the sex chromosomes of single samples, which fixed cut-offs decide."""
    return Counter(statistics([case.make(random)], random).sex_chromosomes[0] for _ in range(draws))


def in_cohorts(case: Case, draws: int, random: np.random.Generator) -> tuple[Counter[str], int]:
    """Returns the sex chromosomes of samples in a cohort, and how often the shift is right."""
    calls, shifts = Counter[str](), 0
    for _ in range(draws):
        sample = case.make(random)
        depth = max(sample.depth, 0.001)
        other = replace(sample, gc_slope=0) if case.same_kind else Truth(depth=depth)
        others = [
            ordinary(replace(other, x=1 + at % 2, y=1 - at % 2), random) for at in range(COHORT - 1)
        ]
        cohort = statistics([*others, sample], random)
        calls[cohort.sex_chromosomes[-1]] += 1
        shift = cohort.shift_of(COHORT - 1)
        shifts += bool(shift and shift[0] == case.shift and "largest_shift" in cohort.differs[-1])
    return calls, shifts


@dataclass(frozen=True)
class Genome:
    """The reference genome of another organism: sequences and their lengths in bases."""

    name: str
    lengths: Mapping[str, int]


# Lengths are rounded; only the names and the sex chromosomes matter.
OTHER_GENOMES = (
    Genome(
        "mouse",
        {f"chr{n}": (200 - 7 * n) * 10**6 for n in range(1, 20)}
        | {"chrX": 169 * 10**6, "chrY": 91 * 10**6},
    ),
    Genome(
        "fruit fly",
        {
            "2L": 23_500_000,
            "2R": 25_300_000,
            "3L": 28_100_000,
            "3R": 32_100_000,
            "4": 1_300_000,
            "X": 23_500_000,
            "Y": 3_700_000,
        },
    ),
    Genome(
        "chicken",
        {str(n): 200 * 10**6 // n for n in range(1, 29)} | {"W": 7_000_000, "Z": 82_000_000},
    ),
    # Chromosomes I to XVI.
    Genome("yeast", dict.fromkeys(("chrI", "chrIX", "chrX", "chrXI", "chrXVI"), 745_751)),
    Genome("bacterium", {"NC_000913.3": 4_641_652}),
)


def calls_of_other_genome(
    genome: Genome, samples: int, random: np.random.Generator
) -> Counter[str]:
    """Returns the sex chromosomes of males and females of another organism, at any depth."""
    names, lengths = list(genome.lengths), [*genome.lengths.values()]
    regions = RegionColumns(names, names, [0] * len(names), lengths, [True] * len(names))
    columns = []
    for at in range(samples):
        copies = np.array(
            [
                {"X": 1 + at % 2, "Y": 1 - at % 2, "Z": 1 + at % 2, "W": 1 - at % 2}.get(
                    name.removeprefix("chr"), 2
                )
                for name in names
            ]
        )
        columns.append(10 ** random.uniform(-5, -1) * copies * np.array(lengths) / 2)
    counts = random.poisson(np.array(columns).T)
    return Counter(statistics_of(regions, [counts], samples).sex_chromosomes)


def lines_of_table(draws: int, random: np.random.Generator) -> Iterator[str]:
    """Yields the lines of the table in README.md."""
    yield "| sample | alone | in a cohort | largest shift found | wrong |"
    yield "| --- | --- | --- | --- | --- |"
    for case in CASES:
        single, (in_cohort, shifts) = alone(case, draws, random), in_cohorts(case, draws, random)
        found = f"{case.shift} in {shifts}" if case.shift else ""
        calls = f"{_text(single)} | {_text(in_cohort)}"
        yield f"| {case.name} | {calls} | {found} | {wrong(case, single + in_cohort)} |"
    for genome in OTHER_GENOMES:
        other = calls_of_other_genome(genome, draws, random)
        yield f"| {genome.name} | | {_text(other)} | | {other[XX] + other[XY] + other[OTHER]} |"


def wrong(case: Case, calls: Counter[str]) -> int:
    """Returns the number of calls that are neither right nor unclear."""
    return sum(number for call, number in calls.items() if call not in (case.right, UNCLEAR))


def _text(calls: Counter[str]) -> str:
    names: Sequence[str] = (XX, XY, OTHER, UNCLEAR, "")
    return ", ".join(f"{calls[name]} {name or 'none'}" for name in names if calls[name])
