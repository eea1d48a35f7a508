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
    """The images of a split, before the overlap of both splits is removed.

    Attributes:
        masks: image id -> path of its mask, in the split's order.
        listed: whether they are an image list; otherwise they are all masks that match the split's template.
    """

    masks: dict[str, str]
    listed: bool


def split_ids(
    train: ImagePaths, val: ImagePaths, *, val_share: float | None, val_seed: int
) -> tuple[list[str], list[str]]:
    """The image ids of the training and of the validation split.

    A split is its image list. Without a list, it is every mask that matches its template and that the other split's
    list does not name. Two splits without lists must not share a mask.

    Args:
        train, val: the files of both splits.
        val_share: see `ssul.datasets.catalog.DatasetSpec`; if it is not None, `train` has the files of all images.
        val_seed: decides which images are drawn.

    Raises:
        UserError: if the root is missing, a list cannot be used, an image is in both splits, or a split is empty.
    """
    if not train.root.is_dir():
        raise UserError(
            f"data.root '{train.root}' is not a folder: put the dataset there, or name its place with "
            "-S data.root=FOLDER"
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
        ids = remove_overlap(_split(train), _split(val))
    for name, paths, some in (("training", train, ids[0]), ("validation", val, ids[1])):
        if not some:
            raise UserError(
                f"there is no {name} image: no mask is found as {paths.root / paths.files.mask}, or the other split "
                "names them all"
            )
    return ids


def _split(paths: ImagePaths) -> SplitIds:
    listed = paths.read_list()
    # Links of folders are followed. Links of files are not, because masks of equal content may share a file.
    folder = functools.cache(os.path.realpath)
    masks = ((one, paths.mask(one)) for one in (paths.list_masks() if listed is None else listed))
    return SplitIds({one: f"{folder(mask.parent)}/{mask.name}" for one, mask in masks}, listed is not None)


def remove_overlap(train: SplitIds, val: SplitIds) -> tuple[list[str], list[str]]:
    """The ids of both splits: an image that the other split's list names is dropped from a split without a list.

    Raises:
        UserError: if both splits have lists, or neither has one, and they share masks.
    """
    both = set(train.masks.values()) & set(val.masks.values())
    if both and train.listed == val.listed:
        named = ", ".join([image_id for image_id, mask in train.masks.items() if mask in both][:8])
        source = "list" if train.listed else "split"
        advice = "Give a split an image list (data.custom.train.list or val.list) or a place of its own"
        if train.listed:
            advice = "Take them out of one of the lists"
        raise UserError(
            f"{len(both)} images are in the training and in the validation {source}: {named}. {advice}, or have a "
            "share of the training images drawn for validation (data.custom.val_share)"
        )
    return (
        [image_id for image_id, mask in train.masks.items() if train.listed or mask not in both],
        [image_id for image_id, mask in val.masks.items() if val.listed or mask not in both],
    )


def random_validation_split(ids: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Divides the ids into those of the training and those of the validation split, both in their order.

    The ids are ranked by a hash of each id alone, so that a new image moves at most one other to the other split.

    Args:
        ids: the images.
        share: the share of the validation split, 0..1.
        seed: part of the hash.
    """
    ranked = sorted(ids, key=lambda image_id: hashlib.sha256(f"{seed}/{image_id}".encode()).digest())
    drawn = set(ranked[: round(share * len(ids))])
    return [one for one in ids if one not in drawn], [one for one in ids if one in drawn]
