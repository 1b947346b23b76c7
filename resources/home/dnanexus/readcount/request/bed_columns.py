"""Reads many plain lines of a BED file at once.

A module of its own, as to load numpy takes 0.1 s, and only intervals need it.
"""

import re
from collections.abc import Mapping
from itertools import repeat

import numpy as np

from readcount.request.region import Region, RegionError, span_on
from readcount.request.region_list import RegionList

# Lines that are not data (GA4GH specification of BED v1, sections 1.2 to 1.4).
NOT_DATA = re.compile(r"\s*$|#|(track|browser)(\s|$)")


def add_plain_lines(
    regions: RegionList, text: str, lengths: Mapping[str, int], aliases: Mapping[str, str]
) -> bool:
    """Adds the intervals of lines that are all valid and have the same number of columns.

    Args:
        regions: what to add them to.
        text: lines with tabs between columns, without the end of the last one.
        lengths: of the reference sequences in bases, by name.
        aliases: names of reference sequences by their alternative names.

    Returns:
        Whether they were added; if not, each line has to be looked at.
    """
    tabs, *others = set(map(str.count, text.split("\n"), repeat("\t")))
    if others or tabs < 2:
        return False
    fields = text.replace("\n", "\t").split("\t")
    names, *positions = (fields[column :: tabs + 1] for column in range(3))
    digits = " ".join(positions[0] + positions[1])
    if digits.encode().translate(None, b"0123456789 "):
        return False
    numbers = np.fromstring(digits, np.int64, sep=" ")
    if len(numbers) != 2 * len(names):
        return False
    sequences: dict[str, Region] = {}
    for name in dict.fromkeys(names):
        if NOT_DATA.match(name):
            return False
        try:
            sequences[name] = span_on(name, 0, 1, lengths, aliases=aliases)
        except RegionError:
            return False
    number_of = {name: regions.number_of(sequence) for name, sequence in sequences.items()}
    on = np.fromiter(map(number_of.__getitem__, names), np.int64, len(names))
    starts, ends = numbers.reshape(2, -1)
    length_of = {name: lengths[sequence.contig] for name, sequence in sequences.items()}
    most = np.fromiter(map(length_of.__getitem__, names), np.int64, len(names))
    if not (np.all(starts < ends) and np.all(ends <= most)):
        return False
    own = list(map(str.strip, fields[3 :: tabs + 1])) if tabs > 2 else ()
    regions.extend_spans(on.tobytes(), starts.tobytes(), ends.tobytes(), own)
    return True
