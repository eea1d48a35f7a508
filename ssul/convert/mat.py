"""Masks in Matlab's files: a matrix of values. Objects and functions in them are never called, and HDF5 is refused."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssul.convert.annotations import AnnotatedImage, Annotations, images_of_masks, require_library
from ssul.data.image_files import MAX_BYTES, MAX_PIXELS, UnreadableImageError
from ssul.labels.ids import VOID

_NUMERIC = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "single", "double", "logical")


def read_mats(masks: Path, images: Path, classes: Sequence[str], *, variable: str | None, ending: str) -> Annotations:
    """Reads one matrix of values an image: 0 is the background, 1.. the classes, 255 void.

    Args:
        masks: the folder of the .mat files.
        images: the folder of the images.
        classes: names, in the order of their values.
        variable: the matrix's name, with the fields above it (`GTcls.Segmentation`); None takes the only matrix.
        ending: of the files' names.

    Raises:
        UserError: if scipy is missing, or there are no masks.
    """
    require_library("scipy")
    pairs, broken = images_of_masks(masks, ending, images)
    found = tuple(
        AnnotatedImage(name, image, partial(_paint, path, variable, len(classes)))
        for path, (name, image) in pairs.items()
    )
    return Annotations(tuple(classes), found, broken)


def _paint(path: Path, variable: str | None, classes: int, height: int, width: int) -> NDArray[np.uint8]:
    matrix = _matrix(path, variable)
    if matrix.shape != (height, width):
        raise UnreadableImageError(f"the image is {width}x{height} pixels, its matrix is {_size(matrix.shape)}")
    found = np.unique(matrix)
    foreign = [value for value in found.tolist() if not (value == VOID or value in range(classes + 1))]
    if foreign:
        named = ", ".join(f"{value:g}" for value in foreign[:8])
        raise UnreadableImageError(f"its matrix holds {named}, valid are 0..{classes} and {VOID} (void)")
    return matrix.astype(np.uint8)


def _matrix(path: Path, variable: str | None) -> NDArray[Any]:
    import scipy.io  # late: an optional library

    if path.stat().st_size > MAX_BYTES:
        raise UnreadableImageError(f"its matrix is a file of more than {MAX_BYTES} bytes, which is not read")
    try:
        listed = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
        matrices = [name for name, (shape, kind) in listed.items() if len(shape) == 2 and kind in _NUMERIC]
        name, *fields = variable.split(".") if variable else matrices[:1] or [""]
        if name not in listed or (variable is None and len(matrices) > 1):
            raise UnreadableImageError(_choose(variable, listed))
        if np.prod([float(side) for side in listed[name][0]]) > MAX_PIXELS:
            raise UnreadableImageError(f"its matrix is {_size(listed[name][0])}, which is too large")
        found = scipy.io.loadmat(path, variable_names=[name])[name]
    except NotImplementedError:
        raise UnreadableImageError("it is a file of Matlab 7.3 (HDF5): save it with save(..., '-v7')") from None
    except UnreadableImageError:
        raise
    except Exception as error:  # scipy raises anything for a damaged file
        raise UnreadableImageError(f"unreadable matrix ({' '.join(str(error).split())[:200]})") from None
    for field in fields:
        if not isinstance(found, np.ndarray) or field not in (found.dtype.names or ()) or found.size != 1:
            raise UnreadableImageError(f"{variable} is not in it: there is no {field}")
        found = found[field].flat[0]
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "uifb":
        raise UnreadableImageError(f"{variable or name} is not a matrix of numbers: name one with --variable")
    return found


def _choose(variable: str | None, listed: dict[str, tuple[tuple[int, ...], str]]) -> str:
    there = ", ".join(f"{name} ({_size(shape)} {kind})" for name, (shape, kind) in listed.items())
    return f"{'which matrix is the mask' if variable is None else f'{variable} is not in it'}? It holds {there}"


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[::-1]))
