#!/usr/bin/env bash
# Creates the virtual environment $1 from test/requirements.txt, and installs samtools if it is
# missing. $2 may be
#   report  adds the dependencies of the report tests, a browser and MultiQC, to $1;
#   worker  creates $1 with the worker's versions of the Python packages. These have no wheels for
#           Python 3.13 or later, where it creates the file $1/none and prints a message instead.
# $1/wheel/samtools runs the samtools in the wheel of pysam in $1.
set -euo pipefail
venv=$1
kind=${2:-}
here=$(dirname "$0")
# Creates the environment with the system's Python, not with that of the environment it replaces.
PATH=${PATH//"$PWD/$venv/bin:"/}

apt_install() {
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        echo "Please install $*: apt-get is not available on this machine." >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Please install $* as root: sudo is not available on this machine." >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "Installing $* with apt"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$@" >/dev/null
}

# Whether this shared library can be loaded.
has_library() {
    "$PYTHON" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null
}

if [ "$kind" = report ]; then
    # Playwright's driver needs libatomic, which a minimal installation does not have.
    if ! command -v chromium >/dev/null || ! has_library libatomic.so.1; then
        apt_install chromium libatomic1
    fi
    echo "Installing the dependencies of the report tests"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/report/requirements.txt"
    exit
fi

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or later is required; select it with: make PYTHON=python3.12 ..." >&2
    exit 1
fi
missing=()
# On Debian, the pip for virtual environments is in a separate package.
"$PYTHON" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v samtools >/dev/null || missing+=(samtools)
# The htslib in pysam's wheel loads libcurl to read from a URL. On Debian 13 and Ubuntu 24.04 it is
# in libcurl4t64, which provides libcurl4.
has_library libcurl.so.4 || missing+=(libcurl4)
[ "${#missing[@]}" -eq 0 ] || apt_install "${missing[@]}"
if [ "$kind" = worker ] && "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
    echo "Skipping the worker's versions of the Python packages: they require Python 3.12" >&2
    mkdir -p "$venv"
    touch "$venv/none"
    exit
fi

echo "Creating the virtual environment $venv"
rm -rf "$venv"
"$PYTHON" -m venv "$venv"
install() {
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}
install --use-pep517 -r "$here/requirements.txt"
if [ "$kind" = worker ]; then
    install -r "$here/requirements_of_worker.txt"
fi
mkdir "$venv/wheel"
libraries=$("$venv/bin/python" -c 'from pysam import libchtslib, libcsamtools
print(f"\"{libchtslib.__file__}\" \"{libcsamtools.__file__}\"")')
cat >"$venv/wheel/samtools" <<END
#!/bin/sh
exec "$(realpath -s "$venv")/bin/python" -E -S "$(realpath "$here")/samtools_of_wheel.py" $libraries "\$@"
END
chmod +x "$venv/wheel/samtools"
