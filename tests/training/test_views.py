"""Fixed views: with as many as there are passes a training is what it always is, and one that was killed goes on."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.data.dataset import SegmentationDataset
from ssul.data.loader import batch_loader
from ssul.data.training_set import TrainingDataset
from ssul.errors import UserError
from ssul.io import disk
from ssul.training.session import TrainingSession
from ssul.training.views import Views
from tests.training.viewed import ITERATIONS, ORDER, PASSES, begun, learned, photographs, session


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SegmentationDataset:
    return photographs(tmp_path_factory.mktemp("photographs"))


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def files_of(one: TrainingSession) -> list[str]:
    assert one.views is not None
    return sorted(path.name for path in one.views.folder.iterdir())


@pytest.mark.parametrize(
    ("views", "head", "threshold"),
    [(PASSES, "deeplabv3", 0.7), (1000, "deeplabv3plus", 0.7), (PASSES, "deeplabv3", None)],
)
def test_with_a_view_for_each_pass_it_is_to_the_bit_the_training_without(
    tmp_path: Path, cpu: Fabric, dataset: SegmentationDataset, views: int, head: str, threshold: float | None
) -> None:
    network = {"head": head, "threshold": threshold}
    plain, weights = learned(session(tmp_path / "plain", dataset, cpu, None, **network))
    viewed, found = learned(session(tmp_path / "views", dataset, cpu, views, **network))
    assert viewed == plain
    assert_same(found, weights)


def test_half_precision_is_kept_too(tmp_path: Path, dataset: SegmentationDataset) -> None:
    half = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    plain, weights = learned(session(tmp_path / "plain", dataset, half, None))
    one = session(tmp_path / "views", dataset, half, PASSES)
    viewed, found = learned(one)
    assert viewed == plain
    assert_same(found, weights)
    assert one.views is not None
    assert one.views.read(0, 0)["aspp"].dtype == torch.bfloat16


@pytest.mark.parametrize("views", [1, 2])
def test_with_fewer_views_it_is_the_training_on_their_samples_again_and_again(
    tmp_path: Path, cpu: Fabric, dataset: SegmentationDataset, views: int
) -> None:
    class Again(TrainingDataset):
        def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
            place = self.order.view_place(*divmod(position, self.order.batch), views)
            return super().__getitem__(self.position(*place))

    oracle = session(tmp_path / "plain", dataset, cpu, None)
    again = Again(ORDER, dataset, oracle.job.objective.labels, oracle.job.augmentation, ITERATIONS)
    places = [[*range(4 * at, 4 * at + 4)] for at in range(ITERATIONS)]
    oracle._load = lambda *_, **__: batch_loader(again, places, workers=0)  # type: ignore[assignment]
    plain, weights = learned(oracle)
    viewed, found = learned(session(tmp_path / "views", dataset, cpu, views))
    assert viewed == pytest.approx(plain, rel=1e-6)
    for name, tensor in weights.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-7, msg=name)


def test_each_view_is_computed_once_and_no_more_than_the_training_shows(
    tmp_path: Path, cpu: Fabric, dataset: SegmentationDataset
) -> None:
    one, many = (session(tmp_path / str(views), dataset, cpu, views) for views in (2, 1000))
    assert one.views is not None
    assert many.views is not None
    assert one.views.views.total == 2 * 3 + 2 * 2
    assert many.views.views.total == ITERATIONS * ORDER.batch
    seen = {ORDER.view_place(at, slot, 2) for at in range(ITERATIONS) for slot in range(ORDER.batch)}
    assert seen == {(at, slot) for at in range(3) for slot in Views(ORDER, ITERATIONS, 2).first_slots(at, range(4))}


def test_a_computation_that_was_cut_goes_on_with_the_batches_that_are_missing(
    tmp_path: Path, cpu: Fabric, dataset: SegmentationDataset
) -> None:
    whole, weights = learned(session(tmp_path / "whole", dataset, cpu, 2))
    cut = session(tmp_path / "cut", dataset, cpu, 2)
    cut.start()
    assert cut.views is not None
    missing = cut.missing_views(cut.views)
    computing = cut.compute_views(cut.views, missing)
    assert [next(computing) for _ in range(2)] == [4, 8]
    again = session(tmp_path / "cut", dataset, cpu, 2)
    again.start()
    assert again.views is not None
    assert sorted(again.missing_views(again.views)) == sorted(missing)[2:]
    losses, found = learned(session(tmp_path / "cut", dataset, cpu, 2))
    assert losses == whole
    assert_same(found, weights)


def test_a_training_that_was_cut_goes_on_from_its_views(
    tmp_path: Path, cpu: Fabric, dataset: SegmentationDataset
) -> None:
    _, weights = learned(session(tmp_path / "whole", dataset, cpu, 2))
    cut = session(tmp_path / "cut", dataset, cpu, 2)
    for progress, _ in begun(cut):
        if progress.iteration == 3:
            cut.save(progress)
            break
    again = session(tmp_path / "cut", dataset, cpu, 2)
    again.start()
    assert again.views is not None
    assert again.missing_views(again.views) == {}
    losses, found = learned(session(tmp_path / "cut", dataset, cpu, 2))
    assert len(losses) == ITERATIONS - 3
    assert_same(found, weights)


def test_a_training_that_is_done_needs_no_views_and_leaves_none(
    tmp_path: Path, cpu: Fabric, dataset: SegmentationDataset
) -> None:
    one = session(tmp_path, dataset, cpu, 2)
    for progress, _ in begun(one):
        if progress.iteration == ITERATIONS:
            one.save(progress)
    assert one.views is not None
    assert files_of(one) == [f"{at}.0of1.safetensors" for at in range(3)]
    one.discard_views()
    assert not one.views.folder.exists()
    again = session(tmp_path, dataset, cpu, 2)
    assert list(begun(again)) == []
    assert again.views is not None
    assert not again.views.folder.exists()


@pytest.mark.parametrize("damage", [Path.unlink, partial(Path.write_bytes, data=b"half of it")])
def test_a_damaged_or_missing_file_is_named(
    tmp_path: Path, cpu: Fabric, dataset: SegmentationDataset, damage: Any
) -> None:
    one = session(tmp_path, dataset, cpu, 1)
    iterations = begun(one)
    assert one.views is not None
    damage(one.views.folder / "0.0of1.safetensors")
    with pytest.raises(UserError, match=r"0\.0of1\.safetensors are damaged \(.*: delete .*one\.views"):
        list(iterations)


def test_a_disk_without_room_for_them_is_refused_after_the_first_batch(
    tmp_path: Path, cpu: Fabric, dataset: SegmentationDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 5}))
    with pytest.raises(UserError, match=r"step 2 with recipe\.increment\.views=2 needs .* in .*one\.views"):
        begun(session(tmp_path, dataset, cpu, 2))
