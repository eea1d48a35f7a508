"""Gets the dataset of the parameters: draws it, or downloads what is missing of it."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssul.config.paths import Layout, data_root
from ssul.config.schema import DataParams
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.custom import resolve_dataset, uses_saliency
from ssul.datasets.download import how_to_get, missing_archives, obtain
from ssul.datasets.shapes.world import draw_world, looks_of
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.io.urls import is_url

Show = Callable[..., Iterable[Any]]
"""Yields items while it shows a progress bar: (items, total=, title=, unit=)."""


@dataclass(frozen=True)
class Preparation:
    """The dataset of the parameters, before it is indexed.

    Attributes:
        data: the parameters.
        spec: what the dataset is.
        root: where its files lie.
        saliency: whether training images are read with saliency maps.
        shared: the main folder's layout, because all queued experiments share downloads and scan results.
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
        """Draws a drawn dataset into an empty folder; leaves it empty if data.root names another place."""
        world = self.data.shapes
        if self.data.root is not None or world is None:
            return
        looks = looks_of(self.spec.name, len(self.spec.classes))
        images = draw_world(folder, **world.model_dump(), palette=self.spec.palette, looks=looks)
        for _ in show(images, total=world.train + world.val, title=f"draw {self.spec.name}", unit="image"):
            pass

    def complete(self) -> Generator[Any, None, None]:
        """Downloads what is missing below the data root if data.download is true; yields the progress.

        Raises:
            UserError: if files are missing and data.download is false; names the ways to get them.
        """
        missing = missing_archives(self.root, self.spec.used_archives(saliency=self.saliency))
        if not missing:
            return
        where: dict[str, Any] = {"downloads": self.shared.downloads, "mirror": self._mirror()}
        if not self.data.download:
            or_none = ", do without saliency maps with -S data.saliency=none" if self.saliency else ""
            raise UserError(
                f"data.root '{self.root}' does not hold all of {self.spec.name}: name another place with "
                f"-S data.root=FOLDER, download what is missing with -S data.download=true{or_none}. "
                + how_to_get(self.root, missing, **where)
            )
        yield from obtain(missing, self.root, **where)

    def _mirror(self) -> str | None:
        """A URL or a folder; a relative folder starts from the project, as `data.root` does."""
        mirror = self.data.mirror
        return mirror if mirror is None or is_url(mirror) else str(project_root() / Path(mirror).expanduser())
