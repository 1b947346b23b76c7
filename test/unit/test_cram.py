"""A CRAM's containers and index tell what it holds, without its reference and without htslib."""

import gzip
import io
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Read, cram_of, make_bam, write_bam
from messages import is_a_known_message
from oracle import count_one_by_one
from readcount.counting.pool import start_workers
from readcount.counting.tasks import run_task
from readcount.errors import MESSAGE_LENGTH, InputError
from readcount.formats.bam_index import INTERVAL, IndexFormatError
from readcount.formats.cram import (
    ContainerError,
    _read_itf8,
    cram_index,
    read_containers,
    read_crai,
)
from readcount.planning.costs import costs_for
from readcount.planning.merge import RegionCounts
from readcount.planning.plan import plan_tasks
from readcount.request.region import Region
from readcount.request.region_list import RegionList
from readcount.source.alignments import open_alignments
from readcount.source.files import local_files
from readcount.verification.verify import verify
from steps import count_regions, files_of, opened
from strategies import UNMAPPED, Case, cases

pytestmark = pytest.mark.samtools

READS = {"chr1": 30, "a": 3, "empty": 0, "b": 2, "chr2": 25}
SMALL = "seqs_per_slice=10"
ONE_EACH, ALL_TOGETHER = "multi_seq_per_slice=0", "multi_seq_per_slice=1"


def counts_of(cram: Path, index: Path | None = None) -> tuple[list[int], list[str]]:
    log: list[str] = []
    with start_workers(2) as workers:
        counts = count_regions(files_of(cram, index), workers, log.append)
    return [count.records for count in counts.regions], log


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
    counts, log = counts_of(cram)
    assert counts == list(READS.values())
    assert "match" in log[-1]


@pytest.mark.parametrize(
    ("sharing", "records"),
    [(ONE_EACH, [30, 3, 0, 2, 25]), (ALL_TOGETHER, [None, None, 0, None, None])],
)
def test_a_number_is_certain_where_no_container_is_shared(
    tmp_path: Path, sharing: str, records: list[int | None]
) -> None:
    cram = cram_of(make_bam(tmp_path, READS, unplaced=1), SMALL, sharing)
    entries = [contig.indexed for contig in opened(cram).contigs.values()]
    assert [entry.records for entry in entries] == records
    expected = [entry.expected or 0 for entry in entries]
    assert expected[2] == 0
    assert all(expected[number] > 0 for number in (0, 1, 3, 4))
    assert 60 <= sum(expected) <= 61


def test_the_index_tells_where_in_the_file_a_position_is(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 10 * INTERVAL}, length=10 * INTERVAL + 10)
    cram = cram_of(bam, "seqs_per_slice=20000")
    slices = read_crai(Path(f"{cram}.crai"))
    (entry,) = cram_index(slices, read_containers(cram), 1)
    # The last record reaches into an eleventh interval.
    assert len(entry.offsets) == 11 + 1
    assert list(entry.offsets) == sorted(entry.offsets)
    assert len(set(entry.offsets)) == len(slices) + 1
    assert entry.offsets[-1] < cram.stat().st_size


def test_small_sequences_share_a_call(tmp_path: Path) -> None:
    reads = READS | {f"hla{n}": n % 3 for n in range(50)}
    cram = cram_of(make_bam(tmp_path, reads, unplaced=4), SMALL)
    counts, log = counts_of(cram)
    assert counts == list(reads.values())
    assert log[0] == "55 regions (37 with records), 1 samtools call"
    assert log[-1].endswith("matches the containers: 109 records")


def test_small_sequences_with_records_far_behind_their_end_share_a_call(tmp_path: Path) -> None:
    """Nothing tells how many they have, so they would not be counted again."""
    names = [f"hla{number}" for number in range(4)]
    reads = [Read(name, at) for name in names for at in (5, 300_000, 2_000_000)]
    bam = write_bam(tmp_path, dict.fromkeys(names, 1000), reads)
    counts, log = counts_of(cram_of(bam, "no_ref=1", ALL_TOGETHER))
    assert counts == [3, 3, 3, 3]
    assert "1 samtools call" in log[0]


def test_windows_of_a_cram_count_each_record_once(tmp_path: Path) -> None:
    reads = [Read("a", 37 * n % (9 * INTERVAL), "9000M") for n in range(4000)]
    cram = cram_of(write_bam(tmp_path, {"a": 10 * INTERVAL}, reads), "seqs_per_slice=100")
    alignments = opened(cram)
    costs = costs_for(alignments.access, alignments.contigs)
    plan = plan_tasks([Region("a")], alignments.contigs, 3, seconds=1e-8, costs=costs)
    assert len(plan.tasks) > 8
    counted = [run_task(alignments.file, task).records[0] for task in enumerate(plan.tasks)]
    assert sum(counted) == 4000


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

        # Whoever reads the bases asks for it.
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
        ([b"{whole}", b"0\t1\t19\t27\t177\t163\n"], "has no container at byte 27"),
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
    with pytest.raises(InputError, match=r"crai does not match sample\.cram"):
        counts_of(cram, Path(f"{other}.crai"))


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


def test_counts_that_the_containers_do_not_confirm_are_refused(tmp_path: Path) -> None:
    alignments = opened(cram_of(make_bam(tmp_path, READS, unplaced=4), SMALL))

    def check(reads: dict[str, int]) -> tuple[str, ...]:
        counts = RegionCounts(RegionList.of_whole(reads), reads.values())
        return verify(counts, alignments.evidence).checks

    known = {contig.indexed.records is None for contig in alignments.contigs.values()}
    assert known == {True, False}
    assert all("match" in line for line in check(READS))
    for name in READS:
        for records in (READS[name] + 1, READS[name] - 1):
            with pytest.raises(InputError, match=r"records in its containers") as bad:
                check(READS | {name: records})
            assert is_a_known_message(str(bad.value), "AppError")


def test_records_at_position_0_are_in_a_container_but_in_no_region(tmp_path: Path) -> None:
    reads = [Read("chr1", -1, None, UNMAPPED), Read("chr1", 5), Read("chr2", 5)]
    for sharing in (ONE_EACH, ALL_TOGETHER):
        bam = write_bam(tmp_path, {"chr1": 100, "chr2": 100}, reads)
        assert counts_of(cram_of(bam, sharing))[0] == [1, 1]


def test_a_record_that_covers_nothing_is_no_reason_for_a_wrong_count(tmp_path: Path) -> None:
    """In a CRAM samtools does not find one at the beginning of a sequence, in a BAM it does."""
    bam = write_bam(tmp_path, {"chr1": 100}, [Read("chr1", 0, None)])
    with pytest.raises(
        InputError, match=r"chr1 has 1 record in its containers, but the count is 0"
    ):
        counts_of(cram_of(bam))


def test_unplaced_records_that_samtools_does_not_find_do_not_make_a_count_wrong(
    tmp_path: Path,
) -> None:
    """They are in slices of one kind and of the other, of which samtools 1.16 finds the latter."""
    reads = [Read("chr1", 0, None, UNMAPPED)] * 11 + [Read(None)] * 2
    bam = write_bam(tmp_path, {"chr1": 5}, reads)
    cram = cram_of(bam, "version=3.1", "seqs_per_slice=1")
    assert counts_of(cram)[0] == [11]


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


@pytest.mark.parametrize("content", [b"", b"CRAM", b"CRAM\3\0" + bytes(20) + b"\1", b"CRAM\7" * 9])
def test_what_is_no_cram_has_no_containers(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.cram").write_bytes(content)
    with pytest.raises(ContainerError):
        read_containers(tmp_path / "x.cram")


@pytest.mark.parametrize("content", [b"x", b"0\t1\t2\t3\t4\n", b"\x1f\x8b\x08 cut", b"\xff\n"])
def test_what_is_no_crai_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.crai").write_bytes(content)
    with pytest.raises(IndexFormatError):
        read_crai(tmp_path / "x.crai")


@pytest.mark.parametrize(
    ("data", "number"),
    [
        ("00", 0),
        ("7f", 127),
        ("8080", 128),
        ("bfff", 16383),
        ("c04000", 16384),
        ("e0200000", 1 << 21),
        ("f100000000", 1 << 28),
        ("f7ffffff0f", 2**31 - 1),
        ("ffffffff0f", -1),
        ("fffffffffe", -2),
    ],
)
def test_numbers_are_as_the_specification_has_them(data: str, number: int) -> None:
    assert _read_itf8(io.BytesIO(bytes.fromhex(data))) == number


@given(cases(), st.integers(1, 8), st.integers(1, 3), st.sampled_from(["3.0", "3.1"]))
def test_any_cram_gives_what_its_bam_gives(
    tmp_path_factory: pytest.TempPathFactory,
    case: Case,
    per_slice: int,
    slices: int,
    version: str,
) -> None:
    # A CRAM cannot hold a mapped record without position, and samtools does not find all that
    # cover nothing.
    reads = [
        replace(read, flag=read.flag | UNMAPPED)
        if read.position < 0 or read.cigar in (None, "5I")
        else read
        for read in case.reads
    ]
    bam = write_bam(tmp_path_factory.mktemp("any"), case.lengths, reads, csi=case.csi)
    cram = cram_of(
        bam,
        "no_ref=1",
        f"version={version}",
        f"seqs_per_slice={per_slice}",
        f"slices_per_container={slices}",
    )
    expected = count_one_by_one(bam, case.lengths)
    try:
        counts, _ = counts_of(cram)
    except InputError:
        # samtools 1.24 writes slices of span 0, in which it finds no record by region.
        assert count_one_by_one(cram, case.lengths) != expected
    else:
        assert counts == expected
