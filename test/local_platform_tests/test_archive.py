"""`dx archive` and `dx unarchive`, and operations that an archived file does not allow."""

from collections.abc import Iterator
from urllib.request import urlopen

import dxpy
import pytest

from local_platform import store
from local_platform_tests.client import Client, Fields, error_of, link, rejected, wait_until

TEXT: Fields = [{"name": "text", "class": "file"}]


def archival_state(file_id: str) -> str:
    return str(dxpy.describe(file_id)["archivalState"])


@pytest.fixture
def slow_unarchiving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "UNARCHIVING_SECONDS", 3600)


def test_dx_archives_and_unarchives_a_file(client: Client) -> None:
    file_id = client.file("a.txt", "text")
    assert archival_state(file_id) == "live"
    assert "Tagged 1 file(s) for archival" in client.dx("archive", "-y", file_id)
    assert archival_state(file_id) == "archived"
    client.dx("cat", "a.txt", status=3)
    assert "Tagged 1 file(s) for unarchival" in client.dx("unarchive", "-y", file_id)
    wait_until(lambda: archival_state(file_id) == "live")
    assert client.dx("cat", "a.txt") == "text"


@pytest.mark.usefixtures("slow_unarchiving")
def test_a_file_cannot_be_downloaded_while_it_is_being_unarchived(client: Client) -> None:
    file_id = client.file()
    client.dx("archive", "-y", file_id)
    client.dx("unarchive", "-y", file_id)
    assert archival_state(file_id) == "unarchiving"
    with rejected("InvalidState", 422, "because it is in the unarchiving state."):
        dxpy.api.file_download(file_id)


@pytest.fixture
def other_project(client: Client) -> Iterator[str]:
    project: str = dxpy.api.project_new({"name": "other"})["id"]
    yield project
    dxpy.api.project_destroy(project)


def test_a_file_with_a_live_copy_is_only_marked_for_archival(
    client: Client, other_project: str
) -> None:
    file_id, platform = client.file(), client.platform
    with platform.store.changed:
        file = platform.store.find_object(file_id)
        platform.store.clone(file, client.project, other_project, "/")
    client.dx("archive", "-y", file_id)
    assert archival_state(file_id) == "archival"
    copy = dxpy.dxlink(file_id, other_project)
    assert dxpy.describe(copy)["archivalState"] == "live"
    client.dx("archive", "-y", f"{other_project}:{file_id}")
    assert archival_state(file_id) == "archived"
    client.dx("unarchive", "-y", file_id)
    wait_until(lambda: archival_state(file_id) == "live")
    assert dxpy.describe(copy)["archivalState"] == "archival"


def test_an_archived_file_cannot_be_read(client: Client) -> None:
    file_id = client.file()
    target = dxpy.api.file_download(file_id, {"preauthenticated": True})
    client.dx("archive", "-y", file_id)
    message = "The file cannot be downloaded because it is in the archived state."
    with rejected("InvalidState", 422, message):
        dxpy.api.file_download(file_id)
    with rejected("InvalidState", 422, "archived"):
        client.start(client.applet(inputs=TEXT), {"text": link(file_id)})
    with pytest.raises(OSError, match="403"):
        urlopen(target["url"])


def test_an_open_file_cannot_be_archived(client: Client) -> None:
    answer = client.request(f"/{client.project}/archive", {"files": [client.open_file()]})
    assert error_of(answer) == (422, "InvalidState")


def test_downloading_a_flagged_file_prints_a_warning(client: Client) -> None:
    file_id = client.file("bad.txt", "text")
    assert "security_status" not in dxpy.api.file_download(file_id)
    client.platform.store.find_object(file_id).flagged = True
    assert dxpy.api.file_download(file_id)["security_status"] == "FLAGGED_MALICIOUS"
    process = client.dx_process("cat", "bad.txt")
    output, warning = process.communicate(timeout=60)
    assert (output, process.returncode) == ("text", 0)
    assert "Potentially malicious file detected" in warning
