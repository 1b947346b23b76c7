#!/usr/bin/env python3
"""Fails for too few reads: the stage after the counting, in the README's example."""

from typing import Any

import dxpy


@dxpy.entry_point("main")
def main(count_file: dict[str, Any], at_least: int) -> dict[str, int]:
    """Gives the total of a count file. Raises dxpy.AppError where that is below `at_least`."""
    file = dxpy.DXFile(count_file)
    reads = int(file.read().rpartition("Total reads: ")[2])
    if reads < at_least:
        raise dxpy.AppError(
            f"count_file: {file.name} has {reads} reads in all, fewer than {at_least}."
        )
    return {"reads": reads}


dxpy.run()
