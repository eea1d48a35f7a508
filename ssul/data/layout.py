"""Where the files of an image lie below a data root, and which images a split has."""

import functools
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ssul.errors import UserError
from ssul.files import Files

_PLACE = "{id}"


@dataclass(frozen=True)
class Folders:
    """The files of a split below a data root.

    Attributes:
        root: the data root.
        files: the split's templates.
    """

    root: Path
    files: Files

    def image(self, image_id: str) -> Path:
        """The photograph."""
        return self._file(self.files.image, image_id)

    def mask(self, image_id: str) -> Path:
        """The mask of class values."""
        return self._file(self.files.mask, image_id)

    def saliency(self, image_id: str) -> Path:
        """The saliency map.

        Raises:
            ValueError: if the split has none.
        """
        if self.files.saliency is None:
            raise ValueError("this split has no saliency maps")
        return self._file(self.files.saliency, image_id)

    def all_of(self, image_id: str, *, saliency: bool) -> tuple[Path, ...]:
        """Image, mask and, if asked for, saliency map."""
        both = (self.image(image_id), self.mask(image_id))
        return (*both, self.saliency(image_id)) if saliency else both

    def read_list(self) -> list[str] | None:
        """The ids of the split's image list; None if it has none (see `Files.list`). Raises as `read_image_list`."""
        if self.files.list is None:
            return None
        path = self.root / self.files.list
        return None if self.files.list_may_lack and not path.exists() else read_image_list(path)

    def found(self) -> list[str]:
        """The ids of all masks that lie in the split's place, sorted; ids may hold folders (`town/street_7`)."""
        before, after = self.files.mask.split(_PLACE)
        top = self.root / PurePosixPath(before).parent if not before.endswith("/") else self.root / before
        paths = (path.relative_to(self.root).as_posix() for path in top.rglob(f"*{Path(after).suffix}"))
        return sorted(masks_by_id(paths, self.files.mask))

    def named(self) -> "Named":
        """The images that the split's list names or, without one, all that are found; raises as `read_list`."""
        listed = self.read_list()
        # Links of folders are followed, those of files are not: masks of one content may well share it.
        folder = functools.cache(os.path.realpath)
        masks = ((one, self.mask(one)) for one in (self.found() if listed is None else listed))
        return Named({one: f"{folder(mask.parent)}/{mask.name}" for one, mask in masks}, listed is not None)

    def _file(self, template: str, image_id: str) -> Path:
        return self.root / template.replace(_PLACE, image_id)


def masks_by_id(names: Iterable[str], template: str, *, above: str = "") -> dict[str, str]:
    """Image id -> file, of the files that are masks: those that match the template, but for what a Mac adds.

    Args:
        names: paths of files, joined by `/`.
        template: as in `ssul.files.Files`.
        above: a regular expression of what stands before the template in a path.

    Raises:
        UserError: if a mask's name makes no image id, see `odd_id`.
    """
    before, after = PurePosixPath(template).as_posix().split(_PLACE)
    pattern = re.compile(f"{above}{re.escape(before)}(.+){re.escape(after)}", re.DOTALL)
    own = (name for name in names if not _added_by_a_mac(PurePosixPath(name).name))
    found = {match[1]: name for name in own if (match := pattern.fullmatch(name))}
    for image_id, name in found.items():
        if (odd := odd_id(image_id)) is not None:
            raise UserError(f"the mask {name!r} cannot be used, for its name {odd}: give it and its image another name")
    return found


def odd_id(image_id: str) -> str | None:
    """What makes a text no image id, in words; None if it is one.

    An id is a line of an image list, a part of a path below the data root, and UTF-8 in JSON.
    """
    kinds = {unicodedata.category(character) for character in image_id}
    if kinds & {"Cs"}:
        return "is not UTF-8"
    if kinds & {"Cc", "Zl", "Zp"}:
        return "holds a line break or another control character"
    if not image_id.strip() or not stays_below(image_id):
        return "is empty, or leads out of the data root"
    return None


def stays_below(path: str) -> bool:
    """Whether a relative path, or a template of paths, leads nowhere out of the folder that it starts from."""
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _added_by_a_mac(name: str) -> bool:
    return name.startswith("._") or name == ".DS_Store"


@dataclass(frozen=True)
class Named:
    """The images of a split, before it is told apart from the other one.

    Attributes:
        masks: image id -> where its mask lies, in the split's order.
        listed: whether an image list names them; otherwise they are all masks in the split's place.
    """

    masks: dict[str, str]
    listed: bool


def tell_apart(train: Named, val: Named) -> tuple[list[str], list[str]]:
    """The ids of both splits, so that no mask is in both: one without a list leaves the other its masks.

    Of two without lists, whose places lie one inside the other, the inner one keeps its masks.

    Raises:
        UserError: if neither can give way.
    """
    both = set(train.masks.values()) & set(val.masks.values())
    train_gives_way, val_gives_way = _gives_way(train, val), _gives_way(val, train)
    if both and not (train_gives_way or val_gives_way):
        told = ", ".join([image_id for image_id, mask in train.masks.items() if mask in both][:8])
        drawn = "have a share of the training images drawn for validation (data.described.val_share)"
        if train.listed:
            raise UserError(
                f"{len(both)} images are in the training and in the validation list: {told}. Take them out of one of "
                f"the lists, or {drawn}"
            )
        raise UserError(
            f"{len(both)} images are in the training and in the validation split: {told}. Give a split an image list "
            f"(data.described.train.list or val.list) or a place of its own, or {drawn}"
        )
    return (
        [image_id for image_id, mask in train.masks.items() if not (train_gives_way and mask in both)],
        [image_id for image_id, mask in val.masks.items() if not (val_gives_way and mask in both)],
    )


def _gives_way(one: Named, other: Named) -> bool:
    return not one.listed and (other.listed or set(one.masks.values()) > set(other.masks.values()))


def split_ids(train: Folders, val: Folders, *, val_share: float | None, val_seed: int) -> tuple[list[str], list[str]]:
    """The image ids of the training and of the validation split.

    A split is its image list; without a list it is every mask in its place that the other split does not name, see
    `tell_apart`.

    Args:
        train, val: where their files lie.
        val_share: see `ssul.catalog.DataSet`; then `train` is the place of all images.
        val_seed: decides which images are drawn.

    Raises:
        UserError: if the root is missing, a list cannot be used, an image is in both splits, or a split is empty.
    """
    if not train.root.is_dir():
        raise UserError(
            f"data.root '{train.root}' is no folder: put the data set there, or name its place with -S data.root=FOLDER"
        )
    if val_share is not None:
        everything = train.read_list() or train.found()
        ids = draw_validation(everything, val_share, val_seed)
        if everything and not all(ids):
            raise UserError(
                f"data.described.val_share is {val_share}, which leaves a split of the {len(everything)} images of "
                f"{train.root} empty: choose another share, or add images"
            )
    else:
        ids = tell_apart(train.named(), val.named())
    for name, place, some in (("training", train, ids[0]), ("validation", val, ids[1])):
        if not some:
            raise UserError(
                f"there is no {name} image: no mask is found as {place.root / place.files.mask}, or the other split "
                "names them all"
            )
    return ids


def draw_validation(ids: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Parts the ids into those that train and a share that validates, both in their order.

    Ranks by a hash of each id alone, so that a new image moves no other one between the splits but at the edge.
    """
    ranked = sorted(ids, key=lambda image_id: hashlib.sha256(f"{seed}/{image_id}".encode()).digest())
    drawn = set(ranked[: round(share * len(ids))])
    return [one for one in ids if one not in drawn], [one for one in ids if one in drawn]


def read_image_list(path: Path) -> list[str]:
    """The image ids of a list, one a line.

    Raises:
        UserError: if it is missing, unreadable, empty, names an image twice or a place outside the data root.
    """
    try:
        ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        raise UserError(f"the image list {path} is missing: it must hold one image id a line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the image list {path} cannot be read ({error})") from None
    if not ids:
        raise UserError(f"the image list {path} is empty: it must name at least one image")
    twice = [image_id for image_id, times in Counter(ids).items() if times > 1]
    if twice:
        raise UserError(f"the image list {path} names images twice: {', '.join(twice[:8])}")
    outside = [one for one in ids if not stays_below(one)]
    if outside:
        raise UserError(f"the image list {path} names files outside data.root: {', '.join(outside[:8])}")
    odd = [repr(one) for one in ids if odd_id(one) is not None]
    if odd:
        raise UserError(f"the image list {path} names images with control characters: {', '.join(odd[:8])}")
    return ids
