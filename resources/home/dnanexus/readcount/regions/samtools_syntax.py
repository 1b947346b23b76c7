"""Regions in samtools syntax: chr1, chr1:1000-2000, {name}:1000-2000."""

import re
import shlex

from readcount.errors import InputError
from readcount.regions.region import Region, RegionError, require_known, span_on
from readcount.source.sequences import SequenceDictionary
from readcount.text import shorten

# As in htslib, the name ends at the first closing brace that is followed by a colon or the end.
_BRACED = re.compile(r"\{(?P<name>.*?)\}(:(?P<span>.*))?")
# Separators of several regions in one text; commas may also be thousands separators.
_BETWEEN_REGIONS = re.compile(r"[\s;]+|,(?![0-9]{3}(?![0-9]))\s*")
# The span after a name, as in chr1:1,000-2,000, chr1:1000, chr1:1000- and chr1:-2000.
_SPAN = re.compile(r"(?P<first>[0-9][0-9,]*)?(?P<to>-(?P<last>[0-9][0-9,]*)?)?")


def parse_region(text: str, sequences: SequenceDictionary) -> Region:
    """Parses a region as samtools does; see "Regions" in the samtools-view manual.

    A name alone is a whole sequence. If a text is both a name and another name with a span, it is
    ambiguous, and samtools requires braces.

    Args:
        text: 1-based and inclusive: chr1, chr1:1000-2000, chr1:1,000, {HLA-A*01:01}:1-100.
        sequences: the reference sequences.

    Raises:
        InputError: it is not a region of these sequences.

    >>> parse_region("chr1:1,000-2,000", SequenceDictionary({"chr1": 5000}))
    Region(contig='chr1', start=999, end=2000, name='', placed=True, alias='')
    """
    try:
        return _region(text.strip(), sequences)
    except RegionError as error:
        raise InputError(f"regions: {shorten(repr(text), 80)} {error}") from None


def _region(text: str, sequences: SequenceDictionary) -> Region:
    known = sequences.name_of
    parts = [part for part in _BETWEEN_REGIONS.split(text) if part]
    if len(parts) > 1 and all(known(part) or known(part.rpartition(":")[0]) for part in parts):
        inputs = " ".join(f"-i regions={shlex.quote(shorten(part, 40))}" for part in parts[:3])
        raise RegionError(f"is more than one region. Pass each region separately: {inputs}")
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
    name = require_known(contig, sequences)
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
    return span_on(contig, first - 1, last, sequences)
