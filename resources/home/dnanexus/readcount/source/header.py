"""The header of the input file, read with pysam."""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pysam

from readcount.errors import InputError
from readcount.formats.bam_record import NO_SEQUENCE, UNPLACED_NAME
from readcount.formats.bgzf import END_OF_FILE, stored_blocks
from readcount.formats.content import header_fields
from readcount.request.filters import Filters
from readcount.text import plural, shorten

_UINT32 = struct.Struct("<I")
_READ_GROUP = re.compile(r"\n@RG\t(.*)")
_SEQUENCE_WITH_ALIAS = re.compile(r"\n(@SQ(?:\t.*)?\tAN:.*)")
# The names in typical @SQ lines, which begin with SN and LN.
_NAMES = re.compile(r"\n@SQ\tSN:([^\t\n]+)\tLN:[0-9]")
# Signs of a malformed line. There may be a million lines, so they are parsed only if one of these
# patterns is found in the header. Separate patterns are twice as fast as a combined one.
_SUSPECT = (
    re.compile(r"\n(?!@[A-Za-z]{2}\t|\Z)"),
    re.compile(r"\t(?!\S\S:)"),
    re.compile(r"\tLN:(?![0-9]+[\t\n])"),
    re.compile(r"\n@[RP]G\t(?!(?:.*\t)?ID:)"),
)
# Required fields (SAM specification, section 1.3), without which htslib cannot look up a sequence.
_NEEDED = {"@SQ": ("SN", "LN"), "@RG": ("ID",), "@PG": ("ID",)}
_KIND = re.compile("@[A-Za-z]{2}")
# A line may end with a carriage return.
_NUMBER = re.compile(r"[0-9]+\r?")


class Header(NamedTuple):
    """The header of a BAM or CRAM.

    Attributes:
        names: names of the reference sequences, only from @SQ lines (not SN: in other lines).
        lengths: length of each in bases.
        sort_order: SO of the @HD line; "unknown", the default in the specification, without it.
        end: virtual file offset of the first record of a BAM; None for a CRAM.
        read_groups: ID of each @RG line.
        sample_names: SM of the @RG lines, each once.
        aliases: reference sequence names by alternative name (AN of the @SQ lines; SAM
            specification, section 1.3), except those that are also the name of a sequence.
    """

    names: tuple[str, ...]
    lengths: tuple[int, ...]
    sort_order: str
    end: int | None
    read_groups: tuple[str, ...]
    sample_names: tuple[str, ...]
    aliases: Mapping[str, str]

    def name_of(self, tid: int) -> str:
        """Returns the name of a reference ID; "*" for unplaced records."""
        return self.names[tid] if tid >= 0 else UNPLACED_NAME


class HeaderError(ValueError):
    """A header is malformed; the message is a clause that names the line."""


def read_header(path: Path) -> Header:
    """Reads the header of a BAM or CRAM.

    For a BAM, names and lengths come from its binary list of reference sequences. @SQ lines may be
    missing, and different lengths in them are ignored, as in samtools.

    Raises:
        HeaderError: a line is malformed, or the names in the @SQ lines differ from the list.
        OSError, ValueError: it cannot be read.
    """
    with _opened(path) as alignments:
        # Every line is preceded by a line feed. There may be a million lines, so they are not
        # split.
        text = "\n" + _text(alignments.header)
        first_line = text[1:].partition("\n")[0].split("\t")
        names = _names(alignments)
        _check_lines(text, names)
        order = next((field[3:] for field in first_line if field.startswith("SO:")), "unknown")
        return Header(
            names=names,
            lengths=alignments.lengths,
            sort_order=order if first_line[0] == "@HD" and order.isprintable() else "unknown",
            end=None if alignments.is_cram else alignments.tell(),
            read_groups=tuple(_read_group_fields(text, "ID:")),
            sample_names=tuple(dict.fromkeys(_read_group_fields(text, "SM:"))),
            aliases=_aliases(text, set(names)),
        )


def _read_group_fields(text: str, tag: str) -> Iterator[str]:
    """Yields the value of a field in each @RG line that contains it."""
    for line in _READ_GROUP.findall(text):
        yield from (field[3:] for field in line.split("\t") if field.startswith(tag))


@contextmanager
def _opened(path: Path) -> Iterator[pysam.AlignmentFile]:
    """Opens a BAM or CRAM, without an index."""
    # htslib warns if there is no index next to a CRAM.
    verbosity = pysam.set_verbosity(0)
    try:
        with pysam.AlignmentFile(str(path), check_sq=False) as alignments:
            pysam.set_verbosity(verbosity)
            yield alignments
    finally:
        pysam.set_verbosity(verbosity)


def _text(header: pysam.AlignmentHeader) -> str:
    """Returns the text of a header; bytes that are not UTF-8 become surrogates."""
    try:
        text = str(header)
    except UnicodeDecodeError as error:
        # error.object is the complete text; pysam has no other access to it.
        text = error.object.decode(errors="surrogateescape")
    # The text may be NUL-padded (SAM specification, section 4.2); htslib ends it at the first NUL.
    return text.partition("\0")[0]


def _names(alignments: pysam.AlignmentFile) -> tuple[str, ...]:
    """Returns the names of the reference sequences; raises HeaderError if one is not UTF-8."""
    try:
        return alignments.references
    except UnicodeDecodeError as error:
        name = shorten(repr(error.object)[1:], 60)
        raise HeaderError(f"the name of reference sequence {name} is not UTF-8") from None


def _check_lines(text: str, names: Sequence[str]) -> None:
    """Raises HeaderError for a malformed line, or if the names in @SQ lines differ from `names`.

    Every line of the text is preceded by a line feed.
    """
    suspect = any(pattern.search(text) for pattern in _SUSPECT)
    if not suspect and tuple(_NAMES.findall(text)) == names:
        return
    in_lines = []
    for number, line in enumerate(text[1:].split("\n"), start=1):
        fault = _fault(line)
        if fault:
            raise HeaderError(f"line {number:,}, {shorten(repr(line), 80)}, {fault}")
        if line.startswith("@SQ\t"):
            in_lines.append(header_fields(line)["SN"])
    if not in_lines:
        return
    if len(in_lines) != len(names):
        raise HeaderError(
            f"it has {plural(len(in_lines), '@SQ line')} but {plural(len(names), 'name')} in its "
            "binary list of reference sequences"
        )
    for number, (in_line, name) in enumerate(zip(in_lines, names, strict=True), start=1):
        if in_line != name:
            # samtools uses the binary list: counts would be reported under other names.
            raise HeaderError(
                f"its @SQ line {number:,} is for {shorten(repr(in_line), 60)}, but number "
                f"{number:,} in its binary list of reference sequences is {shorten(repr(name), 60)}"
            )


def _fault(line: str) -> str:
    """Returns what is wrong with a header line, as a clause; empty if nothing is.

    htslib rejects such lines when it looks up a reference sequence by name, so all samtools calls
    with a region would fail. The exception is a length that is not a number.
    """
    kind, *fields = line.split("\t")
    # pysam adds an empty line before @SQ lines that it generates; htslib cannot open a file with
    # empty lines.
    if not line or (kind == "@CO" and fields):
        return ""
    if not (_KIND.fullmatch(kind) and fields and all(field[2:3] == ":" for field in fields)):
        return "is not tab-separated TAG:VALUE fields"
    values = header_fields(line)
    missing = [tag for tag in _NEEDED.get(kind, ()) if tag not in values]
    if missing:
        return f"has no {missing[0]} field"
    if kind == "@SQ" and not values["SN"]:
        return "has no name in its SN field"
    if kind == "@SQ" and not _NUMBER.fullmatch(values["LN"]):
        return "has no number in its LN field"
    return ""


def _aliases(text: str, names: Set[str]) -> Mapping[str, str]:
    """Returns names by alternative name; the first sequence wins, as in samtools."""
    aliases: dict[str, str] = {}
    for line in _SEQUENCE_WITH_ALIAS.findall(text) if "\tAN:" in text else ():
        fields = header_fields(line)
        for alias in fields["AN"].split(","):
            if alias not in names:
                aliases.setdefault(alias, fields["SN"])
    return aliases


def check_read_groups(header: Header, filters: Filters, name: str) -> None:
    """Raises InputError for a read group that is not in the header; `name` is the file's name."""
    unknown = [group for group in filters.read_groups if group not in header.read_groups]
    if unknown:
        known = shorten(", ".join(header.read_groups), 160)
        known = known.encode(errors="backslashreplace").decode()
        remedy = f"Use one of: {known}." if known else "It has none: omit read_groups."
        raise InputError(
            f"read_groups: {name} has no read group {shorten(repr(unknown[0]), 60)} in its "
            f"header. {remedy}"
        )


def record_of(header: Path, tid: int) -> str:
    """Returns "a record of NAME", with the name from the header if it has this reference ID."""
    if tid == NO_SEQUENCE:
        return "no placed record"
    with _opened(header) as alignments:
        if not 0 <= tid < alignments.nreferences:
            return "a record of another reference sequence"
        return f"a record of {shorten(alignments.get_reference_name(tid), 60)}"


def write_bam_header(path: Path, names: Sequence[str], lengths: Sequence[int]) -> None:
    """Writes a BAM with these reference sequences, without records and header text."""
    sequences = [
        _UINT32.pack(len(name.encode()) + 1) + name.encode() + b"\0" + _UINT32.pack(length)
        for name, length in zip(names, lengths, strict=True)
    ]
    content = b"BAM\1" + _UINT32.pack(0) + _UINT32.pack(len(names)) + b"".join(sequences)
    path.write_bytes(stored_blocks(content) + END_OF_FILE)
