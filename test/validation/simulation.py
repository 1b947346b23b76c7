"""Simulates counts of samples with a known truth.

The records per base of a chromosome are proportional to its copies. They also depend on GC bias,
random noise, losses in alignment on X and Y, and records from X that align to Y.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from readcount.cohort.assemblies import ASSEMBLIES, CHROMOSOMES, Assembly
from readcount.cohort.layout import RegionColumns

GRCH38 = next(assembly for assembly in ASSEMBLIES if assembly.name == "GRCh38")
MT_LENGTH = 16_569
READ_LENGTH = 150
# GC content in percent, rounded; a similar table: Piovesan et al. 2019
# (doi:10.1186/s13104-019-4137-z).
GC = dict(
    zip(
        CHROMOSOMES,
        (
            *(41.7, 40.2, 39.7, 38.2, 39.5, 39.6, 40.7, 40.2, 41.3, 41.6, 41.6, 40.8),
            *(38.5, 40.9, 42.0, 44.6, 45.3, 39.8, 47.9, 43.8, 40.9, 47.0, 39.6, 39.8),
        ),
        strict=True,
    )
)
TYPICAL_GC = 41.0
# Records from X that align to Y, in copies of Y: minimum and maximum.
MISALIGNED = (0.002, 0.02)
# Fraction of Y that is pseudoautosomal: 2.8 Mb of 26.4 Mb. If it is not masked, half of the records
# of the pseudoautosomal regions align to Y.
PSEUDOAUTOSOMAL = 0.105


@dataclass(frozen=True)
class Truth:
    """The truth about a sample.

    Attributes:
        x: copies of X.
        y: copies of Y.
        copies: copies of the autosomes that do not have two.
        depth: mean coverage.
        mitochondria: mitochondrial genomes per copy of an autosome.
        gc_slope: log2 of records per percent GC.
        noise: standard deviation of log2 of the records of a chromosome.
        capture: relative enrichment of chromosomes by name; default 1.
        masked: whether the pseudoautosomal regions of Y are masked.
    """

    x: float = 2
    y: float = 0
    copies: Mapping[str, float] = field(default_factory=dict)
    depth: float = 30
    mitochondria: float = 100
    gc_slope: float = 0
    noise: float = 0.005
    capture: Mapping[str, float] = field(default_factory=dict)
    masked: bool = True


def mixed(one: Truth, other: Truth, share: float) -> Truth:
    """Returns a sample that contains a share of another."""
    names = {*one.copies, *other.copies}
    return replace(
        one,
        x=(1 - share) * one.x + share * other.x,
        y=(1 - share) * one.y + share * other.y,
        copies={
            name: (1 - share) * one.copies.get(name, 2) + share * other.copies.get(name, 2)
            for name in names
        },
    )


def density(truth: Truth, random: np.random.Generator) -> dict[str, float]:
    """Returns the expected records per base of each chromosome and MT."""
    one_copy = truth.depth / READ_LENGTH / 2
    on_y = random.uniform(*MISALIGNED) * truth.x / 2
    if not truth.masked:
        on_y += PSEUDOAUTOSOMAL * (truth.x + truth.y) / 2 - PSEUDOAUTOSOMAL * truth.y
    copies = {name: truth.copies.get(name, 2.0) for name in CHROMOSOMES}
    copies |= {"X": truth.x * random.uniform(0.97, 1.0)}
    copies |= {"Y": truth.y * random.uniform(0.92, 1.0) + on_y}
    return {
        name: one_copy
        * number
        * truth.capture.get(name, 1)
        * 2 ** (truth.gc_slope * (GC[name] - TYPICAL_GC) + random.normal(0, truth.noise))
        for name, number in copies.items()
    } | {"MT": one_copy * 2 * truth.mitochondria}


def whole_chromosomes(assembly: Assembly = GRCH38) -> RegionColumns:
    """Returns a region for each chromosome and MT."""
    names = [f"chr{name}" for name in CHROMOSOMES] + ["chrM"]
    ends = [*assembly.lengths.values(), MT_LENGTH]
    return RegionColumns(names, names, [0] * len(names), ends, [True] * len(names))


def counts_of(
    truths: list[Truth], random: np.random.Generator, assembly: Assembly = GRCH38
) -> NDArray[np.int64]:
    """Returns a matrix of counts for whole_chromosomes()."""
    bases = np.array([*assembly.known.values(), MT_LENGTH])
    columns = [np.array([*density(truth, random).values()]) * bases for truth in truths]
    return random.poisson(np.array(columns).T)


def windows_of(size: int, assembly: Assembly = GRCH38) -> RegionColumns:
    """Returns windows of all chromosomes and MT; the last of each may be shorter."""
    contigs, starts, ends = [], [], []
    for name, length in [*assembly.lengths.items(), ("M", MT_LENGTH)]:
        for start in range(0, length, size):
            contigs.append(f"chr{name}")
            starts.append(start)
            ends.append(min(length, start + size))
    names = [f"{c}:{s + 1}-{e}" for c, s, e in zip(contigs, starts, ends, strict=True)]
    return RegionColumns(names, contigs, starts, ends, [False] * len(names))


def counts_in_windows(
    truths: list[Truth],
    regions: RegionColumns,
    random: np.random.Generator,
    kits: Mapping[int, NDArray[np.float64]] | None = None,
    assembly: Assembly = GRCH38,
) -> NDArray[np.int64]:
    """Returns a matrix of counts for windows_of(), with waves shared by all samples.

    Args:
        truths: the samples.
        regions: the windows.
        random: random number generator.
        kits: additional factors of the windows, by sample number.
        assembly: assembly of the windows.
    """
    names = [contig.removeprefix("chr").replace("M", "MT") for contig in regions.contigs]
    lengths = np.array(regions.ends) - np.array(regions.starts)
    known = {name: assembly.known[name] / assembly.lengths[name] for name in CHROMOSOMES}
    bases = lengths * np.array([known.get(name, 1) for name in names])
    wave = 2 ** random.normal(0, 0.15, len(names))
    matrix = np.empty((len(names), len(truths)), np.int64)
    for at, truth in enumerate(truths):
        by_name = density(truth, random)
        means = np.array([by_name[name] for name in names]) * bases * wave
        means *= 2 ** (random.normal(0, 0.02) * np.log2(wave) / 0.15)
        if kits and at in kits:
            means *= kits[at]
        matrix[:, at] = random.poisson(means * 2 ** random.normal(0, 0.05, len(names)))
    return matrix
