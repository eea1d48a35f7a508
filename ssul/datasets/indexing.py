"""Scans both splits of a dataset, refuses or skips unusable images, and writes the indexes."""

from collections.abc import Callable

from ssul.config.paths import Layout
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.layout import ImagePaths
from ssul.datasets.catalog import DatasetSpec
from ssul.datasets.prepare import Preparation, Show
from ssul.datasets.scan import MAX_NAMED, ImageProblem, raise_unusable, scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.datasets.split_ids import split_ids
from ssul.io.atomic import write_text

Rows = dict[str, list[IndexRow]]
"""The rows of the index, by split: `train` and `val`."""
Problems = dict[str, list[ImageProblem]]


def scan_splits(dataset: Preparation, show: Show, log: Callable[[str], None]) -> tuple[Rows, Problems]:
    """Reads every image of both splits once.

    Args:
        dataset: what to read; its files exist.
        show: shows a progress bar.
        log: prints a line about the dataset.

    Raises:
        UserError: if images are unusable and data.on_error is `refuse`, or no image of a split is usable.
    """
    spec = dataset.spec
    train, val = ImagePaths(dataset.root, spec.train), ImagePaths(dataset.root, spec.val)
    train_ids, val_ids = split_ids(train, val, val_share=spec.val_share, val_seed=spec.val_seed)
    log(f"{spec.name}: {len(train_ids)} training and {len(val_ids)} validation images")
    cache = ScanCache(dataset.shared.cache / "index.jsonl")
    rows: Rows = {}
    problems: Problems = {}
    for split, paths, ids in (("train", train, train_ids), ("val", val, val_ids)):
        found = scan_images(
            paths,
            ids,
            classes=len(spec.classes),
            values=spec.values,
            saliency=dataset.saliency and split == "train",
            cache=cache,
        )
        scanned = list(show(found, total=len(ids), title=f"index {spec.name} {split}", unit="image"))
        rows[split] = [one for one in scanned if isinstance(one, IndexRow)]
        problems[split] = [one for one in scanned if isinstance(one, ImageProblem)]
    _refuse_or_skip(dataset, rows, problems, log)
    return rows, problems


def write_indexes(spec: DatasetSpec, rows: Rows, problems: Problems, layout: Layout) -> None:
    """Writes the indexes, and the palette with the skipped images."""
    for split, files in (("train", spec.train), ("val", spec.val)):
        index = ImageIndex(spec.name, spec.classes, files, spec.values, tuple(rows[split]), spec.known)
        index.write(layout.index(split))
    skipped = {split: {one.id: one.what for one in some} for split, some in problems.items()}
    info = DatasetInfo(spec.palette, train_skipped=skipped["train"], val_skipped=skipped["val"])
    info.write(layout.dataset_info)


def _refuse_or_skip(dataset: Preparation, rows: Rows, problems: Problems, log: Callable[[str], None]) -> None:
    every = [one for some in problems.values() for one in some]
    if every and dataset.data.on_error == "refuse":
        images = len(every) + sum(map(len, rows.values()))
        _refuse(dataset, every, images, _likelier(dataset, every, images) + _way_out(every, skips=False))
    for split, some in problems.items():
        if not rows[split]:
            likelier = _likelier(dataset, some, len(some))
            _refuse(dataset, some, len(some), f"No {split} image is left. {likelier}{_way_out(some, skips=True)}")
        if some:
            log(f"{split}: {len(some)} images cannot be used and are left out (data.on_error=skip)")


def _refuse(dataset: Preparation, problems: list[ImageProblem], images: int, way_out: str) -> None:
    listed = None
    if len(problems) > MAX_NAMED:  # the message cannot name all of them
        listed = dataset.shared.cache / "unusable_images.txt"
        write_text(listed, "".join(f"{one.id}: {one.what}\n" for one in problems))
    raise_unusable(problems, of=images, where=dataset.root, way_out=way_out, listed=listed)


def _likelier(dataset: Preparation, problems: list[ImageProblem], images: int) -> str:
    """A sentence for a description under which every image has a value without a meaning; else empty."""
    shared = set.intersection(*(set(problem.foreign) for problem in problems))
    if not shared or len(problems) < images or dataset.data.custom is None:
        return ""
    value, values = max(shared), dataset.spec.values
    void = f"void: {value}" if values.void is None else f"void: {value} in place of {values.void}"
    return (
        f"Every image holds {value}, so that its description is the likelier cause: conf/data/{dataset.spec.name}.yaml "
        f"may need {void} (if such pixels are not annotated), another first_value than {values.first}, or more "
        "classes. Otherwise: "
    )


def _way_out(problems: list[ImageProblem], *, skips: bool) -> str:
    """What the user can do about unusable images.

    Args:
        problems: of the images. If all lack only their saliency map, doing without maps is the first advice.
        skips: whether such images are skipped already.
    """
    ways = ["mend the files", "take the ids out of the image list"]
    if not skips:
        ways.append("leave such images out with -S data.on_error=skip")
    lacking = sum(problem.lacks_map for problem in problems)
    if lacking:
        ways.insert(0 if lacking == len(problems) else len(ways), "do without saliency maps with -S data.saliency=none")
    text = f"{', '.join(ways[:-1])}, or {ways[-1]}"
    return text[0].upper() + text[1:]
