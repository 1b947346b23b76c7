"""Medians and robust deviations, ignoring unknown values (NaN)."""

import numpy as np

from readcount.columns import Floats

# Standard deviation of a normal distribution, in median absolute deviations.
ROBUST = 1.4826
# Number of robust deviations above which a value differs from the others.
DEVIATIONS = 5


def median(values: Floats) -> Floats:
    """Returns the median of the known values of each row; NaN if there are none."""
    known = np.isfinite(values)
    if values.size and known.all():
        return np.asarray(np.median(values, axis=-1))
    if not values.size:
        return np.full(values.shape[:-1], np.nan)
    # NaN is sorted after all numbers.
    ordered = np.sort(np.where(known, values, np.nan), axis=-1)
    number = known.sum(axis=-1, keepdims=True)
    low, high = (
        np.take_along_axis(ordered, np.maximum(at, 0), axis=-1)
        for at in ((number - 1) // 2, np.minimum(number // 2, values.shape[-1] - 1))
    )
    return np.asarray(((low + high) / 2)[..., 0])


def deviation(values: Floats) -> Floats:
    """Returns the robust standard deviation of each row."""
    return ROBUST * median(np.abs(values - median(values)[..., None]))
