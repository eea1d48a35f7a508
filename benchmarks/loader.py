"""Training samples a second and core, against the plain way with Pillow: python -m benchmarks.loader [--root FOLDER].

The plain way is that of the published code and of most others: Pillow decodes, the whole image and its maps are
scaled, padded, cropped and flipped, and each sample becomes normalised floats. Both sides get the same draws; targets
must be equal and images within two grey levels (Pillow and torch round differently). One core; ours ends with bytes, as
the loader hands them to the device, where normalising costs next to nothing. Without --root it draws photographs of
VOC's size itself.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import functional

from benchmarks.measure import Row, arguments, print_table
from ssul.data.dataset import LabeledImage, SegmentationDataset
from ssul.data.image_cache import ImageCache
from ssul.data.layout import ImagePaths
from ssul.data.random_crop import CropWindow, sample_crop_window
from ssul.data.sampling import SampleOrder, TrainingItem, derive_seed
from ssul.data.training_set import Augmentation, TrainingDataset
from ssul.data.transforms import MEAN_COLOUR, resize_target
from ssul.datasets.catalog import find_dataset
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.normalisation import IMAGENET_MEAN, IMAGENET_STD, Normalisation

CROP = 513
LABELS = LabelSpace((tuple(range(1, 16)), (16,), (17,)), unknown=True, activation="sigmoid")
ANNOTATED = (17,)
VARIATION = Augmentation(CROP, (0.5, 2.0))
PILLOWS = Image.Resampling
_FORMATS = ("JPEG", "PNG")

Work = Callable[[int], object]
"""What is done for a slot of the batch."""
Sample = Callable[[int], tuple[Tensor, Tensor]]


def main() -> None:
    """Measures and prints."""
    parser = arguments("training samples a second and core, at 513 px")
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="images in VOC's layout (default: drawn ones)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    count, rounds = (2, 1) if options.smoke else (8, 3) if options.quick else (32, 9)
    rounds = options.rounds or rounds
    with tempfile.TemporaryDirectory() as drawn:
        folders = ImagePaths(options.root or Path(drawn), find_dataset("voc").train)
        if options.root is None:
            draw_examples(folders, count)
        rows = measure(folders, images_in(folders, count), rounds)
    print_table(f"training samples of {CROP} px, {count} images", rows, options.json)


def measure(folders: ImagePaths, ids: list[str], rounds: int) -> list[Row]:
    """All rows; each call takes every image once."""
    dataset = SegmentationDataset(folders, saliency=folders.saliency(ids[0]).exists())
    order = SampleOrder(tuple(TrainingItem(image_id, ANNOTATED) for image_id in ids), (), len(ids), seed=0, step=2)
    samples = TrainingDataset(order, dataset, LABELS, VARIATION, iterations=1)
    kept = TrainingDataset(order, dataset, LABELS, VARIATION, iterations=1, cache=ImageCache(2**40))
    slots = range(len(ids))
    places = [order.item(0, slot).id for slot in slots]
    examples = [dataset.read(image_id) for image_id in places]
    windows = [window_of(order, slot, *examples[slot].mask.shape) for slot in slots]

    def plain(slot: int) -> tuple[Tensor, Tensor]:
        return textbook(folders, places[slot], windows[slot], saliency=dataset.saliency)

    def plainly_decoded(slot: int) -> list[Tensor]:
        paths = folders.files_of(places[slot], saliency=dataset.saliency)
        return [plain_image(paths[0]), *(plain_values(path) for path in paths[1:])]

    def whole(slot: int) -> tuple[Tensor, Tensor]:
        return of_the_whole(examples[slot].image, examples[slot].mask, windows[slot])

    def cut(slot: int) -> tuple[Tensor, Tensor]:
        window = windows[slot]
        return window.image(examples[slot].image), window.target(as_is, examples[slot].mask, fill=VOID)

    decoded_alike = all(
        torch.equal(one, other)
        for slot in slots
        for one, other in zip(parts_of(examples[slot]), plainly_decoded(slot), strict=True)
    )

    def same(ours: Sample, theirs: Sample) -> bool:
        return all(same_samples(ours(slot), theirs(slot), windows[slot]) for slot in slots)

    def row(name: str, ours: Work, theirs: Work, target: float | None = None, *, equal: bool | None = None) -> Row:
        mine, other = core_seconds(ours, theirs, slots, rounds)
        detail = f"{len(ids) / mine:.0f} against {len(ids) / other:.0f} a second ({1000 * mine / len(ids):.2f} ms each)"
        return Row(name, other / mine, target, equal, detail)

    ours, from_memory = samples.__getitem__, kept.__getitem__
    return [
        row("samples, files to crops", ours, plain, 3.0, equal=same(ours, plain)),
        row("  of these: decoding", lambda slot: dataset.read(places[slot]), plainly_decoded, equal=decoded_alike),
        row("  of these: the window, not the whole", cut, whole, equal=same(cut, whole)),
        row("samples kept in memory (exemplars)", from_memory, plain, equal=same(from_memory, plain)),
        row("  against ours from files", from_memory, ours, equal=same(from_memory, ours)),
    ]


def core_seconds(ours: Work, theirs: Work, slots: range, rounds: int) -> tuple[float, float]:
    """Median processor time of both over all slots, alternately, after a warm-up.

    Of the processor and not of the clock: one thread is measured, and samples a second and core are asked for,
    so other users of the machine do not matter.
    """
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for work, taken in zip((ours, theirs), times, strict=True):
            started = time.process_time()
            for slot in slots:
                work(slot)
            taken.append(time.process_time() - started)
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


def same_samples(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor], window: CropWindow) -> bool:
    """Whether targets are equal, where either answer is not right, and images within two grey levels."""
    images = [
        one if one.is_floating_point() else Normalisation().normalise(one[None])[0] for one in (ours[0], theirs[0])
    ]
    levels = (images[0] - images[1]).abs() * 255 * torch.tensor(IMAGENET_STD)[:, None, None]
    return bool(levels.max() < 2.01) and bool(((ours[1] == theirs[1]) | undecided(window)).all())


def parts_of(labeled: LabeledImage) -> list[Tensor]:
    """Image, mask and, if there is one, saliency map."""
    return [part for part in (labeled.image, labeled.mask, labeled.saliency) if part is not None]


def window_of(order: SampleOrder, slot: int, height: int, width: int) -> CropWindow:
    """What the stream draws for a slot of the first iteration."""
    seed = derive_seed(order.seed, order.step, "augmentation", 0, slot)
    generator = torch.Generator().manual_seed(seed)
    return sample_crop_window(height, width, crop=VARIATION.crop, scale=VARIATION.scale, generator=generator)


# --- the plain ways ---------------------------------------------------------------------------------------------------


def textbook(folders: ImagePaths, image_id: str, window: CropWindow, *, saliency: bool) -> tuple[Tensor, Tensor]:
    """A sample as most code makes it, float (3, S, S) and uint8 (S, S): the published code's transforms and order."""
    image, *maps = (Image.open(path, formats=_FORMATS) for path in folders.files_of(image_id, saliency=saliency))
    size = window.resized[::-1]
    photograph = crop(image.convert("RGB").resize(size, PILLOWS.BILINEAR), window, tuple(MEAN_COLOUR.tolist()))
    values, *salient = (np.array(crop(one.resize(size, PILLOWS.NEAREST), window, VOID)) for one in maps)
    table = np.full(256, LABELS.background_channel, dtype=np.uint8)
    table[VOID] = VOID
    for class_id in ANNOTATED:
        table[class_id] = LABELS.channel_of(class_id)
    target = table[values]
    background = target == LABELS.background_channel
    target[background & (salient[0] > 0) if salient else background] = 0
    pixels = functional.normalize(functional.to_tensor(photograph), IMAGENET_MEAN, IMAGENET_STD)
    return pixels, torch.from_numpy(target)


def undecided(window: CropWindow) -> Tensor:
    """Where a crop's pixel lies exactly between two on disk, either of which is nearest: Pillow and torch differ."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old % (2 * new) == 0 for old, new in zip(window.source, window.resized, strict=True)
    )
    either = (rows[:, None] | columns[None, :]) & (window.source != window.resized)
    return torch.from_numpy(np.array(crop(Image.fromarray(either.astype(np.uint8)), window, 0))).bool()


def crop(picture: Image.Image, window: CropWindow, fill: int | tuple[int, ...]) -> Image.Image:
    """Pads on all sides that lack something, crops, and flips."""
    height, width = window.resized
    wide, high = max(0, window.side - width), max(0, window.side - height)
    if wide or high:
        picture = ImageOps.expand(picture, (wide, high, wide, high), fill=fill)
    left, top = window.left + wide, window.top + high
    picture = picture.crop((left, top, left + window.side, top + window.side))
    return ImageOps.mirror(picture) if window.flipped else picture


def plain_image(path: Path) -> Tensor:
    """What Pillow decodes of a photograph."""
    with Image.open(path, formats=_FORMATS) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


def plain_values(path: Path) -> Tensor:
    """What Pillow decodes of a mask."""
    with Image.open(path, formats=_FORMATS) as picture:
        return torch.from_numpy(np.array(picture))


def of_the_whole(image: Tensor, mask: Tensor, window: CropWindow) -> tuple[Tensor, Tensor]:
    """Everything is resized, then cut, with the same kernels."""
    height, width = window.resized
    all_of_it = CropWindow(window.source, window.resized, 0, 0, max(height, width), flipped=False)
    resized = all_of_it.image(image)[:, :height, :width]
    labels = resize_target(mask, [height, width])
    rest = CropWindow(window.resized, window.resized, window.top, window.left, window.side, window.flipped)
    return rest.image(resized), rest.target(as_is, labels, fill=VOID)


def as_is(mask: Tensor) -> Tensor:
    """Encodes nothing."""
    return mask


# --- images -----------------------------------------------------------------------------------------------------------


def images_in(folders: ImagePaths, count: int) -> list[str]:
    """Some images that have a mask, in order of their names; with a saliency map if any has one."""
    masks = sorted(folders.mask("x").parent.glob("*.png"))
    ids = [mask.stem for mask in masks if folders.image(mask.stem).exists()]
    salient = [image_id for image_id in ids if folders.saliency(image_id).exists()]
    found = (salient or ids)[:count]
    if not found:
        raise SystemExit(f"there are no images in VOC's layout below {folders.root}")
    return found


def draw_examples(folders: ImagePaths, count: int) -> None:
    """Photographs of 500 x 375 with smooth content and noise, palette masks of blobs, saliency maps."""
    rows, columns = np.mgrid[:375, :500]
    for number in range(count):
        chance = np.random.default_rng(number)
        lengths, shifts = chance.uniform(8, 80, (3, 2)), chance.uniform(0, 6, (3, 2))
        waves = [
            np.sin(rows / length[0] + shift[0]) * np.cos(columns / length[1] + shift[1])
            for length, shift in zip(lengths, shifts, strict=True)
        ]
        colours = 127 + 80 * np.stack(waves, axis=-1) + chance.normal(0, 10, (375, 500, 3))
        photograph = Image.fromarray(colours.clip(0, 255).astype(np.uint8))
        inside, edge = waves[0] + waves[1] > 0.5, abs(waves[0] + waves[1] - 0.5) < 0.02
        ids = np.where(edge, VOID, np.where(inside, chance.integers(1, 18), 0)).astype(np.uint8)
        mask = Image.fromarray(ids)
        mask.putpalette([channel for value in range(256) for channel in (value, 255 - value, 128)])
        salient = Image.fromarray(np.where(waves[0] > 0.2, 255, 0).astype(np.uint8))
        name = f"drawn_{number}"
        for path in folders.files_of(name, saliency=True):
            path.parent.mkdir(parents=True, exist_ok=True)
        photograph.save(folders.image(name), quality=90)
        mask.save(folders.mask(name))
        salient.save(folders.saliency(name))


if __name__ == "__main__":
    main()
