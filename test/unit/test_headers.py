"""Malformed header lines are reported, and headers that samtools accepts are accepted."""

import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import Read, cram_of, index_of, write_bam
from fuzz import bgzf
from messages import is_a_known_message
from readcount.counting.pool import start_workers
from readcount.errors import MESSAGE_LENGTH, InputError
from readcount.formats.cram import DEFINITION_BYTES, container_at
from readcount.request.filters import Filters
from readcount.source.commands import has_header, make_index
from readcount.source.files import IndexedFile
from readcount.source.header import check_read_groups, read_header
from readcount.source.opening import open_alignments
from readcount.source.readers import LocalFile
from steps import count_regions, files_of

pytestmark = pytest.mark.samtools

LENGTHS = {"chr1": 1000, "größe": 2000}
RECORDS = [3, 2]
HD = "@HD\tVN:1.6\tSO:coordinate\n"
SQ_1, SQ_2 = "@SQ\tSN:chr1\tLN:1000\n", "@SQ\tSN:größe\tLN:2000\n"


@pytest.fixture
def bam(tmp_path: Path) -> Path:
    numbers = zip(LENGTHS, RECORDS, strict=True)
    reads = [Read(name, at) for name, number in numbers for at in range(number)]
    return write_bam(tmp_path, LENGTHS, reads)


def set_header(bam: Path, text: str | bytes) -> None:
    """Replaces the header text of a BAM, but not the binary list of reference sequences."""
    text = text.encode() if isinstance(text, str) else text
    data = b"".join(map(bgzf.unpack, bgzf.split(bam.read_bytes())))
    rest = data[8 + int.from_bytes(data[4:8], "little") :]
    header = data[:4] + len(text).to_bytes(4, "little") + text
    bam.write_bytes(bgzf.pack(header) + bgzf.pack(rest) + bgzf.END_OF_FILE)


def set_cram_header(cram: Path, text: str) -> None:
    """Replaces the header of a CRAM (CRAM specification, "File header" and "Block structure")."""
    # Padded, so that the block size is an ITF8 integer of two bytes.
    content = (text + "@CO\t" + "x" * 128 + "\n").encode()
    data = len(content).to_bytes(4, "little") + content
    size = (0x8000 | len(data)).to_bytes(2, "big")
    block = with_checksum(b"\0\0\0" + size + size + data)
    container = with_checksum(len(block).to_bytes(4, "little") + bytes(6) + b"\1\1\0")
    old = cram.read_bytes()
    old_end = container_at(LocalFile(cram).read, DEFINITION_BYTES).end
    cram.write_bytes(old[:DEFINITION_BYTES] + container + block + old[old_end:])


def with_checksum(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def counts_of(file: Path) -> list[int]:
    """Creates the index of a file; returns the counts of its sequences."""
    make_index(IndexedFile(LocalFile(file), index_of(file)), file, threads=1)
    with start_workers(1) as workers:
        result = count_regions(files_of(file), workers, lambda line: None)
    return [count.records for count in result.counts]


def message_for(file: Path) -> str:
    with pytest.raises(InputError) as error:
        open_alignments(files_of(file))
    message = str(error.value)
    assert len(message) <= MESSAGE_LENGTH
    assert is_a_known_message(message, "AppError")
    return message


MALFORMED = {
    "no LN": ("@SQ\tSN:chr1\n" + SQ_2, r"line 2, '@SQ\tSN:chr1', has no LN field"),
    "no SN": (SQ_1 + "@SQ\tLN:2000\n", r"line 3, '@SQ\tLN:2000', has no SN field"),
    "AN without SN": ("@SQ\tAN:1\tLN:9\n" + SQ_2, r"line 2, '@SQ\tAN:1\tLN:9', has no SN field"),
    "empty SN": ("@SQ\tSN:\tLN:1000\n" + SQ_2, "has no name in its SN field"),
    "empty LN": ("@SQ\tSN:chr1\tLN:\n" + SQ_2, "has no number in its LN field"),
    "LN is a word": ("@SQ\tSN:chr1\tLN:1k\n" + SQ_2, "has no number in its LN field"),
    "LN is negative": ("@SQ\tSN:chr1\tLN:-5\n" + SQ_2, "has no number in its LN field"),
    "spaces instead of tabs": (
        "@SQ SN:chr1 LN:1000\n" + SQ_2,
        "line 2, '@SQ SN:chr1 LN:1000', is not tab-separated",
    ),
    "no colon": ("@SQ\tSN:chr1\tLN1000\n" + SQ_2, "is not tab-separated TAG:VALUE fields"),
    "trailing tab": (
        SQ_1 + SQ_2 + "@RG\tID:a\t\n",
        r"line 4, '@RG\tID:a\t', is not tab-separated",
    ),
    "record type only": (SQ_1 + SQ_2 + "@PG\n", "line 4, '@PG', is not tab-separated"),
    "comment without tab": (SQ_1 + SQ_2 + "@CO x\n", "line 4, '@CO x', is not tab-separated"),
    "long record type": (
        SQ_1 + SQ_2.replace("@SQ", "@SQX"),
        "'@SQX\\tSN:größe\\tLN:2000', is not tab-",
    ),
    "read group without ID": (SQ_1 + SQ_2 + "@RG\tSM:a\n", r"'@RG\tSM:a', has no ID field"),
    "program without ID": (SQ_1 + SQ_2 + "@PG\tPN:a\n", r"'@PG\tPN:a', has no ID field"),
    "line without @": (SQ_1 + "x\n" + SQ_2, "Malformed SAM header at line 3"),
    "empty line": (SQ_1 + "\n" + SQ_2, "Malformed SAM header at line 3"),
    "wrong name": ("@SQ\tSN:x\tLN:1000\n" + SQ_2, "its @SQ line 1 is for 'x', but number 1 in its"),
    "wrong order": (SQ_2 + SQ_1, "its @SQ line 1 is for 'größe', but number 1 in its binary list"),
    "missing @SQ line": (SQ_1, "it has 1 @SQ line but 2 names in its binary list"),
    "additional @SQ line": (SQ_1 + SQ_2 + "@SQ\tSN:x\tLN:5\n", "it has 3 @SQ lines but 2 names"),
    "duplicate name": (SQ_1 + SQ_1 + SQ_2, "it has 3 @SQ lines but 2 names"),
    "long line": ("@SQ\tSN:chr1\tDS:" + "x" * 9999 + "\n" + SQ_2, "...xxx"),
}


@pytest.mark.parametrize(("lines", "words"), MALFORMED.values(), ids=MALFORMED.keys())
def test_the_malformed_line_of_a_bam_header_is_reported(bam: Path, lines: str, words: str) -> None:
    set_header(bam, HD + lines)
    message = message_for(bam)
    assert message.startswith("mappings_sorted_bam: sample.bam has a malformed header: ")
    assert words in message
    assert "Correct it with 'samtools reheader'" in message


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("@SQ\tSN:chr1\n" + SQ_2, 'Header includes @SQ line "chr1" with'),
        ("@SQ\tLN:1000\n" + SQ_2, "Header includes @SQ line with no SN: tag"),
        ("@SQ SN:chr1 LN:1000\n" + SQ_2, "Missing tab at line 2"),
        (SQ_1 + "\n" + SQ_2, "Header line does not start with '@' at line 3"),
        (SQ_1 + SQ_1 + SQ_2, 'Duplicate entry "chr1" in sam header'),
        ("@SQ\tSN:\tLN:1000\n" + SQ_2, "line 2, '@SQ\\tSN:\\tLN:1000', has no name"),
    ],
)
def test_the_malformed_line_of_a_cram_header_is_reported(bam: Path, lines: str, words: str) -> None:
    cram = cram_of(bam)
    set_cram_header(cram, HD + lines)
    message = message_for(cram)
    assert message.startswith("mappings_sorted_bam: sample.cram has a malformed header: ")
    assert words in message


def test_set_cram_header_writes_a_valid_cram(bam: Path) -> None:
    cram = cram_of(bam)
    set_cram_header(cram, HD + SQ_1 + SQ_2 + "@RG\tID:new\n")
    assert read_header(cram).read_groups == ("new",)
    assert counts_of(cram) == RECORDS


ACCEPTED: dict[str, str | bytes] = {
    "no text": "",
    "no @SQ line": HD,
    "no @SQ line, padded": HD + "\0\0",
    "Latin-1 in the first line": b"@HD\tVN:1.6\tSO:\xf6\n" + (SQ_1 + SQ_2).encode(),
    "SN is not first": HD + "@SQ\tLN:1000\tSN:chr1\n" + SQ_2,
    "other fields": HD + "@SQ\tSN:chr1\tM5:x\tLN:1000\tx1:\tUR:a b\n" + SQ_2,
    "different length": HD + "@SQ\tSN:chr1\tLN:7\n" + SQ_2,
    "length of more than 32 bits": HD + "@SQ\tSN:chr1\tLN:99999999999\n" + SQ_2,
    "carriage returns": (HD + SQ_1 + SQ_2 + "@RG\tID:a\n").replace("\n", "\r\n"),
    "comments": HD + SQ_1 + SQ_2 + "@CO\t\n@CO\t@SQ\tLN:x\t\t\n",
    "other header lines": HD + SQ_1 + SQ_2 + "@RG\tSM:x\tID:\n@PG\tCL:a b\tID:b\n@XY\tab:\n",
    "@HD line is last": SQ_1 + SQ_2 + HD,
    "NUL at the end": HD + SQ_1 + SQ_2 + "\0\0",
    "Latin-1 in a comment": (HD + SQ_1 + SQ_2).encode() + b"@CO\tgr\xf6\xdfe\n",
    "Latin-1 in a read group": (HD + SQ_1 + SQ_2).encode() + b"@RG\tID:gr\xf6\xdfe\n",
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_header_that_samtools_accepts_is_accepted(bam: Path, text: str | bytes) -> None:
    set_header(bam, text)
    header = read_header(bam)
    assert dict(zip(header.names, header.lengths, strict=True)) == LENGTHS
    assert counts_of(bam) == RECORDS


kinds = st.sampled_from(["@SQ", "@SQX", "@RG", "@PG", "@CO", "@XY"])
fields = st.sampled_from(["SN:chr1", "LN:1000", "LN:x", "ID:a", "AN:1,2", "AN:", "xö:", "a b"])
lines = st.tuples(kinds, st.lists(fields, min_size=1, max_size=3))
ends = st.sampled_from(["\n", "\r\n", "\0\n", "\n\n"])
texts = st.lists(st.tuples(lines, ends), max_size=3).map(
    lambda parts: "".join("\t".join([kind, *rest]) + end for (kind, rest), end in parts)
)


@given(texts)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_is_read_or_rejected_with_a_message(bam: Path, text: str) -> None:
    set_header(bam, HD + text)
    try:
        open_alignments(files_of(bam))
    except InputError as error:
        assert is_a_known_message(str(error), "AppError")


def test_a_sort_order_that_is_not_utf_8_is_unknown(bam: Path) -> None:
    """The sort order is written to the log."""
    set_header(bam, ACCEPTED["Latin-1 in the first line"])
    assert read_header(bam).sort_order == "unknown"


def test_a_sequence_name_that_is_not_utf_8_is_rejected(bam: Path) -> None:
    content = b"".join(map(bgzf.unpack, bgzf.split(bam.read_bytes())))
    content = content.replace("größe".encode(), b"gr\xf6\xdfexx")
    bam.write_bytes(bgzf.pack(content) + bgzf.END_OF_FILE)
    words = r"the name of reference sequence 'gr\xf6\xdfexx' is not UTF-8"
    assert words in message_for(bam)


def test_a_read_group_that_is_not_utf_8_cannot_be_selected(bam: Path) -> None:
    """Otherwise samtools would compare it with the bytes in the file, and count 0 records."""
    set_header(bam, (HD + SQ_1 + SQ_2).encode() + b"@RG\tID:gr\xf6\xdfe\n")
    header = read_header(bam)
    for name in ("größe", r"gr\udcf6\udcdfe"):
        with pytest.raises(InputError, match=r"Use one of: gr\\udcf6\\udcdfe\.") as error:
            check_read_groups(header, Filters(read_groups=(name,)), "sample.bam")
        assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("lines", [SQ_1 + SQ_2, "@SQ\tSN:chr1\n" + SQ_2, SQ_1 + "\n" + SQ_2])
def test_a_streamed_header_is_read_only_to_its_end(bam: Path, tmp_path: Path, lines: str) -> None:
    """Even if htslib rejects it: otherwise the whole file would be read."""
    for file, set_text in ((bam, set_header), (cram_of(bam), set_cram_header)):
        set_text(file, HD + lines)
        content = LocalFile(file).read(0, 60)
        part = tmp_path / "part"
        part.write_bytes(content)
        assert not has_header(part)
        assert has_header(file)
