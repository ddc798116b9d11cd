"""Builds the native core, an optional extension: without a C compiler everything works, and a tick costs more."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "tables._native",
            ["tables/_native.pyx"],
            depends=[f"tables/csrc/{name}.h" for name in ("numbers", "records", "ticks", "window")],
            extra_compile_args=["-O3"],
            optional=True,
        )
    ]
)
