"""Reads many plain lines of a BED file at once.

A module of its own, as to load numpy takes 0.1 s, and only intervals need it.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from readcount.regions.region import RegionError, span_on
from readcount.regions.region_list import RegionList

# Lines that are not data (GA4GH specification of BED v1, sections 1.2 to 1.4).
NOT_DATA = re.compile(r"\s*$|#|(track|browser)(\s|$)")
_DIGITS = b"0123456789"


class _Columns(NamedTuple):
    """What lines of a BED file have in their columns.

    Attributes:
        contigs: the names in the first column, each once.
        contig_ids: which of these each line has.
        starts: the second column.
        ends: the third; as long as the others only if each field of both is one number.
        names: the fourth; empty if there is none.
    """

    contigs: list[str]
    contig_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    names: Sequence[str] = ()


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
    columns = _three_columns_of_one_contig(text) or _columns(text)
    if columns is None or not len(columns.starts) == len(columns.ends) == len(columns.contig_ids):
        return False
    sequences = []
    for name in columns.contigs:
        if NOT_DATA.match(name):
            return False
        try:
            sequences.append(span_on(name, 0, 1, lengths, aliases=aliases))
        except RegionError:
            return False
    starts, ends = columns.starts, columns.ends
    most = np.array([lengths[sequence.contig] for sequence in sequences])[columns.contig_ids]
    if not (np.all(starts < ends) and np.all(ends <= most)):
        return False
    tids = np.array([regions.tid_of(one.contig) for one in sequences])[columns.contig_ids]
    given = [sequence.alias for sequence in sequences]
    if any(given):
        given = [given[contig_id] for contig_id in columns.contig_ids.tolist()]
    regions.extend_spans(tids.tobytes(), starts.tobytes(), ends.tobytes(), columns.names, given)
    return True


def _three_columns_of_one_contig(text: str) -> _Columns | None:
    """Returns the columns where lines have three and the first is the same in all; else None.

    Most blocks of a sorted file without names are so, and take a third of the time of others.
    """
    contig, *_ = text.partition("\t")
    lines = text.count("\n") + 1
    if text.count(f"\n{contig}\t") != lines - 1:
        return None
    data, before = text.encode(), f"{contig}\t".encode()
    positions = data.replace(before, b"")
    # Every line begins with the name and a tab. If there are no more of these than lines, there are
    # none within a line.
    if len(data) - len(positions) != lines * len(before):
        return None
    if positions.translate(None, _DIGITS) != b"\t\n" * (lines - 1) + b"\t":
        return None
    numbers = np.fromstring(positions, np.int64, sep=" ")
    return _Columns([contig], np.zeros(lines, np.int64), numbers[::2], numbers[1::2])


def _columns(text: str) -> _Columns | None:
    """Returns the columns of lines that have the same number of them; else None."""
    tabs, *others = set(map(str.count, text.split("\n"), repeat("\t")))
    if others or tabs < 2:
        return None
    fields = text.replace("\n", "\t").split("\t")
    contigs, *positions = (fields[column :: tabs + 1] for column in range(3))
    # A line feed is in no field.
    digits = "\n".join(positions[0] + positions[1]).encode()
    if digits.translate(None, _DIGITS + b"\n"):
        return None
    id_of = {contig: at for at, contig in enumerate(dict.fromkeys(contigs))}
    contig_ids = np.fromiter(map(id_of.__getitem__, contigs), np.int64, len(contigs))
    names = list(map(str.strip, fields[3 :: tabs + 1])) if tabs > 2 else ()
    numbers = np.fromstring(digits, np.int64, sep=" ")
    return _Columns(
        list(id_of), contig_ids, numbers[: len(contigs)], numbers[len(contigs) :], names
    )
