"""Builds the native core, an optional extension: without a C compiler everything works, and a tick costs more.

BARWHEEL_BUILD: `native` makes a build without it fail, `python` leaves it out.
"""

import os
from hashlib import sha256
from pathlib import Path

from setuptools import Extension, setup

INCLUDED = [str(path) for path in sorted(Path("tables/csrc").iterdir())]
DIGEST = sha256(b"".join(Path(name).read_bytes() for name in ["tables/_native.pyx", *INCLUDED])).hexdigest()
BUILD = os.environ.get("BARWHEEL_BUILD", "auto")
CORE = Extension(
    "tables._native",
    ["tables/_native.pyx"],
    depends=INCLUDED,
    # tables/native.py refuses a build of other sources than those beside it
    define_macros=[("SOURCES", f'"{DIGEST}"')],
    extra_compile_args=["-O3"],
    optional=BUILD != "native",
)

setup(ext_modules=[] if BUILD == "python" else [CORE])
