"""Windows: regions split into consecutive parts of a given size."""

from collections.abc import Mapping
from itertools import repeat

import numpy as np

from readcount.errors import InputError
from readcount.regions.region_list import RegionList
from readcount.text import plural

# A million windows take 360 MB in the parent process, so this maximum needs a larger instance type
# than the default.
MAX_WINDOWS = 20_000_000


def cut_into_windows(regions: RegionList, size: int, lengths: Mapping[str, int]) -> RegionList:
    """Splits each region into consecutive windows; the last may be shorter.

    A region without an end, such as a whole sequence, ends at the end of the sequence.

    Args:
        regions: placed regions.
        size: window size in bases.
        lengths: lengths of the reference sequences in bases, by name.

    Raises:
        InputError: there would be more than MAX_WINDOWS.
    """
    bounds = [(region.start or 0, region.end or lengths[region.contig]) for region in regions]
    number = sum(-(-(end - start) // size) for start, end in bounds)
    if number > MAX_WINDOWS:
        raise InputError(
            f"windows: a size of {plural(size, 'base')} results in {number:,} windows, and at most "
            f"{MAX_WINDOWS:,} can be counted. Use a larger size, or fewer regions."
        )
    windows = RegionList(lengths)
    aliases = regions.aliases or repeat("", len(regions))
    for tid, alias, (start, end) in zip(regions.tids, aliases, bounds, strict=True):
        starts = np.arange(start, end, size)
        ends = np.minimum(starts + size, end)
        named = [alias] * len(starts) if alias else ()
        windows.extend_spans(np.full(len(starts), tid), starts, ends, aliases=named)
    return windows
