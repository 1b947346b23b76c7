"""Windows: regions split into consecutive parts of a given size."""

from collections.abc import Mapping

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
    starts, ends = regions.extents(lengths)
    numbers = -((starts - ends) // size)
    number = int(numbers.sum())
    if number > MAX_WINDOWS:
        raise InputError(
            f"windows: a size of {plural(size, 'base')} results in {number:,} windows, and at most "
            f"{MAX_WINDOWS:,} can be counted. Use a larger size, or fewer regions."
        )
    # For each window, the index of its region, and its own index there.
    region_ids = np.repeat(np.arange(len(regions)), numbers)
    within = np.arange(number) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    firsts = starts[region_ids] + within * size
    return RegionList(
        regions.names_by_tid,
        regions.tids[region_ids],
        firsts,
        np.minimum(firsts + size, ends[region_ids]),
        aliases=[regions.aliases[at] for at in region_ids.tolist()] if regions.aliases else (),
    )
