"""Descriptions of files on the platform, and checks that the files can be read."""

from typing import Any

import dxpy
import pytest

from messages import is_a_known_message
from readcount.errors import InputError
from readcount.platform_files import PlatformFile, check_readable, describe_files
from steps import LINK

FILE_ID = LINK["$dnanexus_link"]
FIELD = "mappings_sorted_bam"


def platform_file(**description: Any) -> PlatformFile:
    return PlatformFile(FIELD, {"id": FILE_ID, "name": "x.bam", "size": 5, **description})


@pytest.mark.parametrize(
    "description",
    [
        {"archivalState": "archived"},
        {"archivalState": "archival"},
        {"archivalState": "unarchiving"},
        {"archivalState": "live", "state": "open"},
        {"archivalState": "live", "state": "closing"},
    ],
    ids=str,
)
def test_a_file_that_is_archived_or_not_closed_is_rejected(description: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        check_readable(platform_file(**description))
    assert is_a_known_message(str(caught.value), "AppError")


def test_a_live_and_closed_file_is_accepted() -> None:
    check_readable(platform_file(archivalState="live", state="closed"))


def test_a_link_with_a_project_describes_the_copy_in_that_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requested: list[dict[str, Any]] = []

    def describe(body: dict[str, Any]) -> dict[str, Any]:
        requested.extend(body["objects"])
        return {"results": [{"describe": {"id": item["id"]}} for item in body["objects"]]}

    monkeypatch.setattr(dxpy.api, "system_describe_data_objects", describe)
    link_to_copy = {"$dnanexus_link": {"project": "project-x", "id": FILE_ID}}
    files = describe_files([(FIELD, LINK), ("regions_bed", link_to_copy)])
    assert [file.field for file in files] == [FIELD, "regions_bed"]
    assert [item.get("project") for item in requested] == [None, "project-x"]


def test_many_files_are_described_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def describe(body: dict[str, Any]) -> dict[str, Any]:
        calls.append(len(body["objects"]))
        return {"results": [{"describe": {"id": item["id"]}} for item in body["objects"]]}

    monkeypatch.setattr(dxpy.api, "system_describe_data_objects", describe)
    assert len(describe_files([("counts", LINK)] * 1500)) == 1500
    assert calls == [1000, 500]


@pytest.mark.parametrize("call_succeeds", [True, False], ids=["file error", "call error"])
def test_a_file_that_cannot_be_found_is_rejected(
    monkeypatch: pytest.MonkeyPatch, call_succeeds: bool
) -> None:
    error = {"error": {"type": "ResourceNotFound", "message": f'"{FILE_ID}" could not be found'}}

    def describe(body: dict[str, Any]) -> dict[str, Any]:
        if call_succeeds:
            return {"results": [error]}
        raise dxpy.exceptions.ResourceNotFound(error, 404)

    monkeypatch.setattr(dxpy.api, "system_describe_data_objects", describe)
    with pytest.raises(InputError) as caught:
        describe_files([(FIELD, LINK)])
    assert is_a_known_message(str(caught.value), "AppError")


def test_a_platform_error_is_not_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def describe(body: dict[str, Any]) -> dict[str, Any]:
        raise dxpy.exceptions.InternalError(
            {"error": {"type": "InternalError", "message": "no answer"}}, 500
        )

    monkeypatch.setattr(dxpy.api, "system_describe_data_objects", describe)
    with pytest.raises(dxpy.exceptions.InternalError):
        describe_files([(FIELD, LINK)])
