"""The samtools that pysam's wheel carries, as a program: `samtools view -c x.bam`.

It calls the C library, not pysam.samtools, whose import takes 0.1 s, and which keeps in memory what
samtools writes: standard input, output and error are the process's own, and so is the exit status.
"""

import ctypes
import os
import signal
import sys
import sysconfig
from pathlib import Path


def library(name: str) -> ctypes.CDLL:
    """Loads an extension module of the pysam that is installed beside this Python."""
    # The program starts without the module site, which knows the virtual environment.
    prefix = str(Path(sys.executable).parent.parent)
    # Debian's own scheme has other folders.
    variables = {"base": prefix, "platbase": prefix}
    packages = sysconfig.get_path("platlib", scheme="venv", vars=variables)
    file = Path(packages) / "pysam" / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    return ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)


def main(arguments: list[str]) -> int:
    """Runs samtools with these arguments; returns its exit status."""
    # Python ignores SIGPIPE; samtools ends when nobody reads what it writes.
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    library("libchtslib")
    samtools = library("libcsamtools")
    samtools.samtools_set_stdout(1)
    samtools.samtools_set_stderr(2)
    samtools.samtools_set_stdout_fn(b"-")
    argv = [b"samtools", *map(os.fsencode, arguments), None]
    status = samtools.samtools_dispatch(len(argv) - 1, (ctypes.c_char_p * len(argv))(*argv))
    # What C has not written yet would be lost, as Python's own exit is skipped.
    ctypes.CDLL(None).fflush(None)
    return int(status) & 0xFF


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
