"""The count file and the table."""

import re

from readcount.outputs.result import Result, extent


def format_counts(result: Result) -> str:
    """Returns the text of the count file.

    One line `Region <name>: <count>` per region, in the order given, then `Total reads: <sum>`
    with no newline after it. Spans are 1-based and inclusive, as samtools writes them.
    """
    lines = [f"Region {count.region}: {count.records}\n" for count in result.regions]
    return "".join(lines) + f"Total reads: {result.total}"


def format_table(result: Result) -> str:
    """Returns the text of the table: tab-separated, a header, one row per region.

    Positions are those of extent(): 0-based, half-open. Unplaced records are at `*`, from 0 to 0,
    as in `samtools idxstats`.
    """
    lines = ["region\tcontig\tstart\tend\tlength\trecords\n"]
    for count in result.regions:
        region = count.region
        start, end = extent(region, result.lengths)
        lines.append(
            f"{region.name or region}\t{region.contig}\t{start}\t{end}\t{end - start}"
            f"\t{count.records}\n"
        )
    return "".join(lines)


def name_without_suffix(bam_name: str) -> str:
    """Returns NAME for NAME.bam and NAME.cram; any other name stays as it is."""
    return re.sub(r"\.(bam|cram)\Z", "", bam_name)
