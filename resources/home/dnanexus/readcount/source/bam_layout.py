"""Where the index has the records of a BAM."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from readcount.formats.bam_index import BamIndex
from readcount.source.bam_offsets import RecordOffsets, record_offsets
from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.parts import (
    NO_SEQUENCE,
    Span,
    SpanColumns,
    SpanPlaces,
    Stretch,
)


def in_order(index: BamIndex) -> bool:
    """Whether records are in the order of the header, which `samtools index` does not require."""
    begins = [entry.begin for entry in index.entries if entry.begin is not None]
    return begins == sorted(begins)


def stretches_of(file: IndexedFile, header: Header, index: BamIndex) -> list[Stretch]:
    """Returns the stretches of a BAM by its index, in the order of the file.

    The records of a sorted file have no gaps between them: a stretch begins where the one before
    ends, even if the index, as old ones, has the first records later.

    Raises:
        InputError: the index contradicts itself, or is that of another file.
    """
    stretches = []
    at = header.end or 0
    for tid, entry in enumerate(index.entries):
        begin, end = entry.begin, entry.end
        if begin is None or end is None:
            begin, end = index.bounds(tid) if entry.records is None else (0, 0)
        if begin == end:
            continue
        if not at <= begin < end:
            what = "its offsets are not in the order of the file"
            raise file.contradiction(header.names[tid], what)
        stretches.append(Stretch(at, end, tid, (tid,)))
        at = end
    if at > file.mappings.size << 16:
        raise file.mismatch("it has records after the end of the file")
    stretches.append(Stretch(at, file.mappings.size << 16, NO_SEQUENCE, (NO_SEQUENCE,)))
    return stretches


@dataclass(frozen=True)
class BamLayout:
    """Where the index has the records of a BAM; see Layout.

    Attributes:
        file: the BAM with its index.
        header: of the BAM.
        index: the index.
        stretches: of the sequences that have records, in the order of the file.
    """

    file: IndexedFile
    header: Header
    index: BamIndex
    stretches: Sequence[Stretch]

    has_numbers = True

    def cuts(self, stretch: Stretch) -> Sequence[int]:
        """Returns offsets at which a record of a stretch begins by the index; see Layout."""
        if stretch.tid == NO_SEQUENCE:
            return ()
        entry = self.index.entries[stretch.tid]
        known = entry.offsets or self.index.chunk_begins(stretch.tid)
        return sorted({offset for offset in known if stretch.begin < offset < stretch.end})

    def places(self, spans: SpanColumns) -> SpanPlaces:
        """Returns where the records are that may overlap some spans; see Layout."""
        # Imported here: numpy takes 0.1 s to load, and only spans need it.
        import numpy as np

        order = np.argsort(spans.tids, kind="stable")
        used, firsts = np.unique(spans.tids[order], return_index=True)
        found = []
        for tid, its in zip(used.tolist(), np.split(order, firsts[1:]), strict=True):
            if offsets := self.offsets[tid]:
                lows, highs = offsets.of_spans(spans.starts[its], spans.ends[its])
                # Old indexes leave out what is first.
                lows[lows == offsets.begin] = self._begins[tid]
                found.append((its, lows, highs))
        columns = [np.zeros((3, 0), np.int64), *map(np.array, found)]
        rows, lows, highs = np.concatenate(columns, axis=1)
        return SpanPlaces(rows, lows, highs)

    def inner(self, span: Span) -> tuple[int, int]:
        """Returns offsets between which all records begin in a span; see Layout."""
        offsets = self.offsets[span.tid]
        return offsets.inner(span.start, span.end) if offsets else (0, 0)

    @cached_property
    def _begins(self) -> Mapping[int, int]:
        return {stretch.tid: stretch.begin for stretch in self.stretches}

    @cached_property
    def offsets(self) -> "OffsetsByTid":
        """Where the records of each sequence are, by its number."""
        return OffsetsByTid(self)

    def record_offsets(self, tid: int) -> RecordOffsets | None:
        """Returns where the records of a sequence are by the index; None if it has none.

        Raises:
            InputError: the index contradicts itself.
        """
        try:
            return record_offsets(self.index.bins(tid))
        except ValueError as error:
            raise self.file.contradiction(self.header.names[tid], str(error)) from error


class OffsetsByTid(dict[int, RecordOffsets | None]):
    """Where the records of sequences are by the index, found out when it is asked for."""

    def __init__(self, layout: BamLayout) -> None:
        super().__init__()
        self._layout = layout

    def __missing__(self, tid: int) -> RecordOffsets | None:
        self[tid] = found = self._layout.record_offsets(tid)
        return found
