"""Detects file types from content, not from names."""

import re
import zlib
from pathlib import Path

from readcount.formats.bgzf import EXTRA, GZIP_MAGIC, HAS_EXTRA

BAM = "a BAM file"
CRAM = "a CRAM file"
# htslib can read this sequentially, but cannot seek in it.
GZIPPED_BAM = "a BAM file compressed with gzip instead of BGZF"
RAW_BAM = "a BAM file without BGZF compression"
BAI = "a BAI index"
COMPRESSED_BAI = "a compressed BAI index"
BAM_INDEXES = (BAI, COMPRESSED_BAI, "a CSI index")
CRAM_INDEX = "a CRAI index"
_GZIPPED = "a gzip-compressed file"
# Magic of each file type (SAM specification sections 1.3, 4.2 and 5.2; CSI, tabix, CRAM and VCF
# specifications), after decompression for compressed types.
_BEGINNINGS = {
    b"CRAM": CRAM,
    b"BAM\1": RAW_BAM,
    b"BAI\1": BAI,
    GZIP_MAGIC: _GZIPPED,
    b"##fileformat=VCF": "VCF text",
    b"##gff-version": "GFF text",
    **dict.fromkeys((b"@HD\t", b"@SQ\t", b"@RG\t", b"@PG\t", b"@CO\t"), "SAM text"),
}
_COMPRESSED_BEGINNINGS = {
    b"BAM\1": BAM,
    b"BAI\1": COMPRESSED_BAI,
    b"CSI\1": "a CSI index",
    b"BCF\2": "a BCF file",
    b"TBI\1": "a tabix index",
    b"##fileformat=VCF": "compressed VCF text",
    b"##gff-version": "compressed GFF text",
    b"@": "compressed SAM text",
}
# Types that cannot contain intervals. SAM text may be an interval list, which has a SAM header.
OTHER_KINDS = {GZIPPED_BAM, *_BEGINNINGS.values(), *_COMPRESSED_BEGINNINGS.values()} - {
    _GZIPPED,
    "SAM text",
    "compressed SAM text",
}
# A line of six numbers per slice.
_CRAI_LINE = re.compile(rb"(-?\d+\t){5}\d+\n")
BEGINNING_BYTES = 1 << 16


def header_fields(line: str) -> dict[str, str]:
    """Returns the fields of a header line by tag (SAM specification, section 1.3)."""
    return dict(field.split(":", 1) for field in line.split("\t")[1:] if ":" in field)


def kind_of(path: Path) -> str:
    """Returns the type of a file, with article: "a BAM file", "an empty file", "SAM text", ..."""
    with path.open("rb") as file:
        return kind_of_bytes(file.read(BEGINNING_BYTES))


def kind_of_bytes(beginning: bytes) -> str:
    """Returns the type of a file from its first BEGINNING_BYTES, as kind_of does."""
    if not beginning:
        return "an empty file"
    kind = _kind(beginning, _BEGINNINGS)
    if kind == _GZIPPED:
        content = _decompress(beginning)
        inside = _kind(content, _COMPRESSED_BEGINNINGS)
        # Also a BAM with BGZF inside gzip.
        twice = _decompress(content).startswith(b"BAM\1")
        if twice or (inside == BAM and not _is_bgzf(beginning)):
            return GZIPPED_BAM
        return inside or _crai(content) or kind
    return kind or _crai(beginning) or "a file of an unknown kind"


def _is_bgzf(beginning: bytes) -> bool:
    """Whether a gzip file begins with a BGZF block."""
    return bool(beginning[3] & HAS_EXTRA) and beginning[10:16] == EXTRA


def _crai(beginning: bytes) -> str | None:
    return CRAM_INDEX if _CRAI_LINE.match(beginning) else None


def _kind(beginning: bytes, kinds: dict[bytes, str]) -> str | None:
    return next((kind for magic, kind in kinds.items() if beginning.startswith(magic)), None)


def _decompress(beginning: bytes) -> bytes:
    """Returns the first decompressed bytes; empty if it is not a gzip file or is corrupt."""
    try:
        decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        return decompressor.decompress(beginning, BEGINNING_BYTES)
    except zlib.error:
        return b""
