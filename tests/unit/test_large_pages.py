"""A worker has Python keep its objects in large pages, where the kernel has them; and what is freed goes back to the kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tables import native

pytestmark = pytest.mark.skipif(
    native.NATIVE is None or not Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="the native core is not built, or this kernel has no large pages",
)

MEASURED = """
import gc
import threading
from tables.native import use_large_pages

def large_pages():
    '''MB of memory for which the kernel was asked for large pages.'''
    size = found = 0
    for line in open("/proc/self/smaps"):
        name, _, rest = line.partition(":")
        if name == "Size":
            size = int(rest.split()[0])
        elif name == "VmFlags" and "hg" in rest.split():
            found += size
    return found // 1024

before = [str(number) for number in range(400_000)]  # some of it lies in memory of the former kind
used = use_large_pages()

def deep(left):
    '''Frames lie in memory of the same allocator, in smaller pieces.'''
    return [str(left)] + deep(left - 1) if left else [str(number) for number in range(100_000)]

thread = threading.Thread(target=deep, args=(900,))
thread.start()
thread.join()
held = [str(number) for number in range(800_000)]
print(used, large_pages())
intact = held == [str(number) for number in range(800_000)] and before == held[:400_000]
del held, before
gc.collect()
print(intact, large_pages())
"""


def test_objects_lie_in_large_pages_until_they_are_freed() -> None:
    found = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    (used, held), (intact, left) = (line.split() for line in found.stdout.splitlines())
    assert (used, intact) == ("True", "True")
    assert int(held) >= 40
    assert int(left) <= 8
