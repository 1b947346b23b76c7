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


def _cutoffs(copies: Copies) -> tuple[_Cutoffs, _Cutoffs]:
    """Returns the cut-offs for samples without Y, and for those with Y.

    They are those of the cohort if it has enough samples of the group, with a median that is near
    whole numbers; else the fixed ones.
    """
    if int((copies.group >= 0).sum()) < MIN_FOR_CUTOFFS:
        return _Cutoffs(), _Cutoffs()
    without: dict[str, float] = {}
    with_y: dict[str, float] = {}
    off_x, off_y = [MIN_OFF], [MIN_OFF]
    for group in (0, 1):
        its = copies.group == group
        if int(its.sum()) < MIN_FOR_DIFFERS:
            continue
        x, y = float(median(copies.x[its])), float(median(copies.y[its]))
        if abs(x - 2) < 0.3 and y < 0.3:
            without = {"x2": x, "x1": x / 2, "y0": y}
        elif abs(x - 1) < 0.2 and 0.4 < y < 1.5:
            with_y = {"x1": x, "x2": 2 * x, "y1": y}
        else:
            continue
        off_x.append(DEVIATIONS * float(deviation(copies.x[its])))
        off_y.append(DEVIATIONS * float(deviation(copies.y[its])) / (y if with_y else 1))
    if without and with_y:
        both = {"x1": with_y["x1"], "x2": without["x2"], "y0": without["y0"], "y1": with_y["y1"]}
        without = with_y = both
    limits = {
        "off_x": min(max(off_x), MAX_OFF_IN_COHORT),
        "off_y": min(max(off_y), MAX_OFF_IN_COHORT),
        "over": MAX_OFF,
    }
    return (
        _Cutoffs(**without, **limits) if without else _Cutoffs(),
        _Cutoffs(**with_y, **limits) if with_y else _Cutoffs(),
    )


def sex_chromosomes_of(
    layout: Layout, density: Floats, typical: Floats, shifts: Floats, copies: Copies
) -> list[str]:
    """Returns XX, XY, other or unclear for each sample; empty if the regions do not allow it.

    The copies have to be whole numbers, from MAX_OFF less to MAX_OVER more, with what may be
    wrong by chance (three standard errors of the count) and by unevenness (the robust deviation of
    the autosomes). With MIN_FOR_CUTOFFS samples, what one or two copies look like is the median
    of the samples with that many, if there are MIN_FOR_DIFFERS, and unevenness is that against the
    cohort.

    Unclear are mixtures and contamination, cells without Y in a part of the sample, other mosaics,
    deletions and duplications, and data that are too few or not those of whole genomes. Exome,
    panel and RNA are always unclear.
    """
    samples = len(typical)
    if not layout.complete or layout.number_of("X") is None or layout.number_of("Y") is None:
        return [""] * samples
    if layout.assembly is None or layout.autosomes < MIN_AUTOSOMES:
        return [UNCLEAR] * samples
    uneven = deviation(np.log2(density[: layout.autosomes] / typical).T)
    against_cohort = deviation(shifts.T)
    without, with_y = _cutoffs(copies)
    calls = np.where(
        copies.y < (without.y0 + with_y.y1) / 2,
        _calls(copies, without, uneven, against_cohort),
        _calls(copies, with_y, uneven, against_cohort),
    )
    return [str(call) for call in calls]


def _calls(
    copies: Copies, cutoffs: _Cutoffs, uneven: Floats, against_cohort: Floats
) -> NDArray[np.str_]:
    """Returns what all samples are by some cut-offs.

    Args:
        copies: of each sample.
        cutoffs: to be used for all of them.
        uneven: robust deviation of the autosomes' records per base (log2).
        against_cohort: the same after division by the cohort's median.
    """
    is_fixed = cutoffs == _Cutoffs()
    x = 1 + (copies.x - cutoffs.x1) / (cutoffs.x2 - cutoffs.x1)
    y = (copies.y - cutoffs.y0) / (cutoffs.y1 - cutoffs.y0)
    if is_fixed:
        # Some records of X are always taken for those of Y, so that 0 is not in the middle.
        y = np.where(y < MAX_OFF, 0, y)
    varies = np.log(2) * (uneven if is_fixed else against_cohort)
    whole_x, whole_y = np.round(x), np.round(y)
    clear = _is_near(x - whole_x, copies.x_error + x * varies, cutoffs.off_x, cutoffs.over)
    clear &= _is_near(y - whole_y, copies.y_error + np.abs(y) * varies, cutoffs.off_y, cutoffs.over)
    clear &= (uneven <= MAX_UNEVEN) & (whole_x >= 1) & (whole_y >= 0)
    return np.select(
        [~clear, (whole_x == 2) & (whole_y == 0), (whole_x == 1) & (whole_y == 1)],
        [UNCLEAR, XX, XY],
        OTHER,
    )


def _is_near(away: Floats, error: Floats, off: float, over: float) -> NDArray[np.bool_]:
    """Whether copies are near a whole number, and with what may be wrong not too far from it."""
    return (np.abs(away) <= off) & (away + error <= over) & (error - away <= MAX_OFF)
