"""How the allocator gives memory back to the system."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3  # in glibc's malloc.h
LARGE = 1 << 20  # bytes


def return_large_blocks() -> None:
    """Have glibc return large blocks to the system when they are freed, as those of fetched answers and of packed records.

    Otherwise it learns from the first ones to take such blocks from its heap, up to 32 MB, where they leave gaps. Does nothing
    with another C library.
    """
    try:
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
    except (OSError, AttributeError):
        return
