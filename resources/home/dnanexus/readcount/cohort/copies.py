"""Copies of X and Y, and which sex chromosomes a sample has.

Call `copies_of(...)` with the records by chromosome, then `sex_chromosomes_of(...)`. The first is
defined for each genome, the second for GRCh37, GRCh38 and T2T-CHM13.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from readcount.cohort.layout import Floats, Integers, Layout
from readcount.cohort.robust import DEVIATIONS, deviation, median

# Samples that are needed to compare with a median; with a robust deviation; for cut-offs.
MIN_FOR_MEDIAN = 3
MIN_FOR_DIFFERS = 10
MIN_FOR_CUTOFFS = 20
# Samples on each side, if a cohort has two groups by its copies of X and Y.
_MIN_GROUP = 5


# Sex chromosomes: copies have to be this close to a whole number. Illumina's DRAGEN takes all that
# are within 0.5 (Ploidy Estimator, help.dragen.illumina.com): a mixture with a fifth of another
# sample is 0.2 off, and has to be unclear.
MAX_OFF = 0.15
# Aligners lose records of X and Y, so that a fifth more than one copy can look like one. Without
# cut-offs from the cohort copies may be less by MAX_OFF, but more only by that.
MAX_OVER = 0.08
# With cut-offs from the cohort: DEVIATIONS robust deviations, within these limits.
MIN_OFF = 0.06
MAX_OFF_IN_COHORT = 0.12
# Autosomes are needed for a median. If their records per base vary more than that (log2, robust
# deviation), the data are not those of whole genomes: exome, panel, RNA, or another organism.
MIN_AUTOSOMES = 10
MAX_UNEVEN = 0.1

UNCLEAR = "unclear"
OTHER = "other"
XX = "XX"
XY = "XY"


@dataclass(frozen=True)
class Copies:
    """Copies of X and Y, and how sure they are.

    Attributes:
        x: of each sample.
        y: of each sample.
        x_error: three standard errors of the count.
        y_error: three standard errors of the count.
        group: 1 for samples with Y, 0 for those without, -1 where it is not known. If the cohort
            has no two groups, all have the same.
    """

    x: Floats
    y: Floats
    x_error: Floats
    y_error: Floats
    group: NDArray[np.intp]


def copies_of(layout: Layout, records: Integers, density: Floats, typical: Floats) -> Copies:
    """Returns the copies of X and Y, absolute for a known genome, else relative to the cohort."""
    columns = []
    for kind in ("X", "Y"):
        at = layout.number_of(kind)
        if at is None:
            columns.append((np.full(len(typical), np.nan),) * 2)
            continue
        of_one = typical * layout.bases[at] / 2
        columns.append((2 * density[at] / typical, 3 * np.sqrt(records[at] + 1) / of_one))
    (x, x_error), (y, y_error) = columns
    group = _groups(x, y)
    if layout.assembly is None:
        with_y = group == group.max(initial=-1)
        enough = len(x) >= MIN_FOR_MEDIAN
        scale_x, scale_y = (
            (float(median(column[with_y])) or np.nan) if enough else np.nan for column in (x, y)
        )
        x, x_error, y, y_error = x / scale_x, x_error / scale_x, y / scale_y, y_error / scale_y
    return Copies(x, y, x_error, y_error, group)


def _groups(x: Floats, y: Floats) -> NDArray[np.intp]:
    """Returns 1 for samples with Y, 0 for those without, or 0 for all if there are no two groups.

    The samples are divided where the variance between the two parts is largest (Otsu 1979). They
    are two groups if each has _MIN_GROUP samples, is narrow against their distance, and has
    another number of X.
    """
    group = np.where(np.isfinite(x) | np.isfinite(y), 0, -1).astype(np.intp)
    known = np.flatnonzero(np.isfinite(x + y))
    fewest = _MIN_GROUP
    if len(known) < MIN_FOR_DIFFERS:
        return group
    known = known[np.argsort(y[known], kind="stable")]
    ordered = y[known]
    # Single samples far out must not be the one part.
    ordered = np.clip(ordered, ordered[fewest - 1], ordered[-fewest])
    sizes = np.arange(1, len(known))
    sums = np.cumsum(ordered)
    means, others = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / sizes[::-1]
    between = sizes * sizes[::-1] * (others - means) ** 2
    between[: fewest - 1] = between[len(between) - fewest + 1 :] = -1
    cut = int(between.argmax()) + 1
    low, high = known[:cut], known[cut:]
    distance = float(median(y[high]) - median(y[low]))
    within = float(max(deviation(y[low]), deviation(y[high])))
    if distance > 4 * within and float(median(x[low])) > 1.25 * float(median(x[high])):
        group[high] = 1
    return group


@dataclass(frozen=True)
class _Cutoffs:
    """Copies that are taken for one or two X, and for no or one Y, and how far off is too far.

    Attributes:
        x1: copies of X in samples with one.
        x2: copies of X in samples with two.
        y0: copies of Y in samples without.
        y1: copies of Y in samples with one.
        off_x: copies below or above.
        off_y: copies below or above.
        over: copies above.
    """

    x1: float = 1.0
    x2: float = 2.0
    y0: float = 0.0
    y1: float = 1.0
    off_x: float = MAX_OFF
    off_y: float = MAX_OFF
    over: float = MAX_OVER


def _cutoffs(copies: Copies) -> _Cutoffs:
    """Returns the cut-offs from the cohort, as far as it has enough samples of a group.

    A group's median is used if it is near what the fixed cut-offs say.
    """
    if int((copies.group >= 0).sum()) < MIN_FOR_CUTOFFS:
        return _Cutoffs()
    found: dict[str, float] = {}
    off_x, off_y = [], []
    for group in (0, 1):
        its = copies.group == group
        if int(its.sum()) < MIN_FOR_DIFFERS:
            continue
        x, y = float(median(copies.x[its])), float(median(copies.y[its]))
        if abs(x - 2) < 0.3 and y < 0.3:
            found |= {"x2": x, "y0": y}
        elif abs(x - 1) < 0.2 and 0.4 < y < 1.5:
            found |= {"x1": x, "y1": y}
        else:
            continue
        off_x.append(float(deviation(copies.x[its])))
        off_y.append(float(deviation(copies.y[its])) / (y if y > 0.4 else 1))
    if not found:
        return _Cutoffs()
    found.setdefault("x1", found.get("x2", 2) / 2)
    found.setdefault("x2", found["x1"] * 2)
    found |= {
        "off_x": min(max(DEVIATIONS * max(off_x), MIN_OFF), MAX_OFF_IN_COHORT),
        "off_y": min(max(DEVIATIONS * max(off_y), MIN_OFF), MAX_OFF_IN_COHORT),
        "over": MAX_OFF,
    }
    return _Cutoffs(**found)


def sex_chromosomes_of(
    layout: Layout, density: Floats, typical: Floats, shifts: Floats, copies: Copies
) -> list[str]:
    """Returns XX, XY, other or unclear for each sample; empty if the regions do not allow it.

    The copies have to be whole numbers, from MAX_OFF less to MAX_OVER more, with what may be
    wrong by chance (three standard errors of the count) and by unevenness (the robust deviation of
    the autosomes). With MIN_FOR_CUTOFFS samples, what one or two copies look like is the median
    of the samples with that many, and unevenness is that against the cohort.

    Unclear are mixtures and contamination, cells without Y in a part of the sample, other mosaics,
    deletions and duplications, and data that are too few or not those of whole genomes. Exome,
    panel and RNA are always unclear.
    """
    samples = len(typical)
    if not layout.complete or layout.number_of("X") is None or layout.number_of("Y") is None:
        return [""] * samples
    if layout.assembly is None or layout.autosomes < MIN_AUTOSOMES:
        return [UNCLEAR] * samples
    cutoffs = _cutoffs(copies)
    uneven = deviation(np.log2(density[: layout.autosomes] / typical).T)
    alone = cutoffs == _Cutoffs()
    varies = uneven if alone else deviation(shifts.T)
    x = 1 + (copies.x - cutoffs.x1) / (cutoffs.x2 - cutoffs.x1)
    y = (copies.y - cutoffs.y0) / (cutoffs.y1 - cutoffs.y0)
    if alone:
        # Some records of X are always taken for those of Y, so that 0 is not in the middle.
        y = np.where(y < MAX_OFF, 0, y)
    error_x = copies.x_error + x * varies * np.log(2)
    error_y = copies.y_error + np.abs(y) * varies * np.log(2)
    whole_x, whole_y = np.round(x), np.round(y)
    clear = _is_near(x - whole_x, error_x, cutoffs.off_x, cutoffs.over)
    clear &= _is_near(y - whole_y, error_y, cutoffs.off_y, cutoffs.over)
    clear &= (uneven <= MAX_UNEVEN) & (whole_x >= 1) & (whole_y >= 0)
    calls = np.select(
        [~clear, (whole_x == 2) & (whole_y == 0), (whole_x == 1) & (whole_y == 1)],
        [UNCLEAR, XX, XY],
        OTHER,
    )
    return [str(call) for call in calls]


def _is_near(away: Floats, error: Floats, off: float, over: float) -> NDArray[np.bool_]:
    """Whether copies are near a whole number, and with what may be wrong not too far from it."""
    return (np.abs(away) <= off) & (away + error <= over) & (error - away <= MAX_OFF)
