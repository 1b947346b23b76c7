"""The reference sequences of a file, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from readcount.formats.bam_record import UNPLACED_NAME


@dataclass(frozen=True)
class SequenceDictionary:
    """The reference sequences in the header of a file.

    Attributes:
        lengths: length of each in bases, by name (@SQ SN), in header order.
        aliases: names by alternative name (@SQ AN; SAM specification, section 1.3).
    """

    lengths: Mapping[str, int]
    aliases: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def names_by_tid(self) -> Sequence[str]:
        """Names by reference ID; the last one, of ID -1, is that of unplaced records."""
        return [*self.lengths, UNPLACED_NAME]

    @cached_property
    def tid_of(self) -> Mapping[str, int]:
        """Reference ID of each sequence, by name."""
        return {name: tid for tid, name in enumerate(self.lengths)}

    def name_of(self, given: str) -> str | None:
        """Returns the name of the sequence with this name or alternative name; None if unknown.

        Names take precedence over alternative names.
        """
        return given if given in self.lengths else self.aliases.get(given)
