"""IncrementalDeepLab: what learns, what stays, and how it grows."""

import copy
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ssul.model.deeplab import Architecture, IncrementalDeepLab, join, upsample
from tests.model.learning import (
    convolutions_of_heads,
    norms_of_heads,
    tensors_changed_by_training,
    tensors_of_norms,
)

Build = Callable[..., IncrementalDeepLab]
V3 = Architecture(backbone="small", head="deeplabv3", output_stride=8, width=16)
PLUS = replace(V3, head="deeplabv3plus")
BOTH = pytest.mark.parametrize("architecture", [V3, PLUS], ids=["v3", "v3+"])


def what_learns(model: IncrementalDeepLab, images: Tensor) -> set[str]:
    """The tensors of the state that a training with all channels as targets changes."""
    model.train()
    target = torch.arange(images[:, 0].numel()).reshape_as(images[:, 0]) % sum(model.head_sizes)
    return tensors_changed_by_training(model, lambda: functional.cross_entropy(model(images), target))


def grown(build: Build, *, learning: Collection[int], architecture: Architecture = V3) -> IncrementalDeepLab:
    """A network with a fourth head of two classes, in which only the named heads learn."""
    model = build(1, 1, 3, architecture=architecture)
    model.grow(2)
    model.freeze_past(learning)
    return model


# ---- what learns ----------------------------------------------------------------------------------------------------


@BOTH
def test_at_the_base_step_every_tensor_learns(build: Build, images: Tensor, architecture: Architecture) -> None:
    model = build(1, 1, 3, architecture=architecture)
    assert what_learns(model, images) == set(model.state_dict())


@BOTH
@pytest.mark.parametrize("freeze_norm", [True, False])
def test_frozen_only_the_learning_heads_change_with_their_norms_where_those_are_not_frozen(
    build: Build, images: Tensor, freeze_norm: bool, architecture: Architecture
) -> None:
    model = grown(build, learning=(0, 1, 3), architecture=architecture)
    if freeze_norm:
        model.freeze_norms()
    norms = set() if freeze_norm else norms_of_heads((0, 1, 3))
    assert what_learns(model, images) == convolutions_of_heads((0, 1, 3)) | norms


def test_with_only_its_norms_frozen_all_else_learns(build: Build, images: Tensor) -> None:
    model = build(1, 1, 3)
    model.freeze_norms()
    assert what_learns(model, images) == set(model.state_dict()) - tensors_of_norms(model)


def test_the_classes_learned_last_are_frozen_when_it_grows_again(build: Build, images: Tensor) -> None:
    model = build(1, 1, 3)
    for newest in (3, 4):
        model.grow(1)
        model.freeze_past((0, 1, newest))
        model.freeze_norms()
        assert what_learns(model, images) == convolutions_of_heads((0, 1, newest))


# ---- growth and weight transfer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture",
    [V3, replace(V3, classifier="conv1x1"), replace(V3, separable=True), replace(PLUS, separable=True)],
    ids=["conv3x3", "conv1x1", "separable", "v3+, separable"],
)
def test_growing_keeps_the_old_logits_bit_for_bit_and_new_classes_score_as_their_parent(
    build: Build, images: Tensor, architecture: Architecture
) -> None:
    model = build(1, 1, 3, architecture=architecture)
    what_learns(model, images)  # so that the parent's norm is no fresh one
    before = model.eval()(images)
    model.grow(2)
    model.init_head_from_unknown(parent=0)
    after = model.eval()(images)
    assert after.shape[1] == 7
    assert torch.equal(after[:, :5], before)
    torch.testing.assert_close(after[:, 5:], after[:, :1].expand(-1, 2, -1, -1))


def test_a_new_head_has_the_type_of_the_others(build: Build, images: Tensor) -> None:
    model = build(1, 1, 3).double()
    model.grow(2)
    assert model.eval()(images.double()).dtype == torch.float64


def test_a_copied_head_learns_without_its_parent(build: Build, images: Tensor) -> None:
    model = grown(build, learning=(3,))
    model.init_head_from_unknown(parent=0)
    assert what_learns(model, images) == convolutions_of_heads((3,)) | norms_of_heads((3,))


# ---- training and evaluation mode -----------------------------------------------------------------------------------


def test_train_leaves_frozen_parts_in_evaluation_and_wakes_the_rest(build: Build) -> None:
    model = grown(build, learning=(0, 3))
    for _ in range(2):
        model.train()
        frozen = (model.backbone, model.aspp, model.heads[1], model.heads[2])
        learning = (model.heads[0], model.heads[3])
        assert not any(module.training for part in frozen for module in part.modules())
        assert all(module.training for part in learning for module in part.modules())
        assert model.dropout.training
        model.eval()
        assert not any(module.training for module in model.modules())


def test_freezing_acts_at_once_on_a_network_in_training(build: Build) -> None:
    model = build(1, 1, 3).train()
    model.freeze_norms()
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    assert model.heads[0].training


def test_dropout_stays_active_when_all_but_the_heads_is_frozen(build: Build, images: Tensor) -> None:
    model = build(1, 1, 3)
    model.freeze_past((0, 1, 2))
    model.freeze_norms()
    model.train()
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_a_deep_copy_freezes_its_own_parts(build: Build) -> None:
    model = build(1, 1, 3)
    model.freeze_past((0,))
    twin = copy.deepcopy(model)
    twin.train()
    model.eval()
    assert not twin.backbone.training
    assert twin.heads[0].training
    assert not model.heads[0].training


# ---- learning rates -------------------------------------------------------------------------------------------------


def names_by_group(model: IncrementalDeepLab, groups: list[dict[str, Any]]) -> dict[str, list[str]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {group["name"]: [names[id(parameter)] for parameter in group["params"]] for group in groups}


@BOTH
@pytest.mark.parametrize("low_lr_head", [None, 1])
def test_every_parameter_that_learns_is_in_one_group_and_none_in_two(
    build: Build, low_lr_head: int | None, architecture: Architecture
) -> None:
    model = build(1, 1, 3, architecture=architecture)
    for _ in range(2):  # unfrozen, then frozen
        groups = model.parameter_groups(0.05, backbone_ratio=0.1, low_lr_head=low_lr_head, low_lr_ratio=1)
        flat = [name for names in names_by_group(model, groups).values() for name in names]
        assert sorted(flat) == sorted(name for name, p in model.named_parameters() if p.requires_grad)
        model.freeze_past((0, 1))
        model.freeze_norms()


@pytest.mark.parametrize(("architecture", "body"), [(V3, {"aspp"}), (PLUS, {"aspp", "low_level"})], ids=["v3", "v3+"])
def test_backbone_heads_and_the_head_with_a_low_rate_have_rates_of_their_own(
    build: Build, architecture: Architecture, body: set[str]
) -> None:
    model = build(1, 1, 3, architecture=architecture)
    groups = model.parameter_groups(0.5, backbone_ratio=0.1, low_lr_head=1, low_lr_ratio=0.01)
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates == pytest.approx({"backbone": 0.05, "heads": 0.5, "background": 0.005})
    grouped = names_by_group(model, groups)
    assert {name.split(".")[0] for name in grouped["backbone"]} == {"backbone"}
    assert {name.split(".")[0] for name in grouped["heads"]} == {*body, "heads"}
    heads = {".".join(name.split(".")[:2]) for name in grouped["heads"] if name.startswith("heads")}
    assert heads == {"heads.0", "heads.2"}
    assert all(name.startswith("heads.1.") for name in grouped["background"])


def test_frozen_the_groups_name_only_what_learns(build: Build) -> None:
    model = grown(build, learning=(0, 1, 3))
    model.freeze_norms()
    grouped = names_by_group(model, model.parameter_groups(0.5, backbone_ratio=0.1, low_lr_head=1, low_lr_ratio=1e-4))
    assert {group: set(names) for group, names in grouped.items()} == {
        "heads": convolutions_of_heads((0, 3)),
        "background": convolutions_of_heads((1,)),
    }


# ---- logits ---------------------------------------------------------------------------------------------------------


def test_logits_of_some_heads_are_their_channels_in_ascending_order(build: Build, images: Tensor) -> None:
    model = build(1, 1, 3, 2).eval()
    assert model(images).shape == (2, 7, 33, 41)
    features = model.features(images)
    logits = model.classify(features)
    assert torch.equal(model.classify(features, (3, 0)), logits[:, [0, 5, 6]])


def test_upsampling_is_bilinear_between_pixel_centres() -> None:
    wide = upsample(torch.tensor([[[[0.0, 1.0]]]]), torch.zeros(1, 3, 1, 4))
    assert wide.tolist() == [[[[0.0, 0.25, 0.75, 1.0]]]]


@BOTH
def test_intermediate_and_low_resolution_logits_are_the_networks_own(
    build: Build, images: Tensor, architecture: Architecture
) -> None:
    model = build(1, 1, 3, architecture=architecture).eval()
    assert torch.equal(upsample(model.forward_intermediates(images).logits, images), model(images))
    assert torch.equal(upsample(model.forward_low_res(images), images), model(images))


def test_with_v3_plus_the_heads_see_early_features_first_and_the_aspp_at_their_resolution(
    build: Build, images: Tensor
) -> None:
    features = build(1, 1, architecture=PLUS).eval().features(images)
    assert features.low_level is not None
    seen = join(features)
    assert torch.equal(seen[:, :48], features.low_level)
    size = features.low_level.shape[-2:]
    expected = functional.interpolate(features.aspp, size=size, mode="bilinear", align_corners=False)
    assert torch.equal(seen[:, 48:], expected)


def test_dropout_acts_on_the_aspp_alone(build: Build, images: Tensor) -> None:
    model = build(1, 1, architecture=PLUS).eval()
    features = model.features(images)
    model.train()
    dropped = model.apply_dropout(features)
    assert dropped.low_level is features.low_level
    assert not torch.equal(dropped.aspp, features.aspp)
    kept = dropped.aspp != 0
    torch.testing.assert_close(dropped.aspp[kept], features.aspp[kept] / 0.9)
    model.eval()
    assert torch.equal(model.apply_dropout(features).aspp, features.aspp)


# ---- architectures --------------------------------------------------------------------------------------------------

# Every two choices of backbone, head, output stride and classifier are together in one of them.
PAIRWISE = [
    Architecture("small", "deeplabv3", 8, 16),
    Architecture("small", "deeplabv3plus", 16, 16, "conv1x1", separable=True),
    Architecture("mobilenet_v2", "deeplabv3", 16, 16, "conv1x1", separable=True),
    Architecture("mobilenet_v2", "deeplabv3plus", 8, 16),
    Architecture("resnet50", "deeplabv3", 8, 16, "conv1x1", separable=True),
    Architecture("resnet50", "deeplabv3plus", 16, 16),
    pytest.param(Architecture("resnet101", "deeplabv3", 16, 16), marks=pytest.mark.slow),
    pytest.param(Architecture("resnet101", "deeplabv3plus", 8, 16, "conv1x1", separable=True), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("architecture", PAIRWISE, ids=str)
def test_every_architecture_gives_logits_of_the_size_of_odd_images(
    monkeypatch: pytest.MonkeyPatch, architecture: Architecture
) -> None:
    for name in ("kaiming_normal_", "kaiming_uniform_"):  # spares the time of drawing weights
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor.data.zero_())
    model = IncrementalDeepLab(architecture, (1, 1, 3)).eval()
    images = torch.randn(1, 3, 65, 49)
    with torch.no_grad():
        assert model(images).shape == (1, 5, 65, 49)
        features = model.features(images)
        intermediates = model.forward_intermediates(images)
    sides = tuple(-(-side // architecture.output_stride) for side in (65, 49))
    assert features.aspp.shape == (1, 16, *sides)
    assert len(intermediates.layers) == 5
    assert torch.equal(intermediates.layers[-1], features.aspp)
    if architecture.is_plus:
        assert features.low_level is not None
        assert features.low_level.shape == (1, 48, 17, 13)
        assert intermediates.logits.shape == (1, 5, 17, 13)
    else:
        assert features.low_level is None
        assert intermediates.logits.shape == (1, 5, *sides)


def weights(architecture: Architecture) -> int:
    model = IncrementalDeepLab(architecture, (1, 1, 3))
    return sum(parameter.numel() for name, parameter in model.named_parameters() if not name.startswith("backbone"))


def test_each_choice_changes_the_number_of_weights_by_what_it_names() -> None:
    heads, width, low, channels = 3, 16, 48, 128  # of the small backbone, whose first stage has 48 channels too
    assert weights(PLUS) - weights(V3) == heads * low * width * 9 + (48 * low + 2 * low)
    assert weights(V3) - weights(replace(V3, classifier="conv1x1")) == heads * (width * width * 9 + 2 * width)
    saved = 3 * (channels * width * 9 - channels * 9 - channels * width)  # of the ASPP
    saved += heads * (width * width * 9 - width * 9 - width * width)
    assert weights(V3) - weights(replace(V3, separable=True)) == saved
    assert weights(V3) == weights(replace(V3, output_stride=16))


@pytest.mark.parametrize("separable", [False, True])
def test_convolutions_of_aspp_and_heads_start_as_in_the_published_code(separable: bool) -> None:
    """Normal with standard deviation sqrt(2 / fan-in); a head that is added later too, the 1x1 classifier included."""
    torch.manual_seed(0)
    model = IncrementalDeepLab(replace(PLUS, width=128, separable=separable), [40, 40])
    model.grow(60)
    drawn = [
        (name, part.weight.detach())
        for room in ("aspp", "low_level", "heads")
        for name, part in getattr(model, room).named_modules()
        if isinstance(part, nn.Conv2d)
    ]
    assert sum("classifier" in name for name, _ in drawn) == 3
    for name, weight in drawn:
        fan_in = weight[0].numel()
        assert weight.std() * (fan_in / 2) ** 0.5 == pytest.approx(1.0, abs=4 / weight.numel() ** 0.5), name
        assert weight.abs().max() > (3 / fan_in) ** 0.5, name  # beyond torch's default, which is uniform
