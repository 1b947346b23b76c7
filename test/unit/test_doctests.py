"""The examples in docstrings return the values that they show."""

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
def test_docstring_examples_pass(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"readcount.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
