"""BED files: the intervals to count, 0-based and half-open."""

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from readcount.errors import InputError
from readcount.request.region import Region, RegionError, span_on
from readcount.text import shorten

_NOT_DATA = re.compile(r"\s*$|#|(track|browser)(\s|$)")
_POSITION = re.compile(r"[0-9]{1,15}")


def read_bed(path: Path, lengths: Mapping[str, int]) -> list[Region]:
    """Returns the intervals of a BED file, in its order, each with its name if it has one.

    Fields are separated by tabs, or by blanks in a line without tabs. Empty lines, comments, and
    lines for a genome browser are skipped (GA4GH specification of BED v1, sections 1.2 to 1.4).

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
        except RegionError as error:
            raise InputError(f"{field}, line {number:,}: {error}") from None
    if not regions:
        raise InputError(f"{field} has no interval. Give a BED file with one or more.")
    return regions


def _interval(line: str, lengths: Mapping[str, int]) -> Region:
    contig, *columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) < 2:
        raise RegionError(
            "a BED line has at least three columns (reference sequence, start, end), found "
            f"{shorten(repr(line), 80)}."
        )
    start, end, *more = columns
    if not (_POSITION.fullmatch(start) and _POSITION.fullmatch(end)):
        raise RegionError(
            "start and end (columns 2 and 3) must be whole numbers, found "
            f"{shorten(repr(start), 40)} and {shorten(repr(end), 40)}."
        )
    try:
        return span_on(contig, int(start), int(end), lengths, "".join(more[:1]).strip())
    except RegionError as error:
        interval = f"{shorten(contig, 60)} {start} {end}"
        raise RegionError(f"'{interval}' {error}") from None


def _lines(path: Path, field: str) -> Iterator[tuple[int, str]]:
    """Yields the lines of a file with their numbers, without what ends them."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError(f"{field} is not a text file. Give a BED file.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputError(f"{field} is truncated or corrupt. Upload it again.") from None
