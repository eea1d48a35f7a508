"""The masks of a dataset alone, from a folder or an archive."""

import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from ssul.data.image_files import MAX_BYTES
from ssul.data.layout import SplitFiles, masks_by_id, read_image_list
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.split_ids import SplitIds, random_validation_split, resolve_overlap
from ssul.errors import UserError

_UNREADABLE = (
    OSError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,  # encrypted; packed in a way that nobody knows
    ValueError,
    OverflowError,
)
"""What the readers raise for an archive that is cut off, damaged, or packed in a way that they do not know."""


@dataclass(frozen=True)
class MaskSource:
    """The training masks of a dataset in a folder, a zip or a tar archive.

    Attributes:
        path: the folder or archive.
        names: image id -> name of its mask in there.
        read: the content of a mask by its name.
    """

    path: Path
    names: dict[str, str]
    read: Callable[[str], bytes]

    @classmethod
    def open(cls, path: Path, template: str) -> "MaskSource":
        """Finds the masks.

        Args:
            path: the folder or archive; it may hold the dataset, or the masks' folder, or be that folder.
            template: where masks lie in the dataset, such as `annotations/training/{id}.png`.

        Raises:
            UserError: if there are none.
        """
        if path.is_dir():
            files = [found.relative_to(path).as_posix() for found in path.rglob("*")]
            return cls(path, _by_id(files, template, path), lambda name: _file(path / name))
        if path.is_file() and zipfile.is_zipfile(path):
            try:
                archive = zipfile.ZipFile(path)
            except _UNREADABLE as error:
                raise UserError(f"the archive {path} cannot be read ({error})") from None
            return cls(path, _by_id(archive.namelist(), template, path), partial(_member, archive))
        if path.is_file() and tarfile.is_tarfile(path):
            names, contents = _tar_masks(path, template)
            return cls(path, names, contents.__getitem__)
        raise UserError(f"{path} holds no masks: give the masks' folder, or a zip or tar archive of it")

    def contents(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Image ids with the content of their masks.

        Raises:
            UserError: if the archive is damaged or a file cannot be read.
        """
        for image_id in ids:
            try:
                content = self.read(self.names[image_id])
            except _UNREADABLE as error:
                raise UserError(f"the mask of {image_id} in {self.path} cannot be read ({error})") from None
            yield image_id, content


def training_ids(store: MaskSource, lists: Path | None, data_set: DatasetSpec) -> list[str]:
    """The ids of the training images; see `ssul.datasets.split_ids.split_ids`.

    Args:
        store: the masks.
        lists: the folder of the image lists, named as in the dataset; None where it has none.
        data_set: whose lists they are.

    Raises:
        UserError: if a list is missing or names images that have no mask here, or validation images would train.
    """
    listed = _listed(data_set.train, lists)
    if listed is not None:
        gone = [image_id for image_id in listed if image_id not in store.names]
        if gone:
            raise UserError(
                f"{len(gone)} of the {len(listed)} images of {data_set.train.list} have no mask in {store.path}: "
                f"{', '.join(gone[:8])}"
            )
    ids = sorted(store.names) if listed is None else listed
    if data_set.val_share is not None:
        return random_validation_split(ids, data_set.val_share, data_set.val_seed)[0]
    if listed is not None:
        return ids
    train = SplitIds({image_id: _place(data_set.train, image_id) for image_id in ids}, listed=False)
    return resolve_overlap(train, _validation(train, lists, data_set))[0]


def _listed(files: SplitFiles, lists: Path | None) -> list[str] | None:
    """The ids of a split's image list; None if the split has none."""
    if files.list is None:
        return None
    if lists is None:
        if files.list_may_lack:
            return None
        raise _lists_needed(files.list)
    path = lists / Path(files.list).name
    return None if files.list_may_lack and not path.exists() else read_image_list(path)


def _validation(train: SplitIds, lists: Path | None, data_set: DatasetSpec) -> SplitIds:
    """The validation images, as far as they could be among those that train."""
    val = data_set.val
    shared = masks_by_id(train.masks.values(), val.mask)
    if not shared or (val.list is None and len(shared) == len(train.masks) and val.mask != data_set.train.mask):
        return SplitIds({}, listed=False)  # elsewhere, or all around the training masks and so none of them
    ids = _listed(val, lists)
    if ids is None:
        return SplitIds(shared, listed=False)
    return SplitIds({image_id: _place(val, image_id) for image_id in ids}, listed=True)


def _lists_needed(name: str) -> UserError:
    return UserError(
        f"without {Path(name).name} nobody can tell training images from validation images: name the folder of the "
        "image lists with --lists FOLDER"
    )


def _place(files: SplitFiles, image_id: str) -> str:
    return files.mask.replace("{id}", image_id)


def _file(path: Path) -> bytes:
    if not path.is_file():
        raise OSError("no regular file")
    _small(path.name, path.stat().st_size)
    return path.read_bytes()


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    _small(name, archive.getinfo(name).file_size)
    return archive.read(name)  # no more than it declares


def _small(name: str, size: int) -> bool:
    """True of a mask that may be read into memory; an archive of some kilobytes may hold gigabytes."""
    if size > MAX_BYTES:
        raise OSError(f"{name} has {size} bytes, at most {MAX_BYTES} are read")
    return True


def _tar_masks(path: Path, template: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """Image id -> name, and name -> content, of the masks alone; a tar archive is read in its own order only."""
    try:
        with tarfile.open(path) as tar:
            names = _by_id([member.name for member in tar if member.isfile()], template, path)
            masks = set(names.values())
            contents = {
                member.name: file.read()
                for member in tar
                if member.name in masks and _small(member.name, member.size) and (file := tar.extractfile(member))
            }
    except UserError:
        raise
    except _UNREADABLE as error:
        raise UserError(f"the archive {path} cannot be read ({error})") from None
    return names, contents


def _by_id(files: Sequence[str], template: str, path: Path) -> dict[str, str]:
    """Image id -> file, where the files match the template, or its end (the folder's name may be left out)."""
    given = {PurePosixPath(name).as_posix(): name for name in files}
    folders = template.split("/")
    for start in range(len(folders)):
        end = "/".join(folders[start:])
        before, place, after = end.partition("{id}")
        if not place:
            break
        above = "(?:.*?/)??" if "/" in before else re.escape(_shared_folder(given, after))
        found = masks_by_id(given, end, above=above)
        if found:
            return {image_id: given[name] for image_id, name in found.items()}
    raise UserError(f"{path} holds no masks like {template}")


def _shared_folder(files: Iterable[str], after: str) -> str:
    """The folder, with a slash behind it, that all masks lie in: no part of their ids."""
    inside = after.count("/") + 1
    masks = masks_by_id(files, f"{{id}}{after}").values()
    folders = ["/".join(mask.split("/")[:-inside]) for mask in masks]
    shared = os.path.commonpath(folders) if folders else ""
    return f"{shared}/" if shared else ""
