"""Streamed files: reading, retries, secrecy of the URL, and how subjobs divide the tasks."""

import contextlib
import http.server
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from builders import cram_of, index_of, make_bam
from layouts import layout_of, names, task_of
from messages import is_a_known_message
from readcount.errors import CallError, InputError, NetworkError
from readcount.planning.costs import STREAMED
from readcount.planning.divide import MAX_SHARE, divide
from readcount.planning.plan import plan_tasks
from readcount.planning.task import Task
from readcount.platform_files import URL_SECONDS
from readcount.regions.region_list import RegionList
from readcount.request.request import check_streaming
from readcount.source.files import InputFiles
from readcount.source.opening import open_alignments
from readcount.source.parts import Edge, Part
from readcount.source.readers import (
    PAUSES,
    LocalFile,
    Stream,
    StreamedFile,
    request_error,
    with_retries,
)
from steps import ask, count_here, planned

URL = "https://dl.dnanex.us/F/D/S3cr3t/my%20sample.bam"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def tasks_with(*costs: float) -> list[Task]:
    part = Part(Edge(0), Edge(1 << 16))
    return [task_of(part, region_ids=[n], cost=cost) for n, cost in enumerate(costs)]


@pytest.mark.parametrize(
    ("costs", "subjobs", "shares"),
    [
        ([], 3, []),
        ([5], 3, [(0,)]),
        ([4, 4, 4], 3, [(0,), (1,), (2,)]),
        ([5, 4, 3, 2], 2, [(0, 3), (1, 2)]),
        # With a second subjob the count would hardly finish earlier.
        ([9, 1], 2, [(0, 1)]),
    ],
)
def test_the_shares_of_subjobs_have_similar_costs(
    costs: list[float], subjobs: int, shares: list[tuple[int, ...]]
) -> None:
    assert divide(tasks_with(*costs), subjobs) == shares


@pytest.mark.parametrize("subjobs", [1, 2, 7, 30])
def test_every_task_is_assigned_to_exactly_one_subjob(subjobs: int) -> None:
    layout = layout_of(*[1_000_000_000 + tid for tid in range(24)])
    regions = RegionList.of_whole(names(24))
    plan = plan_tasks(regions, layout, 16 * subjobs, STREAMED)
    shares = divide(plan.tasks, subjobs)
    assert len(shares) == subjobs
    assert sorted(task for share in shares for task in share) == list(range(len(plan.tasks)))
    costs = [sum(plan.tasks[task].cost for task in share) for share in shares]
    assert max(costs) <= MAX_SHARE * sum(costs) / subjobs


def test_the_url_is_valid_for_the_maximum_lifetime_of_a_tree_of_jobs() -> None:
    assert URL_SECONDS == 30 * 24 * 3600


def test_the_url_is_not_in_the_repr_of_a_file() -> None:
    assert "S3cr3t" not in repr(StreamedFile("my sample.bam", 100, URL))


def test_a_temporary_failure_is_retried() -> None:
    errors: list[Exception] = [request_error("x", EOFError()), CallError("cut")]

    def work() -> int:
        if errors:
            raise errors.pop()
        return 7

    assert with_retries(work) == 7


def test_a_persistent_failure_is_raised_after_the_last_retry() -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise CallError("cut")

    with pytest.raises(CallError, match="cut"):
        with_retries(work)
    assert len(calls) == len(PAUSES) + 1


def test_an_input_error_is_not_retried() -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise InputError("not its index")

    with pytest.raises(InputError):
        with_retries(work)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("stream_bam", "subjobs", "has_index"),
    [(True, 0, False), (False, 2, False), (False, -1, True), (False, 501, True)],
)
def test_invalid_streaming_inputs_are_rejected(
    stream_bam: bool, subjobs: int, has_index: bool
) -> None:
    with pytest.raises(InputError) as caught:
        check_streaming(stream_bam, subjobs, has_index)
    assert is_a_known_message(str(caught.value), "AppError")


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ranges of the content.

    Attributes:
        content: the file.
        break_after: numbers of bytes after which the next responses break off, last one first.
        error_status: HTTP status of all responses, if they are errors.
        ranges: the ranges requested so far.
    """

    content = random.Random(1).randbytes(5_000_000)
    break_after: ClassVar[list[int]] = []
    error_status: ClassVar[int | None] = None
    ranges: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        requested = self.headers["Range"]
        self.ranges.append(requested)
        if self.error_status:
            self.send_error(self.error_status)
            return
        first, last = map(int, requested.removeprefix("bytes=").split("-"))
        data = self.content[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data[: self.break_after.pop()] if self.break_after else data)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Does nothing."""


@pytest.fixture
def streamed() -> Iterator[StreamedFile]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Server.break_after, Server.error_status, Server.ranges = [], None, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/F/D/S3cr3t/x.bam"
        yield StreamedFile("x.bam", len(Server.content), url)
        server.shutdown()


def sent(stream: Stream, size: int) -> bytes:
    """Returns what a stream sends to a pipe."""
    reading, writing = os.pipe()
    received: list[bytes] = []

    def receive() -> None:
        with os.fdopen(reading, "rb") as pipe:
            received.append(pipe.read())

    receiver = threading.Thread(target=receive)
    receiver.start()
    try:
        stream.send(size, writing)
    finally:
        os.close(writing)
        receiver.join()
    return received[0]


@pytest.mark.parametrize("local", [True, False])
def test_a_stream_returns_consecutive_bytes(
    tmp_path: Path, streamed: StreamedFile, local: bool
) -> None:
    content = Server.content
    (tmp_path / "x.bam").write_bytes(content)
    file = LocalFile(tmp_path / "x.bam") if local else streamed
    with file.stream(1000, 4_000_000) as stream:
        assert stream.peek(10) == stream.peek(10) == content[1000:1010]
        stream.skip(4)
        assert stream.peek(100_000) == content[1004:101_004]
        assert sent(stream, 3_000_000) == content[1004:3_001_004]
        assert (stream.offset, stream.peek(5)) == (3_001_004, content[3_001_004:3_001_009])
        assert sent(stream, 3) == content[3_001_004:3_001_007]
    with file.stream(len(content) - 10, len(content)) as stream:
        assert stream.peek(99) == content[-10:]
        with pytest.raises(EOFError):
            sent(stream, 11)
        with pytest.raises(EOFError):
            stream.skip(1)
    assert local or len(Server.ranges) == 2


def test_reading_resumes_where_the_connection_broke(streamed: StreamedFile) -> None:
    Server.break_after = [3_000_000, 10]
    with streamed.stream(0, 5_000_000) as stream:
        assert sent(stream, 5_000_000) == Server.content
    assert Server.ranges == [f"bytes={start}-4999999" for start in (0, 10, 3_000_010)]


def test_a_connection_that_keeps_breaking_is_a_network_error(
    streamed: StreamedFile, capsys: pytest.CaptureFixture[str]
) -> None:
    Server.break_after = [0] * 9
    with streamed.stream(0, 1000) as stream, pytest.raises(NetworkError) as caught:
        stream.peek(5)
    assert len(Server.ranges) == len(PAUSES) + 1
    assert is_a_known_message(str(caught.value), "AppInternalError")
    assert "S3cr3t" not in str(caught.value) + capsys.readouterr().out


@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_link_is_not_retried(streamed: StreamedFile, status: int) -> None:
    Server.error_status = status
    with pytest.raises(InputError) as while_reading:
        streamed.read(0, 10)
    with streamed.stream(0, 1000) as stream, pytest.raises(InputError) as while_peeking:
        stream.peek(5)
    assert len(Server.ranges) == 2
    for caught in (while_reading, while_peeking):
        assert is_a_known_message(str(caught.value), "AppError")
        assert "S3cr3t" not in str(caught.value)


@pytest.mark.samtools
@pytest.mark.parametrize("cram", [False, True])
def test_each_part_is_read_in_one_request(
    tmp_path: Path, streamed: StreamedFile, cram: bool
) -> None:
    bam = make_bam(tmp_path, {"chr1": 30_000, "chr2": 30_000, "chr3": 9}, unplaced=5)
    file = cram_of(bam, "seqs_per_slice=5000") if cram else bam
    Server.content = file.read_bytes()
    mappings = replace(streamed, size=file.stat().st_size)
    alignments = open_alignments(InputFiles(mappings, index_of(file)))
    for regions, counts in (([], [30_000, 30_000, 9]), (["chr2"], [30_000]), (["chr3:15-19"], [4])):
        request = ask(regions=regions)
        plan = planned(alignments, request, costs=replace(STREAMED, call=0, gap_bytes=0))
        Server.ranges.clear()
        assert list(count_here(alignments, plan).counts.records) == counts
        assert len(Server.ranges) == sum(len(task.parts) for task in plan.tasks)
