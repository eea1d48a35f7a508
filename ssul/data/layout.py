"""Where the files of an image lie below a data root, and which images a split has."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
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
        pattern = re.compile(re.escape(before) + "(.+)" + re.escape(after))
        paths = (path.relative_to(self.root).as_posix() for path in top.rglob(f"*{Path(after).suffix}"))
        return sorted(match[1] for path in paths if (match := pattern.fullmatch(path)))

    def _file(self, template: str, image_id: str) -> Path:
        return self.root / template.replace(_PLACE, image_id)


def split_ids(train: Folders, val: Folders, *, val_share: float | None, val_seed: int) -> tuple[list[str], list[str]]:
    """The image ids of the training and of the validation split.

    A split is its image list; without a list it is every mask in its place that the other split's list does not name.

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
    one_place = train.files.mask == val.files.mask  # elsewhere the same id is another image
    if val_share is not None:
        everything = train.read_list() or train.found()
        ids = draw_validation(everything, val_share, val_seed)
        if everything and not all(ids):
            raise UserError(
                f"data.described.val_share is {val_share}, which leaves a split of the {len(everything)} images of "
                f"{train.root} empty: choose another share, or add images"
            )
    else:
        listed_train, listed_val = train.read_list(), val.read_list()
        ids = (
            _rest(train, listed_val if one_place else None) if listed_train is None else listed_train,
            _rest(val, listed_train if one_place else None) if listed_val is None else listed_val,
        )
    for name, place, some in (("training", train, ids[0]), ("validation", val, ids[1])):
        if not some:
            raise UserError(f"there is no {name} image: no mask is found as {place.root / place.files.mask}")
    if one_place and (both := sorted(set(ids[0]) & set(ids[1]))):
        raise UserError(f"{len(both)} images are in the training and in the validation list: {', '.join(both[:8])}")
    return ids


def draw_validation(ids: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Parts the ids into those that train and a share that validates, both in their order.

    Ranks by a hash of each id alone, so that a new image moves no other one between the splits but at the edge.
    """
    ranked = sorted(ids, key=lambda image_id: hashlib.sha256(f"{seed}/{image_id}".encode()).digest())
    drawn = set(ranked[: round(share * len(ids))])
    return [one for one in ids if one not in drawn], [one for one in ids if one in drawn]


def _rest(folders: Folders, others: Collection[str] | None) -> list[str]:
    taken = set(others or ())
    return [image_id for image_id in folders.found() if image_id not in taken]


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
    outside = [one for one in ids if PurePosixPath(one).is_absolute() or ".." in PurePosixPath(one).parts]
    if outside:
        raise UserError(f"the image list {path} names files outside data.root: {', '.join(outside[:8])}")
    return ids
