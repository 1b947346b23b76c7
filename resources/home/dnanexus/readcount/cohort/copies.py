"""Copy numbers of X and Y, and sex chromosomes of the samples.

Call `copies_of(...)` with the records by chromosome, then `sex_chromosomes_of(...)`. The first is
defined for all genomes, the second for GRCh37, GRCh38 and T2T-CHM13.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from readcount.cohort.layout import Layout
from readcount.cohort.robust import DEVIATIONS, deviation, median
from readcount.columns import Floats, Ints

# Minimum number of samples to compare with a median, with a robust deviation, and for cut-offs.
MIN_FOR_MEDIAN = 3
MIN_FOR_DIFFERS = 10
MIN_FOR_CUTOFFS = 20
# Minimum size of a group, if a cohort is split into two by copies of X and Y.
_MIN_GROUP = 5


# Sex chromosomes: copies must be this close to a whole number. Illumina's DRAGEN accepts up to 0.5
# (Ploidy Estimator, help.dragen.illumina.com), but a sample with 20% contamination is off by 0.2
# and has to be unclear.
MAX_OFF = 0.15
# Records of X and Y are lost in alignment, so 1.2 copies can look like one. Without cut-offs from
# the cohort, copies may be lower by MAX_OFF, but higher only by this.
MAX_OVER = 0.08
# With cut-offs from the cohort, the tolerance is DEVIATIONS robust deviations, within these limits.
MIN_OFF = 0.06
MAX_OFF_IN_COHORT = 0.12
# Minimum number of autosomes. If their records per base vary by more than MAX_UNEVEN (robust
# deviation, log2), the data are not from whole genomes: exome, panel, RNA, or another organism.
MIN_AUTOSOMES = 10
MAX_UNEVEN = 0.1

UNCLEAR = "unclear"
OTHER = "other"
XX = "XX"
XY = "XY"


@dataclass(frozen=True)
class Copies:
    """Copies of X and Y, and their errors.

    Attributes:
        x: copies of X in each sample.
        y: copies of Y in each sample.
        x_error: three standard errors of x from counting.
        y_error: three standard errors of y from counting.
        group: 1 for samples with Y, 0 for those without, -1 if unknown. If the cohort is not split
            into two groups, all samples are in the same.
    """

    x: Floats
    y: Floats
    x_error: Floats
    y_error: Floats
    group: NDArray[np.intp]


def copies_of(layout: Layout, records: Ints, density: Floats, typical: Floats) -> Copies:
    """Returns the copies of X and Y: absolute for a known assembly, else relative to the cohort."""
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
    """Returns 1 for samples with Y, 0 for those without, or 0 for all if there is one group.

    Samples are split where the between-class variance is largest (Otsu 1979). The two classes are
    groups if each has _MIN_GROUP samples, their distance is large compared to their spread, and
    they differ in copies of X.
    """
    group = np.where(np.isfinite(x) | np.isfinite(y), 0, -1).astype(np.intp)
    known = np.flatnonzero(np.isfinite(x + y))
    fewest = _MIN_GROUP
    if len(known) < MIN_FOR_DIFFERS:
        return group
    known = known[np.argsort(y[known], kind="stable")]
    ordered = y[known]
    # Single outliers must not form a class.
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
    """Expected copies for one or two X and for no or one Y, and the tolerances.

    Attributes:
        x1: copies of X in samples with one.
        x2: copies of X in samples with two.
        y0: copies of Y in samples without.
        y1: copies of Y in samples with one.
        off_x: tolerance of copies of X.
        off_y: tolerance of copies of Y.
        over: upper tolerance of copies.
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

    They are estimated from the cohort if it has enough samples in the group and their median is
    near whole numbers; otherwise fixed values are used.
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
    """Returns XX, XY, other or unclear for each sample; empty if the regions are not suitable.

    Copies have to be whole numbers, within -MAX_OFF and +MAX_OVER, after allowing for counting
    error (three standard errors) and unevenness (robust deviation of the autosomes). With
    MIN_FOR_CUTOFFS samples, the expected value of one or two copies is the median of the samples
    with this number, if there are MIN_FOR_DIFFERS of them, and unevenness is relative to the
    cohort.

    Unclear are: contamination, mosaic loss of Y, other mosaics, large deletions and duplications,
    too few records, and data other than whole genomes (exome, panel, RNA).
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
    """Returns the call of all samples with some cut-offs.

    Args:
        copies: copies of X and Y in each sample.
        cutoffs: the cut-offs to use for all samples.
        uneven: robust deviation of the autosomes' records per base (log2).
        against_cohort: the same, after division by the cohort's median.
    """
    is_fixed = cutoffs == _Cutoffs()
    x = 1 + (copies.x - cutoffs.x1) / (cutoffs.x2 - cutoffs.x1)
    y = (copies.y - cutoffs.y0) / (cutoffs.y1 - cutoffs.y0)
    if is_fixed:
        # Some reads from X always align to Y, so values without Y are not centred at 0.
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
    """Whether copies are near a whole number, also after allowing for their error."""
    return (np.abs(away) <= off) & (away + error <= over) & (error - away <= MAX_OFF)
