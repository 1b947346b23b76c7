"""Settings that all tests share."""

import sys

import pytest
from hypothesis import settings

# Whatever lies in resources/ goes to the worker: a test must not leave __pycache__ there.
sys.dont_write_bytecode = True

# An example is some samtools calls, so the time that one takes says nothing.
settings.register_profile("readcount", deadline=None, max_examples=40)
settings.load_profile("readcount")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--dnanexus",
        action="store_true",
        help="run the end-to-end tests in the project that dx has selected",
    )
