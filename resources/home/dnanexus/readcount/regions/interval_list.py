"""Interval lists of Picard and GATK: the intervals to count, 1-based and inclusive."""

import re
from pathlib import Path

from readcount.errors import InputError
from readcount.formats.content import header_fields
from readcount.regions.bed import POSITION, read_lines
from readcount.regions.region import Region, RegionError, span_on
from readcount.regions.region_list import RegionList
from readcount.source.sequences import SequenceDictionary
from readcount.text import shorten

SUFFIXES = (".interval_list", ".interval_list.gz")
_HEADER_LINE = re.compile(r"@[A-Z]{2}\t")


def is_interval_list(path: Path) -> bool:
    """Whether a file is an interval list, judged by its first line (a SAM header line) or name."""
    if path.name.endswith(SUFFIXES):
        return True
    try:
        _, first = next(read_lines(path, ""), (1, ""))
    except InputError:
        return False
    return _HEADER_LINE.match(first) is not None


def read_interval_list(path: Path, sequences: SequenceDictionary) -> RegionList:
    """Returns the intervals of an interval list, in file order, with the names in column 5.

    A SAM header is followed by lines of five columns: reference sequence, start, end (1-based,
    inclusive), strand and name (Picard documentation, IntervalList).

    Args:
        path: the file, optionally gzip-compressed.
        sequences: the reference sequences.

    Raises:
        InputError: it is not an interval list, or is for other reference sequences.
    """
    field = f"regions_bed: {shorten(path.name, 80)}"
    regions: list[Region] = []
    for number, line in read_lines(path, field):
        try:
            if line.startswith("@"):
                _check_sequence(line, sequences)
            elif line.strip():
                regions.append(_interval(line, sequences))
        except RegionError as error:
            raise InputError(f"{field}, line {number:,}: {error}") from None
    if not regions:
        raise InputError(f"{field} contains no intervals. Provide at least one.")
    return RegionList.of(sequences, regions)


def _check_sequence(line: str, sequences: SequenceDictionary) -> None:
    """Raises RegionError if the length in an @SQ line differs from that in the BAM or CRAM."""
    values = header_fields(line)
    name = values.get("SN", "")
    length = sequences.lengths.get(sequences.name_of(name) or "")
    if line.startswith("@SQ\t") and length is not None and values.get("LN") != str(length):
        raise RegionError(
            f"{shorten(repr(name), 60)} is {shorten(values.get('LN', 'no'), 20)} bp long in this "
            f"file but {length} bp in the BAM or CRAM. Was it made for another reference genome?"
        )


def _interval(line: str, sequences: SequenceDictionary) -> Region:
    contig, *columns = line.split("\t")
    if len(columns) < 2 or not all(POSITION.fullmatch(text) for text in columns[:2]):
        raise RegionError(
            "a line of an interval list has a reference sequence, start, end, strand and name, "
            f"found {shorten(repr(line), 80)}."
        )
    start, end, *more = columns
    name = more[1].strip() if len(more) > 1 else ""
    try:
        if int(start) < 1:
            raise RegionError("starts at 0, but positions in an interval list are 1-based.")
        return span_on(contig, int(start) - 1, int(end), sequences, name)
    except RegionError as error:
        raise RegionError(f"'{shorten(contig, 60)} {start} {end}' {error}") from None
