"""The counts as bedGraph, compressed and indexed, for genome browsers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pysam

from readcount.columns import Ints, integers
from readcount.formats.bam_index import MAX_LENGTH
from readcount.outputs.result import Result
from readcount.source.parts import NO_SEQUENCE


def bedgraph_lines(result: Result) -> Iterator[str]:
    """Yields the lines of the bedGraph file: one per placed region, sorted.

    Reference sequences are in header order, positions 0-based and half-open (UCSC, "BedGraph Track
    Format").
    """
    regions = result.counts.regions
    names, extents = regions.names_by_tid, regions.extents(result.lengths)
    order = placed_in_order(regions.tids, *extents)
    columns = (regions.tids, *extents, result.counts.records)
    for tid, start, end, records in zip(
        *(integers(column[order]) for column in columns), strict=True
    ):
        yield f"{names[tid]}\t{start}\t{end}\t{records}\n"


def write_bedgraph(result: Result, path: Path) -> Path:
    """Writes the bedGraph file, compressed by bgzip, to a path in .gz; returns its index."""
    text = path.with_suffix("")
    with text.open("w", encoding="utf-8") as file:
        file.writelines(bedgraph_lines(result))
    pysam.tabix_compress(str(text), str(path), force=True)
    text.unlink()
    return index_bed(path, max(result.lengths.values(), default=0))


def placed_in_order(tids: Ints, starts: Ints, ends: Ints) -> Ints:
    """Returns the indexes of the placed regions, sorted by sequence, start and end."""
    order = np.lexsort((ends, starts, tids))
    placed: Ints = order[tids[order] != NO_SEQUENCE]
    return placed


def index_bed(path: Path, last: int) -> Path:
    """Creates the tabix index of a compressed file with the columns of a BED file; returns it.

    Args:
        path: path of the file.
        last: the highest position; beyond the maximum of a TBI index, a CSI index is created.
    """
    csi = last > MAX_LENGTH
    index = Path(f"{path}.{'csi' if csi else 'tbi'}")
    pysam.tabix_index(str(path), force=True, preset="bed", csi=csi, index=str(index))
    return index
