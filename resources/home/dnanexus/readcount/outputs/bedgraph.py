"""The counts as bedGraph, compressed and indexed, for genome browsers."""

from pathlib import Path

import pysam

from readcount.outputs.result import Result

# A tabix index holds no positions beyond this (SAM specification, section 5.1.1, which it follows).
LONGEST_IN_TBI = 1 << 29


def format_bedgraph(result: Result) -> str:
    """Returns the text of the bedGraph file: a line for each placed region, sorted.

    Reference sequences are in the header's order, positions 0-based and half-open (UCSC, "BedGraph
    Track Format").
    """
    order = {contig: number for number, contig in enumerate(result.lengths)}
    regions = result.regions.regions
    numbers = [order.get(sequence.contig, -1) for sequence in regions.sequences]
    on = map(numbers.__getitem__, regions.numbers)
    rows = [
        (number, *bounds, records)
        for number, bounds, records in zip(
            on, result.extents(), result.regions.records, strict=True
        )
        if number >= 0
    ]
    rows.sort()
    names = list(result.lengths)
    return "".join(f"{names[number]}\t{start}\t{end}\t{n}\n" for number, start, end, n in rows)


def write_bedgraph(result: Result, path: Path) -> Path:
    """Writes the bedGraph file, compressed by bgzip, and its index; returns the index.

    Args:
        result: the counts.
        path: of the file, which ends in .gz.
    """
    text = path.with_suffix("")
    text.write_text(format_bedgraph(result), encoding="utf-8")
    pysam.tabix_compress(str(text), str(path), force=True)
    text.unlink()
    csi = max(result.lengths.values(), default=0) > LONGEST_IN_TBI
    index = Path(f"{path}.{'csi' if csi else 'tbi'}")
    pysam.tabix_index(str(path), force=True, preset="bed", csi=csi, index=str(index))
    return index
