"""The count file and the count table."""

import re

from readcount.columns import integers
from readcount.outputs.result import Result


def format_counts(result: Result) -> str:
    """Returns the text of the count file.

    One line `Region <name>: <count>` per region, in output order, then `Total reads: <sum>` without
    a trailing newline. Spans are 1-based and inclusive, as samtools writes them.
    """
    counts = result.counts
    lines = (
        f"Region {text}: {records}\n"
        for text, records in zip(counts.regions.texts(), integers(counts.records), strict=True)
    )
    return "".join(lines) + f"Total reads: {result.total}"


def format_table(result: Result) -> str:
    """Returns the text of the table: tab-separated, a header, one row per region.

    Positions are 0-based and half-open. Unplaced records are at `*`, from 0 to 0, as in `samtools
    idxstats`. If the counts were taken from the index, an additional last column says so.
    """
    counts, regions = result.counts, result.counts.regions
    columns = map(integers, (*regions.extents(result.lengths), counts.records))
    source = "\tindex" if result.from_index else ""
    lines = (
        f"{label}\t{contig}\t{start}\t{end}\t{end - start}\t{records}{source}\n"
        for label, contig, start, end, records in zip(
            regions.labels(), regions.contigs(), *columns, strict=True
        )
    )
    heading = "\tcounts_from" if result.from_index else ""
    return f"region\tcontig\tstart\tend\tlength\trecords{heading}\n" + "".join(lines)


def name_without_suffix(bam_name: str) -> str:
    """Returns NAME for NAME.bam and NAME.cram; other names are returned unchanged."""
    return re.sub(r"\.(bam|cram)\Z", "", bam_name)
