"""What `ssul predict` is given: images, folders and videos, each with a name of its own for its outputs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssul.errors import UserError

_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".heic", ".tif", ".tiff", ".webp"}
"""What is taken from a folder: also kinds that are not read, so that each is named rather than passed over."""
_VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}


@dataclass(frozen=True)
class Input:
    """A file to predict.

    Attributes:
        path: of the file, as it was given.
        name: of its outputs: a relative path without suffix, which no other input has.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether its suffix is that of a video."""
        return self.path.suffix.lower() in _VIDEOS


def find_inputs(given: Sequence[Path], out: Path) -> list[Input]:
    """The files to predict, each once; those of a folder and its subfolders in the order of their names.

    Args:
        given: files and folders.
        out: the folder of the outputs, which are not taken for images.

    Raises:
        UserError: if a path does not exist, or a folder holds no image.
    """
    found: dict[Path, tuple[Path, Path]] = {}  # the place of a file -> the file, and its path below its folder
    outputs = out.resolve()
    for path in given:
        if path.is_dir():
            files = [one for one in _files(path) if outputs not in one.resolve().parents]
            if not files:
                raise UserError(f"{path} holds no image and no video: name a folder that holds JPEG or PNG images")
        elif path.exists():
            files = [path]
        else:
            raise UserError(f"{path} does not exist: name images, folders of images, or videos")
        for file in files:
            place = file.parent.resolve() / file.name  # the name of a link, not that of its target
            found.setdefault(place, (file, file.relative_to(path if path.is_dir() else path.parent)))
    names = output_names({place: below for place, (_, below) in found.items()})
    return [Input(file, names[place]) for place, (file, _) in found.items()]


def output_names(files: Mapping[Path, Path]) -> dict[Path, str]:
    """A name for the outputs of each file, which no other file has.

    It is the file's path below the folder that was given, without its suffix. Equal names get as many of the folders
    above as tell them apart, and their suffixes where folders do not.

    Args:
        files: absolute path -> path below the folder that was given.
    """
    whole = {place: place.with_suffix("").parts[1:] for place in files}
    depth = {place: len(below.parts) for place, below in files.items()}
    while True:
        names = {place: "/".join(whole[place][-depth[place] :]) for place in files}
        equal = _repeated(names.values())
        longer = [place for place in files if names[place].casefold() in equal and depth[place] < len(whole[place])]
        bare = [place for place in files if names[place].casefold() in equal and whole[place][-1] != place.name]
        for place in longer:
            depth[place] += 1
        if not longer:
            for place in bare:
                depth[place] = len(files[place].parts)
                whole[place] = place.parts[1:]
            if not bare:
                return names


def _repeated(names: Iterable[str]) -> set[str]:
    """The names that are there twice for a file system that ignores case."""
    return {name for name, count in Counter(map(str.casefold, names)).items() if count > 1}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _IMAGES | _VIDEOS and path.is_file())
