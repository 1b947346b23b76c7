"""What a file is, by its first bytes and not by its name."""

import re
import zlib
from pathlib import Path

# How a file of each kind begins (SAM specification sections 1.3, 4.2 and 5.2; CSI, tabix, CRAM
# and VCF specifications). Kinds that are compressed stand for what is inside.
_BEGINNINGS = {
    b"CRAM": "a CRAM file",
    b"BAI\1": "a BAI index",
    b"\x1f\x8b": "a gzip-compressed file",
    b"##fileformat=VCF": "VCF text",
    b"##gff-version": "GFF text",
    b"@HD\t": "SAM text",
    b"@SQ\t": "SAM text",
    b"@RG\t": "SAM text",
    b"@PG\t": "SAM text",
    b"@CO\t": "SAM text",
}
_COMPRESSED_BEGINNINGS = {
    b"BAM\1": "a BAM file",
    b"BAI\1": "a compressed BAI index",
    b"CSI\1": "a CSI index",
    b"BCF\2": "a BCF file",
    b"TBI\1": "a tabix index",
    b"##fileformat=VCF": "compressed VCF text",
    b"##gff-version": "compressed GFF text",
    b"@": "compressed SAM text",
}
# What cannot hold intervals. SAM text may be an interval list, which begins as it does.
OTHER_KINDS = {*_BEGINNINGS.values(), *_COMPRESSED_BEGINNINGS.values()} - {
    "a gzip-compressed file",
    "SAM text",
    "compressed SAM text",
}
BAM = "a BAM file"
CRAM = "a CRAM file"
BAI = "a BAI index"
COMPRESSED_BAI = "a compressed BAI index"
BAM_INDEXES = (BAI, "a CSI index")
CRAM_INDEX = "a CRAI index"
# A line of six numbers for each slice.
_CRAI_LINE = re.compile(rb"(-?\d+\t){5}\d+\n")
BEGINNING_BYTES = 1 << 16


def header_fields(line: str) -> dict[str, str]:
    """Returns the fields of a header line by their tags (SAM specification, section 1.3)."""
    return dict(field.split(":", 1) for field in line.split("\t")[1:] if ":" in field)


def kind_of(path: Path) -> str:
    """Returns what a file is, with its article: "a BAM file", "an empty file", "SAM text", ..."""
    with path.open("rb") as file:
        return kind_of_bytes(file.read(BEGINNING_BYTES))


def kind_of_bytes(beginning: bytes) -> str:
    """Returns what a file is by its first BEGINNING_BYTES, as kind_of does."""
    if not beginning:
        return "an empty file"
    kind = _kind(beginning, _BEGINNINGS)
    if kind == "a gzip-compressed file":
        beginning = _decompress(beginning)
        return _kind(beginning, _COMPRESSED_BEGINNINGS) or _crai(beginning) or kind
    return kind or _crai(beginning) or "a file of an unknown kind"


def _crai(beginning: bytes) -> str | None:
    return CRAM_INDEX if _CRAI_LINE.match(beginning) else None


def _kind(beginning: bytes, kinds: dict[bytes, str]) -> str | None:
    return next((kind for magic, kind in kinds.items() if beginning.startswith(magic)), None)


def _decompress(beginning: bytes) -> bytes:
    """Returns the content of the first bytes of a gzip file; nothing if they are damaged."""
    try:
        return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS).decompress(beginning)
    except zlib.error:
        return b""
