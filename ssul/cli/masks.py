"""The classes that training masks show."""

import sys
from pathlib import Path

from tqdm import tqdm

from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.mask_source import MaskSource, training_ids
from ssul.datasets.scan import ImageProblem, raise_unusable, scan_masks
from ssul.datasets.scan_cache import ScanCache


def present_classes(
    data_set: DatasetSpec, masks: Path, lists: Path | None, *, cache: Path
) -> dict[str, tuple[int, ...]]:
    """The classes that each training mask shows.

    Args:
        data_set: gives the classes and the encoding of the masks.
        masks: their folder, or a zip or tar archive of it.
        lists: the folder of the image lists; None if the dataset has none.
        cache: the file with the results of earlier scans; it is extended.

    Returns:
        Training image id -> class ids, ascending.

    Raises:
        UserError: if masks or lists are missing, or naming the masks that cannot be used.
    """
    source = MaskSource.open(masks, data_set.train.mask)
    ids = training_ids(source, lists, data_set)
    found = scan_masks(
        source.contents(ids), classes=len(data_set.classes), values=data_set.values, cache=ScanCache(cache)
    )
    scanned = list(tqdm(found, total=len(ids), desc="look at masks", unit="mask", disable=not sys.stderr.isatty()))
    problems = [one for one in scanned if isinstance(one, ImageProblem)]
    if problems:
        raise_unusable(
            problems, of=len(ids), where=masks, way_out="Mend these masks, or take their ids out of the image list"
        )
    return {one[0]: one[1].present for one in scanned if not isinstance(one, ImageProblem)}
