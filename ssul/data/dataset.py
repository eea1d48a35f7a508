"""Opening the pictures of indexed images."""

from collections.abc import Iterable
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
            UserError: if a file that the index names is gone.
        """
        try:
            return Picture(
                id=image_id,
                image=_rgb(self.folders.image(image_id)),
                mask=_values(self.folders.mask(image_id)),
                saliency=_values(self.folders.saliency(image_id)) if self.saliency else None,
            )
        except FileNotFoundError as error:
            raise _gone(error.filename) from None

    def require(self, image_ids: Iterable[str]) -> None:
        """Refuses early if an indexed file is gone, rather than in the middle of a training.

        Raises:
            UserError: naming the first file that is missing.
        """
        for image_id in image_ids:
            paths = [self.folders.image(image_id), self.folders.mask(image_id)]
            paths += [self.folders.saliency(image_id)] if self.saliency else []
            for path in paths:
                if not path.is_file():
                    raise _gone(path)


def _gone(path: object) -> UserError:
    return UserError(
        f"{path} is in the index but not on disk: bring it back, point data.root at the data, or index anew with "
        "`dvc repro --force prepare`"
    )


def _rgb(path: object) -> Tensor:
    with Image.open(path) as picture:  # type: ignore[arg-type]
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


def _values(path: object) -> Tensor:
    with Image.open(path) as picture:  # type: ignore[arg-type]
        return torch.from_numpy(np.array(picture))
