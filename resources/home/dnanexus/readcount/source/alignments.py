"""An opened BAM or CRAM, with the evidence against which counts are checked."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.parts import Edge, Layout, Parts
from readcount.source.sequences import SequenceDictionary

# For the log and the report, if counts are taken from the index.
OTHERS_NOT_COUNTED = "the other records were not counted"


class Located(NamedTuple):
    """Record locations, and known counts.

    Attributes:
        layout: record locations.
        numbers: number of records of each stretch; None where they have to be counted; empty if all
            have to be counted.
        checks: descriptions of the checks that these numbers have passed, for the log.
    """

    layout: Layout
    numbers: Sequence[int | None] = ()
    checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alignments(ABC):
    """An opened BAM or CRAM, and the evidence of its counts.

    All records of a part are decoded, independently of the index. The index is only used to choose
    the parts, that is for where each reference sequence begins and ends. This is checked against
    the records on both sides of each part: by the task that reads it, and here for parts that are
    not read. The index may also have the number of records.

    Attributes:
        parts: the file.
        header: header of the file.
        source: where the numbers come from: "index" or "containers".
    """

    parts: Parts
    header: Header

    source: ClassVar[str]

    @property
    def file(self) -> IndexedFile:
        """The BAM or CRAM with its index."""
        return self.parts.file

    @cached_property
    def sequences(self) -> SequenceDictionary:
        """The reference sequences, by name."""
        lengths = dict(zip(self.header.names, self.header.lengths, strict=True))
        return SequenceDictionary(lengths, self.header.aliases)

    @property
    def numbers(self) -> Mapping[int, int]:
        """Known record counts by reference ID, including NO_SEQUENCE.

        They are compared with the number of records read. Empty if tasks have already done so.
        """
        return {}

    @abstractmethod
    def locate(self, whole: Collection[int], spans: Collection[int]) -> Located:
        """Returns the record locations.

        Args:
            whole: reference IDs of the sequences to count as a whole.
            spans: reference IDs of the sequences with regions that are parts of them.

        Raises:
            InputError: the index omits records of the file.
        """

    @abstractmethod
    def trust(self, whole: Collection[int]) -> Located:
        """Returns the record locations, and the counts that were verified without counting.

        Args:
            whole: reference IDs of the sequences to count.

        Raises:
            InputError: the index is inconsistent or does not match the file.
        """

    @abstractmethod
    def check_index(self, edges: Sequence[Edge]) -> None:
        """Raises InputError if the records at these positions do not match the index."""
