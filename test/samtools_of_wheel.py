"""Runs the samtools in the wheel of pysam as a program, such as `samtools view -c x.bam`.

It calls the C library directly, because pysam.samtools takes 0.1 s to import and keeps the output
in memory. Standard input, output, error and the exit status are those of samtools. Tests run it
thousands of times, so it imports little: signal and pathlib would take half of its time.

Arguments: the paths of pysam's libchtslib and libcsamtools, then those of samtools.
"""

import ctypes
import os
import sys

SIGINT, SIGPIPE, SIG_DFL = 2, 13, 0


def main(htslib: str, samtools_library: str, *arguments: str) -> int:
    """Runs samtools with these arguments; returns its exit status."""
    c = ctypes.CDLL(None)
    # Python ignores SIGPIPE, but samtools must end when its output is closed.
    for number in (SIGPIPE, SIGINT):
        c.signal(number, SIG_DFL)
    ctypes.CDLL(htslib, mode=ctypes.RTLD_GLOBAL)
    samtools = ctypes.CDLL(samtools_library)
    samtools.samtools_set_stdout(1)
    samtools.samtools_set_stderr(2)
    samtools.samtools_set_stdout_fn(b"-")
    argv = [b"samtools", *map(os.fsencode, arguments), None]
    status = samtools.samtools_dispatch(len(argv) - 1, (ctypes.c_char_p * len(argv))(*argv))
    # os._exit() does not flush the buffers of C.
    c.fflush(None)
    return int(status) & 0xFF


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))
