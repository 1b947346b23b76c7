"""The counts as MultiQC custom content: a section with one bar per sample.

https://docs.seqera.io/multiqc/custom_content
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from heapq import nsmallest
from html import escape

from readcount.columns import distinct, integers
from readcount.formats.bam_record import UNPLACED_NAME
from readcount.outputs.result import Result
from readcount.regions.primary_chromosomes import is_primary_chromosome
from readcount.regions.region_list import RegionList
from readcount.source.parts import NO_SEQUENCE
from readcount.text import shorten

# Maximum number of parts of a bar that can be distinguished: chromosomes 1 to 22, X, Y and M.
MAX_PARTS = 25
OTHER = "all other"
UNPLACED_PART = "unplaced"
# Maximum length of a heading.
MAX_TEXT_LENGTH = 200


def format_multiqc(result: Result, sample: str) -> str:
    """Returns the text of the file: the section's settings and a line for the sample."""
    parts = parts_of_bar(result)
    bars = {sample: parts.values()}
    return format_bars(result.records_counted, result.from_index, parts, bars)


def format_bars(
    records_counted: str, from_index: bool, parts: Iterable[str], bars: Mapping[str, Iterable[int]]
) -> str:
    """Returns the text of a section with one bar per sample.

    MultiQC puts the samples of all files with the same id into one section. Counts with different
    filters cannot be compared, so they get separate sections.

    Args:
        records_counted: description of the records counted.
        from_index: whether the counts were taken from the index.
        parts: names of the parts of the bars.
        bars: for each sample, the records of each part.
    """
    asked = escape(shorten(records_counted, MAX_TEXT_LENGTH))
    section_id = f"samtools_count_{sha256(records_counted.encode()).hexdigest()[:8]}"
    section: dict[str, object] = {
        "id": section_id,
        "section_name": f"Records by region: {asked}",
        "description": "Alignment records by reference sequence or region, counted by "
        f"samtools_count: {asked}.",
        "file_format": "tsv",
        "plot_type": "bargraph",
        "pconfig": {
            "id": f"{section_id}_plot",
            "title": "samtools_count: records by region",
            "ylab": "Records",
        },
    }
    if from_index:
        # MultiQC does not use this key; it documents the source of the counts.
        section["counts_from"] = "index"
    rows = ((sample, *map(str, records)) for sample, records in bars.items())
    return format_section(section, ("Sample", *parts), rows)


def format_section(
    settings: Mapping[str, object], heading: Iterable[str], rows: Iterable[Sequence[str]]
) -> str:
    """Returns the text of a section: settings, a header, and a row per sample.

    Args:
        settings: settings of the section.
        heading: names of the columns.
        rows: name of the sample and its values.
    """
    lines = [f"# {key}: {json.dumps(value)}" for key, value in settings.items()]
    lines.append("\t".join(map(_cell, heading)))
    for sample, *values in rows:
        lines.append("\t".join([_cell(sample), *(" ".join(value.split()) for value in values)]))
    return "".join(f"{line}\n" for line in lines)


def parts_of_bar(result: Result) -> dict[str, int]:
    """Returns the parts of a sample's bar with their records, in output order."""
    parts = Counter[str]()
    names = part_of_each(result.counts.regions, result.lengths)
    for name, more in zip(names, integers(result.counts.records), strict=True):
        parts[name] += more
    return {name: parts[name] for name in in_order(parts)}


def part_of_each(regions: RegionList, lengths: Mapping[str, int]) -> Iterable[str]:
    """Returns, for each region, the name of the part of the bar that it belongs to.

    Parts are the regions. If there are too many, parts are their reference sequences (chromosomes
    first, then the longest), and all others together. Parts do not depend on the counts, so samples
    with the same header have the same parts.
    """
    if not _more_than(MAX_PARTS, _names(regions)):
        return _names(regions)
    used = distinct(regions.tids).tolist()
    contigs = [regions.names_by_tid[tid] for tid in used if tid != NO_SEQUENCE]
    chosen = nsmallest(MAX_PARTS, contigs, key=lambda contig: _rank(contig, lengths))
    own = {contig: contig for contig in chosen} | {UNPLACED_NAME: UNPLACED_PART}
    parts_of = [own.get(name, OTHER) for name in regions.names_by_tid]
    return map(parts_of.__getitem__, integers(regions.tids))


def in_order(parts: Iterable[str]) -> list[str]:
    """Returns the parts in the order of a bar: other sequences and unplaced records come last."""
    return sorted(parts, key=lambda part: (part == OTHER) + 2 * (part == UNPLACED_PART))


def _rank(contig: str, lengths: Mapping[str, int]) -> tuple[bool, int, str]:
    """Returns the sort key of sequences if there are too many for one part each."""
    return not is_primary_chromosome(contig), -lengths[contig], contig


def _names(regions: RegionList) -> Iterator[str]:
    """Yields the name of each region as a part of the bar."""
    for tid, label in zip(integers(regions.tids), regions.labels(), strict=True):
        yield UNPLACED_PART if tid == NO_SEQUENCE else label


def _more_than(most: int, names: Iterable[str]) -> bool:
    """Whether there are more than `most` distinct names."""
    seen: set[str] = set()
    for name in names:
        seen.add(name)
        if len(seen) > most:
            return True
    return False


def _cell(text: str) -> str:
    """Returns a text that MultiQC does not parse as a number, a comment or two cells."""
    return '"' + " ".join(text.split()) + '"'
