"""BED files: the intervals to count, 0-based and half-open."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from readcount.columns import Ints
from readcount.errors import InputError
from readcount.formats.bgzf import GZIP_MAGIC
from readcount.regions.region import Region, RegionError, span_on
from readcount.regions.region_list import RegionList, joined
from readcount.source.sequences import SequenceDictionary
from readcount.text import shorten

# A position; also used for interval lists.
POSITION = re.compile(r"[0-9]{1,15}")
# Lines that are not data (GA4GH specification of BED v1, sections 1.2 to 1.4).
_NOT_DATA = re.compile(r"\s*$|#|(track|browser)(\s|$)")
_DIGITS = b"0123456789"
# Characters read at a time.
BLOCK_CHARACTERS = 1 << 16
# Columns 2 to 5 of a GFF or GTF line: source, type, start, end.
_GFF_COLUMNS = re.compile(r"[^\t]*\t[^\t]*\t[0-9]+\t[0-9]+\t.*")
_HEADING = re.compile(r"[A-Za-z_ ]+")
# Error handler (module codecs) that decodes bytes that are not UTF-8.
_WINDOWS_1252 = "readcount.windows-1252"
# Control characters other than field and line separators.
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1f]")


def read_bed(path: Path, sequences: SequenceDictionary) -> RegionList:
    """Returns the intervals of a BED file, in file order, with their names if there are any.

    Fields are separated by tabs, or by spaces in a line without tabs. Empty lines, comments, and
    track and browser lines are skipped (GA4GH specification of BED v1, sections 1.2 to 1.4).

    Args:
        path: the file, optionally gzip-compressed.
        sequences: the reference sequences.

    Raises:
        InputError: it is not a BED file, or an interval is not on any of the sequences.
    """
    field = f"regions_bed: {shorten(path.name, 80)}"
    blocks: list[RegionList] = []
    for first, text in read_blocks(path, field):
        block = _plain_lines(text, sequences)
        if block is None:
            regions: list[Region] = []
            for number, line in enumerate(text.split("\n"), start=first):
                if _NOT_DATA.match(line):
                    continue
                try:
                    is_first = not regions and not any(blocks)
                    regions.append(_interval(line, sequences, is_first))
                except RegionError as error:
                    raise InputError(f"{field}, line {number:,}: {error}") from None
            block = RegionList.of(sequences, regions)
        blocks.append(block)
    if not any(blocks):
        raise InputError(f"{field} contains no intervals. Provide at least one.")
    return joined(blocks)


def _interval(line: str, sequences: SequenceDictionary, first: bool) -> Region:
    contig, *columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) < 2:
        raise RegionError(
            "a BED line has at least three columns (reference sequence, start, end), found "
            f"{shorten(repr(line), 80)}."
        )
    contig, start, end = contig.strip(), columns[0].strip(), columns[1].strip()
    if not (POSITION.fullmatch(start) and POSITION.fullmatch(end)):
        raise _not_positions(line, start, end, first)
    name = columns[2].strip() if len(columns) > 2 else ""
    try:
        if start == end:
            # Tools disagree: samtools view -L counts records that span this point, bedtools also
            # those that touch it.
            raise RegionError(
                "is empty, and tools disagree on what to count there. Extend it by a base."
            )
        return span_on(contig, int(start), int(end), sequences, name)
    except RegionError as error:
        interval = f"{shorten(contig, 60)} {start} {end}"
        raise RegionError(f"'{interval}' {error}") from None


def _not_positions(line: str, start: str, end: str, first: bool) -> RegionError:
    """Returns the error for a line without positions in columns 2 and 3."""
    found = f"found {shorten(repr(start), 40)} and {shorten(repr(end), 40)}"
    if _GFF_COLUMNS.fullmatch(line.partition("\t")[2]):
        return RegionError(
            f"looks like a line of a GFF or GTF file ({found}). Convert the file to BED: start "
            "and end in columns 2 and 3, the start 0-based."
        )
    if first and _HEADING.fullmatch(start) and _HEADING.fullmatch(end):
        return RegionError(f"looks like a header line ({found}). Remove it or start it with '#'.")
    return RegionError(f"start and end (columns 2 and 3) must be whole numbers, {found}.")


class _Columns(NamedTuple):
    """The columns of some lines of a BED file.

    Attributes:
        contigs: distinct names in the first column.
        contig_ids: for each line, the index into contigs.
        starts: the second column.
        ends: the third column; starts and ends are as long as contig_ids only if every field is one
            number.
        names: the fourth column; empty if there is none.
    """

    contigs: list[str]
    contig_ids: Ints
    starts: Ints
    ends: Ints
    names: Sequence[str] = ()


def _plain_lines(text: str, sequences: SequenceDictionary) -> RegionList | None:
    """Returns the intervals of lines that are all valid and have the same number of columns.

    Otherwise returns None: the lines have to be parsed one by one.
    """
    columns = _columns(text)
    if columns is None or not len(columns.starts) == len(columns.ends) == len(columns.contig_ids):
        return None
    found = []
    for name in columns.contigs:
        if _NOT_DATA.match(name):
            return None
        try:
            found.append(span_on(name, 0, 1, sequences))
        except RegionError:
            return None
    starts, ends = columns.starts, columns.ends
    most = np.array([sequences.lengths[one.contig] for one in found])[columns.contig_ids]
    if not (np.all(starts < ends) and np.all(ends <= most)):
        return None
    contigs = RegionList.of(sequences, found)
    contig_ids = columns.contig_ids
    aliases = [contigs.aliases[at] for at in contig_ids.tolist()] if contigs.aliases else ()
    names = columns.names if any(columns.names) else ()
    return RegionList(contigs.names_by_tid, contigs.tids[contig_ids], starts, ends, names, aliases)


def _columns(text: str) -> _Columns | None:
    """Returns the columns of lines with the same number of columns (at least 3), else None."""
    data = np.frombuffer(text.encode(), np.uint8)
    (tabs,), (line_feeds,) = np.nonzero(data == ord("\t")), np.nonzero(data == ord("\n"))
    tabs_before = np.searchsorted(tabs, np.append(line_feeds, len(data)))
    number = int(tabs_before[0]) + 1
    if number < 3 or (np.diff(tabs_before) != number - 1).any():
        return None
    fields = text.replace("\n", "\t").split("\t")
    contigs, starts, ends = (fields[column::number] for column in range(3))
    # No field contains a line feed.
    digits = "\n".join(starts + ends).encode()
    if digits.translate(None, _DIGITS + b"\n"):
        return None
    id_of = {contig: contig_id for contig_id, contig in enumerate(dict.fromkeys(contigs))}
    contig_ids = np.fromiter(map(id_of.__getitem__, contigs), np.int64, len(contigs))
    names = list(map(str.strip, fields[3::number])) if number > 3 else ()
    numbers = np.fromstring(digits, np.int64, sep=" ")
    return _Columns(
        list(id_of), contig_ids, numbers[: len(contigs)], numbers[len(contigs) :], names
    )


def read_lines(path: Path, field: str) -> Iterator[tuple[int, str]]:
    """Yields the lines of a text file with their line numbers; see read_blocks."""
    for first, text in read_blocks(path, field):
        yield from enumerate(text.split("\n"), start=first)


def read_blocks(path: Path, field: str) -> Iterator[tuple[int, str]]:
    """Yields blocks of many lines of a text file, separated by line feeds.

    The file may be gzip-compressed, have a byte order mark, be encoded in UTF-16, and have lines
    that end in a carriage return, a line feed, or both. Bytes that are not UTF-8 are decoded as
    Windows-1252, which programs on Windows use for interval names.

    Yields:
        The 1-based number of the first line, and the text.

    Raises:
        InputError: it is not a text file, or is corrupt.
    """
    number = 1
    not_text = InputError(f"{field} is not a text file. Provide a BED file.")
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            with gzip.open(file) if compressed else file as data:
                encoding, errors = _encoding(data.read(2))
                data.seek(0)
                with io.TextIOWrapper(data, encoding, errors) as text:
                    while block := text.read(BLOCK_CHARACTERS) + text.readline():
                        if _is_binary(block):
                            raise not_text
                        lines = block.removesuffix("\n")
                        yield number, lines
                        number += lines.count("\n") + 1
    except UnicodeDecodeError:
        raise not_text from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputError(f"{field} is truncated or corrupt. Upload it again.") from None


def _encoding(beginning: bytes) -> tuple[str, str]:
    """Returns the encoding of a file that begins with these bytes, and the error handler."""
    if beginning in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16", "strict"
    return "utf-8-sig", _WINDOWS_1252


def _decode_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Decodes the bytes that are not UTF-8; see codecs.register_error."""
    assert isinstance(error, UnicodeDecodeError)
    # Five byte values are undefined in Windows-1252.
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_WINDOWS_1252, _decode_windows_1252)


def _is_binary(text: str) -> bool:
    """Whether a text is binary data, which may decode without errors."""
    # ASCII text is only searched for NUL, which is fast.
    return "\0" in text or (not text.isascii() and _CONTROL.search(text) is not None)
