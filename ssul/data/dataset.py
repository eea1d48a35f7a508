"""Reading indexed images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ssul.data.decoding import decode_colours, decode_rgb, decode_values
from ssul.data.image_files import UnreadableImageError
from ssul.data.index import ImageIndex
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.errors import UserError
from ssul.labels.colours import Colour
from ssul.labels.ids import VOID


@dataclass(frozen=True)
class LabeledImage:
    """One image and its annotation.

    Attributes:
        id: its name in the image list.
        image: uint8 (3, H, W), RGB.
        mask: uint8 (H, W), dataset ids and VOID.
        saliency: uint8 (H, W), positive where salient; None if the dataset has none, or if it was not requested.
    """

    id: str
    image: Tensor
    mask: Tensor
    saliency: Tensor | None


@dataclass(frozen=True)
class SegmentationDataset:
    """The images of a split.

    Attributes:
        folders: the places of the files.
        table: uint8 (256,), the dataset id of each mask value; None if the values are the ids.
        saliency: whether `read` also reads saliency maps.
        colours: the value of each colour of colour-coded masks; None if the masks hold values.
    """

    folders: ImagePaths
    table: Tensor | None = None
    saliency: bool = False
    colours: Mapping[Colour, int] | None = None

    @classmethod
    def of(cls, index: ImageIndex, root: Path, *, saliency: bool) -> "SegmentationDataset":
        """The images of an indexed split below a data root."""
        return cls.of_files(ImagePaths(root, index.files), index.values, len(index.class_names), saliency=saliency)

    @classmethod
    def of_files(
        cls, folders: ImagePaths, values: MaskEncoding, classes: int, *, saliency: bool = False
    ) -> "SegmentationDataset":
        """Images with masks of an encoding, for a number of classes."""
        colours = None if values.colours is None else dict(values.colours)
        return cls(folders, mask_lookup_table(values, classes), saliency, colours)

    def read(self, image_id: str) -> LabeledImage:
        """Reads one image, its mask and, if requested, its saliency map.

        Raises:
            UserError: if a file does not exist, cannot be decoded, or has changed since it was indexed.
        """
        try:
            mask, image = self._mask(image_id), decode_rgb(self.folders.image(image_id))
            salient = self._saliency(image_id)
            if not mask.shape == image.shape[1:] == (mask if salient is None else salient).shape:
                raise UnreadableImageError("image, mask and saliency map are not of one size")
            return LabeledImage(image_id, image, mask if self.table is None else self.table[mask.long()], salient)
        except (OSError, UnreadableImageError) as error:
            raise UserError(
                f"{image_id} below {self.folders.root} cannot be read ({error}): mend or bring back its files, or "
                "index anew with `dvc repro --force prepare`"
            ) from None

    def _mask(self, image_id: str) -> Tensor:
        path = self.folders.mask(image_id)
        return decode_values(path, "mask") if self.colours is None else decode_colours(path, self.colours)

    def _saliency(self, image_id: str) -> Tensor | None:
        if not self.saliency:
            return None
        return decode_values(self.folders.saliency(image_id), "saliency map")


def mask_lookup_table(values: MaskEncoding, classes: int) -> Tensor | None:
    """The dataset id of each mask value, uint8 (256,); None if the values are the ids."""
    if replace(values, colours=None) == MaskEncoding():
        return None
    table = torch.full((256,), VOID, dtype=torch.uint8)
    for value, class_id in values.ids(classes).items():
        table[value] = class_id
    return table
