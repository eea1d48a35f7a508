"""One-line explanations of out-of-memory, disk-full and dead-worker errors."""

import errno
import re
import sys
from typing import NoReturn

_LOWER = (
    "compute each batch in parts with recipe.base.accumulate and recipe.increment.accumulate, or lower "
    "recipe.base.batch, recipe.increment.batch or recipe.crop"
)


def exit_explained(error: BaseException) -> NoReturn:
    """Ends the program with one line and code 1 if the error is one of the machine; else raises it again."""
    reason = explain(error)
    if reason is None:
        raise error
    print(f"error: {reason}", file=sys.stderr)
    raise SystemExit(1) from None


def explain(error: BaseException) -> str | None:
    """The problem and the way out, in one line; None if the error is not one of the machine."""
    # by name, because stages that need no torch must not import it
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text, number = " ".join(str(error).split()), error.errno if isinstance(error, OSError) else None
    if "OutOfMemoryError" in kinds or "CUDA error: out of memory" in text:
        return f"the device's memory does not suffice: {_LOWER}, or set recipe.precision=bf16 ({text[:200]})"
    if isinstance(error, MemoryError) or number == errno.ENOMEM or "can't allocate memory" in text:
        return f"the machine's memory does not suffice: {_LOWER}, or load with fewer processes (SSUL_WORKERS)"
    if number in (errno.EMFILE, errno.ENFILE) or text.startswith("Too many open files"):  # from a DataLoader
        return "too many files are open: raise the limit (ulimit -n 4096), or set SSUL_WORKERS lower"
    if text.startswith("DataLoader worker (pid"):  # an error raised inside a worker has these words in its middle
        return (
            f"a process that loads images has died ({text[:200]}); most often memory has run out: set SSUL_WORKERS "
            "lower (0 loads without processes), then run the same command again"
        )
    if isinstance(error, OSError) and number in (errno.ENOSPC, errno.EDQUOT):
        place = f" ({error.filename})" if error.filename else ""
        return f"the disk is full{place}: make room, then run the same command again"
    if "DistError" in kinds or re.search(r"third_party/gloo|\b(Gloo|NCCL)\b", text):
        return (
            f"a process of this training cannot be reached any more ({text[:200]}): its reason is above, if it could "
            "print one. Run the same command again"
        )
    return None
