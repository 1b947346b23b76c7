"""One local platform for these tests, and dxpy pointed at it."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import dxpy
import pytest

from dx_client import python_client
from local_platform import LocalPlatform, store
from local_platform_tests.client import Client

_numbers = count(1)


@pytest.fixture(scope="session")
def platform() -> Iterator[LocalPlatform]:
    with pytest.MonkeyPatch.context() as patch, LocalPlatform(jobs_at_once=4) as platform:
        # Most of these tests only need a file that is there.
        patch.setattr(store, "CLOSING_SECONDS", 0.02)
        yield platform


@pytest.fixture
def slow_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files take so long to close that nobody misses it."""
    monkeypatch.setattr(store, "CLOSING_SECONDS", 1)


@pytest.fixture(scope="session")
def _dxpy(platform: LocalPlatform) -> Iterator[None]:
    """The dxpy of this process as the platform's user."""
    with python_client(platform.client_environment()):
        yield


@pytest.fixture
def client(platform: LocalPlatform, _dxpy: None, tmp_path: Path) -> Client:
    folder = f"/test{next(_numbers)}"
    dxpy.api.project_new_folder(platform.project.id, {"folder": folder})
    return Client(platform, folder, tmp_path)
