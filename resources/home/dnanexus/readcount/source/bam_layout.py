"""Record locations in a BAM according to its index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from readcount.columns import rows_by
from readcount.formats.bam_index import BamIndex, BinColumns
from readcount.formats.bam_record import Placement, record_at
from readcount.source.bam_offsets import RecordOffsets, record_offsets
from readcount.source.bam_parts import record_errors
from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.parts import (
    NO_SEQUENCE,
    Span,
    SpanColumns,
    SpanPlaces,
    Stretch,
)

# Number of records to check per sequence that its linear index omits.
UNMAPPED_PLACES = 3


def in_order(index: BamIndex) -> bool:
    """Whether sequences are in header order, which `samtools index` does not require."""
    begins = [entry.begin for entry in index.entries if entry.begin is not None]
    return begins == sorted(begins)


def stretches_of(file: IndexedFile, header: Header, index: BamIndex) -> list[Stretch]:
    """Returns the stretches of a BAM according to its index, in file order.

    There are no gaps between the records of a sorted file: a stretch begins where the previous one
    ends, even if an old index puts its first record later.

    Raises:
        InputError: the index is inconsistent, or belongs to another file.
    """
    stretches = []
    at = header.end or 0
    for tid, entry in enumerate(index.entries):
        begin, end = entry.begin, entry.end
        if begin is None or end is None:
            begin, end = _bounds_of_chunks(index.columns(tid)) if entry.records is None else (0, 0)
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


def _bounds_of_chunks(bins: BinColumns) -> tuple[int, int]:
    return (int(bins.begins.min()), int(bins.ends.max())) if len(bins.begins) else (0, 0)


@dataclass
class BamLayout:
    """Record locations in a BAM according to its index; see Layout.

    Attributes:
        file: the BAM with its index.
        header: header of the BAM.
        index: the index that was read.
        stretches: stretches of the sequences with records, in file order.
    """

    file: IndexedFile
    header: Header
    index: BamIndex
    stretches: Sequence[Stretch]

    has_numbers = True
    # All sequences have bins of the same sizes, so one check is enough.
    _has_checked_levels: bool = field(default=False, init=False)
    _known_offsets: dict[int, RecordOffsets | None] = field(default_factory=dict, init=False)

    def cuts(self, stretch: Stretch) -> Sequence[int]:
        """Returns known offsets of record starts within a stretch; see Layout."""
        if stretch.tid == NO_SEQUENCE:
            return ()
        known = self.index.linear(stretch.tid)
        if len(known) < 2:
            known = self.index.columns(stretch.tid).begins
        within = known[(known > stretch.begin) & (known < stretch.end)]
        cuts: list[int] = np.unique(within).tolist()
        return cuts

    def places(self, spans: SpanColumns) -> SpanPlaces:
        """Returns the locations of records that may overlap some spans; see Layout."""
        found = [np.zeros((3, 0), np.int64)]
        for tid, its in rows_by(spans.tids).items():
            if offsets := self.offsets(tid):
                lows, highs = offsets.of_spans(spans.starts[its], spans.ends[its])
                # Old indexes omit the first records.
                lows[lows == offsets.begin] = self._begins[tid]
                found.append(np.array([its, lows, highs]))
        return SpanPlaces(*np.concatenate(found, axis=1))

    def inner(self, span: Span) -> tuple[int, int]:
        """Returns offsets between which all records start in a span; see Layout."""
        offsets = self.offsets(span.tid)
        return offsets.inner(span.start, span.end) if offsets else (0, 0)

    @cached_property
    def _begins(self) -> Mapping[int, int]:
        return {stretch.tid: stretch.begin for stretch in self.stretches}

    def offsets(self, tid: int) -> RecordOffsets | None:
        """Returns the record offsets of a sequence according to the index; None without records.

        Raises InputError if the index is inconsistent. Computed on first use.
        """
        if tid not in self._known_offsets:
            try:
                found = record_offsets(self.index.columns(tid))
                late = found.not_in_linear[:UNMAPPED_PLACES] if found else ()
                if not all(one and one.unmapped for one in map(self._record_at, late)):
                    raise ValueError("its linear index skips some of its records")
                if found and self.index.csi and not self._has_right_levels(found):
                    raise ValueError("the records of a bin are not in its positions")
                self._known_offsets[tid] = found
            except ValueError as error:
                raise self.file.contradiction(self.header.names[tid], str(error)) from error
        return self._known_offsets[tid]

    def _record_at(self, offset: int) -> Placement | None:
        with record_errors(self.file):
            return record_at(self.file.mappings.read, offset, self.file.mappings.size)

    def _has_right_levels(self, offsets: RecordOffsets) -> bool:
        """Whether the bin size in a CSI is right, checked with a record of the last bin."""
        begin, end = offsets.last_bin
        if not begin or self._has_checked_levels:
            return True
        self._has_checked_levels = True
        found = self._record_at(int(offsets.highs[-1]))
        return found is not None and begin <= found.start < end
