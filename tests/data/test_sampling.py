"""Training samples are a pure function of (seed, step, iteration, slot), whichever process loads them."""

import errno
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

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
    annotated = {"new": (1, 2), "memory": (1,)}
    return tuple(TrainingItem(f"{prefix}{number}", annotated[prefix]) for number in range(count))


def order_of(new: int, memory: int = 0, *, batch: int, seed: int = 0, step: int = 1) -> SampleOrder:
    return SampleOrder(items("new", new), items("memory", memory), batch, seed, step)


@st.composite
def orders(draw: st.DrawFn) -> SampleOrder:
    memory = draw(st.sampled_from([0, 1, 2, 5]))
    seed, step = draw(st.integers(0, 100)), draw(st.integers(0, 5))
    return order_of(draw(st.integers(1, 9)), memory, batch=draw(st.integers(2, 7)), seed=seed, step=step)


def batch(order: SampleOrder, iteration: int) -> list[str]:
    return [order.item(iteration, slot).id for slot in range(order.batch)]


def drawn(order: SampleOrder, prefix: str, count: int) -> list[str]:
    """The first `count` images of a source."""
    iterations = range(2 * count)
    return [name for i in iterations for name in batch(order, i) if name.startswith(prefix)][:count]


@given(orders(), st.data())
def test_an_item_depends_on_its_place_alone(order: SampleOrder, data: st.DataObject) -> None:
    in_order = {(i, slot): order.item(i, slot) for i in range(6) for slot in range(order.batch)}
    fresh = SampleOrder(order.new, order.memory, order.batch, order.seed, order.step)
    for place in data.draw(st.permutations(list(in_order))):
        assert fresh.item(*place) == in_order[place]


@given(orders(), st.integers(0, 50))
def test_half_of_a_batch_comes_from_memory_and_the_odd_one_is_new(order: SampleOrder, iteration: int) -> None:
    sources = [name.rstrip("0123456789") for name in batch(order, iteration)]
    from_memory = order.batch // 2 if order.memory else 0
    assert sources == ["new"] * (order.batch - from_memory) + ["memory"] * from_memory


@pytest.mark.parametrize(
    ("batch_size", "share", "exemplars"),
    [(16, 0.5, 8), (16, 0.25, 4), (7, 0.5, 3), (8, 0.01, 1), (8, 0.99, 7), (2, 0.9, 1)],
)
def test_exemplars_take_their_share_of_a_batch_and_leave_a_slot_to_new_images(
    batch_size: int, share: float, exemplars: int
) -> None:
    order = SampleOrder(items("new", 9), items("memory", 9), batch_size, seed=0, step=1, memory_share=share)
    assert order.new_slots == batch_size - exemplars
    for iteration in range(5):
        assert sum(name.startswith("memory") for name in batch(order, iteration)) == exemplars


@given(orders())
def test_each_pass_shows_every_image_once(order: SampleOrder) -> None:
    for prefix, source in (("new", order.new), ("memory", order.memory)):
        names = drawn(order, prefix, 3 * len(source))
        assert len(names) == 3 * len(source)
        for start in range(0, len(names), len(source) or 1):
            assert sorted(names[start : start + len(source)]) == sorted(item.id for item in source)


@given(orders())
def test_appended_exemplars_are_drawn_as_the_new_images_are(order: SampleOrder) -> None:
    joined = replace(order, appended=True)
    assert joined.images is joined.images  # joined once, not for every sample
    everything = [*order.new, *order.memory]
    slots = [joined.item(i, slot).id for i in range(len(everything)) for slot in range(joined.batch)]
    assert sorted(slots[: len(everything)]) == sorted(item.id for item in everything)
    assert joined.new_slots == joined.batch


def test_an_odd_batch_with_memory_by_hand() -> None:
    order = order_of(6, 4, batch=5)
    first, second = batch(order, 0), batch(order, 1)
    assert sorted(first[:3] + second[:3]) == [f"new{number}" for number in range(6)]
    assert sorted(first[3:] + second[3:]) == [f"memory{number}" for number in range(4)]


@given(orders(), st.integers(1, 4), st.integers(0, 40), st.data())
def test_a_view_is_the_same_image_in_the_pass_before_by_as_many_passes_as_there_are_views(
    order: SampleOrder, views: int, iteration: int, data: st.DataObject
) -> None:
    slot = data.draw(st.integers(0, order.batch - 1))
    seen = order.view_place(iteration, slot, views)
    assert order.item(*seen) == order.item(iteration, slot)

    def pass_of(at: int, slot: int) -> int:
        if slot < order.new_slots:
            return (at * order.new_slots + slot) // len(order.new)
        return (at * (order.batch - order.new_slots) + slot - order.new_slots) // len(order.memory)

    assert pass_of(*seen) == pass_of(iteration, slot) % views
    assert seen == (iteration, slot) or pass_of(iteration, slot) >= views


def test_passes_seeds_and_steps_are_shuffled_differently() -> None:
    def first_pass(seed: int, step: int) -> list[str]:
        return drawn(order_of(50, batch=10, seed=seed, step=step), "new", 50)

    two_passes = drawn(order_of(50, batch=10, seed=0, step=0), "new", 100)
    shuffles = [two_passes[:50], two_passes[50:], first_pass(1, 0), first_pass(0, 1)]
    assert len({tuple(names) for names in shuffles}) == 4
    assert first_pass(0, 0) == two_passes[:50]


def test_the_order_of_a_pass_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the cost of a sample would grow with the dataset."""
    counts: list[int] = []
    draw = torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda n, **options: counts.append(n) or draw(n, **options))
    order = order_of(40, 30, batch=4, seed=987654)
    for iteration in range(15):
        batch(order, iteration)
    assert sorted(counts) == [30, 40]


def test_a_source_smaller_than_its_part_of_a_batch_repeats() -> None:
    assert sorted(Counter(batch(order_of(3, batch=8), 0)).values()) == [2, 3, 3]
    assert batch(order_of(30, 1, batch=8), 0)[4:] == ["memory0"] * 4


def test_a_memory_does_not_change_the_order_of_new_images() -> None:
    assert drawn(order_of(20, batch=4, seed=3), "new", 60) == drawn(order_of(20, 5, batch=4, seed=3), "new", 60)


@given(st.lists(st.one_of(st.integers(), st.text()), max_size=4))
def test_a_seed_fits_torch(parts: list[object]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63


def test_a_seed_depends_on_every_part_and_its_place() -> None:
    seeds = [derive_seed(*parts) for parts in ((1, 2), (2, 1), (12,), (1, 2, 0), ("a", 1, 23), ("a", 12, 3), ())]
    assert len(set(seeds)) == len(seeds)


def test_a_seed_is_the_same_on_every_machine() -> None:
    """Another value would change all results."""
    assert derive_seed(0, "memory", 1) == 4568466085193381800


def test_a_dropout_seed_belongs_to_its_sample_whichever_rank_loads_it() -> None:
    order = order_of(1, batch=6, seed=1, step=2)
    alone = order.dropout_seeds(3)
    assert len(set(alone)) == 6
    assert [order.dropout_seeds(3, rank, 3) for rank in range(3)] == [alone[0::3], alone[1::3], alone[2::3]]
    assert not set(alone) & set(order.dropout_seeds(4))


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_slots_of_ranks_are_disjoint_complete_and_even(batch: int, world_size: int) -> None:
    if batch < world_size:
        with pytest.raises(UserError, match=f"a batch of {batch} cannot be shared by {world_size} processes"):
            rank_slots(batch, 0, world_size)
        return
    slots = [rank_slots(batch, rank, world_size) for rank in range(world_size)]
    assert sorted(slot for some in slots for slot in some) == list(range(batch))
    assert max(map(len, slots)) - min(map(len, slots)) <= 1


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_out_of_range_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} is outside"):
        rank_slots(8, rank, world_size)


MASK = np.kron([[0, 1, 2], [2, 0, 255]], np.ones((12, 12)))
SALIENCY = np.kron([[255, 255, 255], [0, 0, 0]], np.ones((12, 12)))
MIXED = order_of(4, 3, batch=3, seed=5)
AUGMENTATION = Augmentation(36, (0.5, 2.0))
UNSCALED = Augmentation(36, (1.0, 1.0))
IN_A_WORKER_TOO = pytest.mark.parametrize("workers", [0, 1])


@pytest.fixture
def dataset(book: "HandmadeDataset") -> SegmentationDataset:
    """Images new0..new3 and memory0..memory2, 24 x 36, all different."""
    for number, name in enumerate([*(f"new{n}" for n in range(4)), *(f"memory{n}" for n in range(3))]):
        photograph = np.random.default_rng(number).integers(0, 256, (24, 36, 3))
        book.add(name, np.roll(MASK, number, axis=1), saliency=SALIENCY, image=photograph)
    return SegmentationDataset(book.folders, saliency=True)


def samples(
    dataset: SegmentationDataset, order: SampleOrder = MIXED, augmentation: Augmentation = AUGMENTATION, **options: Any
) -> TrainingDataset:
    return TrainingDataset(order, dataset, LABELS, augmentation, 9, **options)


def loaded(
    dataset: SegmentationDataset, order: SampleOrder = MIXED, *, workers: int = 0, **options: int
) -> list[tuple[Tensor, Tensor]]:
    """The batches of three iterations."""
    return list(training_loader(order, dataset, LABELS, AUGMENTATION, iterations=3, workers=workers, **options))


def assert_same(ours: Sequence[tuple[Tensor, Tensor]], theirs: Sequence[tuple[Tensor, Tensor]]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_a_sample_is_the_crop_of_its_image_and_of_its_encoded_mask(dataset: SegmentationDataset) -> None:
    """To the bit; crop, scale and seed alone decide, and the padding is void."""
    made = samples(dataset)
    for position in range(9):
        iteration, slot = divmod(position, 3)
        item = MIXED.item(iteration, slot)
        labeled = dataset.read(item.id)
        generator = torch.Generator().manual_seed(derive_seed(5, 1, "augmentation", iteration, slot))
        window = sample_crop_window(24, 36, crop=36, scale=(0.5, 2.0), generator=generator)
        encoded = LABELS.encode(labeled.mask, labeled.saliency, item.annotated)
        image, target = made[position]
        assert torch.equal(image, window.image(labeled.image))
        assert torch.equal(target, window.target(lambda mask: mask, encoded, fill=VOID))


def test_batches_are_the_samples_in_order(dataset: SegmentationDataset) -> None:
    batches, made = loaded(dataset), samples(dataset)
    assert (len(batches), len(made)) == (3, 27)
    for iteration, (images, targets) in enumerate(batches):
        assert (images.shape, images.dtype) == ((3, 3, 36, 36), torch.uint8)
        assert (targets.shape, targets.dtype) == ((3, 36, 36), torch.uint8)
        assert set(targets.unique().tolist()) <= {0, 1, LABELS.channel_of(1), LABELS.channel_of(2), VOID}
        assert_same(list(zip(images, targets, strict=True)), [made[3 * iteration + slot] for slot in range(3)])


@pytest.mark.parametrize("start", [0, 1, 2, 3])
@pytest.mark.parametrize("ranks", [{}, {"rank": 1, "world_size": 2}])
def test_a_later_start_loads_the_same_rest(dataset: SegmentationDataset, start: int, ranks: dict[str, int]) -> None:
    assert_same(loaded(dataset, start_iteration=start, **ranks), loaded(dataset, **ranks)[start:])


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_and_workers_load_the_same_batches(dataset: SegmentationDataset, world_size: int, workers: int) -> None:
    parts = [loaded(dataset, workers=workers, rank=rank, world_size=world_size) for rank in range(world_size)]
    for iteration, (images, targets) in enumerate(loaded(dataset)):
        assert sum(len(part[iteration][0]) for part in parts) == MIXED.batch
        for slot in range(MIXED.batch):
            some_images, some_targets = parts[slot % world_size][iteration]
            assert torch.equal(some_images[slot // world_size], images[slot])
            assert torch.equal(some_targets[slot // world_size], targets[slot])


def test_each_repetition_seed_and_step_crops_an_image_differently(dataset: SegmentationDataset) -> None:
    alone = [order_of(1, batch=2, seed=seed, step=step) for seed, step in ((0, 0), (1, 0), (0, 1))]
    seen = [images[slot] for images, _ in loaded(dataset, alone[0]) for slot in range(2)]
    seen += [loaded(dataset, order)[0][0][0] for order in alone[1:]]
    assert not any(torch.equal(one, other) for i, one in enumerate(seen) for other in seen[:i])


@IN_A_WORKER_TOO
def test_loading_neither_reads_nor_changes_torchs_random_state(
    dataset: SegmentationDataset, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reseeded: list[int] = []  # the GPU's state, from which dropout draws
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded.append)
    torch.manual_seed(1)
    before, one = torch.get_rng_state(), loaded(dataset, workers=workers)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert_same(loaded(dataset, workers=workers), one)
    assert reseeded == [1, 2]


@dataclass(frozen=True)
class Failing(SegmentationDataset):
    """A dataset that cannot be read."""

    error: Exception = field(default_factory=Exception)

    def read(self, image_id: str) -> LabeledImage:
        raise self.error


@IN_A_WORKER_TOO
def test_a_missing_image_is_one_line(dataset: SegmentationDataset, workers: int) -> None:
    dataset.folders.image("new1").unlink()
    with pytest.raises(UserError, match=r"^new1 below .* cannot be read .*: mend or bring back its files") as raised:
        loaded(dataset, workers=workers)
    assert "\n" not in str(raised.value)


@IN_A_WORKER_TOO
@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "the reason"), ValueError("the reason")])
def test_an_error_of_the_machine_keeps_its_number_and_any_other_its_traceback(
    dataset: SegmentationDataset, workers: int, error: Exception
) -> None:
    with pytest.raises(type(error), match="the reason") as raised:
        loaded(Failing(dataset.folders, error=error), workers=workers)
    if isinstance(raised.value, OSError):
        assert raised.value.errno == errno.EMFILE
        assert "ulimit" in str(explain(raised.value))
    else:
        assert explain(raised.value) is None
        assert workers == 0 or "in read" in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        EOFError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_worker_that_dies_while_it_hands_over_a_batch_is_named_as_any_dead_one(
    dataset: SegmentationDataset, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """PyTorch lets these errors through if the kernel has not yet reported the worker's death."""

    def cut_off(_: DataLoader[Any]) -> Iterator[Any]:
        raise error
        yield

    monkeypatch.setattr(DataLoader, "__iter__", cut_off)
    with pytest.raises(RuntimeError) as caught:
        loaded(dataset)
    message = explain(caught.value)
    assert message is not None
    assert "a process that loads images has died" in message
    assert (str(error) or "EOFError") in message


def test_the_same_error_inside_a_worker_is_not_taken_for_its_death(
    dataset: SegmentationDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_of_file(_: SegmentationDataset, image_id: str) -> Any:
        raise EOFError(image_id)

    monkeypatch.setattr(SegmentationDataset, "read", end_of_file)
    with pytest.raises(EOFError, match="Caught EOFError in DataLoader worker"):
        loaded(dataset, workers=1)


ENDS = """
import builtins
from ssul.data.loader import TrainingLoader, _leave_signals
builtins.loader = iter(TrainingLoader(range(9), num_workers=1, worker_init_fn=_leave_signals))
print(next(builtins.loader))
"""


def test_a_process_that_ends_does_not_wait_for_its_workers() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "tensor([0])\n"), done.stderr


def test_cached_images_are_read_once_and_change_no_sample(dataset: SegmentationDataset) -> None:
    cached, fresh = samples(dataset, cache=ImageCache(10**6)), samples(dataset)
    for position in [*range(27), *range(27)]:
        assert_same([cached[position]], [fresh[position]])
    assert len(cached.cache) == 7
    for image_id in ("new0", "memory0"):
        dataset.folders.image(image_id).unlink()
    _ = [cached[position] for position in range(27)]


def test_exemplars_stay_in_the_cache_rather_than_new_images(dataset: SegmentationDataset) -> None:
    cached = samples(dataset, cache=ImageCache(3 * 5 * 24 * 36))  # three images, each with mask and saliency map
    _ = [cached[position] for position in range(27)]
    for number in range(3):
        dataset.folders.image(f"memory{number}").unlink()
    _ = [cached[3 * iteration + 2] for iteration in range(9)]  # the last slot of each batch


def padded(dataset: SegmentationDataset, labels: LabelSpace, item: TrainingItem, *, published_padding: bool) -> Tensor:
    """The target of a 24 x 36 image in a crop of 36 x 36."""
    order = SampleOrder((item,), (), batch=2, seed=0, step=1)
    augmentation = Augmentation(36, (1.0, 1.0), published_padding=published_padding)
    _, target = TrainingDataset(order, dataset, labels, augmentation, iterations=1)[0]
    return target


PLAIN = LabelSpace(((1,), (2,)), unknown=False, activation="softmax")


@pytest.mark.parametrize(
    ("labels", "without_unknown_shift", "saliency", "channel"),
    [
        pytest.param(LABELS, False, True, 1, id="the background"),
        pytest.param(LABELS, False, False, 0, id="the unknown without saliency"),
        pytest.param(LABELS, True, True, 0, id="below the background in memory without shift"),
        pytest.param(PLAIN, False, True, 0, id="the background without an unknown"),
        pytest.param(PLAIN, True, True, 0, id="the background in memory without an unknown"),
    ],
)
def test_published_padding_is_labelled_background_above_and_below_the_centred_image(
    dataset: SegmentationDataset, labels: LabelSpace, without_unknown_shift: bool, saliency: bool, channel: int
) -> None:
    dataset = SegmentationDataset(dataset.folders, saliency=saliency)
    item = TrainingItem("new0", (1,), without_unknown_shift=without_unknown_shift)
    ours = padded(dataset, labels, item, published_padding=False)
    published = padded(dataset, labels, item, published_padding=True)
    assert int((ours == VOID).all(dim=1).sum()) == 12  # whole rows
    assert (published[:6] == channel).all()
    assert (published[30:] == channel).all()
    assert (published[6:30] == VOID).any()  # what is void in the mask stays void


def test_exemplars_may_be_encoded_without_the_shift_of_new_images(dataset: SegmentationDataset) -> None:
    memory = (TrainingItem("memory0", (1,), without_unknown_shift=True),)
    made = samples(dataset, SampleOrder((TrainingItem("new0", (2,)),), memory, batch=2, seed=0, step=1), UNSCALED)
    (_, new), (_, exemplar) = made[0], made[1]
    assert set(new.unique().tolist()) == {0, 1, LABELS.channel_of(2), VOID}
    assert set(exemplar.unique().tolist()) == {0, LABELS.channel_of(1) - 1, VOID}
