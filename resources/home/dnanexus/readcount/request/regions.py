"""Which regions to count: every reference sequence, those that the user names, BED intervals."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from readcount.collector import without_collector
from readcount.errors import InputError
from readcount.formats.content import OTHER_KINDS, kind_of
from readcount.request.bed import read_bed
from readcount.request.interval_list import is_interval_list, read_interval_list
from readcount.request.region import (
    NO_ALIASES,
    UNPLACED,
    Region,
    RegionError,
    require_known,
    some_of,
    span_on,
)
from readcount.request.region_list import RegionList
from readcount.request.request import Request, span_not_in_index
from readcount.request.windows import cut_into_windows
from readcount.text import plural, shorten

# htslib takes the first brace at which the text ends or a colon follows for the end of the name.
_BRACED = re.compile(r"\{(?P<name>.*?)\}(:(?P<span>.*))?")
_PRIMARY_CHROMOSOME = re.compile(r"(chr)?([1-9]|1[0-9]|2[0-2]|X|Y|M|MT)")
# Of chromosomes 1 to 22, X and Y, and of the mitochondrion: in RefSeq (GRCh37 and GRCh38, then
# T2T-CHM13), and in GenBank.
PRIMARY_ACCESSIONS = {
    *(f"NC_{number:06}" for number in [*range(1, 25), 12920, 1807, *range(60925, 60949)]),
    *(f"CM{number:06}" for number in range(663, 687)),
    *(f"CP{number:06}" for number in [*range(68254, 68278), 86569]),
    "J01415",
}
# Between regions that were given as one text; a comma also stands between digits.
_BETWEEN_REGIONS = re.compile(r"[\s;]+|,(?![0-9]{3}(?![0-9]))\s*")
# An accession of RefSeq or GenBank, and its version.
_ACCESSION = re.compile(r"([A-Z]{1,2}_?[0-9]{5,6})\.[0-9]{1,2}")
# What follows a name, as in chr1:1,000-2,000, chr1:1000, chr1:1000- and chr1:-2000.
_SPAN = re.compile(r"(?P<first>[0-9][0-9,]*)?(?P<to>-(?P<last>[0-9][0-9,]*)?)?")


@without_collector()
def list_regions(
    request: Request,
    bed: Path | None,
    lengths: Mapping[str, int],
    aliases: Mapping[str, str] = NO_ALIASES,
) -> RegionList:
    """Returns the regions to count, in the order of the output.

    Named regions come first, then the intervals of the BED file, each in the order given; without
    either, every reference sequence in the header's order.

    Args:
        request: what the user asks for.
        bed: the BED file or interval list, if there is one.
        lengths: of the reference sequences in bases, by name, in the header's order.
        aliases: names of reference sequences by their alternative names.

    Raises:
        InputError: a region is not one of this header, or none is left.
    """
    if request.regions or bed:
        regions = RegionList(parse_region(text, lengths, aliases) for text in request.regions)
        if bed:
            read = read_interval_list if is_interval_list(bed) else read_bed
            regions.extend(read(_text_file(bed), lengths, aliases))
    else:
        regions = RegionList.of_whole(lengths)
    if request.primary_chromosomes_only:
        primary = {contig for contig in lengths if is_primary_chromosome(contig)}
        primary |= {contig for alias, contig in aliases.items() if is_primary_chromosome(alias)}
        regions = regions.regions_on(primary)
        if not regions:
            raise InputError(
                "primary_chromosomes_only: no region is on chromosome 1-22, X, Y or M. The file "
                f"has {some_of(lengths)}; leave this input out."
            )
    if request.windows:
        regions = cut_into_windows(regions, request.windows, lengths)
    if request.from_index and len(regions.whole) < len(regions):
        raise span_not_in_index(str(regions[regions.spans()[0]]))
    if request.include_unplaced:
        regions.append(UNPLACED)
    return regions


def _text_file(path: Path) -> Path:
    """Returns the path; raises InputError if the file is of a kind that has no intervals."""
    kind = kind_of(path)
    if kind in OTHER_KINDS:
        raise InputError(
            f"regions_bed: {shorten(path.name, 80)} is {kind}. Give a BED file or an interval list."
        )
    return path


def describe_regions(request: Request, bed: Path | None) -> str:
    """Returns which regions the user asks for, in words, for the report."""
    parts = []
    if request.regions:
        named = len(request.regions)
        parts.append(f"{named:,} named region{'s' if named > 1 else ''}")
    if bed:
        parts.append(f"the intervals of {bed.name}")
    text = " and ".join(parts) or "every reference sequence"
    if request.primary_chromosomes_only:
        text += " on chromosomes 1-22, X, Y and M"
    if request.windows:
        text += f", in windows of {plural(request.windows, 'base')}"
    return text + (", and unplaced records" if request.include_unplaced else "")


def is_primary_chromosome(contig: str) -> bool:
    """Whether a name is that of chromosome 1 to 22, X, Y, M or MT, with chr before it or without.

    Also names in RefSeq and GenBank of those of GRCh37, GRCh38 and T2T-CHM13.

    >>> [is_primary_chromosome(name) for name in ("chr1", "MT", "NC_000001.11", "chrUn_KI270302v1")]
    [True, True, True, False]
    """
    if _PRIMARY_CHROMOSOME.fullmatch(contig):
        return True
    accession = _ACCESSION.fullmatch(contig)
    return accession is not None and accession[1] in PRIMARY_ACCESSIONS


def parse_region(
    text: str, lengths: Mapping[str, int], aliases: Mapping[str, str] = NO_ALIASES
) -> Region:
    """Returns the region that samtools understands; see "Regions" in the samtools-view manual.

    A name alone is a whole sequence. A text that is a name, and could also be another name with a
    span, is neither to samtools, which then wants braces.

    Args:
        text: 1-based and inclusive: chr1, chr1:1000-2000, chr1:1,000, {HLA-A*01:01}:1-100.
        lengths: of the reference sequences in bases, by name.
        aliases: names of reference sequences by their alternative names.

    Raises:
        InputError: it is not a region of these sequences.

    >>> parse_region("chr1:1,000-2,000", {"chr1": 5000})
    Region(contig='chr1', start=999, end=2000, name='', placed=True, alias='')
    """
    try:
        return _region(text.strip(), lengths, aliases)
    except RegionError as error:
        raise InputError(f"regions: {shorten(repr(text), 80)} {error}") from None


def _region(text: str, lengths: Mapping[str, int], aliases: Mapping[str, str]) -> Region:

    def known(name: str) -> bool:
        return name in lengths or name in aliases

    parts = [part for part in _BETWEEN_REGIONS.split(text) if part]
    if len(parts) > 1 and all(known(part) or known(part.rpartition(":")[0]) for part in parts):
        inputs = " ".join(f"-i regions={shlex.quote(shorten(part, 40))}" for part in parts[:3])
        raise RegionError(f"is more than one region. Give each as an input of its own: {inputs}")
    braced = _BRACED.fullmatch(text)
    before, colon, after = text.rpartition(":")
    span: str | None
    if braced:
        contig, span = braced["name"], braced["span"]
    elif known(text) or not colon:
        contig, span = text, None
        if known(before) and _SPAN.fullmatch(after):
            raise RegionError(
                "is the name of a reference sequence, and also a span of another one. Put the "
                f"name in braces: {{{shorten(text, 60)}}} or "
                f"{{{shorten(before, 60)}}}:{shorten(after, 30)}."
            )
    else:
        contig, span = before, after
    if contig == "*":
        raise RegionError("selects unplaced reads; set include_unplaced instead.")
    name = require_known(contig, lengths, aliases)
    if span is None:
        return Region(name, alias="" if name == contig else contig)
    found = _SPAN.fullmatch(span)
    if not found or not (found["first"] or found["last"]):
        raise RegionError(
            "is not a region. Write it as chr1:1000-2000 or {name}:1000-2000 (1-based, inclusive)."
        )
    first = int((found["first"] or "1").replace(",", ""))
    last = int(found["last"].replace(",", "")) if found["last"] else None
    if first < 1:
        raise RegionError("starts at 0, but positions in a region are 1-based.")
    return span_on(contig, first - 1, last, lengths, aliases=aliases)
