"""What `ssul doctor` looks at; nothing is written, drawn or downloaded."""

import importlib.metadata
import importlib.util
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

from ssul.cli.composed import composed
from ssul.cli.time_estimate import Estimate, estimate_time
from ssul.config.load import load_params, parse_params
from ssul.config.paths import Layout, given_checkpoint, weights_file
from ssul.config.schema import Params
from ssul.data.layout import ImagePaths
from ssul.datasets.custom import resolve_dataset
from ssul.datasets.download import missing_archives
from ssul.datasets.prepare import Preparation
from ssul.datasets.scan import ImageProblem, scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.datasets.split_ids import split_ids
from ssul.errors import UserError
from ssul.inference.device import choose_device
from ssul.inference.trained_model import TrainedModel
from ssul.io.disk import format_bytes
from ssul.io.urls import redact_password
from ssul.model.timm_backbones import is_timm
from ssul.model.weights import IMAGENET, NO_WEIGHTS, PRETRAINED
from ssul.pipeline.failures import explain
from ssul.scenario.order import make_scenario
from ssul.scenario.scenario import Scenario
from ssul.tracking.store import TrackingError, is_on, store_uri

State = Literal["ok", "warning", "problem"]
_SAMPLE = 100
"""Images of each split that are looked at, evenly spaced."""
_LITTLE_MEMORY = 2 * 2**30
_EXTRAS = {"pipeline": ("dvc", "hydra", "mlflow"), "convert": ("pycocotools", "scipy")}


@dataclass(frozen=True)
class Finding:
    """One line of the result.

    Attributes:
        state: a problem keeps the pipeline from running.
        what: a word for it.
        text: what was found, and the way out.
    """

    state: State
    what: str
    text: str


@dataclass(frozen=True)
class Sample:
    """Some images of the dataset.

    Attributes:
        train, val: how many images each split has.
        present: the classes of each training image that was looked at.
    """

    train: int
    val: int
    present: tuple[tuple[int, ...], ...]


def versions() -> Iterator[Finding]:
    """What is installed."""
    names = ("ssul", "torch", "torchvision", "numpy", "pillow")
    named = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    yield Finding("ok", "versions", f"Python {platform.python_version()}, {named}")
    for extra, modules in _EXTRAS.items():
        lacking = [name for name in modules if importlib.util.find_spec(name) is None]
        if lacking:
            what = "the pipeline does not run" if extra == "pipeline" else "`ssul convert` cannot read every format"
            state: State = "problem" if extra == "pipeline" else "warning"
            yield Finding(state, "versions", f'{", ".join(lacking)} missing, {what}: pip install "ssul[{extra}]"')


def chosen_params(root: Path, overrides: Sequence[str]) -> Params:
    """The parameters of the project, or those that `dvc exp run -S` would compose.

    Raises:
        UserError: if they are missing or not valid.
    """
    return parse_params(composed(root, *overrides)) if overrides else load_params(Layout(root).params)


def device(params: Params) -> tuple[Finding, Fabric | None]:
    """The device that computes."""
    try:
        fabric = choose_device(params.recipe.precision)
    except UserError as error:
        return Finding("problem", "device", str(error)), None
    if fabric.device.type != "cuda":
        return Finding("ok", "device", f"{fabric.device.type}, {torch.get_num_threads()} threads"), fabric
    free, total = torch.cuda.mem_get_info(fabric.device)
    name = torch.cuda.get_device_name(fabric.device)
    busy = free < total / 2
    remark = "; another process uses most of it" if busy else ""
    text = f"{name}, {format_bytes(free)} of {format_bytes(total)} free{remark}"
    return Finding("warning" if busy else "ok", "device", text), fabric


def memory() -> Iterator[Finding]:
    """The machine's memory, where psutil can tell."""
    if importlib.util.find_spec("psutil") is None:
        return
    import psutil

    found = psutil.virtual_memory()
    text = f"{format_bytes(found.available)} of {format_bytes(found.total)} free"
    if found.available < _LITTLE_MEMORY:
        yield Finding("warning", "memory", f"{text}: set SSUL_WORKERS and SSUL_CACHE_MIB lower, or end other programs")
    else:
        yield Finding("ok", "memory", text)


def data(params: Params, root: Path) -> tuple[Finding, Sample | None]:
    """The dataset, with a sample of its images."""
    try:
        preparation = Preparation.of(params.data, Layout(root))
    except UserError as error:
        return Finding("problem", "data", str(error)), None
    name, world = params.data.name, params.data.shapes
    drawn = params.data.root is None and world is not None
    if drawn and world is not None and not any(preparation.root.glob("*")):
        text = f"{name} is drawn by `dvc repro`: {world.train} training and {world.val} validation images"
        return Finding("ok", "data", text), Sample(world.train, world.val, ())
    try:
        if not drawn and missing_archives(
            preparation.root, preparation.spec.used_archives(saliency=preparation.saliency)
        ):
            if params.data.download:
                return Finding("ok", "data", f"{name} is downloaded by `dvc repro` into {preparation.root}"), None
            next(preparation.complete())  # says how to get it
        return _sampled(preparation)
    except UserError as error:
        return Finding("problem", "data", str(error)), None


def _sampled(preparation: Preparation) -> tuple[Finding, Sample]:
    spec, problems, present = preparation.spec, list[ImageProblem](), list[tuple[int, ...]]()
    train, val = ImagePaths(preparation.root, spec.train), ImagePaths(preparation.root, spec.val)
    both = split_ids(train, val, val_share=spec.val_share, val_seed=spec.val_seed)
    looked_at = 0
    for split, paths, ids in (("train", train, both[0]), ("val", val, both[1])):
        some = ids[:: max(1, len(ids) // _SAMPLE)]
        looked_at += len(some)
        for one in scan_images(
            paths,
            some,
            classes=len(spec.classes),
            values=spec.values,
            saliency=preparation.saliency and split == "train",
            cache=ScanCache(None),
        ):
            if isinstance(one, ImageProblem):
                problems.append(one)
            elif split == "train":
                present.append(one.present)
    sample = Sample(len(both[0]), len(both[1]), tuple(present))
    text = f"{spec.name} in {preparation.root}: {len(both[0])} training and {len(both[1])} validation images"
    if problems:
        state: State = "warning" if preparation.data.on_error == "skip" else "problem"
        named = "; ".join(f"{one.id}: {one.what}" for one in problems[:3])
        return Finding(state, "data", f"{text}; {len(problems)} of {looked_at} cannot be used: {named}"), sample
    return Finding("ok", "data", f"{text}; {looked_at} looked at"), sample


def weights(params: Params) -> Finding:
    """The weights that the network starts from."""
    start = given_checkpoint(params.recipe.base.checkpoint)
    if start is not None:
        try:
            TrainedModel.load(start)
        except UserError as error:
            return Finding("problem", "weights", str(error))
        return Finding("ok", "weights", f"step 0 is taken from {start}")
    chosen, backbone = weights_file(params.model.weights), params.model.backbone
    if chosen == NO_WEIGHTS:
        return Finding("warning", "weights", "model.weights is none: the network starts from random weights")
    if chosen == PRETRAINED and backbone == "small":
        return Finding("ok", "weights", "the small backbone's own")
    if Path(chosen).is_file():
        return Finding("ok", "weights", f"{chosen}, {format_bytes(Path(chosen).stat().st_size)}")
    if chosen == IMAGENET and is_timm(backbone):
        return Finding("warning", "weights", f"timm's of {backbone} are downloaded when the training starts")
    if chosen == IMAGENET and backbone != "small":
        return _imagenet(backbone)
    own = PRETRAINED if backbone == "small" else IMAGENET
    text = f"model.weights is '{chosen}', which {backbone} does not have: choose {own}, {NO_WEIGHTS}, or a file"
    return Finding("problem", "weights", text)


def _imagenet(backbone: str) -> Finding:
    from torchvision import models

    name = models.get_model_weights(backbone)["IMAGENET1K_V1"].url.rpartition("/")[2]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    if cached.is_file():
        return Finding("ok", "weights", f"ImageNet's of {backbone}, {cached}")
    text = f"ImageNet's of {backbone} are downloaded when the training starts: without a network put them at {cached}"
    return Finding("warning", "weights", text)


def disk(root: Path, params: Params, scenario: Scenario, estimate: Estimate | None) -> Finding:
    """Room for the checkpoints, which are kept twice (DVC's cache), and for the saved state of a training."""
    free = shutil.disk_usage(root).free
    if estimate is None:
        return Finding("ok", "disk", f"{format_bytes(free)} free")
    needed = estimate.checkpoint * (2 * len(scenario.steps) + 4)
    text = f"{format_bytes(free)} free, about {format_bytes(needed)} are needed"
    if needed > free:
        return Finding("problem", "disk", f"{text}: make room, or keep the project on another disk")
    return Finding("ok", "disk", text)


def tracking() -> Finding:
    """Where runs are logged."""
    try:
        where = redact_password(store_uri()) if is_on() else "switched off"
    except TrackingError as error:
        return Finding("problem", "tracking", str(error))
    return Finding("ok", "tracking", f"MLflow: {where}")


def time(params: Params, scenario: Scenario, sample: Sample, fabric: Fabric) -> tuple[Finding, Estimate | None]:
    """The time of all trainings, from measured iterations and the sample's share of images for each step."""
    images = [_images_of(step.new, sample) for step in scenario.steps]
    try:
        found = estimate_time(params, scenario, images, fabric)
    except (RuntimeError, MemoryError) as error:
        reason = explain(error)
        if reason is None:
            raise
        return Finding("problem", "time", reason), None
    later = "" if found.increment_iteration is None else f", {found.increment_iteration:.2g} s in an increment"
    peak = "" if found.memory is None else f"; at most {format_bytes(found.memory)} on the device"
    text = (
        f"an estimate: {duration(found.base)} for step 0 and {duration(found.increments)} for {len(images) - 1} "
        f"increments, without evaluation ({found.base_iteration:.2g} s an iteration in step 0{later}{peak})"
    )
    return Finding("ok", "time", text), found


def _images_of(new: Sequence[int], sample: Sample) -> int:
    """How many training images a step probably has; all where none was looked at."""
    if not sample.present:
        return sample.train
    shown = sum(bool(set(new) & set(present)) for present in sample.present)
    return max(1, round(sample.train * shown / len(sample.present)))


def duration(seconds: float) -> str:
    """A readable time: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def scenario_of(params: Params) -> Scenario:
    """The classes of each step."""
    spec = resolve_dataset(params.data.name, params.data.custom)
    chosen = params.scenario
    return make_scenario(chosen.order, chosen.base_classes, chosen.increment, dataset=spec.name, names=spec.classes)
