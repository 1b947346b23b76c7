"""What counts are compared with: the same questions for a BAM and a CRAM."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.parts import Edge, Layout, Parts

# For the log and the report, where the counts are the numbers of the index.
OTHERS_NOT_COUNTED = "the other records were not counted"


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


@dataclass(frozen=True)
class Evidence(ABC):
    """What the file and its index prove about counts.

    The parts of a file are decoded from one record to another, whatever the index says. The index
    says which parts these are, and where each reference sequence begins and ends: that is compared
    with the records on both sides of each part, by those who read it, and here for what is not
    read. And it may say how many records there are.

    Attributes:
        parts: of the file.
        header: of the file.
        source: what the numbers come from: "index" or "containers".
    """

    parts: Parts
    header: Header

    source: ClassVar[str]

    @property
    def file(self) -> IndexedFile:
        """The BAM or CRAM with its index."""
        return self.parts.file

    @property
    def numbers(self) -> Mapping[int, int]:
        """Records by number of the reference sequence, also NO_SEQUENCE, where they are known.

        They are compared with those that were read. Empty if that was done while they were read.
        """
        return {}

    @abstractmethod
    def locate(self, whole: Collection[int], spans: Collection[int]) -> Located:
        """Returns where the records are.

        Args:
            whole: numbers of the sequences that are asked for as a whole.
            spans: numbers of those of which parts are asked for.

        Raises:
            InputError: the index leaves out records of the file.
        """

    @abstractmethod
    def trust(self, whole: Collection[int]) -> Located:
        """Returns where the records are, and the numbers that prove right without counting.

        Args:
            whole: numbers of the sequences that are asked for.

        Raises:
            InputError: the index is not right.
        """

    @abstractmethod
    def check_index(self, edges: Sequence[Edge]) -> None:
        """Raises InputError if the records at some places are not those of the index."""
