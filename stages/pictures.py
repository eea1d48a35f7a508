"""Where the stages find their pictures."""

from ssul.config.paths import LAYOUT, data_root
from ssul.config.schema import DataParams
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex


def training_dataset(data: DataParams, index: ImageIndex) -> SegmentationDataset:
    """The indexed training images, with saliency maps where the parameters say so."""
    return SegmentationDataset.of(index, data_root(data.root, LAYOUT), saliency=data.saliency == "maps")
