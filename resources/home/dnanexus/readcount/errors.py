"""What can go wrong, by who can correct it.

A message names the input field and the file, says what is wrong and what to do, in at most three
sentences and MESSAGE_LENGTH characters. What does not fit goes to `details`, for the log.
"""

MESSAGE_LENGTH = 500

NEW_INDEX = "Provide the index of this file, or omit mappings_sorted_bai to have one created."
MORE_STORAGE = "Run the job on an instance type with more storage (--instance-type)."
MORE_MEMORY = "Run the job on an instance type with more memory (--instance-type)."


class ReadCountError(Exception):
    """Any failure that this package reports: ours, or the worker's.

    All arguments go to the base class as they are, so that the error survives being pickled on
    its way from a Pool worker to the parent.

    Args:
        message: see above.
        details: what helps to find the cause, of any length.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return self.message


class InputError(ReadCountError):
    """An input is wrong: the user can correct it."""


class CallError(InputError):
    """A samtools call failed in a way that points to its input."""


class NetworkError(ReadCountError):
    """A file that is streamed cannot be reached."""


class MissingToolError(ReadCountError):
    """A program that the package runs is missing, or too old."""


class SamtoolsKilledError(ReadCountError):
    """A samtools process was killed, crashed, or ran out of memory."""


class SamtoolsCrashedError(SamtoolsKilledError):
    """A samtools process crashed: the file may be corrupt."""


class WorkerDiedError(ReadCountError):
    """A process of the Pool was killed or crashed."""


class SubjobError(ReadCountError):
    """What a subjob counted cannot be used."""


class DiskSpaceError(ReadCountError):
    """The worker has no room for the inputs."""
