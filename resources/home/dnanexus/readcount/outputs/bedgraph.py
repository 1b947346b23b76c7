"""The counts as bedGraph, compressed and indexed, for genome browsers."""

from collections.abc import Iterator
from pathlib import Path

import pysam

from readcount.outputs.result import Result
from readcount.request.region import POSITION_BITS
from readcount.request.region_list import NONE

# A tabix index holds no positions beyond this (SAM specification, section 5.1.1, which it follows).
LONGEST_IN_TBI = 1 << 29


def bedgraph_lines(result: Result) -> Iterator[str]:
    """Yields the lines of the bedGraph file: one for each placed region, sorted.

    Reference sequences are in the header's order, positions 0-based and half-open (UCSC, "BedGraph
    Track Format").
    """
    order = {contig: number for number, contig in enumerate(result.lengths)}
    regions, records = result.regions.regions, result.regions.records
    on = [order.get(sequence.contig, NONE) for sequence in regions.sequences]
    # As one number for each region, which takes less memory than a tuple.
    keys = [
        (on[number] << 2 * POSITION_BITS) + (start << POSITION_BITS) + end
        for number, (start, end) in zip(regions.numbers, result.extents(), strict=True)
    ]
    names, last = list(result.lengths), (1 << POSITION_BITS) - 1
    for at in sorted(range(len(keys)), key=keys.__getitem__):
        key = keys[at]
        if key >= 0:
            start, end = key >> POSITION_BITS & last, key & last
            yield f"{names[key >> 2 * POSITION_BITS]}\t{start}\t{end}\t{records[at]}\n"


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
    csi = max(result.lengths.values(), default=0) > LONGEST_IN_TBI
    index = Path(f"{path}.{'csi' if csi else 'tbi'}")
    pysam.tabix_index(str(path), force=True, preset="bed", csi=csi, index=str(index))
    return index
