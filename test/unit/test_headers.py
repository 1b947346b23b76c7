"""A malformed header is named with its line, and nothing that samtools counts is taken for one."""

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
from readcount.source.alignments import open_alignments
from readcount.source.commands import has_header, make_index
from readcount.source.files import IndexedFile
from readcount.source.header import check_read_groups, read_header
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


def put_text(bam: Path, text: str | bytes) -> None:
    """Replaces the text of the header; the binary list of reference sequences stays."""
    text = text.encode() if isinstance(text, str) else text
    data = b"".join(map(bgzf.unpack, bgzf.split(bam.read_bytes())))
    rest = data[8 + int.from_bytes(data[4:8], "little") :]
    header = data[:4] + len(text).to_bytes(4, "little") + text
    bam.write_bytes(bgzf.pack(header) + bgzf.pack(rest) + bgzf.END_OF_FILE)


def put_text_of_cram(cram: Path, text: str) -> None:
    """Replaces the header of a CRAM (CRAM specification, "File header" and "Block structure")."""
    # Long enough for a size of two bytes, and short enough.
    content = (text + "@CO\t" + "x" * 128 + "\n").encode()
    data = len(content).to_bytes(4, "little") + content
    size = (0x8000 | len(data)).to_bytes(2, "big")
    block = with_checksum(b"\0\0\0" + size + size + data)
    container = with_checksum(len(block).to_bytes(4, "little") + bytes(6) + b"\1\1\0")
    old = cram.read_bytes()
    first = container_at(LocalFile(cram).read, DEFINITION_BYTES).end
    cram.write_bytes(old[:DEFINITION_BYTES] + container + block + old[first:])


def with_checksum(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def counts_of(file: Path) -> list[int]:
    """The counts according to the index of this very file."""
    make_index(IndexedFile(LocalFile(file), index_of(file)), file, threads=1)
    with start_workers(1) as workers:
        result = count_regions(files_of(file), workers, lambda line: None)
    return [count.records for count in result.counts]


def message_for(file: Path) -> str:
    with pytest.raises(InputError) as refused:
        open_alignments(files_of(file))
    message = str(refused.value)
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
    "blanks": (
        "@SQ SN:chr1 LN:1000\n" + SQ_2,
        "line 2, '@SQ SN:chr1 LN:1000', is not tab-separated",
    ),
    "no colon": ("@SQ\tSN:chr1\tLN1000\n" + SQ_2, "is not tab-separated TAG:VALUE fields"),
    "tab at the end": (
        SQ_1 + SQ_2 + "@RG\tID:a\t\n",
        r"line 4, '@RG\tID:a\t', is not tab-separated",
    ),
    "only a type": (SQ_1 + SQ_2 + "@PG\n", "line 4, '@PG', is not tab-separated"),
    "comment without tab": (SQ_1 + SQ_2 + "@CO x\n", "line 4, '@CO x', is not tab-separated"),
    "a longer type": (
        SQ_1 + SQ_2.replace("@SQ", "@SQX"),
        "'@SQX\\tSN:größe\\tLN:2000', is not tab-",
    ),
    "read group without ID": (SQ_1 + SQ_2 + "@RG\tSM:a\n", r"'@RG\tSM:a', has no ID field"),
    "program without ID": (SQ_1 + SQ_2 + "@PG\tPN:a\n", r"'@PG\tPN:a', has no ID field"),
    "no line of a header": (SQ_1 + "x\n" + SQ_2, "Malformed SAM header at line 3"),
    "an empty line": (SQ_1 + "\n" + SQ_2, "Malformed SAM header at line 3"),
    "other name": ("@SQ\tSN:x\tLN:1000\n" + SQ_2, "its @SQ line 1 is for 'x', but number 1 in its"),
    "other order": (SQ_2 + SQ_1, "its @SQ line 1 is for 'größe', but number 1 in its binary list"),
    "one less": (SQ_1, "it has 1 @SQ line but 2 names in its binary list"),
    "one more": (SQ_1 + SQ_2 + "@SQ\tSN:x\tLN:5\n", "it has 3 @SQ lines but 2 names"),
    "a name twice": (SQ_1 + SQ_1 + SQ_2, "it has 3 @SQ lines but 2 names"),
    "long": ("@SQ\tSN:chr1\tDS:" + "x" * 9999 + "\n" + SQ_2, "...xxx"),
}


@pytest.mark.parametrize(("lines", "words"), MALFORMED.values(), ids=MALFORMED.keys())
def test_the_line_that_is_malformed_is_named(bam: Path, lines: str, words: str) -> None:
    put_text(bam, HD + lines)
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
def test_so_is_that_of_a_cram(bam: Path, lines: str, words: str) -> None:
    cram = cram_of(bam)
    put_text_of_cram(cram, HD + lines)
    message = message_for(cram)
    assert message.startswith("mappings_sorted_bam: sample.cram has a malformed header: ")
    assert words in message


def test_the_header_of_a_cram_is_replaced_as_it_should_be(bam: Path) -> None:
    cram = cram_of(bam)
    put_text_of_cram(cram, HD + SQ_1 + SQ_2 + "@RG\tID:new\n")
    assert read_header(cram).read_groups == ("new",)
    assert counts_of(cram) == RECORDS


COUNTED: dict[str, str | bytes] = {
    "no text": "",
    "no @SQ line": HD,
    "no @SQ line, padded": HD + "\0\0",
    "Latin-1 in the first line": b"@HD\tVN:1.6\tSO:\xf6\n" + (SQ_1 + SQ_2).encode(),
    "SN is not first": HD + "@SQ\tLN:1000\tSN:chr1\n" + SQ_2,
    "other fields": HD + "@SQ\tSN:chr1\tM5:x\tLN:1000\tx1:\tUR:a b\n" + SQ_2,
    "another length": HD + "@SQ\tSN:chr1\tLN:7\n" + SQ_2,
    "a length beyond 32 bits": HD + "@SQ\tSN:chr1\tLN:99999999999\n" + SQ_2,
    "carriage returns": (HD + SQ_1 + SQ_2 + "@RG\tID:a\n").replace("\n", "\r\n"),
    "comments": HD + SQ_1 + SQ_2 + "@CO\t\n@CO\t@SQ\tLN:x\t\t\n",
    "fields of other lines": HD + SQ_1 + SQ_2 + "@RG\tSM:x\tID:\n@PG\tCL:a b\tID:b\n@XY\tab:\n",
    "the first line is last": SQ_1 + SQ_2 + HD,
    "NUL at the end": HD + SQ_1 + SQ_2 + "\0\0",
    "Latin-1 in a comment": (HD + SQ_1 + SQ_2).encode() + b"@CO\tgr\xf6\xdfe\n",
    "Latin-1 in a read group": (HD + SQ_1 + SQ_2).encode() + b"@RG\tID:gr\xf6\xdfe\n",
}


@pytest.mark.parametrize("text", COUNTED.values(), ids=COUNTED.keys())
def test_what_samtools_counts_is_not_malformed(bam: Path, text: str | bytes) -> None:
    put_text(bam, text)
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
def test_any_text_is_read_or_refused_with_a_message(bam: Path, text: str) -> None:
    put_text(bam, HD + text)
    try:
        open_alignments(files_of(bam))
    except InputError as error:
        assert is_a_known_message(str(error), "AppError")


def test_a_sort_order_that_cannot_be_printed_is_unknown(bam: Path) -> None:
    """It goes to the log."""
    put_text(bam, COUNTED["Latin-1 in the first line"])
    assert read_header(bam).sort_order == "unknown"


def test_a_name_that_is_not_utf_8_is_refused(bam: Path) -> None:
    content = b"".join(map(bgzf.unpack, bgzf.split(bam.read_bytes())))
    content = content.replace("größe".encode(), b"gr\xf6\xdfexx")
    bam.write_bytes(bgzf.pack(content) + bgzf.END_OF_FILE)
    words = r"the name of reference sequence 'gr\xf6\xdfexx' is not UTF-8"
    assert words in message_for(bam)


def test_a_read_group_that_is_not_utf_8_cannot_be_asked_for(bam: Path) -> None:
    """Or samtools would compare it with the bytes of the file, and count 0."""
    put_text(bam, (HD + SQ_1 + SQ_2).encode() + b"@RG\tID:gr\xf6\xdfe\n")
    header = read_header(bam)
    for asked in ("größe", r"gr\udcf6\udcdfe"):
        with pytest.raises(InputError, match=r"Use one of: gr\\udcf6\\udcdfe\.") as refused:
            check_read_groups(header, Filters(read_groups=(asked,)), "sample.bam")
        assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.parametrize("lines", [SQ_1 + SQ_2, "@SQ\tSN:chr1\n" + SQ_2, SQ_1 + "\n" + SQ_2])
def test_a_streamed_header_is_read_to_its_end_and_not_beyond(
    bam: Path, tmp_path: Path, lines: str
) -> None:
    """Also if htslib refuses it: a whole file would be read for it."""
    for file, put in ((bam, put_text), (cram_of(bam), put_text_of_cram)):
        put(file, HD + lines)
        content = LocalFile(file).read(0, 60)
        part = tmp_path / "part"
        part.write_bytes(content)
        assert not has_header(part)
        assert has_header(file)
