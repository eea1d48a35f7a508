"""How the C library treats the memory of freed tensors, which decides the speed of a CPU and no result."""

import ctypes
import sys

# of <malloc.h>: how much at the heap's end may be free, how much is taken beside the need, how many blocks may lie
# outside the heap
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Keeps the memory of freed tensors for the next ones.

    By default glibc returns large blocks to the kernel, and every iteration of a training faults the same pages in
    anew: a fifth of the time of MobileNetV2 on a CPU. The peak stays as it was. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 2**26)
