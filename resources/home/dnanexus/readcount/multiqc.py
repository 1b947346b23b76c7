"""The counts for MultiQC, as what it calls custom content: a section with a bar for each sample.

https://docs.seqera.io/multiqc/custom_content
"""

import json
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from heapq import nsmallest
from html import escape

from readcount.counts import Counts
from readcount.errors import shorten
from readcount.regions import UNPLACED, Region
from readcount.targets import is_primary_chromosome

# Parts of a bar that can still be told apart: the chromosomes 1 to 22, X, Y and M.
MOST_PARTS = 25
OTHER = "all other"
NO_PLACE = "without a place"
# Of a heading.
LONGEST_TEXT = 200


def format_multiqc(counts: Counts, sample: str) -> str:
    """Gives the text of the file: what the section is called, then a line for the sample.

    MultiQC puts the samples of all files with the same id into one section. Counts of different
    records cannot be compared, so they get sections of their own.
    """
    asked = escape(shorten(counts.records_asked, LONGEST_TEXT))
    section_id = f"samtools_count_{sha256(counts.records_asked.encode()).hexdigest()[:8]}"
    section = {
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
    header = [f"# {key}: {json.dumps(value)}\n" for key, value in section.items()]
    parts = parts_of_bar(counts)
    names = [_cell(text) for text in ("Sample", *parts)]
    row = [_cell(sample), *(str(records) for records in parts.values())]
    return "".join(header) + "\t".join(names) + "\n" + "\t".join(row) + "\n"


def parts_of_bar(counts: Counts) -> dict[str, int]:
    """Gives the parts of a sample's bar with their records, in the order of the files.

    They are the regions; if these are too many, the reference sequences that they are on, first
    chromosomes and then the longest, and all others together. Which parts there are does not
    depend on the records, so that samples with the same header have the same ones.
    """
    regions = [count.region for count in counts.regions]
    names = [_name(region) for region in regions]
    if len(set(names)) > MOST_PARTS:
        contigs = {region.contig for region in regions if region.placed}
        chosen = nsmallest(MOST_PARTS, contigs, key=lambda contig: _rank(contig, counts.lengths))
        own = {contig: contig for contig in chosen} | {UNPLACED.contig: NO_PLACE}
        names = [own.get(region.contig, OTHER) for region in regions]
    parts = Counter[str]()
    for name, count in zip(names, counts.regions, strict=True):
        parts[name] += count.records
    for last in (OTHER, NO_PLACE):
        if last in parts:
            parts[last] = parts.pop(last)
    return dict(parts)


def _rank(contig: str, lengths: Mapping[str, int]) -> tuple[bool, int, str]:
    """What comes first among sequences of which not all can be parts."""
    return not is_primary_chromosome(contig), -lengths[contig], contig


def _name(region: Region) -> str:
    return (region.name or str(region)) if region.placed else NO_PLACE


def _cell(text: str) -> str:
    """Writes a text so that MultiQC takes it for one: not for a number, a comment or two cells."""
    return '"' + " ".join(text.split()) + '"'
