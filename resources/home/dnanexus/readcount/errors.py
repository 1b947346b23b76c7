"""What can go wrong, by who can put it right.

A message names the input field and the file, says what is wrong and what to do, in at most three
sentences and MESSAGE_LENGTH characters. What does not fit goes to `details`, for the log.
"""

MESSAGE_LENGTH = 500
# What to do, where several errors call for the same.
INDEX_ANEW = "Give the index that was made from this very file, or none: the applet then makes one."

MORE_STORAGE = "Run the job on an instance type with more storage (--instance-type)."
MORE_MEMORY = "Run the job on an instance type with more memory (--instance-type)."


class ReadCountError(Exception):
    """Any failure that this package reports: ours, or the worker's.

    All arguments go to the base class as they are, so that the error survives being pickled on
    its way from a Pool worker to the parent.

    Args:
        message: see above.
        details: what helps whoever looks into it, of any length.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return self.message


class InputError(ReadCountError):
    """An input file is at fault: whoever gave it can put it right."""


class CallError(InputError):
    """A samtools call failed in a way that points to its input."""


class NetworkError(ReadCountError):
    """A file that is read in place cannot be reached."""


class MissingToolError(ReadCountError):
    """A program that the package runs is not installed."""


class SamtoolsKilledError(ReadCountError):
    """A samtools process did not end by itself."""


class WorkerDiedError(ReadCountError):
    """A process of the Pool did not end by itself."""


class DiskSpaceError(ReadCountError):
    """The worker has no room for the inputs."""


def shorten(text: str, length: int) -> str:
    """Leaves out the middle of a text that is longer than length."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"
