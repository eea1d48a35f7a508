"""Masks alone, in a folder or an archive: enough to know the splits, for these look at nothing else."""

import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ssul.catalog import DataSet
from ssul.data.layout import draw_validation, read_image_list
from ssul.errors import UserError


@dataclass(frozen=True)
class MaskStore:
    """The training masks of a data set in a folder, a zip or a tar archive.

    Attributes:
        path: the folder or archive.
        names: image id -> name of its mask in there.
        read: the content of a mask by its name.
    """

    path: Path
    names: dict[str, str]
    read: Callable[[str], bytes]

    @classmethod
    def open(cls, path: Path, template: str) -> "MaskStore":
        """Finds the masks.

        Args:
            path: the folder or archive; it may hold the data set, or the masks' folder, or be that folder.
            template: where masks lie in the data set, such as `annotations/training/{id}.png`.

        Raises:
            UserError: if there are none.
        """
        if path.is_dir():
            files = [found.relative_to(path).as_posix() for found in path.rglob("*")]
            return cls(path, _by_id(files, template, path), lambda name: (path / name).read_bytes())
        if path.is_file() and zipfile.is_zipfile(path):
            archive = zipfile.ZipFile(path)
            return cls(path, _by_id(archive.namelist(), template, path), archive.read)
        if path.is_file() and tarfile.is_tarfile(path):
            contents = _tar_contents(path)
            return cls(path, _by_id(list(contents), template, path), contents.__getitem__)
        raise UserError(f"{path} holds no masks: give the masks' folder, or a zip or tar archive of it")

    def contents(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Image ids with the content of their masks.

        Raises:
            UserError: if the archive is damaged or a file cannot be read.
        """
        for image_id in ids:
            try:
                content = self.read(self.names[image_id])
            except (OSError, zipfile.BadZipFile, zlib.error) as error:
                raise UserError(f"the mask of {image_id} in {self.path} cannot be read ({error})") from None
            yield image_id, content


def training_ids(store: MaskStore, lists: Path | None, data_set: DataSet) -> list[str]:
    """The ids of the training images; see `ssul.data.layout.split_ids`.

    Args:
        store: the masks.
        lists: the folder of the image lists, named as in the data set; None where it has none.
        data_set: whose lists they are.

    Raises:
        UserError: if a list is missing or names images that have no mask here.
    """
    train, val = (
        None if lists is None or files.list is None else lists / Path(files.list).name
        for files in (data_set.train, data_set.val)
    )
    if train is None or (data_set.train.list_may_lack and not train.exists()):
        one_place = data_set.train.mask == data_set.val.mask
        others = set(read_image_list(val)) if val and one_place else set()
        ids = sorted(store.names.keys() - others)
    else:
        ids = read_image_list(train)
        gone = [image_id for image_id in ids if image_id not in store.names]
        if gone:
            raise UserError(
                f"{len(gone)} of the {len(ids)} images of {train} have no mask in {store.path}: {', '.join(gone[:8])}"
            )
    return ids if data_set.val_share is None else draw_validation(ids, data_set.val_share, data_set.val_seed)[0]


def _tar_contents(path: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(path) as tar:
            return {member.name: file.read() for member in tar if member.isfile() and (file := tar.extractfile(member))}
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"the archive {path} cannot be read ({error})") from None


def _by_id(files: Sequence[str], template: str, path: Path) -> dict[str, str]:
    """Image id -> file, where the files match the template, or its end (the folder's name may be left out)."""
    named = ((PurePosixPath(name), name) for name in files)
    masks = {file.as_posix(): name for file, name in named if not file.name.startswith("._")}  # which a Mac adds
    folders = template.split("/")
    for start in range(len(folders)):
        before, place, after = "/".join(folders[start:]).partition("{id}")
        if not place:
            break
        above = "(?:.*?/)??" if "/" in before else re.escape(_shared_folder(masks, after))
        pattern = re.compile(f"{above}{re.escape(before)}(.+){re.escape(after)}")
        found = {match[1]: name for mask, name in masks.items() if (match := pattern.fullmatch(mask))}
        if found:
            return found
    raise UserError(f"{path} holds no masks like {template}")


def _shared_folder(masks: Iterable[str], after: str) -> str:
    """The folder, with a slash behind it, that all masks lie in: no part of their ids."""
    inside = after.count("/") + 1
    folders = ["/".join(mask.split("/")[:-inside]) for mask in masks if mask.endswith(after)]
    shared = os.path.commonpath(folders) if folders else ""
    return f"{shared}/" if shared else ""
