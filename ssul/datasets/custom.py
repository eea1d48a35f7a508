"""The dataset that the parameters name: one of the catalog, or a custom one that they describe."""

from ssul.config.custom_dataset import CustomDataset, SplitFilesParams
from ssul.config.schema import DataParams
from ssul.data.layout import MaskEncoding, SplitFiles
from ssul.datasets import catalog
from ssul.datasets.catalog import CATALOG, DatasetSpec
from ssul.errors import UserError
from ssul.labels.colours import voc_colours


def resolve_dataset(name: str, described: CustomDataset | None) -> DatasetSpec:
    """The dataset of a name.

    Args:
        name: `data.name`.
        described: `data.custom`, or None for a dataset of the catalog.

    Raises:
        UserError: if the catalog has no such dataset, or has one that is described anew.
    """
    if described is None:
        return catalog.data_set(name)
    if name in CATALOG:
        raise UserError(f"data.name is '{name}', which the catalog has: give the dataset of data.custom another name")
    train = _files(described.train)
    return DatasetSpec(
        name=name,
        classes=tuple(described.classes),
        palette=tuple(described.palette or voc_colours(1 + len(described.classes))),
        train=train,
        val=train if described.val is None else _files(described.val),
        values=MaskEncoding(described.background, described.first_value, described.void),
        val_share=described.val_share,
        val_seed=described.val_seed,
    )


def uses_saliency(data: DataParams, data_set: DatasetSpec) -> bool:
    """Whether training images are read with saliency maps.

    Raises:
        UserError: if the parameters expect maps of a dataset that has none.
    """
    if data.saliency == "none":
        return False
    if data_set.train.saliency is None:
        raise UserError(
            f"data.saliency is maps, but {data_set.name} has no saliency maps: choose -S data.saliency=none, and the "
            "whole background is unknown"
        )
    return True


def _files(place: SplitFilesParams) -> SplitFiles:
    return SplitFiles(place.image, place.mask, place.saliency, place.list)
