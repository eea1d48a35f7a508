"""Where the stages find their pictures."""

from ssul.config.paths import LAYOUT, picture_root
from ssul.config.schema import Data
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex


def training_pictures(data: Data, index: ImageIndex) -> SegmentationDataset:
    """The indexed training images, with saliency maps where the parameters say so."""
    return SegmentationDataset.of(index, picture_root(data.root, LAYOUT), saliency=data.saliency == "maps")
