"""The backbones: strides, dilations, and weights that are torchvision's or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from ssul.errors import UserError
from ssul.model.backbones import build_backbone, forward_stages, outputs_of

REAL_WEIGHTS = Path(__file__).parents[3] / "shared" / "weights" / "mobilenet_v2_imagenet.pth"
BACKBONES = ["small", "mobilenet_v2", "resnet50", pytest.param("resnet101", marks=pytest.mark.slow)]


def some_images() -> Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def geometry(block: nn.Module) -> list[tuple[int, int]]:
    """Stride and dilation of a block's 3x3 convolutions, in order."""
    convs = [module for module in block.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)]
    return [(conv.stride[0], conv.dilation[0]) for conv in convs]


@pytest.fixture
def mobilenet() -> models.MobileNetV2:
    """torchvision's, with norms that do something, as after training."""
    torch.manual_seed(5)
    net = models.mobilenet_v2()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.normal_(0, 0.1)
            module.bias.data.normal_(0, 0.1)
    return net.eval()


@pytest.fixture
def weights_of_mobilenet(mobilenet: models.MobileNetV2, tmp_path: Path) -> Path:
    path = tmp_path / "mobilenet.pth"
    torch.save(mobilenet.state_dict(), path)
    return path


# ---- strides and dilations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output_stride", "dilations"),
    [
        (16, {14: 1, 15: 2, 16: 2, 17: 2}),
        (8, {7: 1, 8: 2, 9: 2, 10: 2, 11: 2, 12: 2, 13: 2, 14: 2, 15: 4, 16: 4, 17: 4}),
    ],
)
def test_mobilenets_last_blocks_dilate_instead_of_striding(output_stride: int, dilations: dict[int, int]) -> None:
    backbone, theirs = build_backbone("mobilenet_v2", output_stride), models.mobilenet_v2().features
    assert isinstance(backbone, nn.Sequential)
    assert len(backbone) == 18
    for position, block in enumerate(backbone):
        expected = [(1, dilations[position])] if position in dilations else geometry(theirs[position])
        assert geometry(block) == expected, position


@pytest.mark.parametrize(
    ("output_stride", "layer3", "layer4"),
    [(16, [(2, 1), *[(1, 1)] * 5], [(1, 1), (1, 2), (1, 2)]), (8, [(1, 1), *[(1, 2)] * 5], [(1, 2), (1, 4), (1, 4)])],
)
def test_resnets_last_stages_dilate_instead_of_striding(
    output_stride: int, layer3: list[tuple[int, int]], layer4: list[tuple[int, int]]
) -> None:
    backbone = build_backbone("resnet50", output_stride)
    assert isinstance(backbone, nn.Sequential)
    assert geometry(backbone[-2]) == layer3
    assert geometry(backbone[-1]) == layer4


@pytest.mark.parametrize(("output_stride", "unchanged"), [(16, 14), (8, 7)])
def test_mobilenet_is_torchvisions_bit_for_bit_until_it_dilates_and_then_keeps_the_strided_features(
    mobilenet: models.MobileNetV2, weights_of_mobilenet: Path, output_stride: int, unchanged: int
) -> None:
    backbone = build_backbone("mobilenet_v2", output_stride, str(weights_of_mobilenet)).eval()
    assert isinstance(backbone, nn.Sequential)
    with torch.no_grad():
        assert torch.equal(backbone[:unchanged](some_images()), mobilenet.features[:unchanged](some_images()))
        dense, strided = backbone(some_images()), mobilenet.features[:-1](some_images())
    every = 32 // output_stride
    torch.testing.assert_close(dense[..., ::every, ::every], strided)


@pytest.mark.parametrize(("name", "momentum"), [("small", 0.1), ("mobilenet_v2", 0.01), ("resnet50", 0.01)])
def test_norms_adapt_slowly_where_they_come_from_imagenet(name: str, momentum: float) -> None:
    norms = [module for module in build_backbone(name, 16).modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert {norm.momentum for norm in norms} == {momentum}


# ---- stages ---------------------------------------------------------------------------------------------------------


def lively(name: str, output_stride: int = 16) -> nn.Module:
    """A backbone whose activations are negative as often as not."""
    torch.manual_seed(2)
    backbone = build_backbone(name, output_stride)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.bias.data.normal_(0, 0.5)
            module.running_mean.normal_(0, 0.1)
    return backbone.eval()


def hooks(backbone: nn.Module) -> int:
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in backbone.modules())


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", BACKBONES)
def test_stages_end_in_the_backbones_own_output_and_leave_no_trace(name: str, output_stride: int) -> None:
    backbone = lively(name, output_stride)
    images = torch.randn(2, 3, 65, 49, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        before = backbone(images)
        stages = forward_stages(name, backbone, images)
        again, after = forward_stages(name, backbone, images), backbone(images)
    assert torch.equal(stages.output, before)
    assert torch.equal(after, before)
    assert torch.equal(again.output, before)
    assert hooks(backbone) == 0
    strides = {8: (4, 8, 8, 8), 16: (4, 8, 16, 16)}[output_stride]
    sides = [tuple(layer.shape[-2:]) for layer in stages.before_activation]
    assert sides == [(-(-65 // stride), -(-49 // stride)) for stride in strides]
    outputs = outputs_of(name, backbone, output_stride)
    assert stages.low_level.shape == (2, outputs.low_level_channels, 17, 13)
    assert stages.output.shape[1] == outputs.channels


@pytest.mark.parametrize("name", ["small", "resnet50"])
def test_before_its_activation_a_residual_stage_is_what_its_relu_takes(name: str) -> None:
    backbone = lively(name)
    with torch.no_grad():
        stages = forward_stages(name, backbone, some_images())
    for layer in stages.before_activation:
        assert (layer < 0).float().mean() > 0.05
    assert torch.equal(stages.before_activation[0].relu(), stages.low_level)
    assert torch.equal(stages.before_activation[-1].relu(), stages.output)


def test_mobilenets_stages_end_linearly_with_the_named_features(mobilenet: models.MobileNetV2) -> None:
    backbone = build_backbone("mobilenet_v2", 16).eval()
    backbone.load_state_dict(mobilenet.features[:-1].state_dict())
    with torch.no_grad():
        stages = forward_stages("mobilenet_v2", backbone, some_images())
        x = some_images()
        outputs = [x := block(x) for block in backbone.children()]
    for layer, place in zip(stages.before_activation, (3, 6, 13, 17), strict=True):
        assert torch.equal(layer, outputs[place])
    assert stages.low_level is stages.before_activation[0]
    assert (stages.output < 0).any()


def test_stages_learn_through_the_layers_that_are_kept() -> None:
    """Nothing is changed in place between the kept outputs and the next stage."""
    backbone = lively("resnet50").train()
    stages = forward_stages("resnet50", backbone, torch.randn(2, 3, 33, 33))
    (sum(layer.square().mean() for layer in stages.before_activation) + stages.output.mean()).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


# ---- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [torch.save, save_file], ids=[".pth", ".safetensors"])
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_weights_of_a_torchvision_state_dict_are_loaded(
    tmp_path: Path, name: str, save: Callable[[object, Path], object]
) -> None:
    path = tmp_path / ("weights.pth" if save is torch.save else "weights.safetensors")
    net = getattr(models, name)()
    save(net.state_dict(), path)
    theirs = net.features[:-1] if name == "mobilenet_v2" else nn.Sequential(*list(net.children())[:-2])
    loaded = build_backbone(name, 16, str(path)).state_dict().values()
    for tensor, expected in zip(loaded, theirs.state_dict().values(), strict=True):
        assert torch.equal(tensor, expected)


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("content_of", "words"),
    [
        (lambda _: {}, r"weights\.pth"),
        (lambda state: {"state_dict": state}, r"weights\.pth' holds a dict, not a state dict"),
        (lambda _: torch.zeros(3), r"weights\.pth' holds a Tensor, not a state dict"),
        (lambda _: [1, 2, 3], r"weights\.pth' holds a list, not a state dict"),
        (lambda state: without(state, "features.0.0.weight"), r"features\.0\.0\.weight"),
        (lambda state: without(state, "classifier.1.bias"), r"classifier\.1\.bias"),
        (lambda state: {**state, "classifier.1.bias": torch.full((1000,), torch.nan)}, "NaN or infinite"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    mobilenet: models.MobileNetV2, tmp_path: Path, content_of: Callable[[Any], object], words: str
) -> None:
    torch.save(content_of(mobilenet.state_dict()), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=words):
        build_backbone("mobilenet_v2", 16, str(tmp_path / "weights.pth"))


def test_weights_of_another_network_are_refused_with_the_name_of_the_right_one(weights_of_mobilenet: Path) -> None:
    with pytest.raises(UserError, match=r"torchvision\.models\.resnet50"):
        build_backbone("resnet50", 16, str(weights_of_mobilenet))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"<html>404: not found</html>")
    with pytest.raises(UserError, match=f"weights{suffix}' is not a readable state dict") as refused:
        build_backbone("mobilenet_v2", 16, str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place", ["nowhere.pth", "."])
def test_weights_that_are_not_a_file_are_refused_with_the_alternatives(tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError, match="choose imagenet, none, or an existing file"):
        build_backbone("mobilenet_v2", 16, str(tmp_path / place))


@pytest.mark.parametrize(
    ("name", "weights", "own"), [("small", "imagenet", "pretrained"), ("resnet50", "pretrained", "imagenet")]
)
def test_weights_of_the_other_kind_of_backbone_are_refused_with_the_right_ones(
    name: str, weights: str, own: str
) -> None:
    with pytest.raises(UserError, match=f"'{weights}', which {name} does not have: choose {own}, none, or"):
        build_backbone(name, 8, weights)


@pytest.mark.parametrize("failure", [URLError("Name or service not known"), RuntimeError("invalid hash value")])
def test_imagenet_weights_that_cannot_be_downloaded_are_refused_with_the_alternatives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(UserError, match=r"mobilenet_v2.*-S model\.weights=none"):
        build_backbone("mobilenet_v2", 16, "imagenet")


@pytest.mark.skipif(not REAL_WEIGHTS.is_file(), reason=f"the ImageNet weights {REAL_WEIGHTS} are not here")
def test_the_real_imagenet_weights_are_loaded() -> None:
    theirs = models.mobilenet_v2().eval()
    theirs.load_state_dict(torch.load(REAL_WEIGHTS, weights_only=True))
    backbone = build_backbone("mobilenet_v2", 16, str(REAL_WEIGHTS)).eval()
    assert isinstance(backbone, nn.Sequential)
    with torch.no_grad():
        assert torch.equal(backbone[:14](some_images()), theirs.features[:14](some_images()))
        dense, strided = backbone(some_images()), theirs.features[:-1](some_images())
    torch.testing.assert_close(dense[..., ::2, ::2], strided, rtol=1e-3, atol=1e-3)
