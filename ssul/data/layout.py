"""The places of an image's files below a data root, and the encoding of masks."""

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ssul.data.list_lines import listed_ids
from ssul.errors import UserError
from ssul.labels.colours import Colour
from ssul.labels.ids import BACKGROUND_ID, VOID


@dataclass(frozen=True)
class SplitFiles:
    """The places of a split's files below the data root, as templates in which `{id}` stands for the image id.

    Attributes:
        image: an RGB or grey photograph, JPEG or PNG.
        mask: an 8-bit palette or grey PNG of class values, or a PNG of colours, see `MaskEncoding`.
        saliency: an 8-bit PNG, positive on salient objects; None if the split has none.
        list: the image list, see `ssul.data.list_lines`. None: all masks of the template that the other split's list
            does not name.
        list_may_lack: whether a missing list file counts as None.
    """

    image: str
    mask: str
    saliency: str | None = None
    list: str | None = None
    list_may_lack: bool = False


@dataclass(frozen=True)
class MaskEncoding:
    """The meaning of the values in mask files.

    Attributes:
        background: whether 0 is the background; without one, every pixel is of a class or void.
        first: the value of the first class; the others follow.
        void: the value of pixels that are not annotated; None if there are none.
        class_ids: the dataset ids of the classes that have values, in the order of their values; None: 1 and up.
        colours: the colour that stands for each value, as (colour, value), in colour-coded masks; None where the files
            hold the values.
    """

    background: bool = True
    first: int = 1
    void: int | None = VOID
    class_ids: tuple[int, ...] | None = None
    colours: tuple[tuple[Colour, int], ...] | None = None

    def ids(self, classes: int) -> dict[int, int]:
        """Mask value -> dataset id, for a number of classes."""
        valued = range(1, classes + 1) if self.class_ids is None else self.class_ids
        known = {self.first + position: class_id for position, class_id in enumerate(valued)}
        if self.background:
            known[0] = BACKGROUND_ID
        if self.void is not None:
            known[self.void] = VOID
        return known


_ID = "{id}"


@dataclass(frozen=True)
class ImagePaths:
    """The files of a split below a data root.

    Attributes:
        root: the data root.
        files: the split's templates.
    """

    root: Path
    files: SplitFiles

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

    def files_of(self, image_id: str, *, saliency: bool) -> tuple[Path, ...]:
        """Image, mask and, if requested, saliency map."""
        both = (self.image(image_id), self.mask(image_id))
        return (*both, self.saliency(image_id)) if saliency else both

    def read_list(self) -> list[str] | None:
        """The ids of the split's image list; None if it has none. Raises as `read_image_list`."""
        if self.files.list is None:
            return None
        path = self.root / self.files.list
        return None if self.files.list_may_lack and not path.exists() else read_image_list(path, self.files)

    def list_masks(self) -> list[str]:
        """The ids of all masks that match the template, sorted; ids may contain folders (`town/street_7`)."""
        before, after = self.files.mask.split(_ID)
        top = self.root / PurePosixPath(before).parent if not before.endswith("/") else self.root / before
        paths = (path.relative_to(self.root).as_posix() for path in top.rglob(f"*{Path(after).suffix}"))
        return sorted(masks_by_id(paths, self.files.mask))

    def _file(self, template: str, image_id: str) -> Path:
        return self.root / template.replace(_ID, image_id)


def masks_by_id(names: Iterable[str], template: str, *, above: str = "") -> dict[str, str]:
    """Image id -> file, of the files that match the template, without the metadata files of macOS.

    Args:
        names: paths of files, joined by `/`.
        template: as in `ssul.data.layout.SplitFiles`.
        above: a regular expression of the path before the template.

    Raises:
        UserError: if a mask's name gives an invalid image id, see `invalid_id_reason`.
    """
    before, after = PurePosixPath(template).as_posix().split(_ID)
    pattern = re.compile(f"{above}{re.escape(before)}(.+){re.escape(after)}", re.DOTALL)
    own = (name for name in names if not _is_macos_metadata(PurePosixPath(name).name))
    found = {match[1]: name for name in own if (match := pattern.fullmatch(name))}
    for image_id, name in found.items():
        if (reason := invalid_id_reason(image_id)) is not None:
            raise UserError(
                f"the mask {name!r} cannot be used, because its name {reason}: give it and its image another name"
            )
    return found


def invalid_id_reason(image_id: str) -> str | None:
    """The reason why a text is not an image id; None if it is one.

    An id is a line of an image list, a part of a path below the data root, and UTF-8 in JSON.
    """
    kinds = {unicodedata.category(character) for character in image_id}
    if kinds & {"Cs"}:
        return "is not UTF-8"
    if kinds & {"Cc", "Zl", "Zp"}:
        return "holds a line break or another control character"
    if not image_id.strip() or not is_inside(image_id):
        return "is empty, or leads out of the data root"
    return None


def is_inside(path: str) -> bool:
    """Whether a relative path, or a template of paths, stays inside the folder where it starts."""
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _is_macos_metadata(name: str) -> bool:
    return name.startswith("._") or name == ".DS_Store"


def read_image_list(path: Path, files: SplitFiles) -> list[str]:
    """The image ids of a list, see `ssul.data.list_lines`; line ends and a byte-order mark may be a Windows editor's.

    Args:
        path: the list.
        files: the split's templates, by which paths in the list are understood.

    Raises:
        UserError: if it is missing, unreadable, empty, names an image twice or a place outside the data root.
    """
    try:
        content = path.read_bytes()
        encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        ids = list(listed_ids(content.decode(encoding).splitlines(), files.image, files.mask))
    except FileNotFoundError:
        raise UserError(f"the image list {path} is missing: it must hold one image id a line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the image list {path} cannot be read ({error})") from None
    except ValueError as error:
        raise UserError(f"the image list {path} cannot be used: {error}") from None
    if not ids:
        raise UserError(f"the image list {path} is empty: it must name at least one image")
    twice = [image_id for image_id, times in Counter(ids).items() if times > 1]
    if twice:
        raise UserError(f"the image list {path} names images twice: {', '.join(twice[:8])}")
    outside = [one for one in ids if not is_inside(one)]
    if outside:
        raise UserError(f"the image list {path} names files outside data.root: {', '.join(outside[:8])}")
    invalid = [repr(one) for one in ids if invalid_id_reason(one) is not None]
    if invalid:
        raise UserError(f"the image list {path} names images with control characters: {', '.join(invalid[:8])}")
    return ids
