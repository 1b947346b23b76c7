"""Which regions to count, as users name them: samtools' own form, BED files, chromosomes."""

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from readcount.errors import InputError, shorten
from readcount.regions import UNPLACED, Region, fits_bed, fits_span

# htslib takes the first brace behind which the text ends or a colon follows.
_BRACED = re.compile(r"\{(?P<name>.*?)\}(:(?P<span>.*))?")
_PRIMARY_CHROMOSOME = re.compile(r"(chr)?([1-9]|1[0-9]|2[0-2]|X|Y|M|MT)")
# What follows a name, as in chr1:1,000-2,000, chr1:1000, chr1:1000- and chr1:-2000.
_SPAN = re.compile(r"(?P<first>[0-9][0-9,]*)?(?P<to>-(?P<last>[0-9][0-9,]*)?)?")
_NOT_DATA = re.compile(r"\s*$|#|(track|browser)(\s|$)")
_POSITION = re.compile(r"[0-9]{1,15}")
# How many names of the header a message shows.
SHOWN_NAMES = 3


@dataclass(frozen=True)
class Targets:
    """The regions that were asked for; by default each reference sequence is one.

    Attributes:
        regions: in samtools' form, 1-based and inclusive.
        bed: a BED file, compressed by gzip or not; 0-based and half-open.
        primary_chromosomes_only: leave out what is not on chromosome 1 to 22, X, Y or M.
        include_unplaced: count the records that have no place, too.
    """

    regions: tuple[str, ...] = ()
    bed: Path | None = None
    primary_chromosomes_only: bool = False
    include_unplaced: bool = False

    def __str__(self) -> str:
        parts = []
        if self.regions:
            parts.append(f"{len(self.regions):,} named regions")
        if self.bed:
            parts.append(f"the intervals of {self.bed.name}")
        text = " and ".join(parts) or "every reference sequence"
        if self.primary_chromosomes_only:
            text += ", if on chromosome 1 to 22, X, Y or M"
        return text + (", and the records without a place" if self.include_unplaced else "")


EVERYWHERE = Targets()


def list_regions(targets: Targets, lengths: Mapping[str, int]) -> list[Region]:
    """Gives the regions to count, in the order of the output.

    Those that were named come first, then the intervals of the BED file, each in the order given;
    without either, every reference sequence in the header's order.

    Args:
        targets: what was asked for.
        lengths: of the reference sequences in bases, by name, in the header's order.

    Raises:
        InputError: a region is not one of this header, or none is left.
    """
    if targets.regions or targets.bed:
        regions = [parse_region(text, lengths) for text in targets.regions]
        if targets.bed:
            regions += read_bed(targets.bed, lengths)
    else:
        regions = [Region(contig) for contig in lengths]
    if targets.primary_chromosomes_only:
        regions = [region for region in regions if is_primary_chromosome(region.contig)]
        if not regions:
            raise InputError(
                "primary_chromosomes_only: no region is on one of the chromosomes 1 to 22, X, Y, M "
                f"or MT; the file's reference sequences are {_some(lengths)}. Leave this input "
                "out."
            )
    if targets.include_unplaced:
        regions.append(UNPLACED)
    return regions


def is_primary_chromosome(contig: str) -> bool:
    """Whether a name is that of a chromosome from 1 to 22, X, Y, M or MT, or so with chr before."""
    return _PRIMARY_CHROMOSOME.fullmatch(contig) is not None


def parse_region(text: str, lengths: Mapping[str, int]) -> Region:
    """Understands a region as samtools does; see "Regions" in the samtools-view manual.

    A name alone is a whole sequence. A text that is a name, and could also be another name with a
    span, is neither to samtools, which then wants braces.

    Args:
        text: 1-based and inclusive: chr1, chr1:1000-2000, chr1:1,000, {HLA-A*01:01}:1-100.
        lengths: of the reference sequences in bases, by name.

    Raises:
        InputError: it is not a region of these sequences.
    """
    try:
        return _region(text.strip(), lengths)
    except _Fault as fault:
        raise InputError(f"regions: {shorten(repr(text), 80)} {fault}") from None


class _Fault(ValueError):
    """What is wrong with a region, and what to do; where it stands is said before it."""


def _region(text: str, lengths: Mapping[str, int]) -> Region:
    braced = _BRACED.fullmatch(text)
    before, colon, after = text.rpartition(":")
    span: str | None
    if braced:
        contig, span = braced["name"], braced["span"]
    elif text in lengths or not colon:
        contig, span = text, None
        if before in lengths and _SPAN.fullmatch(after):
            raise _Fault(
                "is the name of a reference sequence, and also a span of another one. Put the "
                f"name in braces: {{{shorten(text, 60)}}} or "
                f"{{{shorten(before, 60)}}}:{shorten(after, 30)}."
            )
    else:
        contig, span = before, after
    if contig == "*":
        raise _Fault("is no region of the genome. Use include_unplaced instead.")
    _require_known(contig, lengths)
    if span is None:
        return Region(contig)
    found = _SPAN.fullmatch(span)
    if not found or not (found["first"] or found["last"]):
        raise _Fault(
            "has a span that cannot be understood. Write it as chr1:1000-2000 or "
            "{name}:1000-2000; positions count from 1."
        )
    first = int((found["first"] or "1").replace(",", ""))
    last = int(found["last"].replace(",", "")) if found["last"] else None
    if first < 1:
        raise _Fault("begins at 0, but positions in a region count from 1. Mend it.")
    return _span(contig, first - 1, last, lengths[contig])


def read_bed(path: Path, lengths: Mapping[str, int]) -> list[Region]:
    """Gives the intervals of a BED file, in its order, each with its name if it has one.

    Fields are separated by tabs, or by blanks in a line without tabs. Empty lines, comments, and
    lines for a genome browser are left out (GA4GH specification of BED v1, sections 1.2 to 1.4).

    Args:
        path: the file, compressed by gzip or not.
        lengths: of the reference sequences in bases, by name.

    Raises:
        InputError: it is not a BED file, or has an interval that is on none of the sequences.
    """
    field = f"regions_bed: {shorten(path.name, 80)}"
    regions = []
    for number, line in _lines(path, field):
        if _NOT_DATA.match(line):
            continue
        try:
            regions.append(_interval(line, lengths))
        except _Fault as fault:
            line = shorten(line.replace("\t", " "), 80)
            raise InputError(f"{field}, line {number:,}, '{line}', {fault}") from None
    if not regions:
        raise InputError(f"{field} has no interval. Give a BED file with one or more.")
    return regions


def _interval(line: str, lengths: Mapping[str, int]) -> Region:
    contig, *columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) < 2:
        raise _Fault(
            "has fewer than three columns: a reference sequence, start and end, with tabs between "
            "them. Mend the file."
        )
    start, end, *more = columns
    if not (_POSITION.fullmatch(start) and _POSITION.fullmatch(end)):
        raise _Fault(
            "has no whole numbers from 0 in its second and third columns, start and end. Mend the "
            "file."
        )
    _require_known(contig, lengths)
    return _span(contig, int(start), int(end), lengths[contig], "".join(more[:1]).strip())


def _span(contig: str, start: int, end: int | None, length: int, name: str = "") -> Region:
    """Gives a part of a sequence, 0-based and half-open."""
    if end is not None and end <= start:
        raise _Fault("ends before it begins, or is empty. Mend it.")
    if max(start + 1, end or 0) > length:
        raise _Fault(
            f"reaches beyond {shorten(contig, 60)}, which is {length:,} bases long. Mend it, or "
            "see whether it was made for another reference genome."
        )
    if not fits_span(contig) and not fits_bed(contig):
        raise _Fault("is a part of a sequence of whose name samtools takes only the whole.")
    return Region(contig, start, end, name=name)


def _require_known(contig: str, lengths: Mapping[str, int]) -> None:
    if contig not in lengths:
        other = contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
        hint = f", but it has {shorten(other, 60)}" if other in lengths else ""
        raise _Fault(
            f"is on {shorten(contig, 60)}, and the BAM or CRAM has no such reference "
            f"sequence{hint}. It has {_some(lengths)}."
        )


def _lines(path: Path, field: str) -> Iterator[tuple[int, str]]:
    """Gives the lines of a file with their numbers, without what ends them."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError(f"{field} is not a text file. Give a BED file.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputError(f"{field} is damaged or incomplete. Upload it again.") from None


def _some(names: Mapping[str, int]) -> str:
    shown = [shorten(name, 40) for name, _ in zip(names, range(SHOWN_NAMES), strict=False)]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "") if shown else "none"
