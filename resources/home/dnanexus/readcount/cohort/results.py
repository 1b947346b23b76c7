"""Collects the results of the samples, which come in any order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from readcount.cohort.columns import ColumnStore
from readcount.cohort.count import Counted, NotCounted
from readcount.cohort.samples import Sample
from readcount.cohort.samples_table import COUNTED, FAILED, SampleRow, note_on_sm
from readcount.cohort.tables import Table
from readcount.errors import InputError
from readcount.regions.region import some_of
from readcount.text import Log, plural, shorten


@dataclass
class Results:
    """The rows of the table of samples and the columns of the matrix.

    Attributes:
        samples: all samples; sample numbers are indexes into this list.
        fail: whether a failed sample is an error.
        log: writes a line to the job's log for each failed sample.
        store: stores the columns; has one row per region.
        rows: rows of the finished samples, by number; existing count tables follow the samples.
    """

    samples: Sequence[Sample]
    fail: bool
    log: Log
    store: ColumnStore
    rows: dict[int, SampleRow] = field(default_factory=dict)

    def add(self, number: int, result: Counted | NotCounted) -> None:
        """Adds the counts of a sample, or the reason why it has none.

        Raises:
            InputError: the sample has failed, and `fail` is set.
        """
        if number in self.rows:
            raise ValueError(f"sample {number} was counted twice")
        sample = self.samples[number]
        name, file = sample.name, sample.mappings.name
        if isinstance(result, NotCounted):
            self.rows[number] = SampleRow(name, FAILED, result.message, file)
            self.log(f"{name} failed: {result.message}")
            if result.details:
                self.log(result.details)
            if self.fail:
                raise self.error()
            return
        self.store.add(number, result.records)
        self.rows[number] = SampleRow(
            sample=name,
            status=COUNTED,
            message=note_on_sm(name, result.sample_names),
            file=file,
            sm=",".join(result.sample_names),
            records=int(result.records.sum()),
            unplaced=result.unplaced,
        )

    def add_table(self, table: Table, first: int, totals: Sequence[int]) -> None:
        """Adds the samples of an existing count table, whose columns are already stored.

        Args:
            table: the table.
            first: number of the table's first sample.
            totals: the sum of each column.
        """
        for number, (name, total) in enumerate(zip(table.samples, totals, strict=True), first):
            self.rows[number] = SampleRow(name, COUNTED, table.note, table.name, records=total)

    def error(self) -> InputError:
        """Returns the error for samples that cannot be counted."""
        failed = [row for row in self.rows.values() if not row.counted]
        return InputError(
            f"mappings: {len(failed):,} of {plural(len(self.samples), 'sample')} cannot be counted "
            f"({some_of([row.sample for row in failed])}). {failed[0].sample}: "
            f"{shorten(failed[0].message, 280)}",
            "\n".join(f"{row.sample}: {row.message}" for row in failed),
        )

    def in_order(self) -> list[tuple[int, SampleRow]]:
        """Returns the number and row of each sample, in output order.

        Raises:
            InputError: no sample could be counted.
            ValueError: a sample has neither been counted nor failed.
        """
        missing = set(range(len(self.samples))) - self.rows.keys()
        if missing:
            raise ValueError(f"samples {sorted(missing)[:5]} were not counted")
        if not any(row.counted for row in self.rows.values()):
            raise self.error()
        return sorted(self.rows.items())

    @property
    def counted(self) -> dict[int, str]:
        """The names of the samples in the matrix, by number, in column order."""
        return {number: row.sample for number, row in self.in_order() if row.counted}

    @property
    def failed(self) -> list[Sample]:
        """The samples that could not be counted."""
        return [self.samples[number] for number, row in self.in_order() if not row.counted]

    def check_totals(self, totals: Mapping[int, int]) -> None:
        """Raises ValueError if the matrix does not contain the verified counts of each sample.

        Args:
            totals: the sum of each column written, by sample number.
        """
        for number, row in self.in_order():
            if row.counted and totals[number] != row.records:
                raise ValueError(
                    f"the column of {row.sample} has {totals[number]} records instead of "
                    f"{row.records}"
                )
