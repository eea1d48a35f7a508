"""What is kept after a step: through the stage's function, on small images whose cells are counted by hand."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ssul.config.load import parse_params
from ssul.config.paths import Layout
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.data.training_set import Augmentation, TrainingDataset
from ssul.datasets.catalog import find_dataset
from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.labels.space import LabelSpace
from ssul.methods.remember import BATCH, remembered
from ssul.scenario.splits import Split
from tests.methods.builders import trained
from tests.methods.star.past import kept_of_three
from tests.project import composed

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

NAMES = ("cat", "cow", "dog", "bus", "car")
OLD = LabelSpace(((3, 1), (5,)), unknown=False, activation="sigmoid", constant_background=True)
SIDE, CELL = 40, 8  # an image has 5 x 5 cells
IDS = ("a", "b")


def shown(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    return items


class Place:
    """A working folder after a step, whose two images show two of its classes, another one, and background."""

    def __init__(self, root: Path, book: "HandmadeDataset", labels: LabelSpace, setting: str) -> None:
        self.layout, self.labels, self.book = Layout(root), labels, book
        self.step = len(labels.groups)
        new = labels.groups[-1]
        cells = {"a": [0, new[0], new[0], 7, 0], "b": [new[-1], 0, 0, 0, 255]}
        rows = []
        for number, (name, column) in enumerate(cells.items()):
            rows_of_cells = np.array([column] * 5).T  # so that a flip changes no label
            mask = np.kron(rows_of_cells, np.ones((CELL, CELL), dtype=int))
            photograph = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3))
            book.add(name, mask, image=photograph)
            values, counts = np.unique(mask[mask < 255], return_counts=True)
            pixels = dict(zip(values.tolist(), counts.tolist(), strict=True))
            rows.append(IndexRow(name, SIDE, SIDE, pixels, int((mask == 255).sum()), 1, "0" * 64))
        voc = find_dataset("voc")
        ImageIndex("voc", voc.classes, voc.train, voc.values, tuple(rows)).write(self.layout.index("train"))
        known = tuple(NAMES[: len(labels.classes)])
        Split(self.step - 1, labels.groups, known, IDS, ()).write(self.layout.split(self.step - 1))
        content = ("method=star", f"setting={setting}", f"data.root={book.root}", "data.saliency=none")
        recipe = (f"recipe.crop={SIDE}", "recipe.scale=[1.0,1.0]")
        self.params = parse_params(composed(*content, *recipe))
        self.model = trained(labels, dtype=torch.float32)
        predicted = torch.tensor([100, *range(len(labels.classes) - len(new))])
        outputs = {"predicted": predicted} if self.step > 1 else None
        TrainedModel(self.model, labels, known).save(self.layout.checkpoint(self.step - 1), outputs=outputs)
        self.layout.kept(self.step - 1).parent.mkdir(parents=True)
        kept = kept_of_three().tensors if self.step > 1 else {}
        save_file(kept, self.layout.kept(self.step - 1))

    def written(self) -> dict[str, Tensor]:
        remembered(self.params, self.step, self.layout, shown).write(self.layout.kept(self.step))
        found: dict[str, Tensor] = load_file(self.layout.kept(self.step))
        return found

    def features(self) -> Tensor:
        """Those of the pass, float64 (cells, C), row by row, and the targets of the cells' middles."""
        new = self.labels.groups[-1]
        order = SampleOrder(tuple(TrainingItem(name, new) for name in IDS), (), BATCH, 0, self.step - 1)
        dataset = SegmentationDataset.of(ImageIndex.read(self.layout.index("train")), self.book.root, saliency=False)
        samples = TrainingDataset(order, dataset, self.labels, Augmentation(SIDE, (1.0, 1.0)), 1)
        images, targets = zip(*(samples[place] for place in range(BATCH)), strict=True)
        with torch.no_grad():
            found = self.model.head_input(self.model.features(self.model.normalisation.normalise(torch.stack(images))))
        vectors = found.movedim(1, -1).reshape(-1, found.shape[1]).double()
        self.targets = torch.stack(targets)[:, CELL // 2 :: CELL, CELL // 2 :: CELL].flatten()
        return vectors


@pytest.fixture
def place(tmp_path: Path, book: "HandmadeDataset") -> Any:
    return lambda labels, setting="overlapped": Place(tmp_path / "work", book, labels, setting)


def test_after_the_base_step_its_classes_and_its_background_are_kept(place: Any) -> None:
    base = place(LabelSpace(((3, 1),), unknown=False, activation="sigmoid", constant_background=True))
    found = base.written()
    times = BATCH // 2  # two images, shown until the batch is full
    assert found["counts"].tolist() == [times * 2 * 5, times * 5]  # two rows and one row of five cells
    assert found["background"].item() == times * (3 + 3) * 5  # the class that is not learned too, but no void
    assert bool(found["images_repeat"])
    vectors = base.features()
    for number, channel in enumerate((1, 2)):
        own = vectors[base.targets == channel]
        unit = own / own.norm(dim=1, keepdim=True)
        prototype = unit.mean(0) / unit.mean(0).norm()
        expected = {
            "prototypes": prototype,
            "spread": ((unit - prototype) ** 2).mean(0).sqrt(),
            "length_mean": own.norm(dim=1).mean(),
            "length_std": own.norm(dim=1).std(correction=0),
        }
        for name, value in expected.items():
            torch.testing.assert_close(found[name][number], value.float(), rtol=1e-4, atol=1e-5, msg=name)
    assert set(found) == {*expected, "counts", "background", "images_repeat"}


def test_after_an_increment_the_earlier_classes_come_first(place: Any) -> None:
    found, before = place(OLD.with_step((2, 4))).written(), kept_of_three()
    times = BATCH // 2
    assert found["counts"].tolist() == [50, 9, 30, times * 10, times * 5]
    assert found["background"].item() == pytest.approx(80 * (1 - 2 * 0.01) + 100 / 2)
    for name in ("prototypes", "spread", "length_mean", "length_std"):
        assert torch.equal(found[name][:3], getattr(before, name))
        assert found[name][3:].any()
    assert found["prototypes"].norm(dim=1).tolist() == pytest.approx([1.0] * 5)


@pytest.mark.parametrize(("setting", "repeat"), [("overlapped", True), ("disjoint", False), ("partitioned", False)])
def test_the_setting_decides_whether_images_repeat(place: Any, setting: str, repeat: bool) -> None:
    base = place(LabelSpace(((3, 1),), unknown=False, activation="sigmoid", constant_background=True), setting)
    assert bool(base.written()["images_repeat"]) is repeat


def test_the_same_pass_writes_the_same_bytes(place: Any) -> None:
    base = place(LabelSpace(((3, 1),), unknown=False, activation="sigmoid", constant_background=True))
    base.written()
    content = base.layout.kept(1).read_bytes()
    base.written()
    assert base.layout.kept(1).read_bytes() == content


def test_a_step_without_images_is_refused_with_the_way_out(place: Any) -> None:
    base = place(LabelSpace(((3, 1),), unknown=False, activation="sigmoid", constant_background=True))
    Split(0, base.labels.groups, tuple(NAMES[:2]), (), ()).write(base.layout.split(0))
    with pytest.raises(UserError, match="star keeps something of the images of step 0, which has none: give data"):
        base.written()
