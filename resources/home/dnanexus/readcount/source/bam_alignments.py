"""An opened BAM, and the evidence in its BAI or CSI index."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from readcount.errors import InputError
from readcount.source.alignments import OTHERS_NOT_COUNTED, Alignments, Located
from readcount.source.bam_layout import BamLayout
from readcount.source.bam_parts import BamParts
from readcount.source.parts import (
    NO_SEQUENCE,
    Edge,
    Stretch,
    part_of,
)

# In files up to this size all records are counted even if counts are taken from the index.
SMALL_FILE_BYTES = 1 << 22
# Smaller sequences are counted too: checking both ends takes as long.
MIN_TRUSTED_BYTES = 1 << 18
# block_size, 32 bytes of fields, and the NUL of an empty name (SAM specification, section 4.2).
MIN_RECORD_BYTES = 37
# Maximum compression ratio of deflate (zlib, "Maximum Compression Factor").
MAX_DATA_PER_BYTE = 1032


@dataclass(frozen=True)
class BamAlignments(Alignments):
    """An opened BAM and its index; see Alignments.

    Attributes:
        parts: the BAM.
        layout: record locations according to the index.
    """

    parts: BamParts
    layout: BamLayout

    source = "index"

    @cached_property
    def numbers(self) -> Mapping[int, int]:
        """Number of records of each reference sequence for which the index has statistics."""
        known = {
            tid: entry.records
            for tid, entry in enumerate(self.layout.index.entries)
            if entry.records is not None
        }
        if self.layout.index.unplaced is not None:
            known[NO_SEQUENCE] = self.layout.index.unplaced
        return known

    def locate(self, whole: Collection[int], spans: Collection[int]) -> Located:
        """Returns the record locations according to the index."""
        return Located(self.layout)

    def check_index(self, edges: Sequence[Edge]) -> None:
        """Raises InputError if the records at these positions do not match the index."""
        self._check_edges(edges)
        self.parts.check_unplaced(self.layout.stretches[-1])

    def _check_edges(self, edges: Sequence[Edge]) -> None:
        for _ in self.file.mappings.map(self.parts.check_edge, edges):
            pass

    def trust(self, whole: Collection[int]) -> Located:
        """Returns the counts in the index for large sequences; see Alignments.

        The index must be internally consistent, and the records at both ends of such a sequence and
        at the start of its last chunk must match it. Small sequences are counted.
        """
        stretches = self.layout.stretches
        if self.file.mappings.size <= SMALL_FILE_BYTES:
            check = "the file is small: its records were counted too, and match the index"
            return Located(self.layout, [None] * len(stretches), (check,))
        numbers: list[int | None] = []
        edges: set[Edge] = set()
        for at, stretch in enumerate(stretches):
            number = self.numbers.get(stretch.tid)
            # If there are no unplaced records, there is nothing to count.
            if stretch.tid not in whole or stretch.bytes < MIN_TRUSTED_BYTES or number == 0:
                numbers.append(None)
                continue
            if number is None:
                raise InputError(
                    f"counts_from: the index {self.file.index_name} has no statistics for "
                    f"{self.header.name_of(stretch.tid)}. Set counts_from to 'records'."
                )
            self._check_size(stretch, number)
            begin, end = part_of(stretches, at, at)
            # A record with RNAME but no POS is in the index's total, but in no region.
            edges |= {begin if stretch.tid == NO_SEQUENCE else begin._replace(min_start=0), end}
            if stretch.tid != NO_SEQUENCE and (offsets := self.layout.offsets(stretch.tid)):
                edges.add(Edge(offsets.last_chunk, after=stretch.tid))
            numbers.append(number)
        self._check_edges(sorted(edges, key=lambda edge: edge.offset))
        return Located(
            self.layout,
            numbers,
            (
                "the index is internally consistent, and the first and later records of each "
                "sequence match it",
                OTHERS_NOT_COUNTED,
            ),
        )

    def _check_size(self, stretch: Stretch, number: int) -> None:
        """Raises InputError if a stretch cannot contain this number of records, or is empty."""
        begin, end = stretch.begin, stretch.end
        # A virtual file offset consists of the offset of a block and an offset in its data.
        blocks, within = (end >> 16) - (begin >> 16), (end & 0xFFFF) - (begin & 0xFFFF)
        most = (blocks * MAX_DATA_PER_BYTE + within) // MIN_RECORD_BYTES
        if not 0 < number <= most:
            what = "the number of its records is not that of this many bytes"
            raise self.file.contradiction(self.header.name_of(stretch.tid), what)
