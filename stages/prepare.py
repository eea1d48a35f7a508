"""Stage `prepare`: draws the embedded data set, or takes or downloads the one at data.root, and indexes it."""

from contextlib import closing
from itertools import chain, groupby
from pathlib import Path

from ssul import config
from ssul.atomic import replaced_folder, write_text
from ssul.catalog import DataSet
from ssul.config import Data
from ssul.data.download import how_to_get, missing_archives, obtain
from ssul.data.examine import NAMED_AT_MOST, Fault, Memo, examine_images, refuse
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.layout import Folders, split_ids
from ssul.data.shapes import draw_world
from ssul.data.source import data_set_of, has_maps
from ssul.errors import UserError
from ssul.files import Files
from ssul.paths import Layout, picture_root, project_root
from stages.entry import LAYOUT, progress_bar, run, shown

MAIN = Layout(project_root())  # also of a queue or --temp experiment: what it fetches and finds out is for all


def main() -> None:
    """Writes data/drawn and data/index from the `data` parameters."""
    data = config.load(LAYOUT.params).data
    data_set = data_set_of(data.name, data.described)
    maps = has_maps(data, data_set)
    root = picture_root(data.root, LAYOUT)
    draw(data, data_set)
    complete(root, data, data_set)
    train, val = Folders(root, data_set.train), Folders(root, data_set.val)
    train_ids, val_ids = split_ids(train, val, val_share=data_set.val_share, val_seed=data_set.val_seed)
    memo = Memo(MAIN.cache / "index.jsonl")
    found = {
        "train": examine(train, train_ids, data_set, saliency=maps, memo=memo, title=f"index {data_set.name} train"),
        "val": examine(val, val_ids, data_set, saliency=False, memo=memo, title=f"index {data_set.name} val"),
    }
    faults = [fault for _, unusable in found.values() for fault in unusable]
    if faults and data.on_error == "refuse":
        refuse(faults, of=len(train_ids) + len(val_ids), where=root, listed=list_faults(faults))
    for split, (rows, unusable) in found.items():
        if not rows:
            raise UserError(f"no {split} image of {root} can be used: {unusable[0].id}: {unusable[0].what}")
        if unusable:
            print(f"{split}: {len(unusable)} images cannot be used and are left out, as data.on_error=skip says")
        write_index(split, data_set, rows, unusable)


def draw(data: Data, data_set: DataSet) -> None:
    """Draws the world where data.root is null; otherwise leaves an empty folder, which DVC wants all the same."""
    world = data.drawn
    if data.root is None and world is None:
        raise UserError(
            f"data.root is null, but {data_set.name} cannot be drawn: name its folder with -S data.root=FOLDER"
        )
    with replaced_folder(LAYOUT.drawn) as folder:
        if data.root is not None or world is None:
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


def complete(root: Path, data: Data, data_set: DataSet) -> None:
    """Downloads what is missing below the data root if the parameters say so, and refuses if they do not."""
    unwanted = {"saliency_map"} if data.saliency == "none" else set()
    missing = missing_archives(root, data_set.archives, without=unwanted)
    if not missing:
        return
    if not data.download:
        or_none = ", do without saliency maps with -S data.saliency=none" if data.saliency == "maps" else ""
        raise UserError(
            f"data.root '{root}' does not hold all of {data_set.name}: name another place with -S data.root=FOLDER, "
            f"download what is missing with -S data.download=true{or_none}. "
            + how_to_get(root, missing, downloads=MAIN.downloads, mirror=data.mirror, without=unwanted)
        )
    arriving = obtain(missing, root, downloads=MAIN.downloads, mirror=data.mirror, without=unwanted)
    with closing(arriving):  # an interrupt must find what is half unpacked removed
        for _, progress in groupby(arriving, key=lambda one: one.what):
            first = next(progress)
            with progress_bar(total=first.total, title=first.what, unit=first.unit) as bar:
                for one in chain([first], progress):
                    bar.update(one.done - bar.n)


def examine(
    folders: Folders, ids: list[str], data_set: DataSet, *, saliency: bool, memo: Memo, title: str
) -> tuple[list[IndexRow], list[Fault]]:
    """Looks at the images of a split under a progress bar: what is known of them, and which cannot be used."""
    found = examine_images(
        folders, ids, classes=len(data_set.classes), values=data_set.values, saliency=saliency, memo=memo
    )
    looked = list(shown(found, total=len(ids), title=title, unit="image"))
    return [one for one in looked if isinstance(one, IndexRow)], [one for one in looked if isinstance(one, Fault)]


def list_faults(faults: list[Fault]) -> Path | None:
    """Writes down what is wrong with each image where the error message cannot name them all."""
    if len(faults) <= NAMED_AT_MOST:
        return None
    path = MAIN.cache / "unusable_images.txt"
    write_text(path, "".join(f"{fault.id}: {fault.what}\n" for fault in faults))
    return path


def write_index(split: str, data_set: DataSet, rows: list[IndexRow], unusable: list[Fault]) -> None:
    """Writes the index of a split."""
    files: Files = {"train": data_set.train, "val": data_set.val}[split]
    ImageIndex(
        data_set=data_set.name,
        class_names=data_set.classes,
        palette=data_set.palette,
        files=files,
        values=data_set.values,
        rows=tuple(rows),
        skipped={fault.id: fault.what for fault in unusable},
    ).write(LAYOUT.index(split))


if __name__ == "__main__":
    run(main)
