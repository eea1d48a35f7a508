"""The masks of a dataset without its images, from a folder or an archive."""

import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from ssul.data.image_files import MAX_BYTES
from ssul.data.layout import ImagePaths, SplitFiles, masks_by_id
from ssul.datasets.archive_members import ARCHIVE_ERRORS
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.split_ids import SplitIds, random_validation_split, remove_overlap
from ssul.errors import UserError

_UNREADABLE = (*ARCHIVE_ERRORS, OSError)


@dataclass(frozen=True)
class MaskSource:
    """The training masks of a dataset in a folder, a zip or a tar archive.

    Attributes:
        path: the folder or archive.
        names: image id -> path of its mask in the folder or archive.
        read: returns the content of a mask by its path.
    """

    path: Path
    names: dict[str, str]
    read: Callable[[str], bytes]

    @classmethod
    def open(cls, path: Path, template: str) -> "MaskSource":
        """Finds the masks.

        Args:
            path: the folder or archive. It may contain the dataset, contain the masks' folder, or be that folder.
            template: of the masks' paths in the dataset, such as `annotations/training/{id}.png`.

        Raises:
            UserError: if there are no masks.
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


def training_ids(source: MaskSource, lists: Path | None, spec: DatasetSpec) -> list[str]:
    """The ids of the training images, by the rule of `ssul.datasets.split_ids.split_ids`.

    Args:
        source: the training masks.
        lists: the folder of the image lists, which are named as in the dataset; None if there is none.
        spec: the dataset.

    Raises:
        UserError: if a list is missing or names images that have no mask here, or an image is in both splits.
    """
    listed = _read_list(spec.train, lists)
    missing = [image_id for image_id in listed or [] if image_id not in source.names]
    if listed is not None and missing:
        raise UserError(
            f"{len(missing)} of the {len(listed)} images of {spec.train.list} have no mask in {source.path}: "
            f"{', '.join(missing[:8])}"
        )
    ids = sorted(source.names) if listed is None else listed
    if spec.val_share is not None:
        return random_validation_split(ids, spec.val_share, spec.val_seed)[0]
    if listed is not None:
        return ids
    train = _split(spec.train, ids, listed=False)
    shared = masks_by_id(train.masks.values(), spec.val.mask)
    if not shared:  # the splits have masks in different folders, so that no list is needed
        return ids
    val_ids = _read_list(spec.val, lists)
    val = _split(spec.val, shared if val_ids is None else val_ids, listed=val_ids is not None)
    return remove_overlap(train, val)[0]


def _read_list(files: SplitFiles, lists: Path | None) -> list[str] | None:
    """The ids of a split's image list; None if the split has none."""
    if files.list is None:
        return None
    name = Path(files.list).name
    if lists is not None:
        return ImagePaths(lists, replace(files, list=name)).read_list()
    if files.list_may_lack:
        return None
    raise UserError(
        f"without {name}, training and validation images cannot be distinguished: give the folder of the image lists "
        "with --lists FOLDER"
    )


def _split(files: SplitFiles, ids: Iterable[str], *, listed: bool) -> SplitIds:
    template = PurePosixPath(files.mask).as_posix()  # without `./`, so that equal paths are equal texts
    return SplitIds({image_id: template.replace("{id}", image_id) for image_id in ids}, listed)


def _file(path: Path) -> bytes:
    if not path.is_file():
        raise OSError("not a regular file")
    _require_small(path.name, path.stat().st_size)
    return path.read_bytes()


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    _require_small(name, archive.getinfo(name).file_size)
    return archive.read(name)  # never more than the archive declares


def _require_small(name: str, size: int) -> None:
    """Raises OSError if a mask is too large to be read, because a small archive may declare gigabytes."""
    if size > MAX_BYTES:
        raise OSError(f"{name} has {size} bytes, at most {MAX_BYTES} are read")


def _tar_masks(path: Path, template: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """Image id -> path, and path -> content, of the masks; a tar archive can only be read in its own order."""
    try:
        with tarfile.open(path) as tar:
            names = _by_id([member.name for member in tar if member.isfile()], template, path)
            masks = set(names.values())
            contents = {}
            for member in tar:
                if member.name in masks and (file := tar.extractfile(member)):
                    _require_small(member.name, member.size)
                    contents[member.name] = file.read()
    except UserError:
        raise
    except _UNREADABLE as error:
        raise UserError(f"the archive {path} cannot be read ({error})") from None
    return names, contents


def _by_id(files: Sequence[str], template: str, path: Path) -> dict[str, str]:
    """Image id -> file, of the files that match the template, or its end: the folder's name may be missing."""
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
    """The folder of all masks, with a slash at its end; it is not a part of their ids."""
    inside = after.count("/") + 1
    masks = masks_by_id(files, f"{{id}}{after}").values()
    folders = ["/".join(mask.split("/")[:-inside]) for mask in masks]
    shared = os.path.commonpath(folders) if folders else ""
    return f"{shared}/" if shared else ""
