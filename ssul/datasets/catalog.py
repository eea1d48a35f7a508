"""What each dataset is: class names, colours, files and archives. No other module repeats them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ssul.data.layout import MaskEncoding, SplitFiles
from ssul.errors import UserError
from ssul.labels.colours import Colour, voc_colours
from ssul.labels.ids import BACKGROUND_ID, BACKGROUND_NAME


@dataclass(frozen=True)
class ArchiveFolder:
    """A folder of an archive, and the folder below the data root that it is unpacked into.

    Attributes:
        path_in_archive: its path in the archive.
        folder: its path below the data root.
        files: how many files it holds.
        at_least: whether it may contain more.
        suffix: the end of their names (`.png`); other files are neither counted nor unpacked. None: any.
    """

    path_in_archive: str
    folder: str
    files: int
    at_least: bool = False
    suffix: str | None = None


@dataclass(frozen=True)
class Archive:
    """A file that a dataset is published in.

    Attributes:
        name: the file's name, also on a mirror.
        url: the published address.
        hash: as `algorithm:digits`. None if none is published; then only the numbers of files are checked.
        parts: the folders that are used.
    """

    name: str
    url: str
    hash: str | None
    parts: tuple[ArchiveFolder, ...]


@dataclass(frozen=True)
class DatasetSpec:
    """What a dataset is.

    Attributes:
        name: as in `data.name` and in front of a scenario's name.
        classes: names of the classes; the position, from 1, is the dataset id. 0 is background.
        palette: RGB 0..255 of the background and of each class.
        train, val: the files of both splits.
        values: the meaning of the values in the mask files.
        val_share: the share of the training images that is drawn for validation; None if the dataset has a validation
            split of its own.
        val_seed: of that draw. It is not the run's seed, so that all runs are evaluated on the same images.
        archives: where it can be downloaded.
        known: how many of the classes, the first ones, the network knows that the dataset extends.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    train: SplitFiles
    val: SplitFiles
    values: MaskEncoding = field(default_factory=MaskEncoding)
    val_share: float | None = None
    val_seed: int = 0
    archives: tuple[Archive, ...] = ()
    known: int = 0

    def class_name(self, class_id: int) -> str:
        """The name of a class id; `background` for 0."""
        return BACKGROUND_NAME if class_id == BACKGROUND_ID else self.classes[class_id - 1]

    def used_archives(self, *, saliency: bool) -> tuple[Archive, ...]:
        """Its archives; without saliency, they have no parts that contain only saliency maps."""
        maps = "" if saliency else self.train.saliency or ""
        return tuple(
            replace(archive, parts=tuple(part for part in archive.parts if not maps.startswith(f"{part.folder}/")))
            for archive in self.archives
        )


_VOC_CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor"
)

_SHAPES_PALETTE: tuple[Colour, ...] = (
    (28, 30, 38),
    (230, 75, 60),
    (250, 200, 60),
    (165, 105, 70),
    (60, 150, 220),
    (240, 110, 170),
    (170, 100, 220),
    (200, 60, 110),
    (165, 210, 60),
    (40, 150, 80),
    (70, 215, 205),
)

_ADE20K_CLASSES = """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door,
    table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field,
    armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard,
    chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway,
    case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower,
    book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine,
    hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth, television receiver, airplane,
    dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship,
    fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag,
    minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher,
    screen, blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,
    monitor, bulletin board, shower, radiator, glass, clock, flag
"""

SILHOUETTES = 48
"""Classes of the dataset that the small backbone is pretrained on."""

_VOC_LISTS = "VOCdevkit/VOC2012/ImageSets/Segmentation"
_SSUL_RELEASE = "https://github.com/clovaai/SSUL/releases/download/preparation"


def _voc_files(image_list: str) -> SplitFiles:
    return SplitFiles(
        image="JPEGImages/{id}.jpg",
        mask="SegmentationClassAug/{id}.png",
        saliency="saliency_map/{id}.png" if image_list == "train_aug" else None,
        list=f"ImageSets/Segmentation/{image_list}.txt",
        list_may_lack=image_list == "train_aug",  # VOC itself has no such list
    )


def _ade20k_files(split: str) -> SplitFiles:
    return SplitFiles(image=f"images/{split}/{{id}}.jpg", mask=f"annotations/{split}/{{id}}.png")


_DATASETS = (
    DatasetSpec(
        name="shapes",
        classes=("ball", "star", "house", "fish", "heart", "flower", "mushroom", "moon", "kite", "gem"),
        palette=_SHAPES_PALETTE,
        train=_voc_files("train_aug"),
        val=_voc_files("val"),
    ),
    DatasetSpec(
        name="silhouettes",
        classes=tuple(f"silhouette {number}" for number in range(1, SILHOUETTES + 1)),
        palette=voc_colours(SILHOUETTES + 1),
        train=_voc_files("train_aug"),
        val=_voc_files("val"),
    ),
    DatasetSpec(
        name="voc",
        classes=tuple(_VOC_CLASSES.split()),
        palette=voc_colours(21),
        train=_voc_files("train_aug"),
        val=_voc_files("val"),
        archives=(
            Archive(
                name="VOCtrainval_11-May-2012.tar",
                url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                hash="md5:6cd6e144f989b92b3379bac3b3de84fd",
                parts=(
                    ArchiveFolder("VOCdevkit/VOC2012/JPEGImages", "JPEGImages", 17125, suffix=".jpg"),
                    ArchiveFolder(_VOC_LISTS, "ImageSets/Segmentation", 3, suffix=".txt"),
                ),
            ),
            Archive(
                name="SegmentationClassAug.zip",
                url=f"{_SSUL_RELEASE}/SegmentationClassAug.zip",
                hash=None,
                # 10582 of train_aug and 1449 of val
                parts=(ArchiveFolder("SegmentationClassAug", "SegmentationClassAug", 12031, suffix=".png"),),
            ),
            Archive(
                name="saliency_map.zip",
                url=f"{_SSUL_RELEASE}/saliency_map.zip",
                hash=None,
                parts=(ArchiveFolder("saliency_map", "saliency_map", 10582, at_least=True, suffix=".png"),),
            ),
        ),
    ),
    DatasetSpec(
        name="ade",
        classes=tuple(name.strip() for name in _ADE20K_CLASSES.split(",")),
        palette=voc_colours(151),
        train=_ade20k_files("training"),
        val=_ade20k_files("validation"),
        archives=(
            Archive(
                name="ADEChallengeData2016.zip",
                url="http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
                hash="md5:7328b3957e407ddae1d3cbf487f149ef",
                parts=tuple(
                    ArchiveFolder(f"ADEChallengeData2016/{kind}/{split}", f"{kind}/{split}", files, suffix=suffix)
                    for kind, suffix in (("images", ".jpg"), ("annotations", ".png"))
                    for split, files in (("training", 20210), ("validation", 2000))
                ),
            ),
        ),
    ),
)

CATALOG: Mapping[str, DatasetSpec] = MappingProxyType({spec.name: spec for spec in _DATASETS})


def find_dataset(name: str) -> DatasetSpec:
    """The dataset of a name.

    Raises:
        UserError: if there is none; the message names the known ones.
    """
    try:
        return CATALOG[name]
    except KeyError:
        raise UserError(
            f"data.name is '{name}', which is not in the catalog: choose {', '.join(CATALOG)}, or describe your own "
            "dataset (data.custom, see docs/own_data.md)"
        ) from None
