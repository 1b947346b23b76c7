"""Writes the matrix: one row per region, one column per sample.

The processes of the Pool write and compress blocks of rows to separate files, which are then
concatenated: a BGZF file is a series of independent blocks (SAM specification, section 4.1).
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam

from readcount.cohort.columns import ColumnStore, slices
from readcount.cohort.rows import Rows
from readcount.columns import Ints
from readcount.counting.pool import Workers
from readcount.formats.bgzf import END_OF_FILE
from readcount.outputs.bedgraph import index_bed

REGION_HEADING = "region\tcontig\tstart\tend\tlength"
# Header of a read depth matrix in the format of GATK-SV (https://github.com/broadinstitute/gatk-sv,
# docs: "bincov matrix").
DEPTH_HEADING = "#Chr\tStart\tEnd"


class Lines(NamedTuple):
    """Consecutive lines of a matrix.

    Attributes:
        part: number of the part of the file, from 0.
        firsts: first columns of each line.
        rows: which rows of the matrix.
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
    """Writes a matrix compressed with BGZF; returns the sum of each column.

    Args:
        path: path of the file.
        heading: names of the first columns.
        firsts: first columns of each line.
        order: the row of each line; None for all rows in order.
        samples: names of the samples by number, in column order.
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
        tasks = _tasks(firsts, order, store.rows, len(numbers))
        for part, of_part in workers.results(write, tasks):
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
    """Writes some lines to a separate file; returns the part number and the sums."""
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
    """Returns a text as BGZF blocks, without the end-of-file marker.

    Args:
        path: path of a temporary file.
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
    """Writes the matrix of the placed regions, sorted for tabix; returns its index.

    Args:
        path: path of the file, ending in .gz.
        rows: the regions.
        samples: names of the samples by number, in column order.
        store: their columns.
        workers: the Pool.
    """
    order = rows.order()
    write_matrix(path, DEPTH_HEADING, rows.places(order), order, samples, store, workers)
    return index_bed(path, int(rows.ends.max(initial=0)))
