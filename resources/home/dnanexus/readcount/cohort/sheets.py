"""Sample sheets: tables of samples and the IDs of their files."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from readcount.cohort.samples import Sample, is_index
from readcount.errors import InputError
from readcount.request.request import Link
from readcount.text import shorten

# The columns of a sample sheet; others are ignored.
SAMPLE, MAPPINGS, INDEX = "sample", "mappings", "index"
# Columns of the TSV of `dx generate_batch_inputs`: one for the batch, and two per input, with name
# and ID of the file (dx-toolkit, dxpy/scripts/dx.py, generate_batch_inputs).
_BATCH, _ID = "batch ID", " ID"
_FILE = re.compile(
    r"((?P<project>(project|container)-[0-9A-Za-z]{24}):)?(?P<id>file-[0-9A-Za-z]{24})"
)


@dataclass(frozen=True)
class SheetRow:
    """A row of a sample sheet.

    Attributes:
        sample: its name; empty if the sheet has none.
        mappings: link to its BAM or CRAM.
        index: link to the index of that file.
    """

    sample: str
    mappings: Link
    index: Link


def parse_sheet(content: bytes, name: str) -> list[SheetRow]:
    """Parses a sample sheet.

    It has the columns `sample`, `mappings` and `index`, or is a TSV of `dx generate_batch_inputs`
    with one input for BAM or CRAM files and one for their indexes.

    Args:
        content: content of the file: UTF-8, tab-separated, or comma-separated if the header has no
            tab.
        name: name of the file, for messages.

    Raises:
        InputError: it is not a sample sheet, or a cell is not a file ID.
    """
    field = f"sample_sheets: {shorten(name, 80)}"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{field} is not a text file. Provide a TSV file.")
    lines = text.splitlines()
    delimiter = "\t" if "\t" in "".join(lines[:1]) else ","
    rows = [row for row in csv.reader(lines, delimiter=delimiter)]
    heading = [cell.strip() for cell in rows[0]] if rows else []
    numbered = [(number, row) for number, row in enumerate(rows[1:], start=2) if any(row)]
    for number, row in numbered:
        if len(row) != len(heading):
            raise InputError(
                f"{field}, line {number:,}: has {len(row)} columns, but the header has "
                f"{len(heading)}. Correct the line."
            )
    sample, mappings, index = _columns(field, heading, [row for _, row in numbered])
    return [
        SheetRow(
            row[sample].strip(),
            _link(f"{field}, line {number:,}: {heading[mappings]}", row[mappings]),
            _link(f"{field}, line {number:,}: {heading[index]}", row[index]),
        )
        for number, row in numbered
    ]


def _columns(
    field: str, heading: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[int, int, int]:
    """Returns the indexes of the columns of the sample, the BAM or CRAM, and the index."""
    if {SAMPLE, MAPPINGS, INDEX} <= set(heading):
        return heading.index(SAMPLE), heading.index(MAPPINGS), heading.index(INDEX)
    inputs = [cell for cell in heading if cell + _ID in heading]
    if _BATCH in heading and len(inputs) == 2:
        of_indexes = [
            name for name in inputs if all(is_index(row[heading.index(name)]) for row in rows)
        ]
        if len(of_indexes) == 1:
            (other,) = set(inputs) - set(of_indexes)
            ids = (heading.index(name + _ID) for name in (other, *of_indexes))
            return heading.index(_BATCH), *ids  # type: ignore[return-value]
        raise InputError(
            f"{field}: one of the columns {inputs[0]} and {inputs[1]} must have the names of "
            "indexes (.bai, .csi, .crai), and the other one those of BAM or CRAM files."
        )
    found = shorten(", ".join(heading) or "none", 120)
    raise InputError(
        f"{field} must have the columns sample, mappings and index, or be a TSV of 'dx "
        f"generate_batch_inputs' for two inputs. It has: {found}."
    )


def _link(place: str, text: str) -> Link:
    """Returns a link to the file with this ID; raises InputError if it is not a file ID."""
    found = _FILE.fullmatch(text.strip())
    if not found:
        raise InputError(
            f"{place} must be the ID of a file, such as file-xxxx or project-xxxx:file-xxxx, found "
            f"{shorten(repr(text), 60)}."
        )
    project, file_id = found["project"], found["id"]
    return {"$dnanexus_link": {"project": project, "id": file_id} if project else file_id}


def format_sheet(samples: Iterable[Sample]) -> str:
    """Returns the text of a sample sheet with these samples, as read by parse_sheet()."""
    return "".join(_lines(samples))


def _lines(samples: Iterable[Sample]) -> Iterator[str]:
    yield f"{SAMPLE}\t{MAPPINGS}\t{INDEX}\n"
    for sample in samples:
        yield f"{sample.name}\t{_id(sample.mappings.link)}\t{_id(sample.index.link)}\n"


def _id(link: Link) -> str:
    """Returns the file ID of a link, with the project if it has one."""
    target = link["$dnanexus_link"]
    if isinstance(target, str):
        return target
    return f"{target['project']}:{target['id']}" if target.get("project") else str(target["id"])
