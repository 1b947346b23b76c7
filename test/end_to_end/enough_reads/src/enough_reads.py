#!/usr/bin/env python3
"""Fails for too few reads: the stage after the counting, in the README's example."""

from typing import Any

import dxpy


@dxpy.entry_point("main")
def main(
    count_file: dict[str, Any], at_least: int, total_records: int | None = None
) -> dict[str, int]:
    """Returns the total of a count file. Raises dxpy.AppError where that is below `at_least`."""
    file = dxpy.DXFile(count_file)
    if total_records is None:
        total_records = int(file.read().rpartition("Total reads: ")[2])
    if total_records < at_least:
        raise dxpy.AppError(
            f"count_file: {file.name} has {total_records} reads in all, fewer than {at_least}."
        )
    return {"reads": total_records}


dxpy.run()
