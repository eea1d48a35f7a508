"""A frozen increment over fixed views of its images, against a new augmentation in each pass.

    python -m benchmarks.fixed_views [--root FOLDER] [--weights FILE] [--quick | --published] [--json FILE]

Both ways train the same step of VOC 15-1 through the whole of `TrainingSession`: loader, loop and files. Measured are
the processor's seconds of one thread for an iteration of each way and for computing one view; a row multiplies them
into the training of a step. With a view for each pass both ways must give the same losses to the bit. Without --root
it draws photographs of VOC's size itself.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from benchmarks.incremental_step import THRESHOLD, labels_of
from benchmarks.loader import draw_examples, images_in
from benchmarks.measure import Row, arguments, print_table
from ssul.config.schema import IncrementOptimisation
from ssul.data.dataset import SegmentationDataset
from ssul.data.layout import ImagePaths
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.data.training_set import Augmentation
from ssul.datasets.catalog import find_dataset
from ssul.inference.allocator import keep_freed_memory
from ssul.io.disk import format_bytes
from ssul.methods.ssul.increment import prepare_increment
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.training.job import TrainingJob
from ssul.training.loop import iteration_count
from ssul.training.resume import StateFile
from ssul.training.session import TrainingSession

OLD = labels_of((15, 1, 1, 1, 1))
NEW = (20,)
EPOCHS, VIEWS = (10, 50), (2, 5, 10)
AMPLE = 10**6
"""More views than there are passes."""


@dataclass(frozen=True)
class Size:
    """How large the comparison is.

    Attributes:
        backbone: its name.
        side: of the crops, in pixels.
        images: of the step.
        batch: images of a batch.
        epochs: that are trained to measure.
    """

    backbone: str
    side: int
    images: int
    batch: int
    epochs: int


SMOKE, QUICK, FULL, PUBLISHED = (
    Size("small", 65, 4, 2, 2),
    Size("mobilenet_v2", 160, 16, 8, 2),
    Size("mobilenet_v2", 160, 64, 16, 3),
    Size("resnet101", 513, 8, 4, 2),
)


@dataclass(frozen=True)
class Costs:
    """What a training took.

    Attributes:
        iteration: processor's seconds of an iteration.
        view: of computing one view, and writing it; 0 without views.
        size: bytes of a view.
        losses: of all iterations.
    """

    iteration: float
    view: float
    size: float
    losses: list[float]


def train(size: Size, dataset: SegmentationDataset, ids: list[str], weights: str, views: int | None) -> Costs:
    """Trains a step."""
    torch.manual_seed(0)
    architecture = Architecture(size.backbone, "deeplabv3", 16, 256)
    model = IncrementalDeepLab(architecture, OLD.head_sizes, weights).eval()
    switches = {"weight_transfer": True, "freeze": True, "freeze_norm": True, "pseudo_threshold": THRESHOLD}
    objective = prepare_increment(model, OLD, NEW, **switches, loss="bce")  # type: ignore[arg-type]
    iterations = iteration_count(len(ids), epochs=size.epochs, batch=size.batch)
    optimisation = IncrementOptimisation(
        views=views,
        epochs=size.epochs,
        batch=size.batch,
        accumulate=1,
        schedule="poly",
        lr=0.01,
        backbone_lr_ratio=0.1,
        momentum=0.9,
        weight_decay=1e-4,
    )
    job = TrainingJob(
        step=5,
        class_names=("tvmonitor",),
        known_names=(),
        objective=objective,
        method_params=None,
        order=SampleOrder(tuple(TrainingItem(one, NEW) for one in ids), (), size.batch, seed=0, step=5),
        iterations=iterations,
        dataset=dataset,
        augmentation=Augmentation(size.side, (0.5, 2.0)),
        optimisation=optimisation,
        views=views,
        precision="32",
        selection=None,
        selection_name="last",
    )
    with tempfile.TemporaryDirectory() as folder:
        fabric, state_file = Fabric(accelerator="cpu", devices=1), StateFile(Path(folder), "one", every=1e9)
        session = TrainingSession(job, fabric, 0, 1, state_file, print)
        progress, view, bytes_of_view = session.start(), 0.0, 0.0
        if session.views is not None:
            computing = session.compute_views(session.views, session.missing_views(session.views))
            view = processor_seconds(lambda: list(computing)) / session.views.views.total
            files = session.views.folder.iterdir()
            bytes_of_view = sum(path.stat().st_size for path in files) / session.views.views.total
        losses: list[float] = []
        taken = processor_seconds(lambda: losses.extend(one.loss for one, _ in progress))
    return Costs(taken / iterations, view, bytes_of_view, losses)


def processor_seconds(run: Callable[[], object]) -> float:
    """The processor's seconds of one call: other users of the machine do not matter."""
    started = time.process_time()
    run()
    return time.process_time() - started


def measure(size: Size, dataset: SegmentationDataset, ids: list[str], weights: str) -> list[Row]:
    """All rows."""
    train(replace(size, epochs=1), dataset, ids, weights, 1)  # a warm-up
    plain, viewed = (train(size, dataset, ids, weights, views) for views in (None, AMPLE))
    equal = viewed.losses == plain.losses
    rows = [
        Row(
            "an iteration", plain.iteration / viewed.iteration, None, equal, _against(viewed.iteration, plain.iteration)
        )
    ]
    print(f"a view: {1000 * viewed.view:.1f} ms to compute, {format_bytes(viewed.size)} on disk")
    for epochs in EPOCHS:
        iterations = iteration_count(len(ids), epochs=epochs, batch=size.batch)
        for views in VIEWS:
            computed = min(views, epochs) * len(ids)
            ours, theirs = computed * viewed.view + iterations * viewed.iteration, iterations * plain.iteration
            disk = format_bytes(computed * viewed.size)
            name = f"a step of {epochs} epochs, {views} views"
            rows.append(Row(name, theirs / ours, None, None, f"{_against(ours, theirs)}, {disk}"))
    return rows


def _against(ours: float, theirs: float) -> str:
    return f"{ours:.2f} against {theirs:.2f} CPU seconds"


def main() -> None:
    """Prints the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="images in VOC's layout (default: drawn ones)")
    parser.add_argument("--weights", default="none", metavar="FILE", help="of the backbone (default: random)")
    parser.add_argument("--published", action="store_true", help="the papers' network and crop: ResNet-101, 513 px")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    size = SMOKE if given.smoke else QUICK if given.quick else PUBLISHED if given.published else FULL
    with tempfile.TemporaryDirectory() as drawn:
        folders = ImagePaths(given.root or Path(drawn), find_dataset("voc").train)
        if given.root is None:
            draw_examples(folders, size.images)
        ids = images_in(folders, size.images)
        dataset = SegmentationDataset(folders, saliency=folders.saliency(ids[0]).exists())
        rows = measure(size, dataset, ids, given.weights)
    title = f"an increment of {len(ids)} images: {size.backbone}, {size.side} px, batch {size.batch}, float32"
    print_table(title, rows, given.json)


if __name__ == "__main__":
    main()
