"""Where the stages find their pictures."""

from ssul.config import Data
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex
from ssul.paths import picture_root
from stages.entry import LAYOUT


def training_pictures(data: Data, index: ImageIndex) -> SegmentationDataset:
    """The indexed training images, with saliency maps where the parameters say so."""
    return SegmentationDataset.of(index, picture_root(data.root, LAYOUT), saliency=data.saliency == "maps")
