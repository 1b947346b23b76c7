"""Fixtures: one local platform for all tests of this folder, and a client for each test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import dxpy
import pytest

from dx_client import python_client
from local_platform import LocalPlatform, store
from local_platform_tests.client import Client

_folder_numbers = count(1)


@pytest.fixture(scope="session")
def platform() -> Iterator[LocalPlatform]:
    with pytest.MonkeyPatch.context() as patch, LocalPlatform(jobs_at_once=4) as platform:
        # Files close almost at once: most tests only need a closed file.
        patch.setattr(store, "CLOSING_SECONDS", 0.02)
        yield platform


@pytest.fixture
def slow_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps files in the state "closing" long enough for a test to see it."""
    monkeypatch.setattr(store, "CLOSING_SECONDS", 1)


@pytest.fixture(scope="session")
def _dxpy(platform: LocalPlatform) -> Iterator[None]:
    """Configures dxpy in this process as the platform's user."""
    with python_client(platform.client_environment()):
        yield


@pytest.fixture
def client(platform: LocalPlatform, _dxpy: None, tmp_path: Path) -> Client:
    """Returns a client with a new folder."""
    folder = f"/test{next(_folder_numbers)}"
    dxpy.api.project_new_folder(platform.project.id, {"folder": folder})
    return Client(platform, folder, tmp_path)
