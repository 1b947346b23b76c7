"""Writes the matrix: a row for each region, a column for each sample.

Blocks of rows are written and compressed by the processes of the Pool, into files that are then
joined: BGZF blocks can follow each other (SAM specification, section 4.1).
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam
from numpy.typing import NDArray

from readcount.cohort.columns import ColumnStore, slices
from readcount.cohort.rows import Rows
from readcount.counting.pool import Workers
from readcount.formats.bgzf import END_OF_FILE

Ints = NDArray[np.int64]

REGION_HEADING = "region\tcontig\tstart\tend\tlength"
# The first line of a matrix of read depth as GATK-SV has it
# (https://github.com/broadinstitute/gatk-sv, docs: "bincov matrix").
DEPTH_HEADING = "#Chr\tStart\tEnd"


class Lines(NamedTuple):
    """Consecutive lines of a matrix.

    Attributes:
        part: which part of the file they are, from 0.
        firsts: the first columns of each.
        rows: which rows they are.
    """

    part: int
    firsts: Sequence[str]
    rows: slice | Ints


def write_matrix(
    path: Path,
    heading: str,
    firsts: Iterable[str],
    order: Ints | None,
    samples: dict[int, str],
    store: ColumnStore,
    workers: Workers,
) -> Ints:
    """Writes a matrix, compressed by bgzip; returns the sum of each column.

    Args:
        path: of the file.
        heading: names of the first columns.
        firsts: the first columns of each line.
        order: the row of each line; None for all rows in their order.
        samples: the name of each sample by its number, in the order of the columns.
        store: their columns.
        workers: the Pool.
    """
    numbers = list(samples)
    head = "\t".join([heading, *samples.values()]) + "\n"
    sums = np.zeros(len(numbers), np.int64)
    parts: dict[int, Path] = {}
    write = partial(_write_lines, store, numbers, path)
    with path.open("wb") as file:
        file.write(_compressed(Path(f"{path}.head"), head))
        for part, of_part in workers.results_of_few(
            write, _tasks(firsts, order, store.rows, len(numbers)), 2 * len(workers.processes)
        ):
            sums += of_part
            parts[part] = _part(path, part)
        for part in sorted(parts):
            with parts[part].open("rb") as lines:
                shutil.copyfileobj(lines, file, 1 << 20)
            parts[part].unlink()
        file.write(END_OF_FILE)
    return sums


def _tasks(firsts: Iterable[str], order: Ints | None, rows: int, samples: int) -> Iterator[Lines]:
    waiting = iter(firsts)
    number = rows if order is None else len(order)
    for part, some in enumerate(slices(number, samples)):
        wanted = some if order is None else order[some]
        yield Lines(part, list(islice(waiting, some.stop - some.start)), wanted)


def _write_lines(
    store: ColumnStore, samples: Sequence[int], path: Path, lines: Lines
) -> tuple[int, Ints]:
    """Writes some lines to a file of their own; returns which part it is, and the sums."""
    block = store.block(samples, lines.rows)
    cells = map("\t".join, (map(str, counts) for counts in block.tolist()))
    text = "".join(
        f"{first}\t{counts}\n" for first, counts in zip(lines.firsts, cells, strict=True)
    )
    made = _part(path, lines.part)
    made.write_bytes(_compressed(Path(f"{made}.text"), text))
    return lines.part, block.sum(axis=0)


def _part(path: Path, part: int) -> Path:
    return Path(f"{path}.{part}")


def _compressed(path: Path, text: str) -> bytes:
    """Returns a text as BGZF blocks, without the empty one at the end.

    Args:
        path: of a file to write and remove.
        text: the text.
    """
    with pysam.BGZFile(str(path), "wb", None) as file:
        file.write(text.encode())
    content = path.read_bytes()
    path.unlink()
    return content.removesuffix(END_OF_FILE)


def write_depth_matrix(
    path: Path, rows: Rows, samples: dict[int, str], store: ColumnStore, workers: Workers
) -> Path:
    """Writes the matrix of the placed regions, sorted, for tabix; returns its index.

    Args:
        path: of the file, which ends in .gz.
        rows: the regions.
        samples: the name of each sample by its number, in the order of the columns.
        store: their columns.
        workers: the Pool.
    """
    order = rows.order()
    write_matrix(path, DEPTH_HEADING, rows.places(order), order, samples, store, workers)
    index = Path(f"{path}.{'csi' if rows.beyond_tbi else 'tbi'}")
    pysam.tabix_index(str(path), force=True, preset="bed", csi=rows.beyond_tbi, index=str(index))
    return index
