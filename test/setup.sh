#!/usr/bin/env bash
# Makes the virtual environment $1 with what test/requirements.txt lists, and installs samtools
# where it is missing. $2 may be
#   report  adds what only the tests of the report need, a browser and MultiQC, to $1;
#   worker  makes $1 with the worker's versions of the Python packages; on a Python later than 3.12,
#           for which these have no wheels, it makes the file $1/none and says so.
# $1/wheel/samtools is the samtools that the wheel of pysam in $1 carries.
set -euo pipefail
venv=$1
what=${2:-}
here=$(dirname "$0")
# The new environment is made by the machine's Python, not by that of the one it replaces.
PATH=${PATH//"$PWD/$venv/bin:"/}

apt_install() {
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        echo "Please install $*: this machine has no apt-get to do it with." >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Please install $* as root: this machine has no sudo to do it with." >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "Installing $* with apt"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$@" >/dev/null
}

# Whether programs find this shared library.
has_library() {
    "$PYTHON" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null
}

if [ "$what" = report ]; then
    # The driver that speaks to Chromium needs libatomic, which a small machine does not have.
    if ! command -v chromium >/dev/null || ! has_library libatomic.so.1; then
        apt_install chromium libatomic1
    fi
    echo "Installing what the tests of the report need"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/report/requirements.txt"
    exit
fi

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or later is needed; name one with: make PYTHON=python3.12 ..." >&2
    exit 1
fi
missing=()
# Debian has the pip that a virtual environment begins with in a package of its own.
"$PYTHON" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v samtools >/dev/null || missing+=(samtools)
# The htslib in pysam's wheel loads it to read from a URL. Debian 13 and Ubuntu 24.04 have it in
# libcurl4t64, which provides this name.
has_library libcurl.so.4 || missing+=(libcurl4)
[ "${#missing[@]}" -eq 0 ] || apt_install "${missing[@]}"
if [ "$what" = worker ] && "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
    echo "Left out: the worker's versions of the Python packages, for which Python 3.12 is needed" >&2
    mkdir -p "$venv"
    touch "$venv/none"
    exit
fi

echo "Making the virtual environment $venv"
rm -rf "$venv"
"$PYTHON" -m venv "$venv"
install() {
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}
install --use-pep517 -r "$here/requirements.txt"
if [ "$what" = worker ]; then
    install -r "$here/requirements_of_worker.txt"
fi
mkdir "$venv/wheel"
cat >"$venv/wheel/samtools" <<END
#!/bin/sh
exec "$(realpath -s "$venv")/bin/python" -E -S "$(realpath "$here")/samtools_of_wheel.py" "\$@"
END
chmod +x "$venv/wheel/samtools"
