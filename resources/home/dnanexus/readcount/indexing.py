"""An index for a file that came without one."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from readcount.checks import read_unindexed
from readcount.cram import read_crai
from readcount.index import read_index
from readcount.inputs import IndexedBam
from readcount.samtools import make_index, not_sorted

# A BAI holds no positions beyond this (SAM specification, section 5.1.1).
LONGEST_IN_BAI = 1 << 29


def index_anew(bam: IndexedBam, cores: int, log: Callable[[str], None]) -> IndexedBam:
    """Makes the index of a sorted file: a CRAI for a CRAM, a CSI where a BAI does not reach.

    Args:
        bam: the file; where its index is to be is given, but for the suffix.
        cores: that samtools may use.
        log: takes a line for the job's log.

    Returns:
        The file with its index.

    Raises:
        InputError: the file is not sorted by position, or is damaged.
        ReadCountError: indexing failed for another reason.
    """
    start = time.monotonic()
    csi = max(read_unindexed(bam).lengths, default=0) > LONGEST_IN_BAI and not bam.cram
    if csi:
        bam = replace(bam, index=Path(f"{bam.path}.csi"))
    make_index(bam, cores, csi)
    if not _in_order(bam):
        raise not_sorted(bam)
    kind, seconds = bam.index.suffix[1:].upper(), time.monotonic() - start
    log(f"no index was given: made a {kind} in {seconds:,.1f} s with {cores} cores")
    return bam


def _in_order(bam: IndexedBam) -> bool:
    """Whether records are in the order of the header, which samtools does not always mind.

    It indexes a BAM whose sequences follow each other in another order, and any CRAM.
    """
    if bam.cram:
        # To sort by position is to have records without a place at the end.
        places = [(part.contig < 0, part.contig, part.start) for part in read_crai(bam.index)]
        return places == sorted(places)
    begins = [entry.begin for entry in read_index(bam.index).entries if entry.begin is not None]
    return begins == sorted(begins)
