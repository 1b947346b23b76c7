"""What counts are compared with: the same questions for a BAM and a CRAM."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from readcount.errors import InputError
from readcount.request.filters import Filters
from readcount.request.region_list import RegionList
from readcount.source.files import IndexedFile
from readcount.source.header import Header

# For the log and the report, where the counts are the numbers of the index.
NOT_COUNTED = "the records were not counted"


class Runner(Protocol):
    """Runs a function on every core; a Pool is one."""

    @property
    def processes(self) -> Sequence[Any]:
        """The processes that share the work."""

    def results(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """Yields what the function returns for each task, in any order."""


class Evidence(Protocol):
    """What the file and its index prove about counts.

    samtools reads only where the index points to, and decodes a file as far as it can, so a count
    can be wrong without an error. The index also holds how many records each reference sequence
    has, and from where to where in the file they are.
    """

    @property
    def file(self) -> IndexedFile:
        """The BAM or CRAM with its index."""

    @property
    def header(self) -> Header:
        """The header of the file."""

    @property
    def source(self) -> str:
        """What the numbers come from: "index" or "containers"."""

    @property
    def has_total(self) -> bool:
        """Whether the number of records in the whole file is known."""

    def check_index(self) -> None:
        """Raises InputError if the index leaves out records of the file; before counting."""

    def statistics(self) -> Mapping[str, int]:
        """Returns the records of each reference sequence, and of `*`, as far as they are known."""

    def tally(self, filters: Filters) -> Mapping[str, int] | None:
        """Returns the records of each reference sequence by reading the whole file.

        None where that would prove nothing that total() does not.
        """

    def total(self, placed_only: bool) -> int | None:
        """Returns how many records the file holds, of all or of those placed; None if unknown."""

    def at_position_0(self, filters: Filters) -> Mapping[str, int]:
        """Returns, by reference sequence, records that have one but no position on it.

        They are in statistics and totals, but samtools finds them in no region.
        """

    def check_structure(self, regions: RegionList, runner: Runner | None) -> str:
        """Checks index and file where no number proves the counts of these regions.

        Returns:
            What was found to agree, for the log.

        Raises:
            InputError: they do not agree.
        """

    def check_unread(self) -> tuple[str, ...]:
        """Checks what shows without counting whether statistics() and unplaced() are right.

        Returns:
            What was found to agree, for the log.

        Raises:
            InputError: something does not agree.
        """

    def unplaced(self) -> int | None:
        """Returns the records without a position, as far as that is known without counting."""

    def why_unknown(self, contigs: Sequence[str]) -> str:
        """Returns why statistics() has no number for these sequences: a sentence."""


def no_position(contig: str, file: str) -> InputError:
    """Returns the error for records that have a number in the index, but are in no region."""
    return InputError(
        f"counts_from: {contig} of {file} has records without a position, which are in the index, "
        "but in no region. Set counts_from to 'records'."
    )
