"""glibc's allocator, told that buffers of many megabytes come and go."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST = 32 * 2**20  # what glibc allows
_KEPT = 256 * 2**20


def keep_freed_memory() -> None:
    """Use the memory of one segment again for the next. † By default each buffer is mapped, and its pages are
    cleared, anew: 8 % of the cleaning. Elsewhere than on glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _KEPT)
