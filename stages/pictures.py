"""Where the stages that train find their pictures."""

from ssul.config import Data
from ssul.data.dataset import SegmentationDataset
from ssul.data.layout import VocFolders
from ssul.paths import picture_root
from stages.entry import LAYOUT


def training_pictures(data: Data) -> SegmentationDataset:
    """The training images of the data set that the parameters name, with saliency maps where it has them."""
    return SegmentationDataset(VocFolders(picture_root(data.root, LAYOUT)), saliency=data.saliency == "maps")
