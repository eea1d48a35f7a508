"""What goes in and what comes out: samples a second of the loader, images a second of the evaluation."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch

from benchmarks.evaluation import ADE, SMALL, VOC, after_the_network, whole_images
from benchmarks.gpu.scale import Scale
from benchmarks.loader import ANNOTATED, LABELS, VARIATION, draw_examples, images_in
from benchmarks.measure import Row
from ssul.data.dataset import SegmentationDataset
from ssul.data.layout import ImagePaths
from ssul.data.loader import loader_workers, training_loader
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.datasets.catalog import find_dataset

LOADER = "loader, files to batches"
_DRAWN, _LISTED = 16, 512


def feeding(scale: Scale) -> Iterator[Row]:
    """The loader with the processes that the product gives it, at 513 px."""
    with tempfile.TemporaryDirectory() if scale.images is None else nullcontext(str(scale.images)) as folder:
        files = ImagePaths(Path(folder), find_dataset("voc").train)
        if scale.images is None:
            draw_examples(files, _DRAWN)
        ids = images_in(files, _LISTED)
        dataset = SegmentationDataset(files, saliency=files.saliency(ids[0]).exists())
        order = SampleOrder(tuple(TrainingItem(one, ANNOTATED) for one in ids), (), scale.voc_batch, seed=0, step=2)
        workers, count = loader_workers(), 4 * scale.iterations
        warm_up = 2 * max(1, workers)  # what the workers load ahead
        batches = training_loader(order, dataset, LABELS, VARIATION, iterations=warm_up + count, workers=workers)
        stamps = [time.perf_counter() for _ in batches]
    seconds = (stamps[-1] - stamps[warm_up - 1]) / count
    detail = (
        f"{workers} processes, {len(ids)} images of {'drawn photographs' if scale.images is None else 'the folder'}"
    )
    yield Row(LOADER, scale.voc_batch / seconds, None, None, detail, "images/s")


def evaluating(scale: Scale) -> Iterator[Row]:
    """Logits to counts, and whole images through the network."""
    small = scale.speed.side < 100
    with torch.inference_mode():
        for setting in (SMALL,) if small else (VOC, ADE):
            for like_photograph in (False, True):
                yield after_the_network(setting, like_photograph=like_photograph, rounds=5, device=scale.device)
        one = SMALL if small else VOC
        yield whole_images(one, backbone=scale.speed.backbone, rounds=scale.speed.rounds, device=scale.device)
