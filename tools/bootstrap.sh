#!/bin/sh
# Create .venv from a lock file: tools/bootstrap.sh LOCKFILE. One line says what is missing on this machine.
# PYTHON overrides the interpreter. Prints pip's output only if it fails.
set -eu

lock=$1
venv=.venv

die() {
    printf 'barwheel: %s\n' "$1" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 || die "PYTHON=$PYTHON is not a program: set PYTHON to Python 3.11 or newer"
        new_enough "$PYTHON" || die "PYTHON=$PYTHON does not run or is older than 3.11: set it to Python 3.11 or newer"
        printf '%s\n' "$PYTHON"
        return
    fi
    found=
    for candidate in python3.13 python3.12 python3.11 python3; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        # run it: the shim of a version manager may exist without its Python
        version=$("$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null) || continue
        if new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
        found=$version
    done
    [ -z "$found" ] || die "Python $found is too old: install Python 3.11 or newer (apt-get install python3.11 python3.11-venv, or brew install python@3.12)"
    die "Python is missing: install Python 3.11 or newer (apt-get install python3 python3-venv, or brew install python@3.12)"
}

# recreate a .venv whose Python was removed or is too old, or whose creation was interrupted
if ! { new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
    python=$(find_python)
    short=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        die "$python cannot make virtual environments with pip: apt-get install python$short-venv (or python3-venv)"
    printf 'barwheel: making %s with Python %s\n' "$venv" "$short"
    rm -rf "$venv"
    log=$("$python" -m venv "$venv" 2>&1) || {
        printf '%s\n' "$log" >&2
        die "$python -m venv failed: apt-get install python$short-venv (or python3-venv), then try again"
    }
fi

pip() {
    log=$("$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-input "$@" 2>&1) || {
        printf '%s\n' "$log" >&2
        die "pip install $* failed: its message is above"
    }
}

printf 'barwheel: installing %s\n' "$lock"
pip --require-hashes -r "$lock"
# the lock file includes the build backend, so the build downloads nothing unpinned
# make builds the native core, in place
BARWHEEL_BUILD=python pip --no-deps --no-build-isolation --editable .
