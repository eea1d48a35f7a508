"""Opening the pictures of indexed images."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ssul.data.layout import VocFolders
from ssul.errors import UserError


@dataclass(frozen=True)
class Picture:
    """One image with what is known of it.

    Attributes:
        id: its name in the image list.
        image: uint8 (3, H, W), RGB.
        mask: uint8 (H, W), data set ids and the data set's void value.
        saliency: uint8 (H, W), positive where salient; None where the data set has none or it was not asked for.
    """

    id: str
    image: Tensor
    mask: Tensor
    saliency: Tensor | None


@dataclass(frozen=True)
class SegmentationDataset:
    """The pictures below a data root.

    Attributes:
        folders: where the files lie.
        saliency: whether `read` brings saliency maps.
    """

    folders: VocFolders
    saliency: bool = False

    def read(self, image_id: str) -> Picture:
        """Opens one image, its mask and, if asked for, its saliency map.

        Raises:
            UserError: if a file is gone or cannot be decoded.
        """
        try:
            return Picture(
                id=image_id,
                image=_rgb(self.folders.image(image_id)),
                mask=_values(self.folders.mask(image_id)),
                saliency=_values(self.folders.saliency(image_id)) if self.saliency else None,
            )
        except OSError as error:
            raise UserError(
                f"{image_id} below {self.folders.root} cannot be read ({error}): mend or bring back its files, or "
                "index anew with `dvc repro --force prepare`"
            ) from None


def _rgb(path: object) -> Tensor:
    with Image.open(path) as picture:  # type: ignore[arg-type]
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


def _values(path: object) -> Tensor:
    with Image.open(path) as picture:  # type: ignore[arg-type]
        return torch.from_numpy(np.array(picture))
