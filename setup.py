"""Builds the native core, an optional extension: without a C compiler everything works, and a tick costs more.

BARWHEEL_BUILD: `native` makes a build without it fail, `python` leaves it out.
"""

import os

from setuptools import Extension, setup

BUILD = os.environ.get("BARWHEEL_BUILD", "auto")
CORE = Extension(
    "tables._native",
    ["tables/_native.pyx"],
    depends=[f"tables/csrc/{name}.h" for name in ("numbers", "records", "ticks", "window")],
    extra_compile_args=["-O3"],
    optional=BUILD != "native",
)

setup(ext_modules=[] if BUILD == "python" else [CORE])
