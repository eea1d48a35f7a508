"""The index of a dataset: the pixel counts of every mask, so that no later stage scans masks.

Splits depend on the index alone. Its content hashes represent the images for DVC: stages depend on the index, not on
the raw files, which stay in their place. It also holds the templates of the files and the encoding of the masks, so
that a stage needs only the index and the data root. Colours and the reasons of skipped images are in
`ssul.data.dataset_info`, because no training may depend on them.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ssul.data.layout import ImagePaths, MaskEncoding, SplitFiles
from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.io.strict_json import check_consistent, read_json
from ssul.labels.ids import BACKGROUND_ID, BACKGROUND_NAME


@dataclass(frozen=True)
class IndexRow:
    """The size, classes and content hash of one image.

    Attributes:
        id: its name in the image list.
        height, width: pixels.
        pixels: dataset id -> number of pixels, background (0) included, void left out.
        void: number of void pixels.
        bytes: sum of the file sizes of image, mask and, if used, saliency map.
        digest: SHA-256 over their content.
    """

    id: str
    height: int
    width: int
    pixels: dict[int, int]
    void: int
    bytes: int
    digest: str

    @property
    def present(self) -> tuple[int, ...]:
        """The classes in the mask, without the background, ascending."""
        return tuple(sorted(class_id for class_id in self.pixels if class_id != BACKGROUND_ID))


@dataclass(frozen=True)
class ImageIndex:
    """One split of a dataset.

    Attributes:
        data_set: its name.
        class_names: by id, from 1.
        files: the templates of the split's files below the data root.
        values: the meaning of the mask values.
        rows: of its images, in the order of the image list.
        known: how many of the classes, the first ones, the network knows that the dataset extends.
    """

    data_set: str
    class_names: tuple[str, ...]
    files: SplitFiles
    values: MaskEncoding
    rows: tuple[IndexRow, ...]
    known: int = 0

    @property
    def present(self) -> dict[str, tuple[int, ...]]:
        """Image id -> classes in its mask, without the background."""
        return {row.id: row.present for row in self.rows}

    @property
    def known_but_not_shown(self) -> tuple[str, ...]:
        """The names of the known classes that no mask of the split shows."""
        return not_shown(self.class_names[: self.known], self.present.values())

    def class_name(self, class_id: int) -> str:
        """The name of a class id; `background` for 0."""
        return BACKGROUND_NAME if class_id == BACKGROUND_ID else self.class_names[class_id - 1]

    def write(self, path: Path) -> None:
        """Writes the index as JSON, one image a line, byte-identical for the same content."""
        rows = ",\n".join(
            json.dumps([row.id, row.height, row.width, row.pixels, row.void, row.bytes, row.digest])
            for row in self.rows
        )
        head = {
            "data_set": self.data_set,
            "class_names": self.class_names,
            "files": asdict(self.files),
            "values": {
                name: value for name, value in asdict(self.values).items() if value is not None or name == "void"
            },
            **({"known": self.known} if self.known else {}),
        }
        write_text(path, f'{json.dumps(head)[:-1]},\n"rows": [\n{rows}\n]}}\n')

    @classmethod
    def read(cls, path: Path) -> "ImageIndex":
        """Reads what `write` wrote.

        Raises:
            UserError: if the file is missing or damaged.
        """
        wording = {"what": "the index", "way_out": "run `dvc repro prepare`"}
        stored = read_json(path, _Stored, **wording)
        rows = tuple(IndexRow(*row) for row in stored.rows)
        faults = {fault: True for row in rows if (fault := _inconsistency(row, len(stored.class_names))) is not None}
        check_consistent(path, faults, **wording)
        return cls(stored.data_set, stored.class_names, stored.files, stored.values, rows, stored.known)


@dataclass(frozen=True)
class _Stored:
    """The file as it is written."""

    data_set: str
    class_names: tuple[str, ...]
    files: SplitFiles
    values: MaskEncoding
    rows: tuple[tuple[str, int, int, dict[int, int], int, int, str], ...]
    known: int = 0


def not_shown(names: Sequence[str], present: Iterable[Collection[int]]) -> tuple[str, ...]:
    """The classes that no mask shows.

    Args:
        names: of the classes, by id from 1.
        present: the ids of the classes in each mask.
    """
    shown = set().union(*present)
    return tuple(name for class_id, name in enumerate(names, start=1) if class_id not in shown)


def _inconsistency(row: IndexRow, classes: int) -> str | None:
    """What is wrong with the pixel counts of a row, because they would silently select other images."""
    if not row.pixels.keys() <= set(range(classes + 1)):
        return f"{row.id} shows a class that is not in 0..{classes}"
    counted = row.void >= 0 and min(row.pixels.values(), default=1) >= 1
    if not counted or row.height * row.width != row.void + sum(row.pixels.values()):
        return f"{row.id} is {row.width}x{row.height}, which is not the number of its pixels"
    return None


def require_unchanged(rows: Iterable[IndexRow], folders: ImagePaths, *, saliency: bool) -> None:
    """Checks, before a training, that all files exist and have the size of when they were indexed.

    Args:
        rows: of the images that will be read.
        folders: where the files lie now.
        saliency: whether they were indexed with their saliency maps.

    Raises:
        UserError: naming the first such file.
    """
    for row in rows:
        paths = folders.files_of(row.id, saliency=saliency)
        for path in paths:
            if not path.is_file():
                raise UserError(
                    f"{path} is in the index but not on disk: bring it back, point data.root at the data, or index "
                    "anew with `dvc repro --force prepare`"
                )
        if sum(path.stat().st_size for path in paths) != row.bytes:
            raise UserError(
                f"{paths[0]}, its mask or its saliency map has changed since it was indexed: "
                "index anew with `dvc repro --force prepare`"
            )
