"""The order of training samples is a pure function: of no worker, no process, and nothing that was drawn before."""

import errno
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssul.data.dataset import LabeledImage, SegmentationDataset
from ssul.data.image_cache import ImageCache
from ssul.data.loader import training_loader
from ssul.data.random_crop import sample_crop_window
from ssul.data.sampling import SampleOrder, TrainingItem, derive_seed, rank_slots
from ssul.data.training_set import Augmentation, TrainingDataset
from ssul.errors import UserError
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.pipeline.failures import explain

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

PROJECT = Path(__file__).parents[2]
LABELS = LabelSpace(((1,), (2,)), unknown=True, activation="sigmoid")


def items(prefix: str, count: int) -> tuple[TrainingItem, ...]:
    return tuple(TrainingItem(f"{prefix}{number}", (1,)) for number in range(count))


@st.composite
def orders(draw: st.DrawFn, memory: bool | None = None) -> SampleOrder:
    with_memory = draw(st.booleans()) if memory is None else memory
    return SampleOrder(
        items("new", draw(st.integers(1, 9))),
        items("memory", draw(st.integers(1, 5))) if with_memory else (),
        batch=draw(st.integers(2, 7)),
        seed=draw(st.integers(0, 100)),
        step=draw(st.integers(0, 5)),
    )


def batch(order: SampleOrder, iteration: int) -> list[str]:
    return [order.item(iteration, slot).id for slot in range(order.batch)]


def drawn(order: SampleOrder, prefix: str, count: int) -> list[str]:
    """The first `count` images of a source."""
    iterations = range(2 * count)
    return [name for i in iterations for name in batch(order, i) if name.startswith(prefix)][:count]


# --- which item where -------------------------------------------------------------------------------------------------


@given(orders(), st.data())
def test_any_place_can_be_asked_alone(order: SampleOrder, data: st.DataObject) -> None:
    in_order = {(i, slot): order.item(i, slot) for i in range(6) for slot in range(order.batch)}
    fresh = SampleOrder(order.new, order.memory, order.batch, order.seed, order.step)
    for place in data.draw(st.permutations(list(in_order))):
        assert fresh.item(*place) == in_order[place]


@given(orders(memory=True), st.integers(0, 50))
def test_half_of_a_batch_comes_from_memory_and_the_odd_one_is_new(order: SampleOrder, iteration: int) -> None:
    sources = [name.rstrip("0123456789") for name in batch(order, iteration)]
    remembered = order.batch // 2
    assert sources == ["new"] * (order.batch - remembered) + ["memory"] * remembered


def test_an_odd_batch_with_memory_by_hand() -> None:
    order = SampleOrder(items("new", 6), items("memory", 4), batch=5, seed=0, step=1)
    first, second = batch(order, 0), batch(order, 1)
    assert sorted(first[:3] + second[:3]) == [f"new{number}" for number in range(6)]
    assert sorted(first[3:] + second[3:]) == [f"memory{number}" for number in range(4)]


@given(orders(memory=False), st.integers(0, 50))
def test_without_memory_all_of_a_batch_is_new(order: SampleOrder, iteration: int) -> None:
    assert all(name.startswith("new") for name in batch(order, iteration))


@given(orders())
def test_each_pass_shows_every_image_once(order: SampleOrder) -> None:
    for prefix, source in (("new", order.new), ("memory", order.memory)):
        names = drawn(order, prefix, 3 * len(source))
        assert len(names) == 3 * len(source)
        for start in range(0, len(names), len(source) or 1):
            assert sorted(names[start : start + len(source)]) == sorted(item.id for item in source)


def test_passes_seeds_and_steps_are_shuffled_differently() -> None:
    def first_pass(seed: int, step: int) -> list[str]:
        return drawn(SampleOrder(items("new", 50), (), 10, seed, step), "new", 50)

    two_passes = drawn(SampleOrder(items("new", 50), (), 10, 0, 0), "new", 100)
    shuffles = [two_passes[:50], two_passes[50:], first_pass(1, 0), first_pass(0, 1)]
    assert len({tuple(names) for names in shuffles}) == 4
    assert first_pass(0, 0) == two_passes[:50]


def test_the_order_of_a_pass_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the cost of each sample would grow with the dataset."""
    drawn_orders: list[int] = []
    draw = torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda n, **options: drawn_orders.append(n) or draw(n, **options))
    order = SampleOrder(items("new", 40), items("memory", 30), batch=4, seed=987654, step=1)
    for iteration in range(15):
        batch(order, iteration)
    assert sorted(drawn_orders) == [30, 40]


def test_fewer_images_than_a_batch_repeat() -> None:
    order = SampleOrder(items("new", 3), (), batch=8, seed=0, step=1)
    assert sorted(Counter(batch(order, 0)).values()) == [2, 3, 3]


def test_a_memory_smaller_than_half_a_batch_repeats() -> None:
    order = SampleOrder(items("new", 30), items("memory", 1), batch=8, seed=0, step=1)
    assert batch(order, 0)[4:] == ["memory0"] * 4


def test_a_memory_does_not_change_in_which_order_new_images_come() -> None:
    alone = SampleOrder(items("new", 20), (), batch=4, seed=3, step=2)
    beside = SampleOrder(items("new", 20), items("memory", 5), batch=4, seed=3, step=2)
    assert drawn(alone, "new", 60) == drawn(beside, "new", 60)


# --- seeds ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.integers(), st.text()), max_size=4))
def test_a_seed_fits_torch_and_random(parts: list[object]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63


def test_a_seed_depends_on_every_part_and_its_place() -> None:
    seeds = [derive_seed(*parts) for parts in ((1, 2), (2, 1), (12,), (1, 2, 0), ("a", 1, 23), ("a", 12, 3), ())]
    assert len(set(seeds)) == len(seeds)


def test_a_seed_is_the_same_in_every_process_and_on_every_machine() -> None:
    """Python's own hash of a text is not; and another value would change all results."""
    assert derive_seed(0, "memory", 1) == 4568466085193381800


# --- samples ----------------------------------------------------------------------------------------------------------

MASK = np.kron([[0, 1, 2], [2, 0, 255]], np.ones((12, 12)))
SALIENCY = np.kron([[255, 255, 255], [0, 0, 0]], np.ones((12, 12)))


@pytest.fixture
def dataset(book: "HandmadeDataset") -> SegmentationDataset:
    """Images new0..new3 and memory0..memory2, all different."""
    for number, name in enumerate([*(f"new{n}" for n in range(4)), *(f"memory{n}" for n in range(3))]):
        photograph = np.random.default_rng(number).integers(0, 256, (24, 36, 3))
        book.add(name, np.roll(MASK, number, axis=1), saliency=SALIENCY, image=photograph)
    return SegmentationDataset(book.folders, saliency=True)


def loaded(
    dataset: SegmentationDataset,
    order: SampleOrder,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    start_iteration: int = 0,
) -> list[tuple[Tensor, Tensor]]:
    augmentation = Augmentation(32, (0.5, 2.0))
    batches = training_loader(
        order,
        dataset,
        LABELS,
        augmentation,
        iterations=3,
        workers=workers,
        rank=rank,
        world_size=world_size,
        start_iteration=start_iteration,
    )
    return [(images, targets) for images, targets in batches]


def samples_at(dataset: SegmentationDataset, order: SampleOrder, scale: tuple[float, float]) -> TrainingDataset:
    return TrainingDataset(order, dataset, LABELS, Augmentation(36, scale), iterations=3)


MIXED = SampleOrder(items("new", 4), items("memory", 3), batch=3, seed=5, step=1)


@pytest.mark.parametrize("start", [0, 1, 2, 3])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2)])
def test_a_later_start_loads_the_same_rest(
    dataset: SegmentationDataset, start: int, rank: int, world_size: int
) -> None:
    whole = loaded(dataset, MIXED, rank=rank, world_size=world_size)
    rest = loaded(dataset, MIXED, rank=rank, world_size=world_size, start_iteration=start)
    assert len(rest) == 3 - start
    for ours, theirs in zip(rest, whole[start:], strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_draws_nothing_from_torchs_random_state(dataset: SegmentationDataset, workers: int) -> None:
    before = torch.get_rng_state()
    loaded(dataset, MIXED, workers=workers)
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_bytes_of_the_crops_shape(dataset: SegmentationDataset) -> None:
    batches = loaded(dataset, MIXED)
    assert len(batches) == 3
    for images, targets in batches:
        assert (images.shape, images.dtype) == ((3, 3, 32, 32), torch.uint8)
        assert (targets.shape, targets.dtype) == ((3, 32, 32), torch.uint8)
        assert set(targets.unique().tolist()) <= {0, 1, LABELS.channel_of(1), VOID}


def test_workers_do_not_change_what_is_loaded(dataset: SegmentationDataset) -> None:
    for (images, targets), (same_images, same_targets) in zip(
        loaded(dataset, MIXED), loaded(dataset, MIXED, workers=2), strict=True
    ):
        assert torch.equal(images, same_images)
        assert torch.equal(targets, same_targets)


def test_a_sample_can_be_asked_alone(dataset: SegmentationDataset) -> None:
    samples = TrainingDataset(MIXED, dataset, LABELS, Augmentation(32, (0.5, 2.0)), iterations=3)
    assert len(samples) == 9
    images, targets = loaded(dataset, MIXED)[2]
    image, target = samples[7]  # iteration 2, slot 1
    assert torch.equal(image, images[1])
    assert torch.equal(target, targets[1])


def test_an_image_that_comes_again_is_varied_anew(dataset: SegmentationDataset) -> None:
    order = SampleOrder(items("new", 1), (), batch=2, seed=0, step=0)
    seen = [images[slot] for images, _ in loaded(dataset, order) for slot in range(2)]
    assert not any(torch.equal(one, other) for i, one in enumerate(seen) for other in seen[:i])


def test_another_seed_or_step_varies_an_image_differently(dataset: SegmentationDataset) -> None:
    orders_ = [SampleOrder(items("new", 1), (), 2, seed, step) for seed, step in ((0, 0), (1, 0), (0, 1))]
    first = [loaded(dataset, order)[0][0][0] for order in orders_]
    assert not any(torch.equal(one, other) for i, one in enumerate(first) for other in first[:i])


def test_a_sample_is_the_window_of_the_image_and_of_its_encoded_mask(dataset: SegmentationDataset) -> None:
    """To the bit, whatever switches there are beside: crop, scale and seed alone decide. The padding is void."""
    samples = samples_at(dataset, MIXED, scale=(0.5, 2.0))
    for position in range(9):
        iteration, slot = divmod(position, 3)
        item = MIXED.item(iteration, slot)
        labeled = dataset.read(item.id)
        generator = torch.Generator().manual_seed(derive_seed(5, 1, "augmentation", iteration, slot))
        window = sample_crop_window(24, 36, crop=36, scale=(0.5, 2.0), generator=generator)
        encoded = LABELS.encode(labeled.mask, labeled.saliency, item.annotated)
        image, target = samples[position]
        assert torch.equal(image, window.image(labeled.image))
        assert torch.equal(target, window.target(lambda mask: mask, encoded, fill=VOID))


@pytest.mark.parametrize("annotated", [(1,), (2,), (1, 2), ()])
def test_a_target_is_the_mask_as_far_as_the_item_is_annotated(
    dataset: SegmentationDataset, annotated: tuple[int, ...]
) -> None:
    order = SampleOrder((TrainingItem("new0", annotated),), (), batch=2, seed=0, step=1)
    labeled = dataset.read("new0")
    expected = LABELS.encode(labeled.mask, labeled.saliency, annotated)
    _, target = samples_at(dataset, order, scale=(1.0, 1.0))[0]
    rows = (target != VOID).any(dim=1)  # the rest is padding: the image is 24 x 36, the crop 36 x 36
    assert int(rows.sum()) == 24
    assert torch.equal(target[rows], expected) or torch.equal(target[rows], expected.flip(1))


def test_the_callers_random_state_is_untouched(dataset: SegmentationDataset) -> None:
    samples = samples_at(dataset, MIXED, scale=(0.5, 2.0))
    torch.manual_seed(3)
    undisturbed = torch.rand(4)
    torch.manual_seed(3)
    for position in range(4):
        _ = samples[position]
    assert torch.equal(torch.rand(4), undisturbed)


def test_the_callers_random_state_does_not_matter(dataset: SegmentationDataset) -> None:
    samples = samples_at(dataset, MIXED, scale=(0.5, 2.0))
    torch.manual_seed(1)
    one = samples[0]
    torch.manual_seed(2)
    assert torch.equal(one[0], samples[0][0])


def test_the_random_state_of_a_gpu_is_untouched(dataset: SegmentationDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout draws from it: were it reseeded by each sample, the number of workers would change what is learned."""
    reseeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded.append)
    _ = samples_at(dataset, MIXED, scale=(0.5, 2.0))[0]
    assert reseeded == []


# --- what people and machines do to a process that loads --------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_is_gone_is_one_line_in_any_process(dataset: SegmentationDataset, workers: int) -> None:
    dataset.folders.image("new1").unlink()
    with pytest.raises(UserError, match=r"^new1 below .* cannot be read .*: mend or bring back its files") as raised:
        loaded(dataset, MIXED, workers)
    assert "\n" not in str(raised.value)


@dataclass(frozen=True)
class Failing(SegmentationDataset):
    """A dataset that cannot be read."""

    error: type[Exception] = OSError
    number: int = 0

    def read(self, image_id: str) -> LabeledImage:
        raise self.error(self.number, "said so")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_machine_keeps_its_number(dataset: SegmentationDataset, workers: int) -> None:
    failing = Failing(dataset.folders, error=OSError, number=errno.EMFILE)
    with pytest.raises(OSError, match="said so") as raised:
        loaded(failing, MIXED, workers)
    assert raised.value.errno == errno.EMFILE
    assert "ulimit" in str(explain(raised.value))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_of_ours_keeps_its_traceback(dataset: SegmentationDataset, workers: int) -> None:
    with pytest.raises(ValueError, match="said so") as raised:
        loaded(Failing(dataset.folders, error=ValueError), MIXED, workers)
    assert explain(raised.value) is None
    assert workers == 0 or "in read" in str(raised.value)


HELD = """
import builtins
from ssul.data.loader import TrainingLoader, _leave_signals
builtins.held = iter(TrainingLoader(range(9), num_workers=1, worker_init_fn=_leave_signals))
print(next(builtins.held))
"""


def test_a_process_that_ends_while_it_loads_does_not_wait_for_loaders_that_obey_no_signal() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "tensor([0])\n"), done.stderr


# --- kept in memory, and shared by processes --------------------------------------------------------------------------


def test_images_that_are_kept_are_read_once_and_change_no_sample(dataset: SegmentationDataset) -> None:
    kept = TrainingDataset(MIXED, dataset, LABELS, Augmentation(36, (0.5, 2.0)), 9, cache=ImageCache(10**6))
    fresh = TrainingDataset(MIXED, dataset, LABELS, Augmentation(36, (0.5, 2.0)), 9)
    for position in [*range(27), *range(27)]:
        assert all(torch.equal(one, other) for one, other in zip(kept[position], fresh[position], strict=True))
    assert len(kept.cache) == 7
    for image_id in ("new0", "memory0"):
        dataset.folders.image(image_id).unlink()
    _ = [kept[position] for position in range(27)]


def test_exemplars_are_kept_rather_than_new_images(dataset: SegmentationDataset) -> None:
    image_bytes = 5 * 24 * 36
    samples = TrainingDataset(
        MIXED, dataset, LABELS, Augmentation(36, (0.5, 2.0)), 9, cache=ImageCache(3 * image_bytes)
    )
    _ = [samples[position] for position in range(27)]
    for number in range(3):
        dataset.folders.image(f"memory{number}").unlink()
    _ = [samples[3 * iteration + 2] for iteration in range(9)]  # the last slot of each batch


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_processes_together_load_the_whole_batch(
    dataset: SegmentationDataset, processes: int, workers: int
) -> None:
    whole = loaded(dataset, MIXED)
    shares = [loaded(dataset, MIXED, workers=workers, rank=rank, world_size=processes) for rank in range(processes)]
    for iteration, (images, targets) in enumerate(whole):
        assert sum(len(share[iteration][0]) for share in shares) == MIXED.batch
        for slot in range(MIXED.batch):
            some_images, some_targets = shares[slot % processes][iteration]
            assert torch.equal(some_images[slot // processes], images[slot])
            assert torch.equal(some_targets[slot // processes], targets[slot])


@given(st.integers(1, 40), st.integers(1, 40))
def test_shares_are_disjoint_complete_and_even(batch: int, processes: int) -> None:
    if batch < processes:
        with pytest.raises(UserError, match=f"a batch of {batch} cannot be shared by {processes} processes"):
            rank_slots(batch, 0, processes)
        return
    shares = [rank_slots(batch, rank, processes) for rank in range(processes)]
    assert sorted(slot for share in shares for slot in share) == list(range(batch))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_out_of_range_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} is outside"):
        rank_slots(8, rank, world_size)


def test_a_samples_dropout_seed_is_its_own_in_whichever_process_it_is() -> None:
    order = SampleOrder((TrainingItem("a", ()),), (), 6, seed=1, step=2)
    alone = order.dropout_seeds(3)
    assert len(set(alone)) == 6
    assert [order.dropout_seeds(3, rank, 3) for rank in range(3)] == [alone[0::3], alone[1::3], alone[2::3]]
    assert not set(alone) & set(order.dropout_seeds(4))


# --- faults of the published code, as switches ------------------------------------------------------------------------


def padded(dataset: SegmentationDataset, labels: LabelSpace, item: TrainingItem, *, pads_background: bool) -> Tensor:
    """The target of a 24 x 36 image in a crop of 36 x 36."""
    order = SampleOrder((item,), (), batch=2, seed=0, step=1)
    augmentation = Augmentation(36, (1.0, 1.0), pads_background)
    _, target = TrainingDataset(order, dataset, labels, augmentation, iterations=1)[0]
    return target


PLAIN = LabelSpace(((1,), (2,)), unknown=False, activation="softmax")


@pytest.mark.parametrize(
    ("labels", "without_unknown_shift", "saliency", "channel"),
    [
        pytest.param(LABELS, False, True, 1, id="the background's channel"),
        pytest.param(LABELS, False, False, 0, id="the unknown's, where there is no saliency"),
        pytest.param(LABELS, True, True, 0, id="that before the background's in memory that is not shifted"),
        pytest.param(PLAIN, False, True, 0, id="the background's without an unknown one"),
        pytest.param(PLAIN, True, True, 0, id="the background's in memory without an unknown one"),
    ],
)
def test_padding_may_be_labelled_background_and_nothing_else_changes(
    dataset: SegmentationDataset, labels: LabelSpace, without_unknown_shift: bool, saliency: bool, channel: int
) -> None:
    dataset = SegmentationDataset(dataset.folders, saliency=saliency)
    item = TrainingItem("new0", (1,), without_unknown_shift=without_unknown_shift)
    right = padded(dataset, labels, item, pads_background=False)
    wrong = padded(dataset, labels, item, pads_background=True)
    padding = (right == VOID).all(dim=1)  # whole rows
    assert int(padding.sum()) == 12
    assert (wrong[padding] == channel).all()
    assert torch.equal(wrong[~padding], right[~padding])
    assert (wrong[~padding] == VOID).any()  # what is void in the mask stays void


def test_memory_that_is_not_shifted_is_so_beside_new_images_that_are(dataset: SegmentationDataset) -> None:
    order = SampleOrder(
        (TrainingItem("new0", (2,)),),
        (TrainingItem("memory0", (1,), without_unknown_shift=True),),
        batch=2,
        seed=0,
        step=1,
    )
    samples = TrainingDataset(order, dataset, LABELS, Augmentation(36, (1.0, 1.0)), iterations=1)
    (_, fresh), (_, remembered) = samples[0], samples[1]
    assert set(fresh.unique().tolist()) == {0, 1, LABELS.channel_of(2), VOID}
    assert set(remembered.unique().tolist()) == {0, LABELS.channel_of(1) - 1, VOID}
