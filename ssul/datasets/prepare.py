"""Draws, completes and indexes the dataset of the parameters; the stage `prepare` shows the progress."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssul.config.paths import Layout, data_root
from ssul.config.schema import DataParams
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.layout import ImagePaths
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.custom import resolve_dataset, uses_saliency
from ssul.datasets.download import how_to_get, missing_archives, obtain
from ssul.datasets.scan import MAX_NAMED, ImageProblem, raise_unusable, scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.datasets.shapes.world import draw_world
from ssul.datasets.split_ids import split_ids
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.io.urls import is_url

Rows = dict[str, list[IndexRow]]
Problems = dict[str, list[ImageProblem]]
Show = Callable[..., Iterable[Any]]
"""Passes items on under a progress bar: (items, total=, title=, unit=)."""


@dataclass(frozen=True)
class Preparation:
    """The dataset of the parameters, on its way to an index.

    Attributes:
        data: the parameters.
        spec: what the dataset is.
        root: where its files lie.
        saliency: whether training images are read with saliency maps.
        shared: the main folder's layout: what a queued experiment downloads or scans serves all of them.
    """

    data: DataParams
    spec: DatasetSpec
    root: Path
    saliency: bool
    shared: Layout

    @classmethod
    def of(cls, data: DataParams, layout: Layout) -> "Preparation":
        """Resolves the parameters.

        Raises:
            UserError: if there is no such dataset, or it can be neither found nor drawn.
        """
        spec = resolve_dataset(data.name, data.custom)
        if data.root is None and data.shapes is None:
            raise UserError(f"data.root is null, but {spec.name} cannot be drawn: name its folder, -S data.root=FOLDER")
        saliency = uses_saliency(data, spec)
        return cls(data, spec, data_root(data.root, layout), saliency, Layout(project_root()))

    def draw(self, folder: Path, show: Show) -> None:
        """Draws the world into an empty folder; leaves it empty where data.root names another place."""
        world = self.data.shapes
        if self.data.root is not None or world is None:
            return
        images = draw_world(folder, **world.model_dump(), palette=self.spec.palette)
        for _ in show(images, total=world.train + world.val, title="draw shapes", unit="image"):
            pass

    def complete(self) -> Generator[Any, None, None]:
        """Downloads what is missing below the data root if that is wanted; yields the progress.

        Raises:
            UserError: if something is missing and not to be downloaded; names the ways to get it.
        """
        unwanted = frozenset() if self.saliency else self.spec.saliency_folders
        missing = missing_archives(self.root, self.spec.archives, without=unwanted)
        if not missing:
            return
        where: dict[str, Any] = {"downloads": self.shared.downloads, "mirror": self._mirror(), "without": unwanted}
        if not self.data.download:
            or_none = ", do without saliency maps with -S data.saliency=none" if self.saliency else ""
            raise UserError(
                f"data.root '{self.root}' does not hold all of {self.spec.name}: name another place with "
                f"-S data.root=FOLDER, download what is missing with -S data.download=true{or_none}. "
                + how_to_get(self.root, missing, **where)
            )
        yield from obtain(missing, self.root, **where)

    def scan(
        self, show: Show, log: Callable[[str], None]
    ) -> tuple[dict[str, list[IndexRow]], dict[str, list[ImageProblem]]]:
        """Reads every image of both splits once.

        Args:
            show: passes items on under a progress bar.
            log: takes a line about the dataset.

        Returns:
            the rows of the index and the problems, by split.

        Raises:
            UserError: if images cannot be used and are not to be skipped, or none is left of a split.
        """
        train, val = ImagePaths(self.root, self.spec.train), ImagePaths(self.root, self.spec.val)
        train_ids, val_ids = split_ids(train, val, val_share=self.spec.val_share, val_seed=self.spec.val_seed)
        log(f"{self.spec.name}: {len(train_ids)} training and {len(val_ids)} validation images")
        cache = ScanCache(self.shared.cache / "index.jsonl")
        rows: Rows = {}
        problems: Problems = {}
        for split, paths, ids in (("train", train, train_ids), ("val", val, val_ids)):
            found = scan_images(
                paths,
                ids,
                classes=len(self.spec.classes),
                values=self.spec.values,
                saliency=self.saliency and split == "train",
                memo=cache,
            )
            scanned = list(show(found, total=len(ids), title=f"index {self.spec.name} {split}", unit="image"))
            rows[split] = [one for one in scanned if isinstance(one, IndexRow)]
            problems[split] = [one for one in scanned if isinstance(one, ImageProblem)]
        self._refuse(rows, problems, log)
        return rows, problems

    def write(self, rows: dict[str, list[IndexRow]], problems: dict[str, list[ImageProblem]], layout: Layout) -> None:
        """Writes the indexes, and the palette with the skipped images."""
        for split, files in (("train", self.spec.train), ("val", self.spec.val)):
            ImageIndex(
                data_set=self.spec.name,
                class_names=self.spec.classes,
                files=files,
                values=self.spec.values,
                rows=tuple(rows[split]),
            ).write(layout.index(split))
        skipped = {split: {one.id: one.what for one in some} for split, some in problems.items()}
        info = DatasetInfo(self.spec.palette, train_skipped=skipped["train"], val_skipped=skipped["val"])
        info.write(layout.dataset_info)

    def _mirror(self) -> str | None:
        """An address, or a folder; a relative one starts from the project, as `data.root` does."""
        mirror = self.data.mirror
        return mirror if mirror is None or is_url(mirror) else str(project_root() / Path(mirror).expanduser())

    def _refuse(self, rows: Rows, problems: Problems, log: Callable[[str], None]) -> None:
        every = [one for some in problems.values() for one in some]
        if every and self.data.on_error == "refuse":
            images = len(every) + sum(map(len, rows.values()))
            self._raise(every, images, _way_out(every, skips=False))
        for split, some in problems.items():
            if not rows[split]:
                self._raise(some, len(some), f"No {split} image is left. {_way_out(some, skips=True)}")
            if some:
                log(f"{split}: {len(some)} images cannot be used and are left out (data.on_error=skip)")

    def _raise(self, problems: list[ImageProblem], images: int, way_out: str) -> None:
        listed = None
        if len(problems) > MAX_NAMED:  # the message cannot name them all
            listed = self.shared.cache / "unusable_images.txt"
            write_text(listed, "".join(f"{one.id}: {one.what}\n" for one in problems))
        raise_unusable(problems, of=images, where=self.root, way_out=way_out, listed=listed)


def _way_out(problems: list[ImageProblem], *, skips: bool) -> str:
    """What can be done about images that cannot be used; doing without saliency maps first where all lack just them.

    Args:
        problems: of the images.
        skips: whether such images are left out already.
    """
    ways = ["mend the files", "take the ids out of the image list"]
    if not skips:
        ways.append("leave such images out with -S data.on_error=skip")
    lacking = sum(problem.lacks_map for problem in problems)
    if lacking:
        ways.insert(0 if lacking == len(problems) else len(ways), "do without saliency maps with -S data.saliency=none")
    text = f"{', '.join(ways[:-1])}, or {ways[-1]}"
    return text[0].upper() + text[1:]
