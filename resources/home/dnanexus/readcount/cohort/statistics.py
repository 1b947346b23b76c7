"""Statistics of the samples of a cohort, computed from their counts.

Call `statistics_of(regions, blocks, samples)` with the columns of the matrix's rows and the counts
of these rows. `Statistics.columns()` returns the columns of the table of samples as text. The
statistics show that a sample differs, not why: detecting contamination, swaps and relatives
requires alleles.

Definitions, where n(c, s) is the number of records of sample s on chromosome c, and L(c) the number
of bases of c that are not N:

records_per_mb
    m(s) is the median over the autosomes of n(c, s) / L(c); the column is 1,000,000 m(s).
copies_x, copies_y
    2 n(X, s) / (L(X) m(s)), and likewise for Y. The ratio of X to autosomes is that of Mittnik et
    al. 2016 (doi:10.1371/journal.pone.0163019). For other genomes, and if regions are only parts of
    chromosomes, values are relative to the cohort: 1 is the median of the samples with Y.
sex_chromosomes
    XX, XY, other (another whole number of copies) or unclear; see `copies.sex_chromosomes_of`.
mt_per_autosome
    n(MT, s) / (L(MT) m(s)): mitochondrial genomes per copy of an autosome; twice this per diploid
    cell.
largest_shift
    The largest log2 ratio of an autosome's share to the cohort's median share, where the share is
    n(c, s) / m(s); half a record is added to n and to its expectation.
spread
    The median absolute deviation of this log2 ratio over the bins of autosomes.
pc1 to pc5
    Principal components of these log2 ratios; see `_components`.
differs
    The columns that are more than DEVIATIONS robust deviations (1.4826 median absolute deviations)
    from the cohort's median; copies are compared with the median of the samples in the nearest
    group.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from readcount.cohort.copies import (
    MIN_FOR_DIFFERS,
    MIN_FOR_MEDIAN,
    Copies,
    copies_of,
    sex_chromosomes_of,
)
from readcount.cohort.layout import Layout, RegionColumns, layout_of
from readcount.cohort.robust import DEVIATIONS, ROBUST, deviation, median
from readcount.columns import Floats, Ints

# Minimum number of samples and bins for principal components, and number of components.
MIN_FOR_COMPONENTS = 20
MIN_REGIONS = 100
COMPONENTS = 5
_LOG2_E = 1.4427
# Minimum number of autosomes needed to see that one differs.
MIN_CHROMOSOMES = 2
# Smaller spreads are not distinguished.
MIN_SPREAD = 0.001
# Lower bounds of the deviations, in log2 and in copies, so that in a very uniform cohort no sample
# differs by an irrelevant amount.
FLOOR = {
    "records_per_mb": 0.1,
    "copies_x": 0.03,
    "copies_y": 0.03,
    "mt_per_autosome": 0.2,
    "largest_shift": 0.015,
    "spread": 0.2,
}
# Minimum median number of records of a bin used for spread and components.
MIN_RECORDS = 10


@dataclass(frozen=True)
class Bins:
    """Windows or intervals along the autosomes; neighbouring ones are combined if there are many.

    Attributes:
        contigs: reference sequence of each bin.
        starts: starts, 0-based.
        ends: ends, exclusive.
        shifts: log2 ratio to the cohort's median, one row per bin, one column per sample.
    """

    contigs: Sequence[str]
    starts: Ints
    ends: Ints
    shifts: NDArray[np.float32]


@dataclass(frozen=True)
class Statistics:
    """The statistics of the samples; unknown values are NaN or empty.

    Attributes:
        genome: name of the assembly if its non-N lengths were used, else empty.
        notes: limitations that a reader should know, as sentences.
        values: values of the samples, by column: records_per_mb, copies_x, copies_y,
            mt_per_autosome, spread, pc1 to pc5.
        usual: usual values in the cohort, by column; for copies, those of the nearest group.
        sex_chromosomes: XX, XY, other, unclear, or empty.
        largest_shift: for each sample, the index of the chromosome; -1 if unknown.
        differs: for each sample, the columns in which it differs.
        chromosomes: names of the rows of shifts: autosomes, then X and Y in cohorts of 10 or more.
        shifts: log2 ratio of the share to the cohort's median (for X and Y, to the median of the
            same group); one row per chromosome, one column per sample.
        explained: fraction of the variance explained by each principal component.
        bins: windows or intervals, if there are more than chromosomes.
    """

    genome: str
    notes: Sequence[str]
    values: Mapping[str, Floats]
    usual: Mapping[str, Floats]
    sex_chromosomes: Sequence[str]
    largest_shift: NDArray[np.intp]
    differs: Sequence[Sequence[str]]
    chromosomes: Sequence[str]
    shifts: Floats
    explained: Sequence[float]
    bins: Bins | None

    def shift_of(self, sample: int) -> tuple[str, float] | None:
        """Returns the chromosome whose share differs most, and the log2 ratio."""
        at = int(self.largest_shift[sample])
        return (self.chromosomes[at], float(self.shifts[at, sample])) if at >= 0 else None

    def columns(self) -> dict[str, list[str]]:
        """Returns the columns of the table as text, in order; unknown values are empty.

        The largest shift is the chromosome's name and the signed log2 ratio: `chr21 +0.58`.
        """
        samples = range(len(self.differs))
        shifts = [self.shift_of(sample) for sample in samples]
        texts = {name: _texts(values, FORMAT[name]) for name, values in self.values.items()}
        texts["sex_chromosomes"] = list(self.sex_chromosomes)
        texts["largest_shift"] = [f"{its[0]} {its[1]:+.2f}" if its else "" for its in shifts]
        texts["differs"] = [",".join(names) for names in self.differs]
        return {name: texts[name] for name in COLUMNS if name in texts}


COLUMNS = (
    *("records_per_mb", "copies_x", "copies_y", "sex_chromosomes", "mt_per_autosome"),
    *("largest_shift", "spread", *(f"pc{number + 1}" for number in range(COMPONENTS)), "differs"),
)
FORMAT = {
    "records_per_mb": ".6g",
    "copies_x": ".3f",
    "copies_y": ".3f",
    "mt_per_autosome": ".4g",
    "spread": ".4f",
} | {f"pc{number + 1}": ".4f" for number in range(COMPONENTS)}


def _texts(values: Floats, form: str) -> list[str]:
    return ["" if np.isnan(value) else format(value, form) for value in values.tolist()]


def statistics_of(regions: RegionColumns, blocks: Iterable[Ints], samples: int) -> Statistics:
    """Returns the statistics of the samples that were counted.

    Args:
        regions: columns of the regions.
        blocks: blocks of consecutive rows of counts, rows by samples; read once and not kept.
        samples: number of samples.
    """
    layout = layout_of(regions, samples)
    bins = layout.sums(blocks, samples)
    records = (
        np.add.reduceat(bins, layout.first_bins[:-1], axis=0) if len(layout.chromosomes) else bins
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return _statistics(layout, bins, records, samples)


def _statistics(layout: Layout, bins: Ints, records: Ints, samples: int) -> Statistics:
    autosomes = layout.autosomes
    density = records / layout.bases[:, None] if len(records) else records.astype(np.float64)
    typical = np.median(density[:autosomes], axis=0) if autosomes else np.full(samples, np.nan)
    typical[typical == 0] = np.nan
    known = np.isfinite(typical)
    copies = copies_of(layout, records, density, typical)
    share = density / typical
    shifts = _shifts(records[:autosomes], typical, layout.bases[:autosomes], share[:autosomes])
    bin_shifts, spread = _spread(layout, bins, typical, shifts)
    components, explained, structure = _components(layout, bin_shifts, known)
    mt = layout.number_of("MT")
    values = {
        "records_per_mb": 1e6 * np.where(known, typical, 0.0) if autosomes else typical,
        "copies_x": copies.x,
        "copies_y": copies.y,
        "mt_per_autosome": share[mt] if mt is not None else np.full(samples, np.nan),
        "spread": spread,
    } | {f"pc{number + 1}": scores for number, scores in enumerate(components)}
    differs = _Differs(samples)
    total, bases = records[:autosomes].sum(axis=0), int(layout.bases[:autosomes].sum())
    differs.by_log2("records_per_mb", values["records_per_mb"], 1e6 / max(bases, 1), total)
    differs.by_copies(copies)
    if mt is not None:
        one = 1 / (layout.bases[mt] * typical)
        differs.by_log2("mt_per_autosome", values["mt_per_autosome"], one, records[mt])
    largest = differs.by_shift(shifts, records[:autosomes])
    differs.by_log2("spread", spread, 2 * MIN_SPREAD)
    for number, scores in enumerate(components[:structure]):
        differs.by_value(f"pc{number + 1}", scores)
    names = [chromosome.contig for chromosome in layout.chromosomes[:autosomes]]
    sex_names, sex_shifts = _sex_shifts(layout, records, typical, share, copies)
    is_windows = layout.regions > autosomes and bin_shifts.shape[0] > autosomes
    return Statistics(
        genome=layout.assembly.name if layout.assembly else "",
        notes=_notes(layout, samples, copies),
        values=values,
        usual=differs.usual,
        sex_chromosomes=sex_chromosomes_of(layout, density, typical, shifts, copies),
        largest_shift=largest,
        differs=differs.names,
        chromosomes=[*names, *sex_names],
        shifts=np.vstack([shifts, *sex_shifts]),
        explained=explained,
        bins=_bins(layout, bin_shifts) if is_windows else None,
    )


def _notes(layout: Layout, samples: int, copies: Copies) -> list[str]:
    """Returns the limitations of the statistics, as sentences."""
    notes = []
    has_x = layout.number_of("X") is not None
    if not layout.autosomes:
        notes.append("There are no chromosomes among the regions, so there are no statistics.")
    elif not layout.complete:
        notes.append(
            "The regions are only parts of the chromosomes. Copies of X and Y are therefore "
            "relative to the cohort, and sex chromosomes are not determined."
        )
    elif layout.assembly is None and has_x:
        notes.append(
            "The reference genome is not GRCh37, GRCh38 or T2T-CHM13. Copies of X and Y are "
            "therefore relative to the cohort (1: the median of samples with Y), and sex "
            "chromosomes are unclear."
        )
    if samples < MIN_FOR_MEDIAN:
        notes.append(f"Comparisons with the cohort need {MIN_FOR_MEDIAN} samples.")
    if samples < MIN_FOR_DIFFERS:
        notes.append(
            f"Whether a sample differs is determined in cohorts of {MIN_FOR_DIFFERS} samples "
            "or more."
        )
    return notes


def _shifts(records: Ints, typical: Floats, bases: Ints | None, share: Floats) -> Floats:
    """Returns the log2 ratio of the share of each row to the cohort's median.

    Half a record is added to the count and to its expectation, so that the ratio is finite without
    records and close to 0 with few.

    Args:
        records: records, rows by samples.
        typical: records per base of each sample's autosomes (median).
        bases: bases of each row; None if the share is not per base.
        share: records per base divided by typical.
    """
    if records.shape[1] < MIN_FOR_MEDIAN:
        return np.full(records.shape, np.nan)
    usual = median(share) * (1 if bases is None else bases)
    return np.asarray(np.log2((records + 0.5) / (usual[:, None] * typical + 0.5)))


def _spread(layout: Layout, bins: Ints, typical: Floats, shifts: Floats) -> tuple[Floats, Floats]:
    """Returns the shifts of the bins of autosomes, and their spread in each sample.

    Bins with a median of fewer than MIN_RECORDS records are NaN. If fewer bins are left than there
    are autosomes, the autosomes are used instead.
    """
    last = int(layout.first_bins[layout.autosomes])
    counted = bins[:last]
    if last == layout.autosomes or not counted.size:
        return shifts, _mad(shifts)
    of_bins = _shifts(counted, typical, None, counted / typical)
    enough = np.median(counted, axis=1) >= MIN_RECORDS
    of_bins[~enough] = np.nan
    return of_bins, _mad(of_bins[enough] if enough.sum() >= layout.autosomes else shifts)


def _mad(shifts: Floats) -> Floats:
    return deviation(shifts.T) / ROBUST if len(shifts) else np.full(shifts.shape[1], np.nan)


def _components(
    layout: Layout, shifts: Floats, known: NDArray[np.bool_]
) -> tuple[list[Floats], list[float], int]:
    """Returns the scores of the principal components, and the variance explained by each.

    The last number returned is how many components exceed noise, using the singular value threshold
    of Gavish and Donoho 2014 (doi:10.1109/TIT.2014.2323359); the others are not used to find
    samples that differ.

    Each sample's shifts are divided by their robust deviation, so that components do not reflect
    sequencing depth, and clipped at 10, so that single bins do not dominate. Scores are scaled per
    bin: 1 is the typical variation of a bin. The sign is chosen so that the largest score is
    positive.
    """
    samples = shifts.shape[1]
    used = shifts[np.isfinite(shifts).any(axis=1)][:, known]
    if (
        layout.regions < MIN_REGIONS
        or len(used) < MIN_REGIONS
        or used.shape[1] < MIN_FOR_COMPONENTS
    ):
        return [], [], 0
    scaled = (used - np.median(used, axis=0)) / np.maximum(deviation(used.T), 0.01)
    np.clip(scaled, -10, 10, out=scaled)
    scaled -= scaled.mean(axis=1, keepdims=True)
    rows, columns = scaled.shape
    if columns <= rows:
        squares, vectors = np.linalg.eigh(scaled.T @ scaled)
        scores = vectors * np.sqrt(np.maximum(squares, 0))
    else:
        squares, axes = np.linalg.eigh(scaled @ scaled.T)
        scores = scaled.T @ axes
    first = np.argsort(squares)[::-1][:COMPONENTS]
    components = []
    for at in first.tolist():
        its = scores[:, at] / np.sqrt(rows)
        all_samples = np.full(samples, np.nan)
        all_samples[known] = its * (1 if its[np.abs(its).argmax()] >= 0 else -1)
        components.append(all_samples)
    ratio = min(rows, columns) / max(rows, columns)
    threshold = 0.56 * ratio**3 - 0.95 * ratio**2 + 1.82 * ratio + 1.43
    structure = int((squares[first] > threshold**2 * np.median(squares)).sum())
    explained = (squares[first] / max(float(squares.sum()), 1e-300)).tolist()
    return components, explained, structure


def _sex_shifts(
    layout: Layout, records: Ints, typical: Floats, share: Floats, copies: Copies
) -> tuple[list[str], list[Floats]]:
    """Returns the shifts of X and Y within each group; of Y only in samples with Y.

    Empty in cohorts too small for groups.
    """
    names: list[str] = []
    rows: list[Floats] = []
    if len(typical) < MIN_FOR_DIFFERS:
        return names, rows
    two_groups = bool((copies.group == 1).any())
    for kind in ("X", "Y"):
        at = layout.number_of(kind)
        if at is None:
            continue
        row = np.full(len(typical), np.nan)
        for group in (0, 1):
            its = copies.group == group
            if its.any() and not (kind == "Y" and two_groups and group == 0):
                of_one = slice(at, at + 1)
                row[its] = _shifts(
                    records[of_one][:, its],
                    typical[its],
                    layout.bases[of_one],
                    share[of_one][:, its],
                )[0]
        names.append(layout.chromosomes[at].contig)
        rows.append(row)
    return names, rows


def _bins(layout: Layout, shifts: Floats) -> Bins:
    last = int(layout.first_bins[layout.autosomes])
    sizes = np.diff(layout.first_bins[: layout.autosomes + 1]).tolist()
    contigs = [
        chromosome.contig
        for chromosome, size in zip(layout.chromosomes, sizes, strict=False)
        for _ in range(size)
    ]
    return Bins(contigs, layout.starts[:last], layout.ends[:last], shifts.astype(np.float32))


class _Differs:
    """Collects the columns in which each sample differs, and the usual values."""

    def __init__(self, samples: int) -> None:
        """Starts without any.

        Args:
            samples: number of samples; with fewer than MIN_FOR_DIFFERS, none differs.
        """
        self.samples = samples
        self.names: list[list[str]] = [[] for _ in range(samples)]
        self.usual: dict[str, Floats] = {}

    def by_log2(
        self, name: str, values: Floats, one: Floats | float, records: Ints | None = None
    ) -> None:
        """Compares the logarithms of values.

        Args:
            name: name of the column.
            values: value of each sample.
            one: value that corresponds to one record; half of it is added.
            records: number of records behind each value, for the counting error.
        """
        logs = np.log2(values + np.asarray(one) / 2)
        error = np.zeros(self.samples) if records is None else _LOG2_E / np.sqrt(records + 1)
        self._compare(name, logs, median(logs), FLOOR[name], error)
        self.usual[name] = np.full(self.samples, float(median(values)))

    def by_value(self, name: str, values: Floats) -> None:
        """Compares values as they are."""
        self._compare(name, values, median(values), 1e-6, np.zeros(self.samples))
        self.usual[name] = np.full(self.samples, float(median(values)))

    def by_copies(self, copies: Copies) -> None:
        """Compares the copies of each sample with the nearest group."""
        columns = {
            "copies_x": (copies.x, copies.x_error / 3),
            "copies_y": (copies.y, copies.y_error / 3),
        }
        groups = [group for group in (0, 1) if (copies.group == group).any()]
        if not groups:
            return
        middles, deviations = (
            {
                name: np.array([float(of(values[copies.group == group])) for group in groups])
                for name, (values, _) in columns.items()
            }
            for of in (median, deviation)
        )
        floors = {name: np.maximum(deviations[name], FLOOR[name]) for name in columns}
        # Distances of groups by samples.
        distances = sum(
            np.abs(values - middles[name][:, None]) / floors[name][:, None]
            for name, (values, _) in columns.items()
        )
        nearest = np.asarray(distances).argmin(axis=0)
        for name, (values, error) in columns.items():
            self.usual[name] = middles[name][nearest]
            away = np.abs(values - self.usual[name])
            self._add(name, away > DEVIATIONS * np.hypot(floors[name][nearest], error))

    def by_shift(self, shifts: Floats, records: Ints) -> NDArray[np.intp]:
        """Compares the share of each autosome with the cohort's median.

        Returns:
            The index of the autosome that differs most in each sample, -1 if unknown: in robust
            deviations if there are enough samples, else in the log2 ratio.
        """
        largest = np.full(self.samples, -1, np.intp)
        known = np.isfinite(shifts).all(axis=0)
        if len(shifts) < MIN_CHROMOSOMES or not known.any():
            return largest
        away = np.abs(shifts)
        if self.samples >= MIN_FOR_DIFFERS:
            deviations = np.maximum(deviation(shifts), FLOOR["largest_shift"])[:, None]
            away = away / np.hypot(deviations, _LOG2_E / np.sqrt(records + 1))
            self._add("largest_shift", known & (away.max(axis=0) > DEVIATIONS))
        largest[known] = away[:, known].argmax(axis=0)
        return largest

    def _compare(
        self, name: str, values: Floats, middle: Floats, floor: float, error: Floats
    ) -> None:
        varies = np.hypot(max(float(deviation(values)), floor), error)
        self._add(name, np.abs(values - middle) > DEVIATIONS * varies)

    def _add(self, name: str, which: NDArray[np.bool_]) -> None:
        if self.samples >= MIN_FOR_DIFFERS:
            for at in np.flatnonzero(which).tolist():
                self.names[at].append(name)
