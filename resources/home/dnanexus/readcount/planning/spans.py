"""Plans the count of many spans: what to expect in each, and which share a samtools call.

A module of its own, as to load numpy takes 0.1 s, and only spans need it.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from readcount.formats.bam_index import INTERVAL
from readcount.planning.costs import Costs
from readcount.planning.density import expected_records, offsets_of
from readcount.planning.task import SpanGroup
from readcount.request.region import fits_bed
from readcount.request.region_list import NONE, RegionList
from readcount.request.span_columns import Bools, Ints, reached_before, spans_in
from readcount.source.contigs import Contig

# Between two spans, samtools skips more records than these; to pass on fewer takes less time.
MOST_IN_GAP = 200

Floats = NDArray[np.float64]


class Density:
    """How many records to expect along each of some reference sequences.

    A sequence is made of parts of INTERVAL bases. All sequences are in one column, as there may be
    hundreds of thousands.
    """

    def __init__(self, contigs: Sequence[Contig], used: Ints) -> None:
        """Reads the offsets of the used sequences, which are numbers that rise."""
        of = [contigs[number] for number in used.tolist()]
        offsets = [offsets_of(contig) or _even(contig) for contig in of]
        sizes = np.array([len(known) for known in offsets], np.int64)
        flat = np.array(list(chain.from_iterable(offsets)), np.float64)
        self._used = used
        self._parts = sizes - 1
        self._first = np.cumsum(sizes) - sizes
        begins, ends = flat[self._first], flat[self._first + self._parts]
        records = np.array([expected_records(contig) for contig in of])
        # Before each part, and at the end of each sequence, from its beginning.
        self._before = np.repeat(records / (ends - begins), sizes) * (
            flat - np.repeat(begins, sizes)
        )

    def shares(self, on: Ints, starts: Ints, ends: Ints) -> Floats:
        """Returns the records to expect in each span; spans in one part share its records."""
        first, parts = self._columns_of(on)
        begin = np.minimum(starts // INTERVAL, parts - 1)
        end = np.where(ends == NONE, parts, (ends - 1) // INTERVAL + 1)
        begin, end = first + begin, first + np.maximum(np.minimum(end, parts), begin + 1)
        size = len(self._before)
        sharing = np.cumsum(np.bincount(begin, minlength=size) - np.bincount(end, minlength=size))
        in_part = np.diff(self._before, append=0)
        # What follows the last part is the first of another sequence.
        in_part[self._first + self._parts] = 0
        before = np.concatenate(([0.0], np.cumsum(in_part / np.maximum(1, sharing))))
        shares: Floats = before[end] - before[begin]
        return shares

    def between(self, on: Ints, starts: Ints, ends: Ints) -> Floats:
        """Returns the records to expect from each start to each end; 0 if that is before it."""
        return np.maximum(self._before_position(on, ends) - self._before_position(on, starts), 0)

    def _before_position(self, on: Ints, positions: Ints) -> Floats:
        first, parts = self._columns_of(on)
        part = np.minimum(positions // INTERVAL, parts - 1)
        share = np.minimum(positions / INTERVAL - part, 1)
        at = first + part
        records: Floats = self._before[at] * (1 - share) + self._before[at + 1] * share
        return records

    def _columns_of(self, on: Ints) -> tuple[Ints, Ints]:
        """Returns where each of these sequences begins in the column, and how many parts it has."""
        used = np.searchsorted(self._used, on)
        return self._first[used], self._parts[used]


def _even(contig: Contig) -> Sequence[int]:
    """Returns offsets for a sequence without any in the index."""
    return range(max(1, -(-contig.length // INTERVAL)) + 1)


@dataclass(frozen=True)
class Spans:
    """Some of the regions, each a part of a reference sequence, as columns.

    Attributes:
        numbers: their indexes in the list of regions.
        on: the number of the reference sequence of each, in the header's order.
        starts: of each, 0-based.
        ends: the position after the last of each; NONE for none.
        records: how many to expect in each.
        density: of the sequences that they are on.
    """

    numbers: Ints
    on: Ints
    starts: Ints
    ends: Ints
    records: Floats
    density: Density

    def at(self, chosen: Ints | Bools | slice) -> "Spans":
        """Returns the spans at these indexes, in this slice, or for which this is true."""
        return Spans(
            self.numbers[chosen],
            self.on[chosen],
            self.starts[chosen],
            self.ends[chosen],
            self.records[chosen],
            self.density,
        )

    @property
    def total(self) -> float:
        """The records to expect in all spans."""
        return float(self.records.sum())

    def expected(self) -> dict[int, float]:
        """Returns the records to expect in each by its index in the list of regions."""
        return dict(zip(self.numbers.tolist(), self.records.tolist(), strict=True))


def spans_of(regions: RegionList, contigs: Mapping[str, Contig]) -> Spans:
    """Returns the regions that are parts of a sequence, with the records to expect in each.

    Args:
        regions: in any order.
        contigs: what is known of each reference sequence, by name, in the header's order.
    """
    order = {name: number for number, name in enumerate(contigs)}
    sequences = np.array([order.get(contig, -1) for contig in regions.contigs], np.int64)
    numbers, on_in_list, starts, ends = spans_in(regions)
    on = sequences[on_in_list]
    density = Density(list(contigs.values()), np.unique(on))
    return Spans(numbers, on, starts, ends, density.shares(on, starts, ends), density)


def divide_spans(
    spans: Spans, contigs: Mapping[str, Contig], most_in_group: float
) -> tuple[Spans, Spans, Spans]:
    """Returns the spans of sequences without records, those for groups, and all others.

    Args:
        spans: in any order.
        contigs: what is known of each reference sequence, by name, in the header's order.
        most_in_group: records that a span of a group may have.
    """
    empty = np.array([contig.indexed.records == 0 for contig in contigs.values()])[spans.on]
    # A span without an end would need a line of a BED file that has one.
    fits = np.array([fits_bed(name) for name in contigs])[spans.on] & (spans.ends != NONE)
    small = ~empty & fits & (spans.records < most_in_group)
    return spans.at(empty), spans.at(small), spans.at(~empty & ~small)


def group_spans(
    spans: Spans,
    names: Sequence[str],
    call: float,
    costs: Costs,
    cut: Callable[[float], Sequence[float]],
) -> Iterator[SpanGroup]:
    """Yields groups of spans that lie one behind the other.

    Args:
        spans: with an end, in any order.
        names: of the reference sequences, in the header's order.
        call: cost of a samtools call.
        costs: of the file.
        cut: returns the shares, rising, of a cost at which to cut it.
    """
    if not len(spans.numbers):
        return
    spans = spans.at(np.lexsort((spans.starts, spans.on)))
    gaps, skipped = _gaps(spans)
    spent = np.cumsum(costs.span + costs.gap * skipped + costs.span_record * (spans.records + gaps))
    bounds = np.searchsorted(spent, np.array(cut(float(spent[-1]))) * spent[-1])
    for first, end in pairwise([0, *bounds.tolist(), len(spent)]):
        if first == end:
            continue
        run = spans.at(slice(first, end))
        another = np.diff(run.on, prepend=-1) != 0
        used, on = run.on[another], np.cumsum(another) - 1
        before = spent[first - 1] if first else 0
        yield SpanGroup(
            numbers=_range_or_plain(run.numbers),
            contigs=tuple(names[number] for number in used),
            on=_plain(on),
            starts=_plain(run.starts),
            ends=_plain(run.ends),
            lines=_lines(on, run, skipped[first:end]),
            records=float(run.records.sum()),
            seconds=call + float(spent[end - 1] - before),
        )


def _gaps(spans: Spans) -> tuple[Floats, Bools]:
    """Returns the records to read between each span and those before it, and where to skip them.

    Args:
        spans: in the order of the file.
    """
    before, on_another = reached_before(spans.on, spans.ends)
    gaps = spans.density.between(spans.on, before, spans.starts)
    skipped = on_another | (gaps > MOST_IN_GAP)
    return np.where(skipped, 0, gaps), skipped


def _lines(on: Ints, spans: Spans, skipped: Bools) -> tuple[tuple[int, int, int], ...]:
    """Returns the lines of the BED file for samtools, of spans in the order of the file."""
    first = np.union1d([0], np.nonzero(skipped)[0])
    columns = on[first], spans.starts[first], np.maximum.reduceat(spans.ends, first)
    return tuple(zip(*(column.tolist() for column in columns), strict=True))


def _plain(column: Ints) -> "array[int]":
    """Returns a column as an array that needs no numpy."""
    return array("q", np.ascontiguousarray(column, np.int64).tobytes())


def _range_or_plain(numbers: Ints) -> "range | array[int]":
    """Returns a column as a range if it has consecutive numbers, which takes no memory."""
    first, end = int(numbers[0]), int(numbers[-1]) + 1
    if end - first == len(numbers) and (np.diff(numbers) == 1).all():
        return range(first, end)
    return _plain(numbers)
