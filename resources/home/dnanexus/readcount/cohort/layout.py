"""Selects the regions for the statistics: chromosomes, and bins of their regions.

Call `layout_of(regions, samples)` with the columns of the regions. The returned layout sums up
blocks of rows of counts, so that a matrix of any size is read once and not kept in memory.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from readcount.cohort.assemblies import MITOCHONDRION, SEX_CHROMOSOMES, Assembly, chromosomes_of
from readcount.columns import Ints, Numbers

# Maximum number of bins, and of values in bins by samples.
MAX_BINS = 10_000
MAX_BINS_OF_MANY = 2_000
MANY_SAMPLES = 2_000
MAX_CELLS = 10_000_000
# In an unknown genome: minimum length of the sequences used relative to the longest, and their
# maximum number.
SHARE_OF_LONGEST = 0.1
MAX_CHROMOSOMES = 100
_OTHER_SEX_CHROMOSOME = re.compile(r"(?:chr)?[WZ]", re.IGNORECASE)


@dataclass(frozen=True)
class RegionColumns:
    """The regions of a matrix, in the order of its rows.

    Attributes:
        names: names as in the count table.
        contigs: reference sequence of each; `*` for unplaced records.
        starts: 0-based.
        ends: exclusive; for a whole sequence, its length.
        whole: whether each is a whole reference sequence.
    """

    names: Sequence[str]
    contigs: Sequence[str]
    starts: Numbers
    ends: Numbers
    whole: Sequence[bool]


@dataclass(frozen=True)
class Chromosome:
    """A sequence used by the statistics.

    Attributes:
        contig: its name.
        kind: autosome, X, Y or MT.
        bases: bases covered by its regions; for a known assembly, the chromosome's non-N bases.
    """

    contig: str
    kind: str
    bases: int


@dataclass(frozen=True)
class Layout:
    """The chromosomes, autosomes first, and the bins of their regions.

    Each autosome has one or more bins of neighbouring regions, to limit their number. X, Y and MT
    have one bin each.

    Attributes:
        assembly: the assembly; None if unknown, or if the regions do not cover the chromosomes.
        chromosomes: autosomes in the order of the regions, then X, Y and MT.
        complete: whether the regions cover all of the chromosomes completely.
        regions: number of regions on autosomes.
        first_bins: index of the first bin of each chromosome, followed by the number of bins.
        starts: starts of the bins, 0-based.
        ends: ends of the bins, exclusive.
        bin_of_row: index of the bin of each region; -1 for unused regions.
    """

    assembly: Assembly | None
    chromosomes: Sequence[Chromosome]
    complete: bool
    regions: int
    first_bins: NDArray[np.intp]
    starts: Ints
    ends: Ints
    bin_of_row: NDArray[np.intp]

    @property
    def autosomes(self) -> int:
        """The number of autosomes, which are the first chromosomes."""
        return sum(chromosome.kind == "autosome" for chromosome in self.chromosomes)

    @property
    def bases(self) -> Ints:
        """Bases of the chromosomes."""
        return np.array([chromosome.bases for chromosome in self.chromosomes], np.int64)

    def number_of(self, kind: str) -> int | None:
        """Returns the index of chromosome X, Y or MT; None if there is none."""
        kinds = [chromosome.kind for chromosome in self.chromosomes]
        return kinds.index(kind) if kind in kinds else None

    def sums(self, blocks: Iterable[Ints], samples: int) -> Ints:
        """Returns the records of each bin and sample.

        Args:
            blocks: consecutive rows of the matrix, in order, each block with all samples.
            samples: number of samples.
        """
        sums = np.zeros((int(self.first_bins[-1]), samples), np.int64)
        row = 0
        for block in blocks:
            bins = self.bin_of_row[row : row + len(block)]
            row += len(block)
            used = np.flatnonzero(bins >= 0)
            if not len(used):
                continue
            used = used[np.argsort(bins[used], kind="stable")]
            begins = np.flatnonzero(np.diff(bins[used], prepend=-1))
            rows = block if len(used) == len(block) and _ascending(used) else block[used]
            sums[bins[used][begins]] += np.add.reduceat(rows, begins, axis=0)
        if row != len(self.bin_of_row):
            raise ValueError(f"{row:,} rows of counts for {len(self.bin_of_row):,} regions")
        return sums


def _ascending(indexes: NDArray[np.intp]) -> bool:
    return bool((np.diff(indexes) == 1).all())


def layout_of(regions: RegionColumns, samples: int) -> Layout:
    """Returns the chromosomes and bins of a matrix.

    If a sequence is counted as a whole, its other regions are ignored. For a human assembly, its
    chromosomes are used. For other genomes, the autosomes are the sequences not named X, Y, Z, W, M
    or MT that are at least a tenth as long as the longest, at most 100.

    Args:
        regions: columns of the regions.
        samples: number of samples.
    """
    contigs = list(dict.fromkeys(regions.contigs))
    number = {contig: at for at, contig in enumerate(contigs)}
    on = np.fromiter((number[contig] for contig in regions.contigs), np.intp, len(regions.contigs))
    starts, ends = (np.array(column, np.int64) for column in (regions.starts, regions.ends))
    used = _used(on, np.array(regions.whole, np.bool_)) & (ends > starts)
    # Sorted by start, so that neighbouring regions are adjacent.
    order = np.flatnonzero(used)
    order = order[np.lexsort((starts[order], on[order]))]
    lasts, bases, covered = (np.zeros(len(contigs), np.int64) for _ in range(3))
    np.maximum.at(lasts, on[order], ends[order])
    np.add.at(bases, on[order], (ends - starts)[order])
    np.add.at(covered, on[order], _new_bases(on[order], starts[order], ends[order]))
    lengths = {contig: int(lasts[at]) for at, contig in enumerate(contigs) if lasts[at]}
    assembly, names = chromosomes_of(lengths)
    kinds = _kinds(lengths, names)
    chosen = [number[contig] for contig in kinds]
    complete = bool((covered[chosen] == lasts[chosen]).all())
    if not complete:
        assembly = None
    known = assembly.known if assembly else {}
    chromosomes = [
        Chromosome(contig, kind, known.get(names.get(contig, ""), int(bases[number[contig]])))
        for contig, kind in kinds.items()
    ]
    return _with_bins(assembly, chromosomes, complete, chosen, (order, on, starts, ends), samples)


def _used(on: NDArray[np.intp], whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns which regions to use: for a sequence counted as a whole, only that region."""
    used = ~np.isin(on, on[whole])
    wholes = np.flatnonzero(whole)
    used[wholes[np.unique(on[wholes], return_index=True)[1]]] = True
    return used


def _new_bases(on: NDArray[np.intp], starts: Ints, ends: Ints) -> Ints:
    """Returns the number of bases of each region not covered by earlier regions."""
    # Sequences are concatenated, so that one running maximum is enough.
    shift = on.astype(np.int64) * (int(ends.max(initial=0)) + 1)
    starts, ends = starts + shift, ends + shift
    before = np.maximum.accumulate(np.concatenate((np.zeros(1, np.int64), ends)))[:-1]
    return np.asarray(np.maximum(0, ends - np.maximum(before, starts)))


def _kinds(lengths: Mapping[str, int], names: Mapping[str, str]) -> dict[str, str]:
    """Returns the kind of each sequence used, autosomes first."""
    # In yeast, chrX is chromosome 10.
    roman = any(contig.upper().removeprefix("CHR") == "IX" for contig in lengths)
    special = {
        contig: name
        for contig, name in names.items()
        if not name.isdigit() and not (roman and name in SEX_CHROMOSOMES)
    }
    rest = [
        contig
        for contig in lengths
        if contig not in special and not _OTHER_SEX_CHROMOSOME.fullmatch(contig)
    ]
    numbered = [contig for contig in rest if names.get(contig, "").isdigit()]
    # Not if only few have plain numbers, as in Drosophila: 2L, 2R, 3L, 3R and 4.
    if 2 * sum(map(lengths.__getitem__, numbered)) > sum(map(lengths.__getitem__, rest)):
        autosomes = numbered
    else:
        least = SHARE_OF_LONGEST * max(map(lengths.__getitem__, rest), default=0)
        longest = sorted(rest, key=lengths.__getitem__, reverse=True)[:MAX_CHROMOSOMES]
        chosen = {contig for contig in longest if lengths[contig] >= least}
        autosomes = [contig for contig in rest if contig in chosen]
    kinds = dict.fromkeys(autosomes, "autosome")
    for kind in (*SEX_CHROMOSOMES, MITOCHONDRION):
        # Only one of each kind, if a header has both chrX and X.
        kinds |= dict.fromkeys([c for c, name in special.items() if name == kind][:1], kind)
    return kinds


def _with_bins(
    assembly: Assembly | None,
    chromosomes: Sequence[Chromosome],
    complete: bool,
    numbers: Sequence[int],
    columns: tuple[NDArray[np.intp], NDArray[np.intp], Ints, Ints],
    samples: int,
) -> Layout:
    """Returns the layout; see Layout.

    Args:
        assembly: the assembly, or None.
        chromosomes: the chromosomes used.
        complete: whether the regions cover them completely.
        numbers: numbers that identify the chromosomes in the columns.
        columns: the indexes of the rows used, sorted by sequence and start; then, for all rows, the
            number of the sequence, the start and the end.
        samples: number of samples.
    """
    order, on, starts, ends = columns
    of_chromosome = [order[on[order] == number] for number in numbers]
    autosomes = [
        rows for rows, its in zip(of_chromosome, chromosomes, strict=True) if its.kind == "autosome"
    ]
    regions = sum(map(len, autosomes))
    most = MAX_BINS if samples <= MANY_SAMPLES else MAX_BINS_OF_MANY
    most = max(1, min(most, MAX_CELLS // max(1, samples)))
    size = max(1, -(-regions // most))
    bin_of_row = np.full(len(on), -1, np.intp)
    first_bins, begins, lasts = [0], [], []
    for rows, its in zip(of_chromosome, chromosomes, strict=True):
        own = np.arange(len(rows)) // (size if its.kind == "autosome" else max(1, len(rows)))
        bin_of_row[rows] = first_bins[-1] + own
        edges = np.flatnonzero(np.diff(own, prepend=-1))
        begins.append(starts[rows][edges])
        lasts.append(np.maximum.reduceat(ends[rows], edges) if len(rows) else ends[:0])
        first_bins.append(first_bins[-1] + len(edges))
    return Layout(
        assembly,
        chromosomes,
        complete,
        regions,
        np.array(first_bins, np.intp),
        np.concatenate([starts[:0], *begins]),
        np.concatenate([starts[:0], *lasts]),
        bin_of_row,
    )
