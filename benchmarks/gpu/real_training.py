"""A short training on real photographs by the product's own session, and its scores.

It is SSUL's run of docs/evidence.md on VOC 15-1, order s, with nothing held out: MobileNetV2, crop 160, batch 16.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightning_fabric import Fabric

from benchmarks.gpu.scale import Scale
from benchmarks.measure import Row
from ssul.config.schema import Optimisation
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.data.sampling import SampleOrder, TrainingItem, seed_everything
from ssul.data.training_set import Augmentation
from ssul.datasets.catalog import find_dataset
from ssul.datasets.scan import scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.evaluation.evaluate import evaluate_images, sum_confusion
from ssul.evaluation.protocol import Protocol
from ssul.evaluation.scores import Scores, score
from ssul.inference.device import choose_device
from ssul.labels.space import LabelSpace
from ssul.methods.ssul.increment import prepare_increment
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.model.weights import NO_WEIGHTS
from ssul.scenario.order import make_scenario
from ssul.scenario.splits import Split, make_splits
from ssul.training.job import TrainingJob, iterations_of
from ssul.training.objective import Objective, Supervised
from ssul.training.resume import StateFile
from ssul.training.session import TrainingSession

SEED, ORDER = 3, "s"
SWITCHES = {"weight_transfer": True, "freeze": True, "freeze_norm": True, "pseudo_threshold": 0.7}
NETWORK = Architecture("mobilenet_v2", "deeplabv3", 16, 256)


def real_training(scale: Scale) -> Iterator[Row]:
    """The seconds of the base step and of all increments, and the scores after them; nothing without images."""
    if scale.images is None:
        print("no images: --images FOLDER names a folder in VOC's layout", flush=True)
        return
    fabric, spec = choose_device("32"), find_dataset("voc")
    train, val = ImagePaths(scale.images, spec.train), ImagePaths(scale.images, spec.val)
    splits = splits_of(train)
    names = splits[0].class_names
    seed_everything(SEED, "base")
    labels = LabelSpace(splits[0].groups, unknown=True, activation="sigmoid")
    weights = NO_WEIGHTS if scale.weights is None else str(scale.weights)
    objective: Objective = Supervised(IncrementalDeepLab(NETWORK, labels.head_sizes, weights), labels, "bce")
    started = time.perf_counter()
    for split in splits:
        if split.step:
            names = split.class_names
            seed_everything(SEED, "step", split.step)
            model, old = objective.model.cpu(), objective.labels
            objective = prepare_increment(model, old, split.new, **SWITCHES, loss="bce")  # type: ignore[arg-type]
        train_step(objective, split, train, scale, fabric)
        if split.step in (0, len(splits) - 1):
            seconds = time.perf_counter() - started
            scores = evaluated(objective, names, val, scale.crop, fabric)
            what = "the base step" if split.step == 0 else f"all {len(splits) - 1} increments"
            yield Row(f"VOC 15-1 {ORDER}, training {what}", seconds, None, None, unit="seconds")
            means = {"old": scores.old, "new": scores.new, "all": scores.all}
            words = ", ".join(f"{name} {100 * value:.1f}" for name, value in means.items() if value is not None)
            yield Row(f"VOC 15-1 {ORDER}, after {what}: mIoU", 100 * (scores.all or 0.0), None, None, words, "%")
            started = time.perf_counter()


def splits_of(train: ImagePaths) -> list[Split]:
    """The training data of each step, from the masks."""
    ids, spec = train.read_list() or train.list_masks(), find_dataset("voc")
    found = scan_images(
        train, ids, classes=len(spec.classes), values=MaskEncoding(), saliency=True, cache=ScanCache(None)
    )
    present = {row.id: row.present for row in found if isinstance(row, IndexRow)}
    scenario = make_scenario(ORDER, 15, 1, dataset=spec.name, names=spec.classes)
    return make_splits(present, scenario, "overlapped", names=spec.classes, seed=SEED)


def train_step(objective: Objective, split: Split, files: ImagePaths, scale: Scale, fabric: Fabric) -> None:
    """Trains a step to its end."""
    epochs = max(1, scale.epochs - 2) if split.step else scale.epochs
    rates = {"schedule": "poly", "lr": 0.01, "backbone_lr_ratio": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
    optimisation = Optimisation.model_validate({"epochs": epochs, "batch": scale.real_batch, "accumulate": 1, **rates})
    order = SampleOrder(
        tuple(TrainingItem(one, split.new) for one in split.images), (), scale.real_batch, SEED, split.step
    )
    job = TrainingJob(
        step=split.step,
        class_names=split.new_names,
        known_names=split.class_names,
        objective=objective,
        method_params=None,
        order=order,
        iterations=iterations_of(order, epochs, "images", drop_last=False),
        dataset=SegmentationDataset(files, saliency=True),
        augmentation=Augmentation(scale.crop, (0.5, 1.0)),
        optimisation=optimisation,
        views=None,
        precision="32",
        selection=None,
        selection_name="last",
    )
    with tempfile.TemporaryDirectory() as folder:
        session = TrainingSession(job, fabric, 0, 1, StateFile(Path(folder), "gpu"), lambda line: None)
        for _ in session.start():
            pass
        session.finish()


def evaluated(objective: Objective, names: Sequence[str], files: ImagePaths, crop: int, fabric: Fabric) -> Scores:
    """The scores on the validation images, on the papers' central squares."""
    labels, protocol = objective.labels, Protocol(fabric, "ignore", "auto", crop, "all")
    background = protocol.background(labels, in_data=True, classes=len(find_dataset("voc").classes))
    ids = files.read_list() or []
    found = evaluate_images(
        objective.model, labels, SegmentationDataset(files), ids, protocol=protocol, background=background
    )
    all_names = background.names(tuple(names))
    sizes = [len(group) for group in labels.groups]
    return score(sum_confusion(found, len(all_names)), sizes, all_names, [], background=background)
