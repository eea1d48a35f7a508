"""`ssul convert`: masks of other tools as a dataset of one's own."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from ssul.cli.class_names import listed_names
from ssul.cli.options import Root
from ssul.config.paths import Layout
from ssul.convert.annotations import Annotations
from ssul.convert.coco import read_coco
from ssul.convert.colours import read_colour_file, read_colours
from ssul.convert.description import check_classes, description
from ssul.convert.labelme import read_labelme
from ssul.convert.mat import read_mats
from ssul.convert.write import Converted, write_dataset
from ssul.datasets.catalog import CATALOG
from ssul.datasets.scan import ImageProblem, raise_unusable
from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.labels.colours import Colour, voc_colours
from ssul.labels.ids import BACKGROUND_ID, BACKGROUND_NAME, VOID, VOID_NAME
from ssul.pipeline.progress import with_progress

app = typer.Typer(
    help="Turn masks and outlines of other tools into a dataset of your own, see docs/own_data.md.",
    no_args_is_help=True,
)
Out = Annotated[Path, typer.Option(help="The folder to write: images/ and masks/, for each split if there are two.")]
Name = Annotated[str | None, typer.Option(help="Of the dataset and of its file in conf/data; else the folder's name.")]
OnError = Annotated[Literal["refuse", "skip"], typer.Option(help="What happens to images that cannot be used.")]
Images = Annotated[Path, typer.Option(help="The folder of the images.")]
Val = Annotated[Path | None, typer.Option(help="The same of the validation split; else a fifth is drawn.")]
ValImages = Annotated[Path | None, typer.Option(help="The folder of its images, if it is another one.")]
Classes = Annotated[str, typer.Option(help="Names with commas, or a file with one a line, in the order of the values.")]


@app.command()
def coco(
    annotations: Annotated[Path, typer.Argument(help="A file like instances_train2017.json.")],
    images: Images,
    out: Out,
    val: Val = None,
    val_images: ValImages = None,
    name: Name = None,
    on_error: OnError = "refuse",
    root: Root = Path(),
) -> None:
    """Outlines in COCO's format: polygons, run lengths, crowds; the classes are its categories, by their ids."""
    splits = {"train": read_coco(annotations, images)}
    if val is not None:
        splits["val"] = read_coco(val, val_images or images)
    _convert(splits, annotations, out, name, on_error=on_error, root=root)


@app.command()
def labelme(
    annotations: Annotated[Path, typer.Argument(help="The folder of LabelMe's .json files.")],
    out: Out,
    images: Annotated[Path | None, typer.Option(help="The folder of the images, if the .json do not name it.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names with commas, or a file like labels.txt; else all labels, by alphabet.")
    ] = None,
    val: Val = None,
    val_images: ValImages = None,
    name: Name = None,
    on_error: OnError = "refuse",
    root: Root = Path(),
) -> None:
    """Outlines in LabelMe's format; `_background_` is the background, `__ignore__` void."""
    names = None if classes is None else _names(classes)
    places = {"train": (annotations, images)} | ({} if val is None else {"val": (val, val_images)})
    splits = {split: read_labelme(folder, names, photos) for split, (folder, photos) in places.items()}
    if names is None and val is not None:
        names = sorted({label for one in splits.values() for label in one.classes})
        splits = {split: read_labelme(folder, names, photos) for split, (folder, photos) in places.items()}
    _convert(splits, annotations, out, name, on_error=on_error, root=root)


@app.command()
def mat(
    masks: Annotated[Path, typer.Argument(help="The folder of the .mat files, one an image.")],
    images: Images,
    classes: Classes,
    out: Out,
    variable: Annotated[
        str | None, typer.Option(help="The matrix, like GTcls.Segmentation; else the only one in the file.")
    ] = None,
    ending: Annotated[str, typer.Option(help="Of the masks' names: what is before it is the image's name.")] = ".mat",
    val: Val = None,
    val_images: ValImages = None,
    name: Name = None,
    on_error: OnError = "refuse",
    root: Root = Path(),
) -> None:
    """Matrices of values in Matlab's files: 0 is the background, 1.. the classes, 255 void."""
    names = _names(classes)

    def read(folder: Path, photos: Path) -> Annotations:
        return read_mats(folder, photos, names, variable=variable, ending=ending)

    splits = _of_both(read, masks, images, val, val_images)
    _convert(splits, masks, out, name, on_error=on_error, root=root)


@app.command()
def colours(
    masks: Annotated[Path, typer.Argument(help="The folder of the colour-coded PNGs.")],
    images: Images,
    colours: Annotated[Path, typer.Option(help="Lines like `128 64 128 road`, or a .yaml of `road: [128, 64, 128]`.")],
    out: Out,
    ending: Annotated[str, typer.Option(help="Of the masks' names: what is before it is the image's name.")] = ".png",
    val: Val = None,
    val_images: ValImages = None,
    name: Name = None,
    on_error: OnError = "refuse",
    root: Root = Path(),
) -> None:
    """Colour-coded PNGs, which a description with `colours` reads as they are, only slower."""
    found = read_colour_file(colours)

    def read(folder: Path, photos: Path) -> Annotations:
        return read_colours(folder, photos, found, ending=ending)

    splits = _of_both(read, masks, images, val, val_images)
    _convert(splits, masks, out, name, on_error=on_error, root=root, colours=found)


def _of_both(
    read: Callable[[Path, Path], Annotations], masks: Path, images: Path, val: Path | None, val_images: Path | None
) -> dict[str, Annotations]:
    return {"train": read(masks, images)} | ({} if val is None else {"val": read(val, val_images or images)})


def _convert(
    splits: Mapping[str, Annotations],
    source: Path,
    out: Path,
    name: str | None,
    *,
    on_error: str,
    root: Path,
    colours: Mapping[str, Colour] | None = None,
) -> None:
    """Writes the dataset and its description, and prints what it holds."""
    name = out.name if name is None else name
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in CATALOG:
        raise UserError(
            f"'{name}' cannot name a dataset of your own: choose --name with letters, digits and _, not "
            f"{', '.join(CATALOG)}"
        )
    classes = splits["train"].classes
    if any(one.classes != classes for one in splits.values()):
        raise UserError("the training and the validation annotations have different classes: make them the same")
    if empty := [one for one in splits.values() if not one.images]:
        problems = [ImageProblem(name, what) for name, what in empty[0].broken.items()]
        raise_unusable(problems, of=len(problems), where=source, way_out="Mend them, or name another folder")
    check_classes(classes)
    layout = Layout(root)
    place = layout.datasets / f"{name}.yaml"
    if place.exists():
        raise UserError(f"{place} exists: choose another --name, or remove it")
    chosen = voc_colours(1 + len(classes))
    palette = tuple(
        (colours or {}).get(one, other) for one, other in zip((BACKGROUND_NAME, *classes), chosen, strict=True)
    )
    done = write_dataset(splits, source, out, palette=palette, skip=on_error == "skip", show=with_progress)
    _print_counts(classes, done)
    text = description(name, _from_project(out, root), classes, done)
    if layout.datasets.is_dir():
        write_text(place, text)
        print(f"\n{out}, {place}: try `dvc exp run -S data={name} -S scenario.base_classes={_half(classes)}`")
        print(f"Or add these classes to a network that you have: `extends` in {place} names it (docs/extend.md)")
    else:
        print(f"\n{out}; put this into conf/data/{name}.yaml of your project:\n\n{text}")


def _print_counts(classes: Sequence[str], done: Converted) -> None:
    print(", ".join(f"{count} images for {split}" for split, count in done.count.items()))
    whole = done.pixels.total()
    rows = [
        (value, name) for value, name in enumerate((BACKGROUND_NAME, *classes)) if value or done.pixels[BACKGROUND_ID]
    ]
    for value, name in [*rows, *([(VOID, VOID_NAME)] if done.pixels[VOID] else [])]:
        share = 100 * done.pixels[value] / whole
        print(f"{value:5} {name:24} {done.images[value]:7} images {share:6.2f} % of the pixels")
    if missing := [name for value, name in enumerate(classes, start=1) if not done.pixels[value]]:
        print(f"warning: no image shows {', '.join(missing)}: a class without images cannot be learned")
    for note, times in done.notes.items():
        if times:
            print(f"note: {times} {note}")
    if done.left_out:
        named = "; ".join(f"{one.id}: {one.what}" for one in done.left_out[:8])
        print(f"warning: {len(done.left_out)} are left out: {named}{'; ...' if len(done.left_out) > 8 else ''}")


def _names(given: str) -> list[str]:
    """Names with commas, or the lines of a file; LabelMe's special labels are left out."""
    from ssul.convert.labelme import SPECIAL

    return [name for name in listed_names(given) if name and name not in SPECIAL]


def _from_project(out: Path, root: Path) -> Path:
    """The folder relative to the project, if it lies in it."""
    place, project = out.resolve(), root.resolve()
    return place.relative_to(project) if place.is_relative_to(project) else place


def _half(classes: Sequence[str]) -> int:
    return max(1, len(classes) // 2)
