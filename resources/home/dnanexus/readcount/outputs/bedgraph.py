"""The counts as bedGraph, compressed and indexed, for genome browsers."""

from collections.abc import Iterator
from pathlib import Path

import pysam

from readcount.outputs.result import Result
from readcount.source.parts import NO_SEQUENCE

# A tabix index holds no positions beyond this (SAM specification, section 5.1.1, which it follows).
MAX_LENGTH_IN_TBI = 1 << 29
LINES_TOGETHER = 1 << 16


def bedgraph_lines(result: Result) -> Iterator[str]:
    """Yields the lines of the bedGraph file: one for each placed region, sorted.

    Reference sequences are in the header's order, positions 0-based and half-open (UCSC, "BedGraph
    Track Format").
    """
    # Here, as to load numpy takes 0.1 s, and the counts of whole sequences do not need it.
    import numpy as np

    regions = result.counts.regions
    names, tids = regions.names_by_tid, np.array(regions.tids)
    starts, ends = map(np.array, result.extents())
    order = np.lexsort((ends, starts, tids))
    order = order[tids[order] != NO_SEQUENCE]
    columns = tids, starts, ends, np.array(result.counts.records)
    # In parts, as numbers of Python take four times the memory of a column.
    for first in range(0, len(order), LINES_TOGETHER):
        some = order[first : first + LINES_TOGETHER]
        for tid, start, end, records in zip(
            *(column[some].tolist() for column in columns), strict=True
        ):
            yield f"{names[tid]}\t{start}\t{end}\t{records}\n"


def write_bedgraph(result: Result, path: Path) -> Path:
    """Writes the bedGraph file, compressed by bgzip, and its index; returns the index.

    Args:
        result: the counts.
        path: of the file, which ends in .gz.
    """
    text = path.with_suffix("")
    with text.open("w", encoding="utf-8") as file:
        file.writelines(bedgraph_lines(result))
    pysam.tabix_compress(str(text), str(path), force=True)
    text.unlink()
    csi = max(result.lengths.values(), default=0) > MAX_LENGTH_IN_TBI
    index = Path(f"{path}.{'csi' if csi else 'tbi'}")
    pysam.tabix_index(str(path), force=True, preset="bed", csi=csi, index=str(index))
    return index
