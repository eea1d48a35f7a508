"""Reading indexed images."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ssul.data.decoding import decode_rgb, decode_values
from ssul.data.image_files import UnreadableImageError
from ssul.data.index import ImageIndex
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.errors import UserError
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
    """

    folders: ImagePaths
    table: Tensor | None = None
    saliency: bool = False

    @classmethod
    def of(cls, index: ImageIndex, root: Path, *, saliency: bool) -> "SegmentationDataset":
        """The images of an indexed split below a data root."""
        return cls(ImagePaths(root, index.files), mask_lookup_table(index.values, len(index.class_names)), saliency)

    def read(self, image_id: str) -> LabeledImage:
        """Reads one image, its mask and, if requested, its saliency map.

        Raises:
            UserError: if a file does not exist, cannot be decoded, or has changed since it was indexed.
        """
        try:
            mask, image = decode_values(self.folders.mask(image_id), "mask"), decode_rgb(self.folders.image(image_id))
            salient = self._saliency(image_id)
            if not mask.shape == image.shape[1:] == (mask if salient is None else salient).shape:
                raise UnreadableImageError("image, mask and saliency map are not of one size")
            return LabeledImage(image_id, image, mask if self.table is None else self.table[mask.long()], salient)
        except (OSError, UnreadableImageError) as error:
            raise UserError(
                f"{image_id} below {self.folders.root} cannot be read ({error}): mend or bring back its files, or "
                "index anew with `dvc repro --force prepare`"
            ) from None

    def _saliency(self, image_id: str) -> Tensor | None:
        if not self.saliency:
            return None
        return decode_values(self.folders.saliency(image_id), "saliency map")


def mask_lookup_table(values: MaskEncoding, classes: int) -> Tensor | None:
    """The dataset id of each mask value, uint8 (256,); None if the values are the ids."""
    if values == MaskEncoding():
        return None
    table = torch.full((256,), VOID, dtype=torch.uint8)
    for value, class_id in values.ids(classes).items():
        table[value] = class_id
    return table
