"""Large blocks go back to the system when they are freed."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
from app.memory import LARGE, return_large_blocks
fields = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in fields]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
if sys.argv[1] == "on":
    return_large_blocks()
bytes(8 * LARGE)  # freed at once: glibc learns from it
before = libc.mallinfo2().hblks  # blocks that are mapped on their own
held = bytes(2 * LARGE)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="another C library")
@pytest.mark.parametrize(("setting", "mapped"), [("on", "1"), ("off", "0")])
def test_a_large_block_is_mapped_on_its_own_also_after_glibc_has_freed_a_larger_one(setting: str, mapped: str) -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM, setting], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == mapped
