"""What counts are compared with: the same questions for a BAM and a CRAM."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.parts import Edge, Layout

# For the log and the report, where the counts are the numbers of the index.
NOT_COUNTED = "the other records were not counted"


class Located(NamedTuple):
    """Where the records are, and which need not be counted.

    Attributes:
        layout: where the records are.
        numbers: the records of each of its stretches; None where they have to be counted; empty if
            all have to be.
        checks: what was found to agree about these numbers, for the log.
    """

    layout: Layout
    numbers: Sequence[int | None] = ()
    checks: tuple[str, ...] = ()


class Evidence(Protocol):
    """What the file and its index prove about counts.

    The parts of a file are decoded from one record to another, whatever the index says. The index
    says which parts these are, and where each reference sequence begins and ends: that is compared
    with the records on both sides of each part, by those who read it, and here for what is not
    read. And it may say how many records there are.
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
    def numbers(self) -> Mapping[int, int]:
        """Records by number of the reference sequence, to compare with those that were read.

        Also of NO_SEQUENCE, if it is known.

        Empty if they are compared with the file while they are read.
        """

    def locate(self, whole: Collection[int], spans: Collection[int]) -> Located:
        """Returns where the records are.

        Args:
            whole: numbers of the sequences that are asked for as a whole.
            spans: numbers of those of which parts are asked for.

        Raises:
            InputError: the index leaves out records of the file.
        """

    def trust(self, whole: Collection[int]) -> Located:
        """Returns where the records are, and the numbers that prove right without counting.

        Args:
            whole: numbers of the sequences that are asked for.

        Raises:
            InputError: the index is not right.
        """

    def check_index(self, edges: Sequence[Edge]) -> None:
        """Raises InputError if the records at some places are not those of the index."""
