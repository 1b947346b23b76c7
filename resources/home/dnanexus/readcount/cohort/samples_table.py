"""The table of samples: one row per sample, including those that could not be counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COUNTED, FAILED = "counted", "failed"


@dataclass(frozen=True)
class SampleRow:
    """A row of the table of samples.

    Attributes:
        sample: its name.
        status: COUNTED or FAILED.
        message: why it failed, or a note; may be empty.
        file: name of the BAM or CRAM, or of the existing count table.
        sm: sample of its read groups (SM of the @RG lines), comma-separated if there are several.
        records: sum of its counts; None if it has none.
        unplaced: number of records without a position according to the index; None if not in the
            index.
    """

    sample: str
    status: str
    message: str = ""
    file: str = ""
    sm: str = ""
    records: int | None = None
    unplaced: int | None = None

    @property
    def counted(self) -> bool:
        """Whether it has a column in the matrix."""
        return self.status == COUNTED


COLUMNS = ("sample", "status", "message", "file", "sm", "records", "unplaced")


def format_samples_table(
    rows: Sequence[SampleRow], more: Mapping[str, Sequence[object]] | None = None
) -> str:
    """Returns the text of the table: tab-separated, a header, one row per sample.

    Args:
        rows: rows of all samples.
        more: further columns by name, with one value per row; None is an empty cell.
    """
    more = more or {}
    columns = [[getattr(row, name) for row in rows] for name in COLUMNS] + [*more.values()]
    lines = ["\t".join([*COLUMNS, *more])]
    lines += ["\t".join(map(_cell, values)) for values in zip(*columns, strict=True)]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: object) -> str:
    """Returns a value as a cell: None as an empty cell, without tabs and line breaks."""
    return "" if value is None else " ".join(str(value).split())


def note_on_sm(sample: str, names: Sequence[str]) -> str:
    """Returns a note if SM of the read groups differs from the sample's name, else empty."""
    if len(names) > 1:
        return f"the read groups have {len(names)} samples (SM): {', '.join(names[:5])}"
    if names and names[0] != sample:
        return f"the read groups have another sample name (SM): {names[0]}"
    return ""
