"""The worker's samtools: its path, its version, and its flag names."""

import platform
import re
import shutil
import subprocess
from functools import cache

from pysam.version import __version__ as pysam_version

from readcount.errors import InputError, MissingToolError
from readcount.text import shorten

MIN_VERSION = (1, 16)
# FLAG has 16 bits (SAM specification, section 4.2).
MAX_FLAG = 0xFFFF
# Decimal, hexadecimal and octal numbers, as in C. Not parsed by `samtools flags`, which reads 08 as
# 0 and 4294967297 as 1.
_NUMBERS = {r"0x[0-9a-f]+": 16, r"0[0-7]+": 8, r"0|[1-9][0-9]*": 10}
_NAMES = re.compile(r"[A-Z]\w*(,[A-Z]\w*)*", re.ASCII | re.IGNORECASE)


@cache
def samtools_path() -> str:
    """Returns the absolute path of samtools; raises MissingToolError if it is not on the PATH."""
    path = shutil.which("samtools")
    if path is None:
        raise MissingToolError(
            "samtools is not installed on this worker. The applet was built without its "
            "execDepends; build it again with 'dx build'."
        )
    return path


def check_versions() -> str:
    """Returns the versions of samtools, htslib, pysam and Python, for the log.

    Raises:
        MissingToolError: samtools is missing or too old.
    """
    ended = subprocess.run([samtools_path(), "--version"], capture_output=True, check=False)
    text = ended.stdout.decode(errors="replace")
    found = re.match(r"samtools (\d+)\.(\d+)\S*", text)
    htslib = re.search(r"Using htslib (\S+)", text)
    if not found or tuple(map(int, found.groups())) < MIN_VERSION:
        version = found[0] if found else "samtools of an unknown version"
        raise MissingToolError(
            f"{version} is not supported: the applet needs samtools 1.16 or later. Build the "
            "applet with the 'distribution' and 'release' of its dxapp.json."
        )
    return (
        f"{found[0]}, htslib {htslib[1] if htslib else 'unknown'}, pysam {pysam_version}, "
        f"Python {platform.python_version()}"
    )


def parse_flags(field: str, text: str) -> int:
    """Parses FLAG bits as `samtools flags` does.

    Args:
        field: name of the input, for error messages.
        text: a decimal, hexadecimal (0x) or octal (0) number, or comma-separated names in upper or
            lower case; empty for no bits.

    Raises:
        InputError: it is neither a valid number nor known names.
    """
    text = ",".join(name.strip() for name in text.split(","))
    for pattern, base in _NUMBERS.items():
        if re.fullmatch(pattern, text, re.IGNORECASE):
            bits = int(text, base)
            if bits > MAX_FLAG:
                raise InputError(
                    f"{field}: {shorten(repr(text), 40)} is too large: FLAG is at most {MAX_FLAG} "
                    f"({MAX_FLAG:#x})."
                )
            return bits
    if not text:
        return 0
    flags = _samtools_flags(text) if _NAMES.fullmatch(text) else None
    if flags is None:
        raise InputError(
            f"{field}: unknown flag in {shorten(repr(text), 60)}. Use names that 'samtools flags' "
            "lists, such as PROPER_PAIR,READ1, or a number."
        )
    return int(flags[0], 16)


def flag_names(bits: int) -> str:
    """Returns the comma-separated names of FLAG bits; bits without a name as a number."""
    flags = _samtools_flags(f"{bits:#x}")
    names = flags[2].split(",") if flags and flags[2] else []
    other = bits - sum(parse_flags("", name) for name in names)
    return ",".join([*names, *([f"{other:#x}"] if other else [])])


@cache
def _samtools_flags(text: str) -> list[str] | None:
    """Returns the columns printed by `samtools flags`; None if it rejects the text."""
    command = [samtools_path(), "flags", text]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    columns = ended.stdout.rstrip("\n").split("\t")
    return columns if ended.returncode == 0 and len(columns) == 3 else None
