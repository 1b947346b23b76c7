"""How many records overlap each of many spans, which may overlap each other."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import IO

import pysam

# Name of the reference sequence, first position and the one after the last: 0-based, half-open.
Span = tuple[str, int, int]


def count_overlaps(records: Iterable[Span], spans: Sequence[Span]) -> list[int]:
    """Counts for each span the records that overlap it.

    These are those that begin before the span's end, less those that end at or before its start:
    so it is enough to know how many begin and end between every two bounds of spans.

    Args:
        records: in any order, on sequences that have spans.
        spans: none of them empty, in any order.

    >>> count_overlaps([("chr1", 5, 15), ("chr1", 20, 30)], [("chr1", 0, 10), ("chr1", 10, 25)])
    [1, 2]
    """
    bounds: dict[str, list[int]] = defaultdict(list)
    for contig, start, end in spans:
        bounds[contig] += (start, end)
    bounds = {contig: sorted(set(positions)) for contig, positions in bounds.items()}
    tallies = {
        contig: (positions, [0] * (len(positions) + 1), [0] * (len(positions) + 1))
        for contig, positions in bounds.items()
    }
    for contig, start, end in records:
        positions, begun, ended = tallies[contig]
        begun[bisect_right(positions, start)] += 1
        ended[bisect_left(positions, end)] += 1
    begun_before = {contig: list(accumulate(begun)) for contig, (_, begun, _) in tallies.items()}
    ended_by = {contig: list(accumulate(ended)) for contig, (_, _, ended) in tallies.items()}
    return [
        begun_before[contig][bisect_left(bounds[contig], end)]
        - ended_by[contig][bisect_left(bounds[contig], start)]
        for contig, start, end in spans
    ]


def read_records(stream: IO[bytes]) -> Iterator[Span]:
    """Yields where each record of a BAM stream is.

    One that covers no position, such as a placed unmapped one, counts as covering the one at which
    it is placed, as in samtools (SAM specification, section 4.2.1).

    Raises:
        OSError, ValueError: the stream is truncated or corrupt.
    """
    with pysam.AlignmentFile(stream, "rb", check_sq=False) as alignments:
        names = alignments.references
        for record in alignments:
            start = record.reference_start
            yield names[record.reference_id], start, record.reference_end or start + 1
