"""Counting a CRAM by its containers, without the reference; wrong indexes are rejected."""

import gzip
import socket
import subprocess
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from builders import Read, cram_of, make_bam, write_bam
from http_file import streaming
from messages import is_a_known_message
from readcount.counting.pool import start_workers
from readcount.errors import MESSAGE_LENGTH, InputError
from readcount.formats.cram import (
    DEFINITION_BYTES,
    Container,
    check_definition,
    parse_itf8,
    read_crai,
)
from readcount.formats.cram import read_containers as read_containers_between
from readcount.planning.costs import Costs
from readcount.source.opening import open_alignments
from readcount.verification.verify import verify
from steps import ask, count_here, count_regions, files_of, local_files, opened, planned
from strategies import COUNTED, DECODED, UNMAPPED

pytestmark = pytest.mark.samtools


def read_containers(cram: Path) -> list[Container]:
    """Returns all containers of a file, including the header and the end-of-file container."""
    content = cram.read_bytes()

    def read(start: int, size: int) -> bytes:
        return content[start : start + size]

    check_definition(read(0, DEFINITION_BYTES))
    return read_containers_between(read, DEFINITION_BYTES, len(content))


READS = {"chr1": 30, "a": 3, "empty": 0, "b": 2, "chr2": 25}
SMALL_SLICES = "seqs_per_slice=10"
SINGLE_REF, MULTI_REF = "multi_seq_per_slice=0", "multi_seq_per_slice=1"


def counts_of(cram: Path, index: Path | None = None) -> tuple[list[int], list[str]]:
    log: list[str] = []
    with start_workers(2) as workers:
        result = count_regions(files_of(cram, index), workers, log.append)
    return [count.records for count in result.counts], log


def lines_of(cram: Path) -> list[bytes]:
    return gzip.decompress(Path(f"{cram}.crai").read_bytes()).splitlines(keepends=True)


def write_lines(cram: Path, lines: Sequence[bytes]) -> None:
    Path(f"{cram}.crai").write_bytes(gzip.compress(b"".join(lines)))


@pytest.mark.parametrize("version", ["3.0", "3.1"])
@pytest.mark.parametrize(
    "options",
    [
        [SMALL_SLICES],
        [SMALL_SLICES, SINGLE_REF],
        [SMALL_SLICES, MULTI_REF],
        ["seqs_per_slice=7", "slices_per_container=2"],
        ["seqs_per_slice=1", "slices_per_container=1000"],
        ["embed_ref=1", SMALL_SLICES],
        ["no_ref=1", SMALL_SLICES],
    ],
    ids=" ".join,
)
def test_crams_of_any_layout_are_counted_and_verified(
    tmp_path: Path, version: str, options: list[str]
) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=9), f"version={version}", *options)
    containers = read_containers(cram)
    assert sum(container.records for container in containers) == sum(READS.values()) + 9
    assert set(read_crai(Path(f"{cram}.crai"))) == {
        container.offset for container in containers if container.records
    }
    for costs in (COUNTED, DECODED):
        alignments = opened(cram)
        plan = planned(alignments, ask(include_unplaced=True), costs=costs)
        verified = verify(count_here(alignments, plan), alignments)
        assert list(verified.counts.records) == [*READS.values(), 9]
        assert verified.checks == ("counts of all 6 regions match the containers",)


def test_containers_are_grouped_by_sequence(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS, unplaced=1)

    def stretches_of(*options: str) -> list[tuple[int, tuple[int, ...]]]:
        evidence = opened(cram_of(bam, SMALL_SLICES, *options))
        layout = evidence.locate({0, 1, 2, 3, 4}, ()).layout
        assert all(one.end == other.begin for one, other in pairwise(layout.stretches))
        return [(stretch.tid, stretch.tids) for stretch in layout.stretches]

    assert stretches_of(SINGLE_REF) == [(0, (0,)), (1, (1,)), (3, (3,)), (4, (4,)), (-1, (-1,))]
    # A multi-reference container may also have records of sequences that the index does not list
    # for it: those between the sequences of the containers before and after.
    tids_of_stretches = [(0,), (0,), (0, 1), (0, 1, 2, 3, 4), (4,), (4,), (4, -1)]
    assert stretches_of(MULTI_REF) == [(-2, tids) for tids in tids_of_stretches]


def test_small_sequences_share_a_samtools_call(tmp_path: Path) -> None:
    reads = READS | {f"hla{n}": n % 3 for n in range(50)}
    cram = cram_of(make_bam(tmp_path, reads, unplaced=4), SMALL_SLICES)
    counts, log = counts_of(cram)
    assert counts == list(reads.values())
    assert log[0].endswith("1 samtools call")
    assert log[-1] == "counts of all 55 regions match the containers"


@pytest.mark.parametrize("costs", [COUNTED, DECODED], ids=["counted", "decoded"])
@pytest.mark.parametrize("layout", [SINGLE_REF, MULTI_REF, "multi_seq_per_slice=-1"])
def test_records_far_beyond_the_end_of_their_sequence_are_counted(
    tmp_path: Path, layout: str, costs: Costs
) -> None:
    names = [f"hla{number}" for number in range(4)]
    reads = [Read(name, at) for name in names for at in (5, 300_000, 2_000_000)]
    bam = write_bam(tmp_path, dict.fromkeys(names, 1000), reads)
    alignments = opened(cram_of(bam, "no_ref=1", layout))
    plan = planned(alignments, ask(regions=[*names, "hla1:900-", "hla2:1-5"]), costs=costs)
    assert list(count_here(alignments, plan).counts.records) == [3, 3, 3, 3, 2, 0]


def test_a_sequence_of_many_containers_is_read_in_parts(tmp_path: Path) -> None:
    reads = [Read("a", 37 * n % 150_000, "9000M") for n in range(4000)]
    options = ("seqs_per_slice=100", "bases_per_slice=900000")
    cram = cram_of(write_bam(tmp_path, {"a": 160_000}, reads), *options)
    alignments = opened(cram)
    plan = planned(alignments, processes=3, costs=COUNTED)
    assert len(plan.tasks) > 8
    assert list(count_here(alignments, plan).counts.records) == [4000]


def test_the_reference_is_never_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server in REF_PATH, from which htslib downloads references, gets no request."""
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL_SLICES)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        monkeypatch.setenv("REF_PATH", f"http://127.0.0.1:{server.getsockname()[1]}/%s")
        monkeypatch.setenv("REF_CACHE", str(tmp_path / "cache" / "%s"))
        Path(f"{cram}.crai").unlink()
        index = open_alignments(local_files(str(cram), None)).file.index
        assert counts_of(cram, index)[0] == list(READS.values())
        with pytest.raises(TimeoutError):
            server.accept()

        # Reading the bases requires the reference, so this does send a request.
        with subprocess.Popen(
            ["samtools", "view", cram], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as reading:
            server.settimeout(10)
            server.accept()[0].close()
            reading.kill()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([b""], "does not have what the file has at byte"),
        ([b"0\t1\t39\t5\t177\t163\n"], "does not have what the file has at byte"),
        ([b"{whole}", b"0\t1\t19\t27\t177\t163\n"], "the file has no records at byte"),
        ([b"{whole}", b"9\t1\t19\t{last}\t177\t163\n"], "has more reference sequences"),
        ([b"{whole}", b"1"], "is corrupt: not every line has six numbers"),
        ([b"{whole}", b"\n"], "is corrupt: not every line has six numbers"),
        ([b"{whole}", b"0\t1\t99999999999\t26\t177\t163\n"], "is corrupt: not every line"),
    ],
)
def test_an_index_that_does_not_match_the_cram_is_rejected(
    tmp_path: Path, lines: list[bytes], message: str
) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL_SLICES, MULTI_REF)
    whole, last = b"".join(lines_of(cram)), str(read_containers(cram)[-2].offset).encode()
    write_lines(cram, [line.replace(b"{whole}", whole).replace(b"{last}", last) for line in lines])
    with pytest.raises(InputError, match=message) as error:
        counts_of(cram)
    assert len(str(error.value)) <= MESSAGE_LENGTH
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("layout", [SINGLE_REF, MULTI_REF, "slices_per_container=3"])
def test_a_missing_index_line_never_leads_to_a_wrong_count(tmp_path: Path, layout: str) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=14), SMALL_SLICES, layout)
    lines = lines_of(cram)
    rejected = 0
    for missing in range(len(lines)):
        write_lines(cram, lines[:missing] + lines[missing + 1 :])
        try:
            counts, _ = counts_of(cram)
        except InputError as error:
            rejected += 1
            assert is_a_known_message(str(error), "AppError")
        else:
            # Another line leads to the same slice, or the slice is not needed.
            assert counts == list(READS.values())
    assert rejected


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (2, "-2147483648", "a slice has a negative span"),
        (2, "0", "does not match"),
        (2, "5", "does not match"),
        (1, "900", "does not match"),
    ],
)
def test_an_index_line_with_a_wrong_span_is_rejected(
    tmp_path: Path, column: int, value: str, message: str
) -> None:
    """With such lines samtools misses records; an old index had them (samtools issue 1574)."""
    reads = [Read("chr1", 10 * number, "20M") for number in range(90)]
    cram = cram_of(write_bam(tmp_path, {"chr1": 1000}, reads), "seqs_per_slice=30")
    lines = [line.split(b"\t") for line in lines_of(cram)]
    lines[0][column] = value.encode() + b"\n" * lines[0][column].endswith(b"\n")
    write_lines(cram, [b"\t".join(line) for line in lines])
    with pytest.raises(InputError, match=message) as error:
        counts_of(cram)
    assert is_a_known_message(str(error.value), "AppError")


def test_the_index_of_another_cram_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL_SLICES)
    other = cram_of(make_bam(tmp_path / "other", READS | {"chr1": 45}, unplaced=4), SMALL_SLICES)
    with pytest.raises(InputError, match=r"crai does not match sample\.cram") as error:
        counts_of(cram, Path(f"{other}.crai"))
    assert is_a_known_message(str(error.value), "AppError")


def test_the_index_of_a_bam_is_rejected_for_a_cram_and_vice_versa(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS)
    subprocess.run(["samtools", "index", "-c", bam], check=True)
    cram = cram_of(bam)
    for (mappings, index), message in (
        ((cram, f"{bam}.bai"), "is a BAI index, not the index of a CRAM file"),
        ((cram, f"{bam}.csi"), "is a CSI index, not the index of a CRAM file"),
        ((bam, f"{cram}.crai"), "is a CRAI index, not the index of a BAM file"),
    ):
        with pytest.raises(InputError, match=message) as error:
            opened(mappings, Path(index))
        assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("with_end", [False, True])
def test_a_truncated_cram_is_rejected(tmp_path: Path, with_end: bool) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL_SLICES)
    content = cram.read_bytes()
    offsets = [container.offset for container in read_containers(cram)]
    end_of_file = content[offsets[-1] :] if with_end else b""
    for size in [5, *offsets[:-1], *(at + 5 for at in offsets), *(at - 1 for at in offsets)]:
        cram.write_bytes(content[:size] + end_of_file)
        with pytest.raises(InputError) as error:
            counts_of(cram)
        assert is_a_known_message(str(error.value), "AppError")


def write_record_count(cram: Path, container: Container, records: int) -> None:
    """Overwrites the number of records in the header of a container."""
    content = bytearray(cram.read_bytes())
    data = bytes(content[container.offset : container.offset + 60])
    at = 4
    for _ in range(3):
        _, at = parse_itf8(data, at)
    assert parse_itf8(data, at)[0] == container.records
    content[container.offset + at] = records
    # The header ends with its checksum.
    end = next(
        end
        for end in range(at + 4, 60)
        if zlib.crc32(data[:end]) == int.from_bytes(data[end : end + 4], "little")
    )
    header = bytes(content[container.offset : container.offset + end])
    content[container.offset + end : container.offset + end + 4] = zlib.crc32(header).to_bytes(
        4, "little"
    )
    cram.write_bytes(content)


@pytest.mark.parametrize("costs", [COUNTED, DECODED], ids=["counted", "decoded"])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_number_of_records_in_a_container_header_is_rejected(
    tmp_path: Path, change: int, costs: Costs
) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL_SLICES, SINGLE_REF)
    container = read_containers(cram)[2]
    write_record_count(cram, container, container.records + change)
    alignments = opened(cram)
    plan = planned(alignments, costs=costs)
    message = r"containers list \d+ records|a record is not where the header of its container says"
    with pytest.raises(InputError, match=message) as error:
        count_here(alignments, plan)
    assert is_a_known_message(str(error.value), "AppError")


def test_records_at_position_0_are_not_in_any_region(tmp_path: Path) -> None:
    reads = [Read("chr1", -1, None, UNMAPPED), Read("chr1", 5), Read("chr2", 5)]
    for layout in (SINGLE_REF, MULTI_REF):
        bam = write_bam(tmp_path, {"chr1": 100, "chr2": 100}, reads)
        assert counts_of(cram_of(bam, layout))[0] == [1, 1]


@pytest.mark.parametrize("costs", [COUNTED, DECODED], ids=["counted", "decoded"])
def test_records_without_aligned_bases_are_counted(tmp_path: Path, costs: Costs) -> None:
    """At the start of a sequence of a CRAM, samtools does not find such a record by region."""
    reads = [Read("chr1", 0, None), Read("chr1", 50, "5M"), Read("chr1", 60, None)]
    bam = write_bam(tmp_path, {"chr1": 100}, reads)
    alignments = opened(cram_of(bam))
    regions = ["chr1", "chr1:1-1", "chr1:2-50", "chr1:61-61", "chr1:62-100"]
    plan = planned(alignments, ask(regions=regions), costs=costs)
    assert list(count_here(alignments, plan).counts.records) == [3, 1, 0, 1, 0]


@pytest.mark.parametrize("costs", [COUNTED, DECODED], ids=["counted", "decoded"])
@pytest.mark.parametrize("per_slice", [1, 2, 5])
def test_unplaced_records_are_counted_in_any_container(
    tmp_path: Path, per_slice: int, costs: Costs
) -> None:
    """They may be in multi-reference containers; samtools 1.16 does not find all of them."""
    reads = [Read("chr1", 0, None, UNMAPPED)] * 11 + [Read(None)] * 3
    bam = write_bam(tmp_path, {"chr1": 5}, reads)
    alignments = opened(cram_of(bam, "version=3.1", f"seqs_per_slice={per_slice}"))
    plan = planned(alignments, ask(include_unplaced=True), costs=costs)
    assert list(count_here(alignments, plan).counts.records) == [11, 3]


def test_empty_containers_are_skipped(tmp_path: Path) -> None:
    """Some programs write one after the header. samtools stops at an end-of-file container."""
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL_SLICES)
    content = cram.read_bytes()
    offsets = [container.offset for container in read_containers(cram)]
    first, second, empty = offsets[1], offsets[3], content[offsets[-1] :]
    cram.write_bytes(content[:first] + empty + content[first:second] + empty + content[second:])
    lines = [line.split(b"\t") for line in lines_of(cram)]
    for line in lines:
        inserted = sum(int(line[3]) >= offset for offset in (first, second))
        line[3] = str(int(line[3]) + 38 * inserted).encode()
    write_lines(cram, [b"\t".join(line) for line in lines])
    assert counts_of(cram)[0] == list(READS.values())


def test_a_container_that_the_index_does_not_list_is_detected(tmp_path: Path) -> None:
    """Otherwise its records would not be counted."""
    cram = cram_of(make_bam(tmp_path, READS, unplaced=14), SMALL_SLICES, SINGLE_REF)
    containers = [container for container in read_containers(cram) if container.records]
    for missing in containers:
        kept = [line for line in lines_of(cram) if int(line.split(b"\t")[3]) != missing.offset]
        index = cram.parent / f"{missing.offset}.crai"
        index.write_bytes(gzip.compress(b"".join(kept)))
        for regions in ([], ["chr1"], ["chr1:1-5"], ["chr2:1-5"], ["b"]):
            with pytest.raises(InputError, match="does not have what the file has") as error:
                alignments = open_alignments(local_files(str(cram), str(index)))
                count_here(alignments, planned(alignments, ask(regions=regions)))
            assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("region", ["b", "b:1-5", "d"])
def test_a_sequence_missing_from_the_index_is_detected_in_a_streamed_cram(
    tmp_path: Path, region: str
) -> None:
    """Container headers are read where its records would be."""
    bam = make_bam(tmp_path, {"a": 20, "b": 10, "c": 20, "d": 10})
    cram = cram_of(bam, SMALL_SLICES, SINGLE_REF)
    tid = b"%d\t" % "abcd".index(region[0])
    write_lines(cram, [line for line in lines_of(cram) if not line.startswith(tid)])
    with streaming(cram, Path(f"{cram}.crai")) as files:
        alignments = open_alignments(files)
        with pytest.raises(InputError, match="does not have what the file has") as error:
            planned(alignments, ask(regions=[region]))
    assert is_a_known_message(str(error.value), "AppError")


def test_a_cram_of_version_2_is_rejected(tmp_path: Path) -> None:
    cram = cram_of(make_bam(tmp_path, READS), "version=2.1")
    with pytest.raises(InputError, match=r"is of CRAM version 2\.1, and only version 3") as error:
        counts_of(cram)
    assert is_a_known_message(str(error.value), "AppError")


@pytest.mark.parametrize("reads", [{}, {"chr1": 0}])
@pytest.mark.parametrize("unplaced", [0, 3])
def test_a_cram_without_placed_records_is_counted(
    tmp_path: Path, reads: dict[str, int], unplaced: int
) -> None:
    cram = cram_of(make_bam(tmp_path, reads, unplaced=unplaced))
    assert counts_of(cram)[0] == [0] * len(reads)


@pytest.mark.samtools
@pytest.mark.parametrize("costs", [COUNTED, DECODED])
@pytest.mark.parametrize("last", [False, True], ids=["followed by a container", "last container"])
def test_unmapped_records_beyond_the_span_of_their_container_are_counted(
    tmp_path: Path, costs: Costs, last: bool
) -> None:
    """Without a reference, htslib 1.19 and later excludes them from the span."""
    reads = [Read("chr1", at) for at in (*range(100, 108), 120)]
    reads += [Read("chr1", at, None, UNMAPPED) for at in (500, 600, 700)]
    reads += [] if last else [Read("chr1", 800)] * 12
    bam = write_bam(tmp_path, {"chr1": 1000, "chr2": 9}, [*reads, Read("chr2", 1)])
    alignments = opened(cram_of(bam, "no_ref=1", "seqs_per_slice=12", "slices_per_container=1"))
    regions = ["chr1:501-501", "chr1:50-600", "chr1:50-601", "chr1:650-1000", "chr1:701"]
    plan = planned(alignments, ask(regions=regions), costs=costs)
    following = 0 if last else 12
    expected = [1, 10, 11, 1 + following, 1 + following]
    assert list(count_here(alignments, plan).counts.records) == expected
    for region, number in zip(regions, expected, strict=True):
        plan = planned(alignments, ask(regions=[region]), costs=costs)
        assert list(count_here(alignments, plan).counts.records) == [number]


MATE_REVERSE = 0x20


def without_flag_of_mate(cram: Path) -> int:
    """Removes MATE_REVERSE from FLAG 99 in an uncompressed CRAM; returns how often it was there.

    The bit follows from the mate's record, so a writer may omit it (CRAM specification, "BF").
    """
    content = bytearray(cram.read_bytes())
    container = next(one for one in read_containers(cram)[1:] if one.records)
    length = int.from_bytes(content[container.offset : container.offset + 4], "little")
    removed, at = 0, container.end - length
    while at < container.end:
        begin, kind = at, content[at + 1]
        at += 2
        numbers = []
        for _ in range(3):
            number, at = parse_itf8(bytes(content), at)
            numbers.append(number)
        data = bytes(content[at : at + numbers[1]])
        # The external block of BF: 99 and 147, encoded as ITF8.
        if kind == 4 and set(data) == {0x63, 0x80, 0x93}:
            removed += data.count(0x63)
            content[at : at + len(data)] = data.replace(b"\x63", bytes([99 - MATE_REVERSE]))
        at += len(data)
        content[at : at + 4] = zlib.crc32(content[begin:at]).to_bytes(4, "little")
        at += 4
    cram.write_bytes(content)
    return removed


@pytest.mark.parametrize("costs", [COUNTED, DECODED])
def test_flags_of_the_mate_that_a_writer_has_omitted_are_restored(
    tmp_path: Path, costs: Costs
) -> None:
    lines = ["@HD\tVN:1.6\tSO:coordinate", "@SQ\tSN:chr1\tLN:9000"]
    for at in range(100, 2_100, 20):
        for flag, start, mate, length in ((99, at, at + 10, 20), (147, at + 10, at, -20)):
            fields = (f"p{at}", flag, "chr1", start, 60, "10M", "=", mate, length)
            lines.append("\t".join([*map(str, fields), "A" * 10, "I" * 10]))
    sam, bam = tmp_path / "a.sam", tmp_path / "a.bam"
    sam.write_text("\n".join([*lines, ""]))
    subprocess.run(["samtools", "view", "-b", "-o", str(bam), str(sam)], check=True)
    cram = cram_of(bam, "version=3.0", "level=0", "no_ref=1")
    assert without_flag_of_mate(cram) == 100
    alignments = opened(cram)
    for filters in ({"require_flags": "0x20"}, {"exclude_flags": "MREVERSE"}):
        for regions, number in (([], 100), (["chr1:101-1095"], 50)):
            request = ask(regions=regions, **filters)
            plan = planned(alignments, request, costs=costs)
            counts = count_here(alignments, plan, request.filters).counts
            assert counts.records.tolist() == [number]
