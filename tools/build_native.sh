#!/bin/sh
# Compile the native core (tables/_native.pyx) in place. It is optional: where it cannot be compiled, one line says what is missing.
set -eu

python=.venv/bin/python

# An old build must not outlive a change of its sources.
rm -f tables/_native*.so tables/_native.c build/lib*/tables/_native*
if log=$("$python" setup.py --quiet build_ext --inplace 2>&1) && "$python" -c 'import tables._native' 2>/dev/null; then
    printf 'barwheel: built the native core\n'
    exit 0
fi
short=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if ! command -v "${CC:-cc}" >/dev/null 2>&1; then
    why="there is no C compiler (${CC:-cc})"
elif ! "$python" -c 'import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())'; then
    why="Python's headers are missing"
else
    printf '%s\n' "$log" >&2
    why="the compiler's message is above"
fi
printf 'barwheel: the native core was not built, so a tick costs several times the CPU: %s (apt-get install gcc python%s-dev, then make native)\n' \
    "$why" "$short" >&2
