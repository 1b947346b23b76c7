"""Which regions to count: every reference sequence, those that the user names, BED intervals."""

import re
from collections.abc import Mapping
from pathlib import Path

from readcount.errors import InputError
from readcount.request.bed import read_bed
from readcount.request.region import (
    UNPLACED,
    Region,
    RegionError,
    require_known,
    some_of,
    span_on,
)
from readcount.request.request import Request
from readcount.text import shorten

# htslib takes the first brace at which the text ends or a colon follows for the end of the name.
_BRACED = re.compile(r"\{(?P<name>.*?)\}(:(?P<span>.*))?")
_PRIMARY_CHROMOSOME = re.compile(r"(chr)?([1-9]|1[0-9]|2[0-2]|X|Y|M|MT)")
# What follows a name, as in chr1:1,000-2,000, chr1:1000, chr1:1000- and chr1:-2000.
_SPAN = re.compile(r"(?P<first>[0-9][0-9,]*)?(?P<to>-(?P<last>[0-9][0-9,]*)?)?")


def list_regions(request: Request, bed: Path | None, lengths: Mapping[str, int]) -> list[Region]:
    """Returns the regions to count, in the order of the output.

    Named regions come first, then the intervals of the BED file, each in the order given; without
    either, every reference sequence in the header's order.

    Args:
        request: what the user asks for.
        bed: the BED file, if there is one.
        lengths: of the reference sequences in bases, by name, in the header's order.

    Raises:
        InputError: a region is not one of this header, or none is left.
    """
    if request.regions or bed:
        regions = [parse_region(text, lengths) for text in request.regions]
        if bed:
            regions += read_bed(bed, lengths)
    else:
        regions = [Region(contig) for contig in lengths]
    if request.primary_chromosomes_only:
        regions = [region for region in regions if is_primary_chromosome(region.contig)]
        if not regions:
            raise InputError(
                "primary_chromosomes_only: no region is on chromosome 1-22, X, Y or M. The file "
                f"has {some_of(lengths)}; leave this input out."
            )
    if request.include_unplaced:
        regions.append(UNPLACED)
    return regions


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
    return text + (", and unplaced records" if request.include_unplaced else "")


def is_primary_chromosome(contig: str) -> bool:
    """Whether a name is that of chromosome 1 to 22, X, Y, M or MT, with chr before it or without.

    >>> [is_primary_chromosome(name) for name in ("chr1", "MT", "chrUn_KI270302v1")]
    [True, True, False]
    """
    return _PRIMARY_CHROMOSOME.fullmatch(contig) is not None


def parse_region(text: str, lengths: Mapping[str, int]) -> Region:
    """Returns the region that samtools understands; see "Regions" in the samtools-view manual.

    A name alone is a whole sequence. A text that is a name, and could also be another name with a
    span, is neither to samtools, which then wants braces.

    Args:
        text: 1-based and inclusive: chr1, chr1:1000-2000, chr1:1,000, {HLA-A*01:01}:1-100.
        lengths: of the reference sequences in bases, by name.

    Raises:
        InputError: it is not a region of these sequences.

    >>> parse_region("chr1:1,000-2,000", {"chr1": 5000})
    Region(contig='chr1', start=999, end=2000, name='', placed=True)
    """
    try:
        return _region(text.strip(), lengths)
    except RegionError as error:
        raise InputError(f"regions: {shorten(repr(text), 80)} {error}") from None


def _region(text: str, lengths: Mapping[str, int]) -> Region:
    braced = _BRACED.fullmatch(text)
    before, colon, after = text.rpartition(":")
    span: str | None
    if braced:
        contig, span = braced["name"], braced["span"]
    elif text in lengths or not colon:
        contig, span = text, None
        if before in lengths and _SPAN.fullmatch(after):
            raise RegionError(
                "is the name of a reference sequence, and also a span of another one. Put the "
                f"name in braces: {{{shorten(text, 60)}}} or "
                f"{{{shorten(before, 60)}}}:{shorten(after, 30)}."
            )
    else:
        contig, span = before, after
    if contig == "*":
        raise RegionError("selects unplaced reads; set include_unplaced instead.")
    require_known(contig, lengths)
    if span is None:
        return Region(contig)
    found = _SPAN.fullmatch(span)
    if not found or not (found["first"] or found["last"]):
        raise RegionError(
            "is not a region. Write it as chr1:1000-2000 or {name}:1000-2000 (1-based, inclusive)."
        )
    first = int((found["first"] or "1").replace(",", ""))
    last = int(found["last"].replace(",", "")) if found["last"] else None
    if first < 1:
        raise RegionError("starts at 0, but positions in a region are 1-based.")
    return span_on(contig, first - 1, last, lengths)
