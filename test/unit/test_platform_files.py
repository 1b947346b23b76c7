"""Files of the platform, as descriptions of them say."""

from typing import Any

import dxpy
import pytest

from messages import is_a_known_message
from readcount.errors import InputError
from readcount.platform_files import PlatformFile, check_readable, describe_files
from steps import LINK

FILE_ID = LINK["$dnanexus_link"]
FIELD = "mappings_sorted_bam"


def file(**description: Any) -> PlatformFile:
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
def test_a_file_that_cannot_be_read_is_refused(description: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        check_readable(file(**description))
    assert is_a_known_message(str(caught.value), "AppError")


def test_a_file_that_can_be_read_is_not_refused() -> None:
    check_readable(file(archivalState="live", state="closed"))


def test_a_copy_in_a_project_is_described_as_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def describe(body: dict[str, Any]) -> dict[str, Any]:
        asked.extend(body["objects"])
        return {"results": [{"describe": {"id": one["id"]}} for one in body["objects"]]}

    monkeypatch.setattr(dxpy.api, "system_describe_data_objects", describe)
    there = {"$dnanexus_link": {"project": "project-x", "id": FILE_ID}}
    files = describe_files([(FIELD, LINK), ("regions_bed", there)])
    assert [each.field for each in files] == [FIELD, "regions_bed"]
    assert [one.get("project") for one in asked] == [None, "project-x"]


def test_many_files_are_described_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def describe(body: dict[str, Any]) -> dict[str, Any]:
        calls.append(len(body["objects"]))
        return {"results": [{"describe": {"id": one["id"]}} for one in body["objects"]]}

    monkeypatch.setattr(dxpy.api, "system_describe_data_objects", describe)
    assert len(describe_files([("counts", LINK)] * 1500)) == 1500
    assert calls == [1000, 500]


@pytest.mark.parametrize("answers", [True, False], ids=["of the file", "of the whole call"])
def test_a_file_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    error = {"error": {"type": "ResourceNotFound", "message": f'"{FILE_ID}" could not be found'}}

    def describe(body: dict[str, Any]) -> dict[str, Any]:
        if answers:
            return {"results": [error]}
        raise dxpy.exceptions.ResourceNotFound(error, 404)

    monkeypatch.setattr(dxpy.api, "system_describe_data_objects", describe)
    with pytest.raises(InputError) as caught:
        describe_files([(FIELD, LINK)])
    assert is_a_known_message(str(caught.value), "AppError")


def test_a_fault_of_the_platform_is_not_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def describe(body: dict[str, Any]) -> dict[str, Any]:
        raise dxpy.exceptions.InternalError(
            {"error": {"type": "InternalError", "message": "no answer"}}, 500
        )

    monkeypatch.setattr(dxpy.api, "system_describe_data_objects", describe)
    with pytest.raises(dxpy.exceptions.InternalError):
        describe_files([(FIELD, LINK)])
