"""The examples in docstrings give what they show."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "regions.region",
        "regions.region_list",
        "regions.primary_chromosomes",
        "regions.samtools_syntax",
        "counting.overlaps",
    ],
)
def test_the_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"readcount.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
