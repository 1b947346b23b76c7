"""Runs the samtools in the wheel of pysam as a program, such as `samtools view -c x.bam`.

It calls the C library directly, because pysam.samtools takes 0.1 s to import and keeps the output
in memory. Standard input, output, error and the exit status are those of samtools.
"""

import ctypes
import os
import signal
import sys
import sysconfig
from pathlib import Path


def library(name: str) -> ctypes.CDLL:
    """Loads an extension module of pysam from the virtual environment of this Python."""
    # Without the site module (python -S), the virtual environment is not on the path.
    prefix = str(Path(sys.executable).parent.parent)
    # The default scheme on Debian has different folders.
    variables = {"base": prefix, "platbase": prefix}
    packages = sysconfig.get_path("platlib", scheme="venv", vars=variables)
    file = Path(packages) / "pysam" / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    return ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)


def main(arguments: list[str]) -> int:
    """Runs samtools with these arguments; returns its exit status."""
    # Python ignores SIGPIPE, but samtools must end when its output is closed.
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    library("libchtslib")
    samtools = library("libcsamtools")
    samtools.samtools_set_stdout(1)
    samtools.samtools_set_stderr(2)
    samtools.samtools_set_stdout_fn(b"-")
    argv = [b"samtools", *map(os.fsencode, arguments), None]
    status = samtools.samtools_dispatch(len(argv) - 1, (ctypes.c_char_p * len(argv))(*argv))
    # os._exit() does not flush the buffers of C.
    ctypes.CDLL(None).fflush(None)
    return int(status) & 0xFF


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
