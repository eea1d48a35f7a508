"""Pixel losses: against torch's own, by hand, and without valid pixels."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.training.losses import binary_cross_entropy, class_binary_cross_entropy, cross_entropy, focal
from ssul.training.objective import LossName, pixel_loss

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: list[Loss] = [binary_cross_entropy, cross_entropy, focal]


def random_batch(
    seed: int, channels: int, void: float, shape: tuple[int, int, int] = (2, 5, 4)
) -> tuple[Tensor, Tensor]:
    """Float64 logits that require a gradient, and targets of which a share is void."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape[0], channels, *shape[1:], generator=generator, dtype=torch.float64)
    target = torch.randint(channels, shape, generator=generator, dtype=torch.uint8)
    target[torch.rand(shape, generator=generator) < void] = VOID
    return logits.requires_grad_(), target


def textbook_bce(logits: Tensor, target: Tensor) -> Tensor:
    """torch's binary cross-entropy on a one-hot, summed over channels, averaged over valid pixels."""
    valid = target != VOID
    one_hot = torch.stack([target == channel for channel in range(logits.shape[1])], dim=1).to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, one_hot, reduction="none").sum(dim=1)
    return losses[valid].mean() if valid.any() else 0 * logits.sum()


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, logits, retain_graph=True)
    return found


batches = st.builds(random_batch, st.integers(0, 10_000), st.integers(1, 7), st.sampled_from([0.0, 0.3, 0.9, 1.0]))


def test_two_pixels_by_hand() -> None:
    logits = torch.tensor([[[[0.0, math.log(3)]], [[0.0, -math.log(3)]]]])  # (1, 2, 1, 2)
    target = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    # scores 1/2 and 1/2 for a pixel of channel 0; 3/4 and 1/4 for a pixel of channel 1
    expected = (-math.log(1 / 2 * 1 / 2) - math.log(1 / 4 * 1 / 4)) / 2
    assert binary_cross_entropy(logits, target).item() == pytest.approx(expected)


@given(batches)
def test_binary_cross_entropy_is_torchs_on_a_one_hot(batch: tuple[Tensor, Tensor]) -> None:
    logits, target = batch
    ours, theirs = binary_cross_entropy(logits, target), textbook_bce(logits, target)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits))


@given(batches, st.data())
def test_left_out_channels_add_a_constant_and_change_no_gradient(
    batch: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    logits, target = batch
    count = logits.shape[1]
    kept = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    left_out = [channel for channel in range(count) if channel not in kept]
    some = binary_cross_entropy(logits[:, kept], target, torch.tensor(kept))
    full = binary_cross_entropy(logits, target)
    torch.testing.assert_close(gradient(some, logits)[:, kept], gradient(full, logits)[:, kept])
    constant = 0.0 * full
    if left_out:
        constant = binary_cross_entropy(logits[:, left_out], target, torch.tensor(left_out))
    torch.testing.assert_close(some + constant, full)


def test_channels_are_those_that_the_logits_stand_for_in_their_order() -> None:
    logits, target = random_batch(3, 5, void=0.2)
    backwards = binary_cross_entropy(logits[:, [4, 1]], target, torch.tensor([4, 1]))
    torch.testing.assert_close(backwards, binary_cross_entropy(logits[:, [1, 4]], target, torch.tensor([1, 4])))


@given(batches)
def test_cross_entropy_is_torchs_mean_over_valid_pixels_and_focal_with_gamma_0_is_the_same(
    batch: tuple[Tensor, Tensor],
) -> None:
    logits, target = batch
    ours, plain_focal = cross_entropy(logits, target), focal(logits, target, gamma=0.0)
    torch.testing.assert_close(plain_focal, ours)
    torch.testing.assert_close(gradient(plain_focal, logits), gradient(ours, logits))
    if (target != VOID).any():
        theirs = functional.cross_entropy(logits, target.long(), ignore_index=255)
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("void", [0.4, 1.0])
def test_exactly_the_valid_pixels_have_a_gradient(loss: Loss, void: float) -> None:
    logits, target = random_batch(1, 4, void)
    total = loss(logits, target)
    assert torch.equal(gradient(total, logits).abs().sum(dim=1) > 0, target != VOID)
    assert void < 1 or total.item() == 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_huge_logits_keep_loss_and_gradient_finite(loss: Loss) -> None:
    logits = torch.tensor([[[[1e4, -1e4]], [[-1e4, 1e4]]]], requires_grad=True)
    total = loss(logits, torch.tensor([[[1, 1]]], dtype=torch.uint8))
    assert total.item() == pytest.approx(1e4)
    assert gradient(total, logits).isfinite().all()


@pytest.mark.parametrize(
    ("loss", "channels"),
    [
        pytest.param(binary_cross_entropy, 4, id="bce"),
        pytest.param(partial(binary_cross_entropy, channels=torch.tensor([0, 2, 3])), 3, id="bce of some channels"),
        pytest.param(cross_entropy, 4, id="ce"),
        pytest.param(partial(focal, gamma=0.5), 4, id="focal, gamma 0.5"),
        pytest.param(partial(focal, gamma=2.0), 4, id="focal, gamma 2"),
    ],
)
def test_gradients_are_those_of_finite_differences(loss: Loss, channels: int) -> None:
    logits, target = random_batch(2, channels, void=0.3, shape=(1, 3, 2))
    target[0, 0, 0] = 1
    assert torch.autograd.gradcheck(lambda z: loss(z, target), (logits,))


def test_focal_by_hand() -> None:
    # scores 1/4 and 3/4; the first pixel is of the first channel, the second of the second, the third is void
    logits = torch.tensor([0.0, math.log(3)])[None, :, None, None].expand(1, 2, 1, 3)
    target = torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8)
    unsure, sure = -math.log(1 / 4), -math.log(3 / 4)
    assert focal(logits, target).item() == pytest.approx(((3 / 4) ** 2 * unsure + (1 / 4) ** 2 * sure) / 2)
    assert focal(logits, target, gamma=1).item() == pytest.approx((3 / 4 * unsure + 1 / 4 * sure) / 2)
    assert focal(logits, target, gamma=0).item() == pytest.approx((unsure + sure) / 2)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_and_its_gradient_are_finite_where_a_pixel_is_certain(gamma: float) -> None:
    logits = torch.tensor([500.0, -500.0])[None, :, None, None].expand(1, 2, 1, 2).clone().requires_grad_()
    total = focal(logits, torch.tensor([[[0, VOID]]], dtype=torch.uint8), gamma=gamma)
    assert total.item() == 0.0  # p is exactly 1
    assert gradient(total, logits).isfinite().all()


@pytest.mark.parametrize(("name", "loss"), [("bce", binary_cross_entropy), ("ce", cross_entropy), ("focal", focal)])
def test_a_loss_is_found_by_its_name(name: LossName, loss: Loss) -> None:
    logits, target = random_batch(4, 3, void=0.2)
    assert torch.equal(pixel_loss(name, logits, target), loss(logits, target))


# ---- the classes of a step alone ------------------------------------------------------------------------------------


def test_class_bce_of_two_pixels_by_hand() -> None:
    logits = torch.tensor([[[[0.0, math.log(3)]]]], dtype=torch.float64)  # sigmoids 1/2 and 3/4
    loss = class_binary_cross_entropy(
        logits, torch.tensor([[[2, VOID]]], dtype=torch.uint8), torch.tensor([2]), positive_weight=4.0
    )
    assert loss.item() == pytest.approx((4 * math.log(2) + math.log(4)) / 2)


@given(batches, st.sampled_from([0.5, 1.0, 4.0]), st.data())
def test_class_bce_is_torchs_with_every_other_pixel_a_negative_void_too(
    batch: tuple[Tensor, Tensor], weight: float, data: st.DataObject
) -> None:
    logits, target = batch
    channels = torch.tensor(data.draw(st.permutations(range(10)))[: logits.shape[1]])
    one_hot = torch.stack([target == channel for channel in channels], dim=1).to(logits.dtype)
    expected = functional.binary_cross_entropy_with_logits(
        logits, one_hot, pos_weight=torch.tensor(weight), reduction="none"
    )
    loss = class_binary_cross_entropy(logits, target, channels, weight)
    torch.testing.assert_close(loss, expected.sum(dim=1).mean())
    torch.testing.assert_close(gradient(loss, logits), gradient(expected.sum(dim=1).mean(), logits))
