"""Error types, by who can fix them.

A message names the input field and the file, and says what is wrong and what to do, in at most
three sentences and MESSAGE_LENGTH characters. Anything longer goes to `details`, for the log.
"""

MESSAGE_LENGTH = 500

NEW_INDEX = "Provide the index of this file, or omit mappings_sorted_bai to have one created."
MORE_STORAGE = "Run the job on an instance type with more storage (--instance-type)."
MORE_MEMORY = "Run the job on an instance type with more memory (--instance-type)."


class ReadCountError(Exception):
    """Base class of all errors that this package raises.

    All arguments are passed to the base class unchanged, so that the error can be pickled by a Pool
    worker and raised in the parent.

    Args:
        message: see the module's docstring.
        details: further information for troubleshooting, of any length.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return self.message


class InputError(ReadCountError):
    """An input is wrong, and the user can fix it."""


class CallError(InputError):
    """A samtools call failed, apparently because of its input."""


class NetworkError(ReadCountError):
    """A streamed file cannot be read over the network."""


class MissingToolError(ReadCountError):
    """A required program is missing or too old."""


class SamtoolsKilledError(ReadCountError):
    """A samtools process was killed, crashed, or ran out of memory."""


class SamtoolsCrashedError(SamtoolsKilledError):
    """A samtools process crashed: the file may be corrupt."""


class WorkerDiedError(ReadCountError):
    """A process of the Pool was killed or crashed."""


class SubjobError(ReadCountError):
    """The counts of a subjob cannot be used."""


class DiskSpaceError(ReadCountError):
    """The worker's disk is too small for the inputs."""
