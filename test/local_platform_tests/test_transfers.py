"""Uploads in parts, and downloads of files and ranges."""

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
from local_platform_tests.client import Client, error_of, rejected, send, wait_until

MIB = 1024**2
PART = 5 * MIB


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def request_upload(file_id: str, content: bytes, index: int = 1) -> dict[str, Any]:
    """Requests a URL for uploading a part; returns it with its headers."""
    part = {"index": index, "size": len(content), "md5": md5(content)}
    return dict(dxpy.api.file_upload(file_id, part))


def put(target: dict[str, Any], content: bytes) -> tuple[int, dict[str, Any]]:
    headers = {**target["headers"], "Content-Length": str(len(content))}
    return send("PUT", target["url"], content, headers)


def upload_part(file_id: str, content: bytes, index: int = 1) -> None:
    assert put(request_upload(file_id, content, index), content)[0] == 200


def get(target: dict[str, Any], **headers: str) -> tuple[int, bytes]:
    request = HttpRequest(target["url"], headers={**target["headers"], **headers})
    with urlopen(request) as response:
        return response.status, response.read()


def test_parts_can_be_uploaded_in_any_order(client: Client) -> None:
    file_id = client.open_file()
    parts = {index: bytes([index]) * PART for index in (1, 2)} | {3: b"end"}
    for index in (3, 1, 2):
        upload_part(file_id, parts[index], index)
    dxpy.api.file_close(file_id)
    client.wait_until_closed(file_id)
    description = dxpy.describe(file_id, fields={"parts": True, "size": True})
    assert description["size"] == 2 * PART + 3
    assert description["parts"] == {
        str(index): {"size": len(part), "md5": md5(part), "state": "complete"}
        for index, part in parts.items()
    }
    with dxpy.open_dxfile(file_id, mode="rb") as file:
        assert file.read() == b"".join(parts[index] for index in (1, 2, 3))


def test_a_file_of_several_parts_is_uploaded_and_downloaded(client: Client) -> None:
    content = bytes(range(251)) * (12 * MIB // 251)
    source = client.local_file("big", content)
    file = dxpy.upload_local_file(
        str(source), project=client.project, folder=client.folder, write_buffer_size=PART
    )
    client.wait_until_closed(file.get_id())
    assert sorted(file.describe(fields={"parts": True})["parts"]) == ["1", "2", "3"]
    dxpy.download_dxfile(file.get_id(), str(client.local / "back"), chunksize=MIB)
    assert (client.local / "back").read_bytes() == content


def test_a_part_can_be_replaced_while_the_file_is_open(client: Client) -> None:
    file_id = client.open_file()
    upload_part(file_id, b"first")
    upload_part(file_id, b"second")
    dxpy.api.file_close(file_id)
    client.wait_until_closed(file_id)
    assert dxpy.DXFile(file_id).read() == "second"


def test_a_part_with_the_wrong_checksum_or_size_is_rejected(client: Client) -> None:
    file_id = client.open_file()
    assert error_of(put(request_upload(file_id, b"abc"), b"abd")) == (422, "InvalidInput")
    assert error_of(put(request_upload(file_id, b"abc"), b"abcd")) == (422, "InvalidInput")
    assert dxpy.describe(file_id, fields={"parts": True})["parts"]["1"]["state"] == "pending"
    with rejected("InvalidState", 422):
        dxpy.api.file_close(file_id)
    # The rejected data was deleted.
    assert list((client.platform.store.root / file_id).iterdir()) == []


def test_an_upload_url_can_be_used_only_once(client: Client) -> None:
    file_id = client.open_file()
    target = request_upload(file_id, b"abc")
    assert put(target, b"abc")[0] == 200
    assert error_of(put(target, b"abc")) == (401, "PermissionDenied")


def test_only_the_latest_upload_url_of_a_part_is_valid(client: Client) -> None:
    file_id = client.open_file()
    first, second = request_upload(file_id, b"first"), request_upload(file_id, b"second")
    assert error_of(put(first, b"first")) == (422, "InvalidState")
    assert put(second, b"second")[0] == 200


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
def test_an_invalid_part_is_rejected(client: Client, part: dict[str, Any]) -> None:
    with rejected("InvalidInput", 422):
        dxpy.api.file_upload(client.open_file(), part)


def test_only_the_last_part_may_be_small(client: Client) -> None:
    file_id = client.open_file()
    upload_part(file_id, b"small", 1)
    upload_part(file_id, b"last", 2)
    with rejected("InvalidInput", 422, "5 MiB"):
        dxpy.api.file_close(file_id)


def test_a_file_without_parts_cannot_be_closed(client: Client) -> None:
    with rejected("InvalidState", 422):
        dxpy.api.file_close(client.open_file())


def test_a_closed_file_accepts_no_parts(client: Client) -> None:
    file_id = client.open_file()
    replaced = request_upload(file_id, b"abc")
    upload_part(file_id, b"abc")
    dxpy.api.file_close(file_id)
    with rejected("InvalidState", 422, "not open"):
        request_upload(file_id, b"abc", 2)
    assert error_of(put(replaced, b"abc")) == (422, "InvalidState")


def test_closing_a_file_again_changes_nothing(client: Client) -> None:
    file_id = client.open_file()
    upload_part(file_id, b"abc")
    dxpy.api.file_close(file_id)
    dxpy.api.file_close(file_id)
    client.wait_until_closed(file_id)
    dxpy.api.file_close(file_id)
    assert dxpy.DXFile(file_id).read() == "abc"


def test_a_part_for_a_removed_file_is_rejected(client: Client) -> None:
    file_id = client.open_file()
    target = request_upload(file_id, b"abc")
    dxpy.api.project_remove_objects(client.project, {"objects": [file_id]})
    assert error_of(put(target, b"abc")) == (404, "ResourceNotFound")


@pytest.mark.usefixtures("slow_closing")
def test_only_a_closed_file_can_be_downloaded(client: Client) -> None:
    file_id = client.open_file()
    with rejected("InvalidState", 422, "open"):
        dxpy.api.file_download(file_id)
    upload_part(file_id, b"abc")
    dxpy.api.file_close(file_id)
    with rejected("InvalidState", 422, "closing"):
        dxpy.api.file_download(file_id)


def test_a_download_from_a_project_without_the_file_is_rejected(client: Client) -> None:
    other = client.move_to_other_users_project(client.file())
    with rejected("ResourceNotFound", 404, other):
        dxpy.api.file_download(client.file(), {"project": other})


@pytest.mark.parametrize(
    ("range_", "expected"),
    [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=8-100", b"89")],
)
def test_a_range_includes_both_ends(client: Client, range_: str, expected: bytes) -> None:
    target = dxpy.api.file_download(client.file("digits", "0123456789"))
    assert get(target, Range=range_) == (206, expected)
    assert get(target) == (200, b"0123456789")


def test_a_range_beyond_the_end_is_rejected(client: Client) -> None:
    target = dxpy.api.file_download(client.file("digits", "0123456789"))
    headers = {**target["headers"], "Range": "bytes=10-12"}
    request = HttpRequest(target["url"], headers=headers)
    with pytest.raises(OSError, match="416"):
        urlopen(request)


def test_a_download_needs_the_headers_issued_with_its_url(client: Client) -> None:
    target = dxpy.api.file_download(client.file())
    answer = send("GET", target["url"], None, {})
    assert error_of(answer) == (401, "InvalidAuthentication")


def test_a_preauthenticated_url_needs_no_headers(client: Client) -> None:
    target = dxpy.api.file_download(client.file("a", "text"), {"preauthenticated": True})
    assert target["headers"] == {}
    assert get(target) == (200, b"text")


def test_an_expired_or_unknown_url_is_rejected(client: Client) -> None:
    expired = dxpy.api.file_download(client.file(), {"duration": 0})
    answer = send("GET", expired["url"], None, expired["headers"])
    assert error_of(answer) == (401, "PermissionDenied")
    unknown = f"{client.platform.base_url}/F/D/unknown/name"
    assert error_of(send("GET", unknown, None, {})) == (401, "PermissionDenied")


def test_the_url_of_a_removed_file_is_rejected(client: Client) -> None:
    file_id = client.file()
    target = dxpy.api.file_download(file_id)
    dxpy.api.project_remove_objects(client.project, {"objects": [file_id]})
    answer = send("GET", target["url"], None, target["headers"])
    assert error_of(answer) == (404, "ResourceNotFound")


def test_dx_make_download_url_prints_a_working_url(client: Client) -> None:
    client.file("a.txt", "text")
    url = client.dx("make_download_url", "a.txt")
    assert get({"url": url, "headers": {}}) == (200, b"text")


@pytest.fixture
def slow_network(platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network(bytes_per_second=10_000_000, latency=0.1, call_latency=0.05)
    monkeypatch.setattr(platform, "network", network)
    return network


def test_the_network_limits_the_speed_of_a_download(client: Client, slow_network: Network) -> None:
    target = dxpy.api.file_download(client.file("a", "x" * 2_000_000), {"preauthenticated": True})
    start = time.monotonic()
    assert len(get(target)[1]) == 2_000_000
    assert time.monotonic() - start >= 0.3


def test_downloads_are_recorded_with_the_number_of_bytes_sent(
    client: Client, slow_network: Network
) -> None:
    file_id = client.file("a", "0123456789" * 100_000)
    target = dxpy.api.file_download(file_id, {"preauthenticated": True})
    get(target, Range="bytes=10-19")
    with urlopen(target["url"]) as aborted:
        aborted.read(10)
    wait_until(lambda: len(slow_network.transfers) == 2)
    part, rest = slow_network.transfers
    assert part == Transfer(file_id, "user-local", "bytes=10-19", 10)
    assert (rest.requested, 10 <= rest.sent < 1_000_000) == ("", True)


def test_requests_are_delayed_and_recorded(client: Client, slow_network: Network) -> None:
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


def test_delayed_calls_are_answered_concurrently(client: Client, slow_network: Network) -> None:
    slow_network.call_latency = 0.5
    start = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: dxpy.api.system_whoami(), range(4)))
    assert time.monotonic() - start < 1
