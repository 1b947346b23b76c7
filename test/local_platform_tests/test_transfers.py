"""Bytes: parts and their checks on the way in, ranges on the way out."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import dxpy
import pytest

from local_platform import LocalPlatform
from local_platform.network import GET, PUT, Network, Request, Transfer
from local_platform_tests.client import Client, error_of, refused, send, wait_until

MIB = 1024**2
PART = 5 * MIB


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def announce(file_id: str, content: bytes, index: int = 1) -> dict[str, Any]:
    """The URL for a part, with the headers that belong to it."""
    part = {"index": index, "size": len(content), "md5": md5(content)}
    return dict(dxpy.api.file_upload(file_id, part))


def put(target: dict[str, Any], content: bytes) -> tuple[int, dict[str, Any]]:
    headers = {**target["headers"], "Content-Length": str(len(content))}
    return send("PUT", target["url"], content, headers)


def upload(file_id: str, content: bytes, index: int = 1) -> None:
    assert put(announce(file_id, content, index), content)[0] == 200


def get(target: dict[str, Any], **headers: str) -> tuple[int, bytes]:
    request = HttpRequest(target["url"], headers={**target["headers"], **headers})
    with urlopen(request) as response:
        return response.status, response.read()


def test_parts_in_any_order_make_one_file(client: Client) -> None:
    file_id = client.open_file()
    parts = {index: bytes([index]) * PART for index in (1, 2)} | {3: b"end"}
    for index in (3, 1, 2):
        upload(file_id, parts[index], index)
    dxpy.api.file_close(file_id)
    client.wait_until_closed(file_id)
    described = dxpy.describe(file_id, fields={"parts": True, "size": True})
    assert described["size"] == 2 * PART + 3
    assert described["parts"] == {
        str(index): {"size": len(part), "md5": md5(part), "state": "complete"}
        for index, part in parts.items()
    }
    with dxpy.open_dxfile(file_id, mode="rb") as file:
        assert file.read() == b"".join(parts[index] for index in (1, 2, 3))


def test_a_file_of_several_parts_goes_up_and_down(client: Client) -> None:
    content = bytes(range(251)) * (12 * MIB // 251)
    source = client.local_file("big", content)
    file = dxpy.upload_local_file(
        str(source), project=client.project, folder=client.folder, write_buffer_size=PART
    )
    client.wait_until_closed(file.get_id())
    assert sorted(file.describe(fields={"parts": True})["parts"]) == ["1", "2", "3"]
    dxpy.download_dxfile(file.get_id(), str(client.local / "back"), chunksize=MIB)
    assert (client.local / "back").read_bytes() == content


def test_a_part_may_be_sent_again_while_the_file_is_open(client: Client) -> None:
    file_id = client.open_file()
    upload(file_id, b"first")
    upload(file_id, b"second")
    dxpy.api.file_close(file_id)
    client.wait_until_closed(file_id)
    assert dxpy.DXFile(file_id).read() == "second"


def test_a_part_that_is_not_what_was_announced_is_refused(client: Client) -> None:
    file_id = client.open_file()
    assert error_of(put(announce(file_id, b"abc"), b"abd")) == (422, "InvalidInput")
    assert error_of(put(announce(file_id, b"abc"), b"abcd")) == (422, "InvalidInput")
    assert dxpy.describe(file_id, fields={"parts": True})["parts"]["1"]["state"] == "pending"
    with refused("InvalidState", 422):
        dxpy.api.file_close(file_id)
    # Nothing of it is left.
    assert list((client.platform.store.root / file_id).iterdir()) == []


def test_a_url_takes_one_part_once(client: Client) -> None:
    file_id = client.open_file()
    target = announce(file_id, b"abc")
    assert put(target, b"abc")[0] == 200
    assert error_of(put(target, b"abc")) == (401, "PermissionDenied")


def test_the_later_announcement_of_a_part_counts(client: Client) -> None:
    file_id = client.open_file()
    early, late = announce(file_id, b"early"), announce(file_id, b"late")
    assert error_of(put(early, b"early")) == (422, "InvalidState")
    assert put(late, b"late")[0] == 200


@pytest.mark.parametrize(
    "part",
    [
        {"index": 0, "size": 3, "md5": md5(b"abc")},
        {"index": 10_001, "size": 3, "md5": md5(b"abc")},
        {"index": "1", "size": 3, "md5": md5(b"abc")},
        {"index": 1, "size": -1, "md5": md5(b"abc")},
        {"index": 1, "size": 5 * 1024**3 + 1, "md5": md5(b"abc")},
        {"index": 1, "size": "3", "md5": md5(b"abc")},
        {"index": 1, "size": 3, "md5": "abc"},
        {"index": 1, "size": 3},
        {"index": 1, "md5": md5(b"abc")},
    ],
)
def test_a_part_outside_the_limits_is_refused(client: Client, part: dict[str, Any]) -> None:
    with refused("InvalidInput", 422):
        dxpy.api.file_upload(client.open_file(), part)


def test_only_the_last_part_may_be_small(client: Client) -> None:
    file_id = client.open_file()
    upload(file_id, b"small", 1)
    upload(file_id, b"last", 2)
    with refused("InvalidInput", 422, "5 MiB"):
        dxpy.api.file_close(file_id)


def test_a_file_without_a_part_cannot_be_closed(client: Client) -> None:
    with refused("InvalidState", 422):
        dxpy.api.file_close(client.open_file())


def test_a_closed_file_takes_no_part(client: Client) -> None:
    file_id = client.open_file()
    late = announce(file_id, b"abc")
    upload(file_id, b"abc")
    dxpy.api.file_close(file_id)
    with refused("InvalidState", 422, "not open"):
        announce(file_id, b"abc", 2)
    assert error_of(put(late, b"abc")) == (422, "InvalidState")


def test_closing_again_changes_nothing(client: Client) -> None:
    file_id = client.open_file()
    upload(file_id, b"abc")
    dxpy.api.file_close(file_id)
    dxpy.api.file_close(file_id)
    client.wait_until_closed(file_id)
    dxpy.api.file_close(file_id)
    assert dxpy.DXFile(file_id).read() == "abc"


def test_a_part_for_a_removed_file_is_refused(client: Client) -> None:
    file_id = client.open_file()
    target = announce(file_id, b"abc")
    dxpy.api.project_remove_objects(client.project, {"objects": [file_id]})
    assert error_of(put(target, b"abc")) == (404, "ResourceNotFound")


@pytest.mark.usefixtures("slow_closing")
def test_only_a_closed_file_can_be_downloaded(client: Client) -> None:
    file_id = client.open_file()
    with refused("InvalidState", 422, "open"):
        dxpy.api.file_download(file_id)
    upload(file_id, b"abc")
    dxpy.api.file_close(file_id)
    with refused("InvalidState", 422, "closing"):
        dxpy.api.file_download(file_id)


def test_a_download_from_a_project_without_the_file_is_refused(client: Client) -> None:
    other = client.another_project_with(client.file())
    with refused("ResourceNotFound", 404, other):
        dxpy.api.file_download(client.file(), {"project": other})


@pytest.mark.parametrize(
    ("range_", "expected"),
    [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=8-100", b"89")],
)
def test_a_range_has_both_its_ends(client: Client, range_: str, expected: bytes) -> None:
    target = dxpy.api.file_download(client.file("digits", "0123456789"))
    assert get(target, Range=range_) == (206, expected)
    assert get(target) == (200, b"0123456789")


def test_a_range_beyond_the_end_is_refused(client: Client) -> None:
    target = dxpy.api.file_download(client.file("digits", "0123456789"))
    headers = {**target["headers"], "Range": "bytes=10-12"}
    request = HttpRequest(target["url"], headers=headers)
    with pytest.raises(OSError, match="416"):
        urlopen(request)


def test_a_download_needs_the_headers_that_came_with_its_url(client: Client) -> None:
    target = dxpy.api.file_download(client.file())
    answer = send("GET", target["url"], None, {})
    assert error_of(answer) == (401, "InvalidAuthentication")


def test_a_preauthenticated_url_needs_nothing_else(client: Client) -> None:
    target = dxpy.api.file_download(client.file("a", "text"), {"preauthenticated": True})
    assert target["headers"] == {}
    assert get(target) == (200, b"text")


def test_an_expired_or_foreign_url_is_refused(client: Client) -> None:
    expired = dxpy.api.file_download(client.file(), {"duration": 0})
    answer = send("GET", expired["url"], None, expired["headers"])
    assert error_of(answer) == (401, "PermissionDenied")
    invented = f"{client.platform.base_url}/F/D/invented/name"
    assert error_of(send("GET", invented, None, {})) == (401, "PermissionDenied")


def test_the_url_of_a_removed_file_is_refused(client: Client) -> None:
    file_id = client.file()
    target = dxpy.api.file_download(file_id)
    dxpy.api.project_remove_objects(client.project, {"objects": [file_id]})
    answer = send("GET", target["url"], None, target["headers"])
    assert error_of(answer) == (404, "ResourceNotFound")


def test_dx_make_download_url_gives_a_url_that_works(client: Client) -> None:
    client.file("a.txt", "text")
    url = client.dx("make_download_url", "a.txt")
    assert get({"url": url, "headers": {}}) == (200, b"text")


@pytest.fixture
def slow_network(platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network(bytes_per_second=10_000_000, latency=0.1, call_latency=0.05)
    monkeypatch.setattr(platform, "network", network)
    return network


def test_a_connection_is_as_fast_as_the_network(client: Client, slow_network: Network) -> None:
    target = dxpy.api.file_download(client.file("a", "x" * 2_000_000), {"preauthenticated": True})
    start = time.monotonic()
    assert len(get(target)[1]) == 2_000_000
    assert time.monotonic() - start >= 0.3


def test_what_went_over_the_network_is_known(client: Client, slow_network: Network) -> None:
    file_id = client.file("a", "0123456789" * 100_000)
    target = dxpy.api.file_download(file_id, {"preauthenticated": True})
    get(target, Range="bytes=10-19")
    with urlopen(target["url"]) as given_up:
        given_up.read(10)
    wait_until(lambda: len(slow_network.transfers) == 2)
    part, rest = slow_network.transfers
    assert part == Transfer(file_id, "user-local", "bytes=10-19", 10)
    assert (rest.requested, 10 <= rest.sent < 1_000_000) == ("", True)


def test_calls_and_transfers_take_their_time_and_are_known(
    client: Client, slow_network: Network
) -> None:
    start = time.monotonic()
    file_id = dxpy.upload_string("text", project=client.project, folder=client.folder).get_id()
    client.wait_until_closed(file_id)
    get(dxpy.api.file_download(file_id, {"preauthenticated": True}))
    assert time.monotonic() - start >= 5 * 0.05 + 2 * 0.1
    assert slow_network.requests == [
        Request(route, "user-local")
        for route in (
            *("/file/new", "/{container}/describe", "/{file}/upload", PUT, "/{file}/close"),
            *("/{file}/download", GET),
        )
    ]


def test_a_call_that_takes_its_time_keeps_no_other_from_being_answered(
    client: Client, slow_network: Network
) -> None:
    slow_network.call_latency = 0.5
    start = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: dxpy.api.system_whoami(), range(4)))
    assert time.monotonic() - start < 1
