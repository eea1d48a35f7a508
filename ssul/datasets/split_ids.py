"""Which images train and which validate."""

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from ssul.data.layout import ImagePaths
from ssul.errors import UserError


@dataclass(frozen=True)
class SplitIds:
    """The images of a split, before it is told apart from the other one.

    Attributes:
        masks: image id -> where its mask lies, in the split's order.
        listed: whether an image list names them; otherwise they are all masks in the split's place.
    """

    masks: dict[str, str]
    listed: bool


def image_ids(paths: ImagePaths) -> SplitIds:
    """The images that the split's list names or, without one, all that are found; raises as `ImagePaths.read_list`."""
    listed = paths.read_list()
    # Links of folders are followed, those of files are not: masks of one content may well share it.
    folder = functools.cache(os.path.realpath)
    masks = ((one, paths.mask(one)) for one in (paths.list_masks() if listed is None else listed))
    return SplitIds({one: f"{folder(mask.parent)}/{mask.name}" for one, mask in masks}, listed is not None)


def resolve_overlap(train: SplitIds, val: SplitIds) -> tuple[list[str], list[str]]:
    """The ids of both splits, so that no mask is in both: one without a list leaves the other its masks.

    Of two without lists, whose places lie one inside the other, the inner one keeps its masks.

    Raises:
        UserError: if neither can give way.
    """
    both = set(train.masks.values()) & set(val.masks.values())
    train_gives_way, val_gives_way = _gives_way(train, val), _gives_way(val, train)
    if both and not (train_gives_way or val_gives_way):
        told = ", ".join([image_id for image_id, mask in train.masks.items() if mask in both][:8])
        drawn = "have a share of the training images drawn for validation (data.custom.val_share)"
        if train.listed:
            raise UserError(
                f"{len(both)} images are in the training and in the validation list: {told}. Take them out of one of "
                f"the lists, or {drawn}"
            )
        raise UserError(
            f"{len(both)} images are in the training and in the validation split: {told}. Give a split an image list "
            f"(data.custom.train.list or val.list) or a place of its own, or {drawn}"
        )
    return (
        [image_id for image_id, mask in train.masks.items() if not (train_gives_way and mask in both)],
        [image_id for image_id, mask in val.masks.items() if not (val_gives_way and mask in both)],
    )


def _gives_way(one: SplitIds, other: SplitIds) -> bool:
    return not one.listed and (other.listed or set(one.masks.values()) > set(other.masks.values()))


def split_ids(
    train: ImagePaths, val: ImagePaths, *, val_share: float | None, val_seed: int
) -> tuple[list[str], list[str]]:
    """The image ids of the training and of the validation split.

    A split is its image list; without a list it is every mask in its place that the other split does not name, see
    `resolve_overlap`.

    Args:
        train, val: where their files lie.
        val_share: see `ssul.datasets.catalog.DatasetSpec`; then `train` is the place of all images.
        val_seed: decides which images are drawn.

    Raises:
        UserError: if the root is missing, a list cannot be used, an image is in both splits, or a split is empty.
    """
    if not train.root.is_dir():
        raise UserError(
            f"data.root '{train.root}' is no folder: put the dataset there, or name its place with -S data.root=FOLDER"
        )
    if val_share is not None:
        everything = train.read_list() or train.list_masks()
        ids = random_validation_split(everything, val_share, val_seed)
        if everything and not all(ids):
            raise UserError(
                f"data.custom.val_share is {val_share}, which leaves a split of the {len(everything)} images of "
                f"{train.root} empty: choose another share, or add images"
            )
    else:
        ids = resolve_overlap(image_ids(train), image_ids(val))
    for name, place, some in (("training", train, ids[0]), ("validation", val, ids[1])):
        if not some:
            raise UserError(
                f"there is no {name} image: no mask is found as {place.root / place.files.mask}, or the other split "
                "names them all"
            )
    return ids


def random_validation_split(ids: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Parts the ids into those that train and a share that validates, both in their order.

    Ranks by a hash of each id alone, so that a new image moves no other one between the splits but at the edge.
    """
    ranked = sorted(ids, key=lambda image_id: hashlib.sha256(f"{seed}/{image_id}".encode()).digest())
    drawn = set(ranked[: round(share * len(ids))])
    return [one for one in ids if one not in drawn], [one for one in ids if one in drawn]
