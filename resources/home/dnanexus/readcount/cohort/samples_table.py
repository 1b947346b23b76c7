"""The table of samples: a row for every sample, also for those that could not be counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COUNTED, FAILED = "counted", "failed"


@dataclass(frozen=True)
class SampleRow:
    """What is known of a sample.

    Attributes:
        sample: its name.
        status: COUNTED or FAILED.
        message: why it failed, or what to know of it; empty for nothing.
        file: name of the BAM or CRAM, or of the table that its counts are from.
        sm: the sample of its read groups (SM of the @RG lines); several with commas between.
        records: sum of its counts; None if it has none.
        unplaced: records without a position by its index; None where that does not say.
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
    """Returns the text of the table: tab-separated, a header, a row for each sample.

    Args:
        rows: of all samples.
        more: further columns by name, each with a value for each row; None is an empty cell.
    """
    more = more or {}
    columns = [[getattr(row, name) for row in rows] for name in COLUMNS] + [*more.values()]
    lines = ["\t".join([*COLUMNS, *more])]
    lines += ["\t".join(map(_cell, values)) for values in zip(*columns, strict=True)]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: object) -> str:
    """Returns a value as a cell: None is empty, and there are no tabs and line ends."""
    return "" if value is None else " ".join(str(value).split())


def note_on_sm(sample: str, names: Sequence[str]) -> str:
    """Returns what to know of the SM of a file's read groups; empty if it is the sample's name."""
    if len(names) > 1:
        return f"the read groups have {len(names)} samples (SM): {', '.join(names[:5])}"
    if names and names[0] != sample:
        return f"the read groups have another sample name (SM): {names[0]}"
    return ""
