"""A CRAM is counted by runs of containers, without its reference and without its index's help."""

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
from readcount.source.alignments import open_alignments
from readcount.source.files import local_files
from readcount.verification.verify import verify
from steps import ask, count_here, count_regions, files_of, opened, planned
from strategies import COUNTED, LOOKED_AT, UNMAPPED

pytestmark = pytest.mark.samtools


def read_containers(cram: Path) -> list[Container]:
    """All containers of a file, the header's and the last one among them."""
    content = cram.read_bytes()

    def read(start: int, size: int) -> bytes:
        return content[start : start + size]

    check_definition(read(0, DEFINITION_BYTES))
    return read_containers_between(read, DEFINITION_BYTES, len(content))


READS = {"chr1": 30, "a": 3, "empty": 0, "b": 2, "chr2": 25}
SMALL = "seqs_per_slice=10"
ONE_EACH, ALL_TOGETHER = "multi_seq_per_slice=0", "multi_seq_per_slice=1"


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
    "more",
    [
        [SMALL],
        [SMALL, ONE_EACH],
        [SMALL, ALL_TOGETHER],
        ["seqs_per_slice=7", "slices_per_container=2"],
        ["seqs_per_slice=1", "slices_per_container=1000"],
        ["embed_ref=1", SMALL],
        ["no_ref=1", SMALL],
    ],
    ids=" ".join,
)
def test_any_kind_of_cram_is_counted_and_checked(
    tmp_path: Path, version: str, more: list[str]
) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=9), f"version={version}", *more)
    containers = read_containers(cram)
    assert sum(container.records for container in containers) == sum(READS.values()) + 9
    assert {part.container for part in read_crai(Path(f"{cram}.crai"))} == {
        container.offset for container in containers if container.records
    }
    for costs in (COUNTED, LOOKED_AT):
        alignments = opened(cram)
        plan, _ = planned(alignments, ask(include_unplaced=True), costs=costs)
        verified = verify(count_here(alignments, plan), alignments.evidence)
        assert list(verified.counts.records) == [*READS.values(), 9]
        assert verified.checks == ("counts of all 6 regions match the containers",)


def test_containers_are_grouped_by_sequence(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS, unplaced=1)

    def stretches_of(*options: str) -> list[tuple[int, tuple[int, ...]]]:
        evidence = opened(cram_of(bam, SMALL, *options)).evidence
        layout = evidence.locate({0, 1, 2, 3, 4}, ()).layout
        assert all(one.end == other.begin for one, other in pairwise(layout.stretches))
        return [(stretch.tid, stretch.tids) for stretch in layout.stretches]

    assert stretches_of(ONE_EACH) == [(0, (0,)), (1, (1,)), (3, (3,)), (4, (4,)), (-1, (-1,))]
    # A container may hold records that the index does not list: of the sequences between those of
    # the containers before and after.
    tids = [(0,), (0,), (0, 1), (0, 1, 2, 3, 4), (4,), (4,), (4, -1)]
    assert stretches_of(ALL_TOGETHER) == [(-2, one) for one in tids]


def test_small_sequences_share_a_call(tmp_path: Path) -> None:
    reads = READS | {f"hla{n}": n % 3 for n in range(50)}
    cram = cram_of(make_bam(tmp_path, reads, unplaced=4), SMALL)
    counts, log = counts_of(cram)
    assert counts == list(reads.values())
    assert log[0].endswith("1 samtools call")
    assert log[-1] == "counts of all 55 regions match the containers"


@pytest.mark.parametrize("costs", [COUNTED, LOOKED_AT], ids=["counted", "looked at"])
@pytest.mark.parametrize("sharing", [ONE_EACH, ALL_TOGETHER, "multi_seq_per_slice=-1"])
def test_records_far_behind_the_end_of_their_sequence_count(
    tmp_path: Path, sharing: str, costs: Costs
) -> None:
    names = [f"hla{number}" for number in range(4)]
    reads = [Read(name, at) for name in names for at in (5, 300_000, 2_000_000)]
    bam = write_bam(tmp_path, dict.fromkeys(names, 1000), reads)
    alignments = opened(cram_of(bam, "no_ref=1", sharing))
    plan, _ = planned(alignments, ask(regions=[*names, "hla1:900-", "hla2:1-5"]), costs=costs)
    assert list(count_here(alignments, plan).counts.records) == [3, 3, 3, 3, 2, 0]


def test_a_sequence_of_many_containers_is_read_in_parts(tmp_path: Path) -> None:
    reads = [Read("a", 37 * n % 150_000, "9000M") for n in range(4000)]
    cram = cram_of(write_bam(tmp_path, {"a": 160_000}, reads), "seqs_per_slice=100")
    alignments = opened(cram)
    plan, _ = planned(alignments, processes=3, costs=COUNTED)
    assert len(plan.tasks) > 8
    assert list(count_here(alignments, plan).counts.records) == [4000]


def test_the_reference_is_not_asked_for_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Htslib looks for it where REF_PATH says: it is at hand there, but nobody comes."""
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        monkeypatch.setenv("REF_PATH", f"http://127.0.0.1:{server.getsockname()[1]}/%s")
        monkeypatch.setenv("REF_CACHE", str(tmp_path / "cache" / "%s"))
        Path(f"{cram}.crai").unlink()
        index = open_alignments(local_files(str(cram), None)).file.index
        assert counts_of(cram, index)[0] == list(READS.values())
        with pytest.raises(TimeoutError):
            server.accept()

        # Reading the bases requires the reference.
        with subprocess.Popen(
            ["samtools", "view", cram], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as reading:
            server.settimeout(10)
            server.accept()[0].close()
            reading.kill()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("lines", "words"),
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
def test_an_index_that_cannot_be_that_of_the_file_is_refused(
    tmp_path: Path, lines: list[bytes], words: str
) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL, ALL_TOGETHER)
    whole, last = b"".join(lines_of(cram)), str(read_containers(cram)[-2].offset).encode()
    write_lines(cram, [line.replace(b"{whole}", whole).replace(b"{last}", last) for line in lines])
    with pytest.raises(InputError, match=words) as refused:
        counts_of(cram)
    assert len(str(refused.value)) <= MESSAGE_LENGTH
    assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.parametrize("sharing", [ONE_EACH, ALL_TOGETHER, "slices_per_container=3"])
def test_a_line_that_is_missing_in_the_index_gives_no_wrong_count(
    tmp_path: Path, sharing: str
) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=14), SMALL, sharing)
    lines = lines_of(cram)
    refused = 0
    for left_out in range(len(lines)):
        write_lines(cram, lines[:left_out] + lines[left_out + 1 :])
        try:
            counts, _ = counts_of(cram)
        except InputError as error:
            refused += 1
            assert is_a_known_message(str(error), "AppError")
        else:
            # Where a slice has another line, or is not needed, that one leads to it too.
            assert counts == list(READS.values())
    assert refused


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (2, "-2147483648", "a slice has a negative span"),
        (2, "0", "does not match"),
        (2, "5", "does not match"),
        (1, "900", "does not match"),
    ],
)
def test_a_line_with_another_span_gives_no_wrong_count(
    tmp_path: Path, column: int, value: str, words: str
) -> None:
    """Samtools does not find the records: an old index had such lines (samtools issue 1574)."""
    reads = [Read("chr1", 10 * number, "20M") for number in range(90)]
    cram = cram_of(write_bam(tmp_path, {"chr1": 1000}, reads), "seqs_per_slice=30")
    lines = [line.split(b"\t") for line in lines_of(cram)]
    lines[0][column] = value.encode() + b"\n" * lines[0][column].endswith(b"\n")
    write_lines(cram, [b"\t".join(line) for line in lines])
    with pytest.raises(InputError, match=words) as refused:
        counts_of(cram)
    assert is_a_known_message(str(refused.value), "AppError")


def test_the_index_of_another_cram_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL)
    other = cram_of(make_bam(tmp_path / "other", READS | {"chr1": 45}, unplaced=4), SMALL)
    with pytest.raises(InputError, match=r"crai does not match sample\.cram") as refused:
        counts_of(cram, Path(f"{other}.crai"))
    assert is_a_known_message(str(refused.value), "AppError")


def test_the_index_of_a_bam_is_none_for_a_cram_and_the_other_way_round(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, READS)
    subprocess.run(["samtools", "index", "-c", bam], check=True)
    cram = cram_of(bam)
    for pair, words in (
        ((cram, f"{bam}.bai"), "is a BAI index, not the index of a CRAM file"),
        ((cram, f"{bam}.csi"), "is a CSI index, not the index of a CRAM file"),
        ((bam, f"{cram}.crai"), "is a CRAI index, not the index of a BAM file"),
    ):
        with pytest.raises(InputError, match=words) as refused:
            opened(pair[0], Path(pair[1]))
        assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.parametrize("end_put_back", [False, True])
def test_a_cram_that_is_cut_off_gives_no_wrong_count(tmp_path: Path, end_put_back: bool) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL)
    whole = cram.read_bytes()
    places = [container.offset for container in read_containers(cram)]
    for place in [5, *places[:-1], *(place + 5 for place in places), *(p - 1 for p in places)]:
        cram.write_bytes(whole[:place] + (whole[places[-1] :] if end_put_back else b""))
        with pytest.raises(InputError) as refused:
            counts_of(cram)
        assert is_a_known_message(str(refused.value), "AppError")


def with_records(cram: Path, container: Container, records: int) -> None:
    """Writes another number of records into the header of a container."""
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


@pytest.mark.parametrize("costs", [COUNTED, LOOKED_AT], ids=["counted", "looked at"])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_container_without_as_many_records_as_its_header_says_is_refused(
    tmp_path: Path, more: int, costs: Costs
) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL, ONE_EACH)
    container = read_containers(cram)[2]
    with_records(cram, container, container.records + more)
    alignments = opened(cram)
    plan, _ = planned(alignments, costs=costs)
    words = r"containers list \d+ records|a record is not where the header of its container says"
    with pytest.raises(InputError, match=words) as bad:
        count_here(alignments, plan)
    assert is_a_known_message(str(bad.value), "AppError")


def test_records_at_position_0_are_in_a_container_but_in_no_region(tmp_path: Path) -> None:
    reads = [Read("chr1", -1, None, UNMAPPED), Read("chr1", 5), Read("chr2", 5)]
    for sharing in (ONE_EACH, ALL_TOGETHER):
        bam = write_bam(tmp_path, {"chr1": 100, "chr2": 100}, reads)
        assert counts_of(cram_of(bam, sharing))[0] == [1, 1]


@pytest.mark.parametrize("costs", [COUNTED, LOOKED_AT], ids=["counted", "looked at"])
def test_records_that_cover_nothing_count(tmp_path: Path, costs: Costs) -> None:
    """By region samtools does not find one at the beginning of a sequence of a CRAM."""
    reads = [Read("chr1", 0, None), Read("chr1", 50, "5M"), Read("chr1", 60, None)]
    bam = write_bam(tmp_path, {"chr1": 100}, reads)
    alignments = opened(cram_of(bam))
    regions = ["chr1", "chr1:1-1", "chr1:2-50", "chr1:61-61", "chr1:62-100"]
    plan, _ = planned(alignments, ask(regions=regions), costs=costs)
    assert list(count_here(alignments, plan).counts.records) == [3, 1, 0, 1, 0]


@pytest.mark.parametrize("costs", [COUNTED, LOOKED_AT], ids=["counted", "looked at"])
@pytest.mark.parametrize("per_slice", [1, 2, 5])
def test_unplaced_records_count_wherever_they_are(
    tmp_path: Path, per_slice: int, costs: Costs
) -> None:
    """In containers of their own and in shared ones; samtools 1.16 does not find both."""
    reads = [Read("chr1", 0, None, UNMAPPED)] * 11 + [Read(None)] * 3
    bam = write_bam(tmp_path, {"chr1": 5}, reads)
    alignments = opened(cram_of(bam, "version=3.1", f"seqs_per_slice={per_slice}"))
    plan, _ = planned(alignments, ask(include_unplaced=True), costs=costs)
    assert list(count_here(alignments, plan).counts.records) == [11, 3]


def test_empty_containers_are_skipped(tmp_path: Path) -> None:
    """Some writers leave one after the header; one like the last ends the file to samtools."""
    cram = cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL)
    content = cram.read_bytes()
    places = [container.offset for container in read_containers(cram)]
    end = content[places[-1] :]
    empty = content[: places[1]] + end + content[places[1] : places[3]] + end + content[places[3] :]
    cram.write_bytes(empty)
    lines = [line.split(b"\t") for line in lines_of(cram)]
    for line in lines:
        after = sum(int(line[3]) >= place for place in (places[1], places[3]))
        line[3] = str(int(line[3]) + 38 * after).encode()
    write_lines(cram, [b"\t".join(line) for line in lines])
    assert counts_of(cram)[0] == list(READS.values())


def test_a_container_that_the_index_does_not_list_is_noticed(tmp_path: Path) -> None:
    """Its records would be in no count."""
    cram = cram_of(make_bam(tmp_path, READS, unplaced=14), SMALL, ONE_EACH)
    containers = [one for one in read_containers(cram) if one.records]
    for left_out in containers:
        kept = [line for line in lines_of(cram) if int(line.split(b"\t")[3]) != left_out.offset]
        index = cram.parent / f"{left_out.offset}.crai"
        index.write_bytes(gzip.compress(b"".join(kept)))
        for regions in ([], ["chr1"], ["chr1:1-5"], ["chr2:1-5"], ["b"]):
            with pytest.raises(InputError, match="does not have what the file has") as refused:
                alignments = open_alignments(local_files(str(cram), str(index)))
                count_here(alignments, planned(alignments, ask(regions=regions))[0])
            assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.parametrize("asked", ["b", "b:1-5", "d"])
def test_a_sequence_that_the_index_leaves_out_is_noticed_in_a_streamed_cram(
    tmp_path: Path, asked: str
) -> None:
    """Where its records would be, the headers of containers are read."""
    bam = make_bam(tmp_path, {"a": 20, "b": 10, "c": 20, "d": 10})
    cram = cram_of(bam, SMALL, ONE_EACH)
    tid = b"%d\t" % "abcd".index(asked[0])
    write_lines(cram, [line for line in lines_of(cram) if not line.startswith(tid)])
    with streaming(cram, Path(f"{cram}.crai")) as files:
        alignments = open_alignments(files)
        with pytest.raises(InputError, match="does not have what the file has") as refused:
            planned(alignments, ask(regions=[asked]))
    assert is_a_known_message(str(refused.value), "AppError")


def test_a_cram_of_another_version_is_refused(tmp_path: Path) -> None:
    cram = cram_of(make_bam(tmp_path, READS), "version=2.1")
    with pytest.raises(InputError, match=r"is of CRAM version 2\.1, and only version 3") as bad:
        counts_of(cram)
    assert is_a_known_message(str(bad.value), "AppError")


@pytest.mark.parametrize("reads", [{}, {"chr1": 0}])
@pytest.mark.parametrize("unplaced", [0, 3])
def test_a_cram_without_placed_records_is_counted_too(
    tmp_path: Path, reads: dict[str, int], unplaced: int
) -> None:
    cram = cram_of(make_bam(tmp_path, reads, unplaced=unplaced))
    assert counts_of(cram)[0] == [0] * len(reads)


@pytest.mark.samtools
@pytest.mark.parametrize("costs", [COUNTED, LOOKED_AT])
@pytest.mark.parametrize("last", [False, True], ids=["before a container", "in the last one"])
def test_unmapped_records_behind_the_span_of_their_container_count(
    tmp_path: Path, costs: Costs, last: bool
) -> None:
    """Htslib 1.19 and later leaves them out of the span if there is no reference."""
    reads = [Read("chr1", at) for at in (*range(100, 108), 120)]
    reads += [Read("chr1", at, None, UNMAPPED) for at in (500, 600, 700)]
    reads += [] if last else [Read("chr1", 800)] * 12
    bam = write_bam(tmp_path, {"chr1": 1000, "chr2": 9}, [*reads, Read("chr2", 1)])
    alignments = opened(cram_of(bam, "no_ref=1", "seqs_per_slice=12", "slices_per_container=1"))
    regions = ["chr1:501-501", "chr1:50-600", "chr1:50-601", "chr1:650-1000", "chr1:701"]
    plan, _ = planned(alignments, ask(regions=regions), costs=costs)
    more = 0 if last else 12
    expected = [1, 10, 11, 1 + more, 1 + more]
    assert list(count_here(alignments, plan).counts.records) == expected
    for region, number in zip(regions, expected, strict=True):
        plan, _ = planned(alignments, ask(regions=[region]), costs=costs)
        assert list(count_here(alignments, plan).counts.records) == [number]
