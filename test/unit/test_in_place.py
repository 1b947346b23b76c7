"""Files that are read in place: what is shared out, what is told, and how long a URL lasts."""

import pickle
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builders import contig_of, cram_of, make_bam
from messages import is_a_known_message
from readcount.errors import CallError, InputError, NetworkError
from readcount.formats.cram import (
    ContainerError,
    guess_containers,
    read_containers,
    read_containers_streamed,
    read_crai,
)
from readcount.planning.costs import STREAMED
from readcount.planning.plan import plan_tasks
from readcount.planning.shards import LARGEST_SHARD, divide
from readcount.planning.task import Call
from readcount.platform_files import URL_SECONDS
from readcount.request.region import Region
from readcount.request.request import check_streaming
from readcount.source.commands import failure
from readcount.source.files import IndexedFile
from readcount.source.readers import PAUSES, StreamedFile, network_error, with_retries

pytestmark = pytest.mark.samtools

URL = "https://dl.dnanex.us/F/D/S3cr3t/my%20sample.bam"


@pytest.fixture
def in_place() -> IndexedFile:
    return IndexedFile(StreamedFile("my sample.bam", 100, URL), Path("/home/x.bai"))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def calls(*seconds: float) -> list[Call]:
    return [Call(n, Region(f"chr{n}"), records=1, seconds=cost) for n, cost in enumerate(seconds)]


@pytest.mark.parametrize(
    ("seconds", "subjobs", "shares"),
    [
        ([], 3, []),
        ([5], 3, [(0,)]),
        ([4, 4, 4], 3, [(0,), (1,), (2,)]),
        ([5, 4, 3, 2], 2, [(0, 3), (1, 2)]),
        # Two subjobs would end no earlier than one that has the first task only, but for a moment.
        ([9, 1], 2, [(0, 1)]),
    ],
)
def test_subjobs_cost_about_the_same(
    seconds: list[float], subjobs: int, shares: list[tuple[int, ...]]
) -> None:
    assert divide(calls(*seconds), subjobs) == shares


@pytest.mark.parametrize("subjobs", [1, 2, 7, 30])
def test_every_task_of_a_genome_is_in_one_subjob(subjobs: int) -> None:
    contigs = {f"chr{n}": contig_of(50_000_000 + n, 10_000_000) for n in range(1, 25)}
    plan = plan_tasks([Region(name) for name in contigs], contigs, 16 * subjobs, costs=STREAMED)
    shares = divide(plan.tasks, subjobs)
    assert len(shares) == subjobs
    assert sorted(number for share in shares for number in share) == list(range(len(plan.tasks)))
    costs = [sum(plan.tasks[number].seconds for number in share) for share in shares]
    assert max(costs) <= LARGEST_SHARD * sum(costs) / subjobs


def test_a_small_file_is_read_in_place_in_few_calls() -> None:
    contigs = {f"chr{n}": contig_of(1_000_000, 8_000) for n in range(25)}
    plan = plan_tasks([Region(name) for name in contigs], contigs, 16, costs=STREAMED)
    assert sum(task.calls for task in plan.tasks) == 1


def test_the_url_lasts_as_long_as_a_tree_of_jobs_can() -> None:
    assert URL_SECONDS == 30 * 24 * 3600


def test_no_error_tells_the_url(in_place: IndexedFile) -> None:
    command = ["samtools", "view", "-c", in_place.as_samtools()]
    assert URL in command[-1]
    for said in (
        f'samtools view: failed to open "{URL}" for reading: Connection refused',
        f"[E::hts_open_format] Failed to open file {URL.upper().lower()}",
        f"[E::bgzf_read_block] Invalid BGZF header in {URL}##idx##/home/x.bai",
    ):
        error = failure(in_place, "chr1", command, 1, said)
        assert "S3cr3t" not in str(error) + error.details
        assert "my sample.bam" in error.details
    assert "S3cr3t" not in repr(in_place)


def test_the_file_is_still_known_to_a_process_of_the_pool(in_place: IndexedFile) -> None:
    assert pickle.loads(pickle.dumps(in_place)).data.location == URL


def test_a_broken_network_is_not_a_damaged_file(in_place: IndexedFile) -> None:
    broken = failure(in_place, "chr1", ["x"], 1, "expected 2 bytes; hread returned -1")
    damaged = failure(in_place, "chr1", ["x"], 1, "[E::bgzf_uncompress] Inflate operation failed")
    assert (type(broken), type(damaged)) == (NetworkError, CallError)
    assert is_a_known_message(str(broken), "AppInternalError")
    assert is_a_known_message(str(damaged), "AppError")


def test_what_fails_for_a_while_is_tried_again() -> None:
    errors: list[Exception] = [network_error("x", "gone"), CallError("cut")]

    def work() -> int:
        if errors:
            raise errors.pop()
        return 7

    assert with_retries(work) == 7


def test_what_goes_on_failing_is_given_up() -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise CallError("cut")

    with pytest.raises(CallError, match="cut"):
        with_retries(work)
    assert len(tries) == len(PAUSES) + 1


def test_what_is_wrong_for_good_is_not_tried_again() -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise InputError("not its index")

    with pytest.raises(InputError):
        with_retries(work)
    assert len(tries) == 1


@pytest.mark.parametrize(
    ("stream_bam", "subjobs", "has_index"),
    [(True, 0, False), (False, 2, False), (False, -1, True), (False, 501, True)],
)
def test_what_cannot_be_done_in_place_is_refused(
    stream_bam: bool, subjobs: int, has_index: bool
) -> None:
    with pytest.raises(InputError) as refused:
        check_streaming(stream_bam, subjobs, has_index)
    assert is_a_known_message(str(refused.value), "AppError")


@pytest.mark.parametrize("slices_per_container", [1, 300])
def test_containers_are_the_same_in_place(tmp_path: Path, slices_per_container: int) -> None:
    """The header of a container is longer, the more slices it has."""
    bam = make_bam(tmp_path, {"chr1": 25_000, "chr2": 3, "chr3": 0}, unplaced=2)
    each = "seqs_per_slice=10" if slices_per_container > 1 else "seqs_per_slice=10000"
    cram = cram_of(bam, "no_ref=1", each, f"slices_per_container={slices_per_container}")
    content, slices = cram.read_bytes(), read_crai(Path(f"{cram}.crai"))

    def read(start: int, size: int) -> bytes:
        return content[start : start + size]

    found = read_containers_streamed(read, len(content), [part.container for part in slices])
    assert found == read_containers(cram)
    assert {guess.offset for guess in guess_containers(slices)} < {each.offset for each in found}
    with pytest.raises(ContainerError, match="truncated"):
        read_containers_streamed(read, len(content) - 1, [])


@pytest.fixture
def refusing(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that answers with this status only."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(request.param)

        def log_message(self, *arguments: object) -> None:
            """Does not write to standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/S3cr3t/x.bam"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("refusing", "kind", "known"),
    [
        (401, InputError, "AppError"),
        (403, InputError, "AppError"),
        (500, NetworkError, "AppInternalError"),
    ],
    indirect=["refusing"],
)
def test_a_link_that_has_expired_is_not_a_broken_network(
    tmp_path: Path, refusing: str, kind: type[Exception], known: str
) -> None:
    file = IndexedFile(StreamedFile("x.bam", 100, refusing), tmp_path / "x.bai")
    with pytest.raises(kind) as caught:
        file.data.read(0, 10)
    command = ["samtools", "view", "-c", refusing]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    said_by_samtools = failure(file, "chr1", command, ended.returncode, ended.stderr)
    for error in (caught.value, said_by_samtools):
        assert isinstance(error, kind)
        assert is_a_known_message(str(error), known)
        assert "S3cr3t" not in str(error)


def test_samtools_says_of_a_lost_connection_what_is_taken_for_one(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    url = "http://127.0.0.1:9/F/D/S3cr3t/x.bam"
    gone = IndexedFile(StreamedFile("x.bam", 100, url), Path(f"{bam}.bai"))
    command = ["samtools", "view", "-c", gone.as_samtools()]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    error = failure(gone, "chr1", command, ended.returncode, ended.stderr)
    assert isinstance(error, NetworkError)
    assert not re.search("S3cr3t", str(error) + error.details)
