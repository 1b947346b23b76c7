"""What can go wrong, by who can put it right."""

import shlex
from collections.abc import Sequence


class ReadCountError(Exception):
    """Any failure that this package reports."""


class InputError(ReadCountError):
    """An input file is at fault: whoever gave it can put it right."""


class MissingToolError(ReadCountError):
    """A program that the package runs is not installed."""


class CountError(ReadCountError):
    """A samtools call failed, complained, or answered with something else than a count.

    All arguments go to the base class as they are, so that the error survives being pickled on
    its way from a Pool worker to the parent.

    Args:
        bam: the name by which the user knows the BAM.
        region: the region that was being counted.
        command: the call, word by word.
        exit_status: how it ended; -N after signal N.
        said: what samtools wrote, as text.
    """

    def __init__(
        self, bam: str, region: str, command: Sequence[str], exit_status: int, said: str
    ) -> None:
        super().__init__(bam, region, command, exit_status, said)
        self.bam = bam
        self.region = region
        self.command = command
        self.exit_status = exit_status
        self.said = said

    def __str__(self) -> str:
        return (
            f"mappings_sorted_bam: region {self.region} of {self.bam} could not be counted. "
            f"The command {shlex.join(self.command)} ended with exit status {self.exit_status} "
            f"and said: {self.said or 'nothing'}"
        )
