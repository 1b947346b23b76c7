"""Existing count tables: a counts_table of samtools_count, or a counts_matrix of a cohort."""

import gzip
import re
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

import numpy as np

from readcount.cohort.columns import BLOCK_COUNTS, ColumnStore
from readcount.cohort.rows import Rows
from readcount.cohort.samples import FIRST_COLUMNS, RECORDS_COLUMN, SOURCE_COLUMN
from readcount.columns import Ints
from readcount.errors import InputError
from readcount.formats.bam_record import UNPLACED_NAME
from readcount.formats.bgzf import GZIP_MAGIC
from readcount.regions.region_list import UNSET, RegionList
from readcount.request.filters import OPTIONS_DETAIL, Filters
from readcount.source.parts import NO_SEQUENCE
from readcount.source.sequences import SequenceDictionary
from readcount.text import shorten

# Note on a table that does not state its filters.
NOT_STATED = "the table does not say which filters were used"
_ENDINGS = re.compile(r"(_counts?)?\.tsv(\.gz)?\Z")


@dataclass(frozen=True)
class Table:
    """An existing count table.

    Attributes:
        path: path of the file.
        name: name of the file, for messages.
        samples: names of the samples, in the order of their columns.
        cells: number of cells of a row after those of the region.
        note: what is not known about the counts; may be empty.
    """

    path: Path
    name: str
    samples: Sequence[str]
    cells: int
    note: str = ""

    def error(self, what: str) -> InputError:
        """Returns an error about the table."""
        return InputError(f"counts_tables: {shorten(self.name, 80)}{what}")


def open_table(path: Path, name: str, details: object, filters: Filters) -> Table:
    """Reads the header of a table.

    Args:
        path: path of the file.
        name: name of the file.
        details: `details` of the file on the platform; see Filters.as_details().
        filters: the filters of this job.

    Raises:
        InputError: it is not a count table, or other filters were used.
    """
    table = Table(path, name, (), 0)
    with _opened(table) as file:
        heading = _lines(table, file)
        columns = next(heading, "").split("\t")
    first, rest = tuple(columns[: len(FIRST_COLUMNS)]), columns[len(FIRST_COLUMNS) :]
    if first != FIRST_COLUMNS or not rest:
        raise table.error(
            " is not a table of counts. Provide a counts_table of samtools_count or a "
            "counts_matrix of samtools_count_cohort."
        )
    used = details.get(OPTIONS_DETAIL) if isinstance(details, dict) else None
    samples = rest
    if rest[0] == RECORDS_COLUMN:
        samples = [_ENDINGS.sub("", name)]
        if rest[1:] == [SOURCE_COLUMN]:
            # Counts from an index are those of all records, without filters.
            used = []
    if used is not None and used != filters.as_samtools():
        raise table.error(
            f" was made with other filters ({_options(used)}) than this job "
            f"({_options(filters.as_samtools())}). Use the same filters."
        )
    return Table(path, name, samples, len(rest), NOT_STATED if used is None else "")


def _options(options: object) -> str:
    words = options if isinstance(options, list) else []
    return shorten("samtools view " + " ".join(map(str, words)) if words else "none", 80)


def _opened(table: Table) -> TextIO:
    with table.path.open("rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
    if compressed:
        return gzip.open(table.path, "rt", encoding="utf-8", newline="\n")
    return table.path.open(encoding="utf-8", newline="\n")


def _lines(table: Table, file: TextIO) -> Iterator[str]:
    """Yields the lines of a table; raises InputError if they cannot be read."""
    try:
        for line in file:
            if not line.endswith("\n"):
                raise table.error(" is truncated or corrupt. Provide the file as it was created.")
            yield line.rstrip("\r\n")
    except (EOFError, OSError, UnicodeDecodeError, zlib.error):
        raise table.error(" is truncated or corrupt. Provide the file as it was created.") from None


def regions_of(table: Table) -> tuple[RegionList, SequenceDictionary]:
    """Returns the regions of a table, and its reference sequences.

    The length of a sequence is unknown; the largest end of a region stands for it.

    Raises:
        InputError: a row is malformed.
    """
    labels: list[str] = []
    tids, starts, ends = array("q"), array("q"), array("q")
    tid_of: dict[str, int] = {}
    lengths: dict[str, int] = {}
    with _opened(table) as file:
        lines = _lines(table, file)
        next(lines, "")
        for number, line in enumerate(lines, start=2):
            label, contig, *positions = line.split("\t")[: len(FIRST_COLUMNS)]
            try:
                start, end, _ = map(int, positions)
            except ValueError:
                raise _not_a_row(table, number) from None
            labels.append(label)
            starts.append(start)
            ends.append(end)
            if contig == UNPLACED_NAME:
                tids.append(NO_SEQUENCE)
                continue
            tids.append(tid_of.setdefault(contig, len(tid_of)))
            lengths[contig] = max(end, lengths.get(contig, 0))
    names_by_tid, length_of = [*tid_of, UNPLACED_NAME], np.array([*lengths.values(), 0])
    # Rows of whole sequences are labelled with the name alone.
    named = (label == names_by_tid[tid] for label, tid in zip(labels, tids, strict=True))
    is_named = np.fromiter(named, np.bool_, len(labels))
    of_tids, of_starts, of_ends = map(np.array, (tids, starts, ends))
    is_whole = is_named & (of_starts == 0) & (of_ends == length_of[of_tids])
    of_starts[is_whole] = of_ends[is_whole] = UNSET
    return RegionList(names_by_tid, of_tids, of_starts, of_ends, labels), SequenceDictionary(
        lengths
    )


def _not_a_row(table: Table, number: int) -> InputError:
    return table.error(
        f", line {number:,}: is not a row of a table of counts. Provide the file as it was created."
    )


def read_table(table: Table, rows: Rows, store: ColumnStore, samples: Sequence[int]) -> Ints:
    """Adds the columns of a table to the store; returns the sum of each.

    Args:
        table: the table.
        rows: the regions of the cohort; the table must have the same.
        store: stores the columns.
        samples: numbers of the samples, in the order of the table's columns.

    Raises:
        InputError: the table has other regions, or is corrupt.
    """
    columns = store.open_for(samples)
    sums = np.zeros(len(samples), np.int64)
    size = max(1, BLOCK_COUNTS // len(samples))
    block: list[list[int]] = []
    done = 0

    def flush() -> None:
        nonlocal done, sums
        counts = np.array(block, np.int64).reshape(len(block), len(samples))
        if counts.min(initial=0) < 0:
            raise table.error(" has a negative count. Provide the file as it was created.")
        columns[done : done + len(block)] = counts
        sums += counts.sum(axis=0)
        done += len(block)
        block.clear()

    with _opened(table) as file:
        lines = _lines(table, file)
        next(lines, "")
        for number, (line, text) in enumerate(zip_longest(lines, rows.texts()), start=2):
            if line is None or text is None:
                raise table.error(
                    f" has {'fewer' if line is None else 'more'} regions than this job "
                    f"({len(rows):,}). Use the regions with which it was made."
                )
            if not line.startswith(f"{text}\t"):
                found = "\t".join(line.split("\t")[:4])
                raise table.error(
                    f", line {number:,}: has region {shorten(repr(found), 80)} where this job has "
                    f"{shorten(repr(text.rpartition(chr(9))[0]), 80)}. Use the regions with which "
                    "the table was made, and samples of one reference genome."
                )
            cells = line[len(text) + 1 :].split("\t")
            if len(cells) != table.cells:
                raise _not_a_row(table, number)
            try:
                block.append([int(cell) for cell in cells[: len(samples)]])
            except ValueError:
                raise _not_a_row(table, number) from None
            if len(block) == size:
                flush()
    flush()
    return sums
