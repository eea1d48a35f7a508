"""Pascal VOC's folder layout: where the files of an image lie below a data root."""

from dataclasses import dataclass
from pathlib import Path

from ssul.errors import UserError


@dataclass(frozen=True)
class VocFolders:
    """The files of a data set in VOC's layout.

    Attributes:
        root: the folder that holds JPEGImages, SegmentationClassAug, saliency_map and ImageSets.
    """

    root: Path

    def image(self, image_id: str) -> Path:
        """The RGB photograph."""
        return self.root / "JPEGImages" / f"{image_id}.jpg"

    def mask(self, image_id: str) -> Path:
        """The palette PNG of class ids."""
        return self.root / "SegmentationClassAug" / f"{image_id}.png"

    def saliency(self, image_id: str) -> Path:
        """The saliency map, 0 or 255."""
        return self.root / "saliency_map" / f"{image_id}.png"

    def files(self, image_id: str, *, saliency: bool) -> tuple[Path, ...]:
        """Image, mask and, if asked for, saliency map."""
        both = (self.image(image_id), self.mask(image_id))
        return (*both, self.saliency(image_id)) if saliency else both

    def image_list(self, name: str) -> Path:
        """A list of image ids, one a line."""
        return self.root / "ImageSets" / "Segmentation" / f"{name}.txt"

    def read_list(self, name: str) -> list[str]:
        """The ids of an image list.

        Raises:
            UserError: if the root, the list or its content is missing, or an id stands twice.
        """
        if not self.root.is_dir():
            raise UserError(
                f"data.root '{self.root}' is no folder: put the data set there (JPEGImages, SegmentationClassAug, "
                "saliency_map, ImageSets/Segmentation), or name its place with -S data.root=FOLDER"
            )
        path = self.image_list(name)
        try:
            ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except FileNotFoundError:
            raise UserError(f"the image list {path} is missing: data.root must hold it, one image id a line") from None
        if not ids:
            raise UserError(f"the image list {path} is empty: it must name at least one image")
        if len(set(ids)) != len(ids):
            twice = sorted({image_id for image_id in ids if ids.count(image_id) > 1})[:8]
            raise UserError(f"the image list {path} names images twice: {', '.join(twice)}")
        return ids
