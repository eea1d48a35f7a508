"""One-line explanations of out-of-memory, disk-full and dead-worker errors."""

import errno

_LOWER = "lower recipe.base.batch, recipe.increment.batch or recipe.crop"


def explain(error: BaseException) -> str | None:
    """What happened and the way out, in one line; None where an error is not the machine's."""
    # by name: the stages that need no torch must not import it for this
    kinds = {kind.__name__ for kind in type(error).__mro__}
    told, number = " ".join(str(error).split()), error.errno if isinstance(error, OSError) else None
    if "OutOfMemoryError" in kinds or "CUDA error: out of memory" in told:
        return f"the device's memory does not suffice: {_LOWER}, or set recipe.precision=bf16 ({told[:200]})"
    if isinstance(error, MemoryError) or number == errno.ENOMEM or "can't allocate memory" in told:
        return f"the machine's memory does not suffice: {_LOWER}, or load with fewer processes (SSUL_WORKERS)"
    if number in (errno.EMFILE, errno.ENFILE) or told.startswith("Too many open files"):  # thus says a DataLoader
        return "too many files are open: raise the limit (ulimit -n 4096), or set SSUL_WORKERS lower"
    if told.startswith("DataLoader worker (pid"):  # an error that is raised in one has the words in its middle
        return (
            f"a process that loads pictures has died ({told[:200]}); most often memory has run out: set SSUL_WORKERS "
            "lower (0 loads without processes), then run the same command again"
        )
    if "DistError" in kinds or "gloo" in told or "NCCL" in told:
        return (
            f"a process of this training cannot be reached any more ({told[:200]}): its reason is above, if it could "
            "tell one. Run the same command again"
        )
    if isinstance(error, OSError) and number in (errno.ENOSPC, errno.EDQUOT):
        place = f" ({error.filename})" if error.filename else ""
        return f"the disk is full{place}: make room, then run the same command again"
    return None
