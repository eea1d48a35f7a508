"""The dataset that the parameters name: one of the catalog, or a custom one that they describe."""

from collections.abc import Sequence
from dataclasses import replace

from ssul.config.custom_dataset import MAX_CLASSES, CustomDataset, SplitFilesParams
from ssul.config.schema import DataParams
from ssul.data.layout import MaskEncoding, SplitFiles
from ssul.datasets import catalog
from ssul.datasets.catalog import CATALOG, DatasetSpec
from ssul.datasets.known_network import KnownNetwork
from ssul.errors import UserError
from ssul.labels.colours import Colour, voc_colours
from ssul.labels.ids import BACKGROUND_ID, BACKGROUND_NAME, VOID, VOID_NAME


def resolve_dataset(name: str, custom: CustomDataset | None) -> DatasetSpec:
    """The dataset of a name.

    Args:
        name: `data.name`.
        custom: `data.custom`; None for a dataset of the catalog.

    Raises:
        UserError: if the catalog has no such dataset, a custom dataset has the name of a dataset of the catalog, or it
            extends a network by nothing new.
    """
    if custom is None:
        return catalog.find_dataset(name)
    if name in CATALOG:
        raise UserError(f"data.name is '{name}', which the catalog has: give the dataset of data.custom another name")
    train = _files(custom.train)
    spec = DatasetSpec(
        name=name,
        classes=tuple(custom.classes),
        palette=tuple(custom.palette or _palette(custom)),
        train=train,
        val=train if custom.val is None else _files(custom.val),
        values=_encoding(custom),
        val_share=custom.val_share,
        val_seed=custom.val_seed,
    )
    return spec if custom.extends is None else _extended(spec, custom, KnownNetwork.read(custom.extends).class_names)


def _extended(spec: DatasetSpec, custom: CustomDataset, known: tuple[str, ...]) -> DatasetSpec:
    """The dataset with the classes of a network before the new ones, whether its masks show them or not.

    A class that both name is one class, which is known.
    """
    new = tuple(name for name in spec.classes if name not in known)
    if not new:
        raise UserError(
            f"data.custom.extends: the network knows all of {', '.join(spec.classes)} already: name a new class in "
            "data.custom.classes"
        )
    classes = known + new
    if len(classes) > MAX_CLASSES:
        raise UserError(
            f"data.custom.extends: {len(known)} known classes and {len(new)} new ones are more than {MAX_CLASSES}"
        )
    ids = tuple(classes.index(name) + 1 for name in spec.classes)
    palette, own_colours = list(voc_colours(1 + len(classes))), custom.palette or custom.colours
    for class_id, colour in zip((0, *ids), spec.palette if own_colours else (), strict=False):
        palette[class_id] = colour
    return replace(
        spec,
        classes=classes,
        palette=tuple(palette),
        values=replace(spec.values, class_ids=ids),
        known=len(known),
    )


def uses_saliency(data: DataParams, spec: DatasetSpec) -> bool:
    """Whether training images are read with saliency maps.

    Raises:
        UserError: if `data.saliency` is `maps` and the dataset has none.
    """
    if data.saliency == "none":
        return False
    if spec.train.saliency is None:
        raise UserError(
            f"data.saliency is maps, but {spec.name} has no saliency maps: choose -S data.saliency=none, and the "
            "whole background is unknown"
        )
    return True


def _encoding(custom: CustomDataset) -> MaskEncoding:
    if custom.colours is None:
        return MaskEncoding(custom.background, custom.first_value, custom.void)
    value_of = {VOID_NAME: VOID, BACKGROUND_NAME: BACKGROUND_ID}
    value_of |= {name: class_id for class_id, name in enumerate(custom.classes, start=1)}
    colours = tuple((colour, value_of[name]) for name, colour in custom.colours.items())
    return MaskEncoding(custom.background, void=VOID if VOID_NAME in custom.colours else None, colours=colours)


def _palette(custom: CustomDataset) -> Sequence[Colour]:
    colours = custom.colours or {}
    chosen = voc_colours(1 + len(custom.classes))
    return [colours.get(name, other) for name, other in zip((BACKGROUND_NAME, *custom.classes), chosen, strict=True)]


def _files(params: SplitFilesParams) -> SplitFiles:
    return SplitFiles(params.image, params.mask, params.saliency, params.list)
