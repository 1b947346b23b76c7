"""Settings, options and fixtures that all tests share."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Everything in resources/ is part of the applet: tests must not leave __pycache__ there.
sys.dont_write_bytecode = True

# No deadline: an example takes several samtools calls, whose times vary.
settings.register_profile("readcount", deadline=None, max_examples=40)
settings.load_profile("readcount")
# For repeating the tests with other versions of samtools, fewer examples are enough.
settings.register_profile("samtools", deadline=None, max_examples=10)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--dnanexus",
        action="store_true",
        help="run the end-to-end tests in the currently selected dx project",
    )
    parser.addoption("--samtools", help="version of samtools that must be on the PATH")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--samtools"):
        settings.load_profile("samtools")


@pytest.fixture(scope="session", autouse=True)
def _temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Puts all temporary files into pytest's folder: processes of pytest-xdist skip atexit."""
    tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """The installed Chromium, with all background requests disabled."""
    # Imported here: most tests need no browser, and Playwright may not be installed.
    from playwright.sync_api import sync_playwright

    options = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"]
    options += ["disable-background-networking", "disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[f"--{option}" for option in options]
        )
        yield chromium
        chromium.close()
