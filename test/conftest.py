"""Settings that all tests share."""

import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Everything in resources/ goes to the worker: a test must not leave __pycache__ there.
sys.dont_write_bytecode = True

# An example is some samtools calls, so the time that one takes says nothing.
settings.register_profile("readcount", deadline=None, max_examples=40)
settings.load_profile("readcount")
# With each further version of samtools fewer examples will do.
settings.register_profile("samtools", deadline=None, max_examples=10)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--dnanexus",
        action="store_true",
        help="run the end-to-end tests in the project that dx has selected",
    )
    parser.addoption("--samtools", help="the version of samtools that has to be on the PATH")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--samtools"):
        settings.load_profile("samtools")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """The machine's own Chromium, which is to ask nobody for anything."""
    # Here, as the other tests need neither.
    from playwright.sync_api import sync_playwright

    options = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"]
    options += ["disable-background-networking", "disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[f"--{option}" for option in options]
        )
        yield chromium
        chromium.close()
