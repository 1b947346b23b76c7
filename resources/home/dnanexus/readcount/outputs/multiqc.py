"""The counts as custom content for MultiQC: a section with a bar for each sample.

https://docs.seqera.io/multiqc/custom_content
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from heapq import nsmallest
from html import escape

from readcount.formats.bam_record import UNPLACED_NAME
from readcount.outputs.result import Result
from readcount.regions.primary_chromosomes import is_primary_chromosome
from readcount.regions.region_list import RegionList
from readcount.source.parts import NO_SEQUENCE
from readcount.text import shorten

# Parts of a bar that a reader can still distinguish: chromosomes 1 to 22, X, Y and M.
MAX_PARTS = 25
OTHER = "all other"
UNPLACED_PART = "without a place"
# Of a heading.
MAX_TEXT_LENGTH = 200


def format_multiqc(result: Result, sample: str) -> str:
    """Returns the text of the file: the section's settings, then a line for the sample.

    MultiQC puts the samples of all files with the same id into one section. Counts with different
    filters cannot be compared, so they get sections of their own.
    """
    asked = escape(shorten(result.records_counted, MAX_TEXT_LENGTH))
    section_id = f"samtools_count_{sha256(result.records_counted.encode()).hexdigest()[:8]}"
    section: dict[str, object] = {
        "id": section_id,
        "section_name": f"Records by region: {asked}",
        "description": "Alignment records by reference sequence or region, as samtools_count has "
        f"counted them: {asked}.",
        "file_format": "tsv",
        "plot_type": "bargraph",
        "pconfig": {
            "id": f"{section_id}_plot",
            "title": "samtools_count: records by region",
            "ylab": "Records",
        },
    }
    if result.from_index:
        # MultiQC itself does not use this one.
        section["counts_from"] = "index"
    header = [f"# {key}: {json.dumps(value)}\n" for key, value in section.items()]
    parts = parts_of_bar(result)
    names = [_cell(text) for text in ("Sample", *parts)]
    row = [_cell(sample), *(str(records) for records in parts.values())]
    return "".join(header) + "\t".join(names) + "\n" + "\t".join(row) + "\n"


def parts_of_bar(result: Result) -> dict[str, int]:
    """Returns the parts of a sample's bar with their records, in the order of the output.

    They are the regions; if these are too many, the reference sequences that they are on, first
    chromosomes and then the longest, and all others together. The parts do not depend on the
    records, so that samples with the same header have the same ones.
    """
    regions = result.counts.regions
    names = _names(regions)
    if _more_than(MAX_PARTS, _names(regions)):
        contigs = [regions.names_by_tid[tid] for tid in set(regions.tids) - {NO_SEQUENCE}]
        chosen = nsmallest(MAX_PARTS, contigs, key=lambda contig: _rank(contig, result.lengths))
        own = {contig: contig for contig in chosen} | {UNPLACED_NAME: UNPLACED_PART}
        parts_of = [own.get(name, OTHER) for name in regions.names_by_tid]
        names = map(parts_of.__getitem__, regions.tids)
    parts = Counter[str]()
    for name, more in zip(names, result.counts.records, strict=True):
        parts[name] += more
    for last in (OTHER, UNPLACED_PART):
        if last in parts:
            parts[last] = parts.pop(last)
    return dict(parts)


def _rank(contig: str, lengths: Mapping[str, int]) -> tuple[bool, int, str]:
    """Returns what to sort sequences by, if not all can be parts."""
    return not is_primary_chromosome(contig), -lengths[contig], contig


def _names(regions: RegionList) -> Iterator[str]:
    """Yields the name of each region's part, if each may have one."""
    for tid, label in zip(regions.tids, regions.labels(), strict=True):
        yield UNPLACED_PART if tid == NO_SEQUENCE else label


def _more_than(most: int, names: Iterable[str]) -> bool:
    """Whether there are more different names than so many."""
    seen: set[str] = set()
    for name in names:
        seen.add(name)
        if len(seen) > most:
            return True
    return False


def _cell(text: str) -> str:
    """Returns a text that MultiQC does not take for a number, a comment or two cells."""
    return '"' + " ".join(text.split()) + '"'
