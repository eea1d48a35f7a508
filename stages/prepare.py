"""Stage `prepare`: draws the embedded dataset, or takes or downloads the one at data.root, and indexes it."""

from contextlib import closing
from functools import partial
from itertools import chain, groupby
from pathlib import Path

from ssul.config.load import load_params
from ssul.config.paths import LAYOUT, Layout, data_root, given_checkpoint, project_root
from ssul.config.schema import DataParams
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.data.layout import ImagePaths, SplitFiles
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.custom import resolve_dataset, uses_saliency
from ssul.datasets.download import how_to_get, missing_archives, obtain
from ssul.datasets.scan import MAX_NAMED, ImageProblem, raise_unusable, scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.datasets.shapes.world import draw_world
from ssul.datasets.split_ids import split_ids
from ssul.errors import UserError
from ssul.io.atomic import replace_dir, write_text
from ssul.io.urls import is_url
from ssul.pipeline.progress import progress_bar, shown
from ssul.pipeline.run import run

MAIN = Layout(project_root())  # also of a queue or --temp experiment: what it fetches and finds out is for all


def main() -> None:
    """Writes data/drawn and data/index from the `data` parameters, and notes the checkpoint to start from."""
    settings = load_params(LAYOUT.params)
    data = settings.data
    start = InitialCheckpoint.of(given_checkpoint(settings.recipe.base.checkpoint))
    data_set = resolve_dataset(data.name, data.custom)
    maps = uses_saliency(data, data_set)
    root = data_root(data.root, LAYOUT)
    draw(data, data_set)
    complete(root, data_set, saliency=maps, download=data.download, mirror=mirror_place(data.mirror))
    train, val = ImagePaths(root, data_set.train), ImagePaths(root, data_set.val)
    train_ids, val_ids = split_ids(train, val, val_share=data_set.val_share, val_seed=data_set.val_seed)
    print(f"{data_set.name}: {len(train_ids)} training and {len(val_ids)} validation images", flush=True)
    memo = ScanCache(MAIN.cache / "index.jsonl")
    look = partial(examine, data_set=data_set, memo=memo)
    found = {
        "train": look(train, train_ids, saliency=maps, title=f"index {data_set.name} train"),
        "val": look(val, val_ids, saliency=False, title=f"index {data_set.name} val"),
    }
    faults = [fault for _, unusable in found.values() for fault in unusable]
    if data.on_error == "refuse" and faults:
        raise_unusable(
            faults,
            of=len(train_ids) + len(val_ids),
            where=root,
            way_out=way_out(faults, skips=False),
            listed=list_faults(faults),
        )
    for split, (rows, unusable) in found.items():
        if not rows:
            raise_unusable(
                unusable,
                of=len(unusable),
                where=root,
                way_out=f"No {split} image is left. {way_out(unusable, skips=True)}",
                listed=list_faults(unusable),
            )
        if unusable:
            print(f"{split}: {len(unusable)} images cannot be used and are left out, as data.on_error=skip says")
        write_index(split, data_set, rows)
    skipped = {split: {fault.id: fault.what for fault in unusable} for split, (_, unusable) in found.items()}
    start.write(LAYOUT.initial_checkpoint)
    DatasetInfo(data_set.palette, train_skipped=skipped["train"], val_skipped=skipped["val"]).write(LAYOUT.dataset_info)


def draw(data: DataParams, data_set: DatasetSpec) -> None:
    """Draws the world where data.root is null; otherwise leaves an empty folder, which DVC wants all the same."""
    world = data.shapes
    if data.root is None and world is None:
        raise UserError(
            f"data.root is null, but {data_set.name} cannot be drawn: name its folder with -S data.root=FOLDER"
        )
    with replace_dir(LAYOUT.drawn) as folder:
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


def complete(root: Path, data_set: DatasetSpec, *, saliency: bool, download: bool, mirror: str | None) -> None:
    """Downloads what is missing below the data root if that is wanted, and refuses if it is not."""
    unwanted = frozenset() if saliency else data_set.saliency_folders
    missing = missing_archives(root, data_set.archives, without=unwanted)
    if not missing:
        return
    if not download:
        or_none = ", do without saliency maps with -S data.saliency=none" if saliency else ""
        raise UserError(
            f"data.root '{root}' does not hold all of {data_set.name}: name another place with -S data.root=FOLDER, "
            f"download what is missing with -S data.download=true{or_none}. "
            + how_to_get(root, missing, downloads=MAIN.downloads, mirror=mirror, without=unwanted)
        )
    arriving = obtain(missing, root, downloads=MAIN.downloads, mirror=mirror, without=unwanted)
    with closing(arriving):  # an interrupt must find what is half unpacked removed
        for _, progress in groupby(arriving, key=lambda one: one.what):
            first = next(progress)
            with progress_bar(total=first.total, title=first.what, unit=first.unit) as bar:
                for one in chain([first], progress):
                    bar.update(one.done - bar.n)


def mirror_place(mirror: str | None) -> str | None:
    """Where the archives lie: an address, or a folder, relative ones against the project, as `data.root`."""
    if mirror is None or is_url(mirror):
        return mirror
    return str(project_root() / Path(mirror).expanduser())


def examine(
    folders: ImagePaths,
    ids: list[str],
    *,
    data_set: DatasetSpec,
    saliency: bool,
    memo: ScanCache,
    title: str,
) -> tuple[list[IndexRow], list[ImageProblem]]:
    """Looks at the images of a split under a progress bar: what is known of them, and which cannot be used."""
    found = scan_images(
        folders,
        ids,
        classes=len(data_set.classes),
        values=data_set.values,
        saliency=saliency,
        memo=memo,
    )
    looked = list(shown(found, total=len(ids), title=title, unit="image"))
    return [one for one in looked if isinstance(one, IndexRow)], [
        one for one in looked if isinstance(one, ImageProblem)
    ]


def way_out(faults: list[ImageProblem], *, skips: bool) -> str:
    """What can be done about images that cannot be used; doing without saliency maps first where all lack just them.

    Args:
        faults: of the images.
        skips: whether such images are left out already.
    """
    ways = ["mend the files", "take the ids out of the image list"]
    if not skips:
        ways.append("leave such images out with -S data.on_error=skip")
    lacking = sum(fault.lacks_map for fault in faults)
    if lacking:
        ways.insert(0 if lacking == len(faults) else len(ways), "do without saliency maps with -S data.saliency=none")
    told = f"{', '.join(ways[:-1])}, or {ways[-1]}"
    return told[0].upper() + told[1:]


def list_faults(faults: list[ImageProblem]) -> Path | None:
    """Writes down what is wrong with each image where the error message cannot name them all."""
    if len(faults) <= MAX_NAMED:
        return None
    path = MAIN.cache / "unusable_images.txt"
    write_text(path, "".join(f"{fault.id}: {fault.what}\n" for fault in faults))
    return path


def write_index(split: str, data_set: DatasetSpec, rows: list[IndexRow]) -> None:
    """Writes the index of a split."""
    files: SplitFiles = {"train": data_set.train, "val": data_set.val}[split]
    ImageIndex(
        data_set=data_set.name,
        class_names=data_set.classes,
        files=files,
        values=data_set.values,
        rows=tuple(rows),
    ).write(LAYOUT.index(split))


if __name__ == "__main__":
    run(main)
