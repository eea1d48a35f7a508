"""Stage `prepare`: draws the embedded data set, or takes the one at data.root, and indexes it."""

from ssul import catalog, config
from ssul.atomic import replaced_folder
from ssul.config import Settings
from ssul.data.index import ImageIndex, index_images
from ssul.data.layout import VocFolders
from ssul.data.shapes import draw_world
from ssul.errors import UserError
from ssul.paths import picture_root
from stages.entry import LAYOUT, run, shown


def main() -> None:
    """Writes data/drawn and data/index from the `data` parameters."""
    settings = config.load(LAYOUT.params)
    data_set = catalog.data_set(settings.data.name)
    draw(settings, data_set)
    folders = VocFolders(picture_root(settings.data.root, LAYOUT))
    for split, image_list in {"train": data_set.train_list, "val": data_set.val_list}.items():
        ids = folders.read_list(image_list)
        saliency = split == "train" and settings.data.saliency == "maps"
        rows = index_images(folders, ids, classes=len(data_set.classes), saliency=saliency)
        indexed = tuple(shown(rows, total=len(ids), title=f"index {data_set.name} {split}", unit="image"))
        ImageIndex(data_set.name, data_set.classes, indexed).write(LAYOUT.index(split))


def draw(settings: Settings, data_set: catalog.DataSet) -> None:
    """Draws the world where data.root is null; otherwise leaves an empty folder, which DVC wants all the same."""
    world = settings.data.drawn
    if settings.data.root is None and world is None:
        raise UserError(
            f"data.root is null, but {data_set.name} cannot be drawn: name its folder with -S data.root=FOLDER"
        )
    with replaced_folder(LAYOUT.drawn) as folder:
        if settings.data.root is not None or world is None:
            return
        images = draw_world(
            folder,
            seed=world.seed,
            train=world.train,
            val=world.val,
            height=world.height,
            width=world.width,
            palette=data_set.palette,
        )
        for _ in shown(images, total=world.train + world.val, title="draw shapes", unit="image"):
            pass


if __name__ == "__main__":
    run(main)
