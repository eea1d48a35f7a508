"""Published checkpoints: the same logits from the same tensors, every tensor used once, and no code run.

The published network is built here from the paper's code, without the project's modules.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from ssul.cli.published_checkpoint import import_published, load_published
from ssul.errors import UserError
from ssul.model.checkpoint import load_checkpoint, save_checkpoint
from tests.cli.foreign import settle_norms
from tests.model.hostile import Touch

HEADS = (1, 1, 3, 2)
WIDTH = 256


def conv_norm_relu(channels: int, kernel: int = 1, dilation: int = 1) -> list[nn.Module]:
    padding = dilation if kernel == 3 else 0
    conv = nn.Conv2d(channels, WIDTH, kernel, padding=padding, dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(WIDTH), nn.ReLU()]


class _PublishedAspp(nn.Module):
    def __init__(self, rates: tuple[int, ...]) -> None:
        super().__init__()
        views = [nn.Sequential(*conv_norm_relu(2048))]
        views += [nn.Sequential(*conv_norm_relu(2048, 3, rate)) for rate in rates]
        views += [nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_norm_relu(2048))]
        self.convs = nn.ModuleList(views)
        self.project = nn.Sequential(*conv_norm_relu(5 * WIDTH), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        views = [conv(x) for conv in self.convs]
        views[4] = functional.interpolate(views[4], size=x.shape[-2:], mode="bilinear", align_corners=False)
        out: Tensor = self.project(torch.cat(views, dim=1))
        return out


class _PublishedClassifier(nn.Module):
    def __init__(self, rates: tuple[int, ...], plus: bool) -> None:
        super().__init__()
        if plus:
            self.project = nn.Sequential(nn.Conv2d(256, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.aspp = _PublishedAspp(rates)
        seen = WIDTH + (48 if plus else 0)
        self.head = nn.ModuleList(
            nn.Sequential(*conv_norm_relu(seen, 3), nn.Conv2d(WIDTH, classes, 1)) for classes in HEADS
        )

    def forward(self, low: Tensor, out: Tensor) -> Tensor:
        features = self.aspp(out)
        if hasattr(self, "project"):
            features = functional.interpolate(features, size=low.shape[-2:], mode="bilinear", align_corners=False)
            features = torch.cat([self.project(low), features], dim=1)
        return torch.cat([head(features) for head in self.head], dim=1)


class Published(nn.Module):
    """A ResNet without its end under `backbone`, and `classifier`."""

    def __init__(self, *, plus: bool = False, output_stride: int = 16, backbone: str = "resnet50") -> None:
        super().__init__()
        dilated = [False, output_stride == 8, True]
        rates = (6, 12, 18) if output_stride == 16 else (12, 24, 36)
        net = getattr(models, backbone)(replace_stride_with_dilation=dilated)
        self.backbone = nn.Sequential(OrderedDict(list(net.named_children())[:-2]))
        self.classifier = _PublishedClassifier(rates, plus)

    def forward(self, images: Tensor) -> Tensor:
        x, low = images, images
        for name, child in self.backbone.named_children():
            x = child(x)
            if name == "layer1":
                low = x.clone()
        logits = self.classifier(low, x)
        return functional.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)


def published(**kind: Any) -> Published:
    """A network as after some training: BatchNorm has an effect, and activations stay in range."""
    torch.manual_seed(0)
    model = Published(**kind)
    settle_norms(model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked += 7  # type: ignore[operator]
    for head in model.classifier.head:
        head[3].weight.data *= 100  # type: ignore[index]  # so that logits are of order 1
    return model.eval()


def write(path: Path, state: Any, **others: Any) -> Path:
    optimizer = {"state": {}, "param_groups": [{"lr": 0.01, "params": [0, 1]}]}
    content = {"model_state": state, "optimizer_state": optimizer, "best_score": np.float64(0.5)}
    torch.save(content | others, path)
    return path


@pytest.fixture(scope="module")
def v3() -> dict[str, Tensor]:
    """The tensors of a published DeepLabV3; read-only."""
    return published().state_dict()


# ---- the same network -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plus", "output_stride", "backbone"),
    [
        (False, 16, "resnet50"),
        (False, 8, "resnet50"),
        (True, 16, "resnet50"),
        (True, 8, "resnet50"),
        pytest.param(False, 16, "resnet101", marks=pytest.mark.slow),
    ],
)
def test_an_imported_network_gives_the_published_networks_logits(
    tmp_path: Path, plus: bool, output_stride: int, backbone: str
) -> None:
    theirs = published(plus=plus, output_stride=output_stride, backbone=backbone)
    state = load_published(write(tmp_path / "best.pth", theirs.state_dict()))
    ours = import_published(state, HEADS, output_stride=output_stride)
    images = torch.randn(1, 3, 65, 81, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected, found = theirs(images), ours(images)
    assert expected.shape == (1, 7, 65, 81)
    assert expected.std(dim=(0, 2, 3)).min() > 0.05  # the logits are not constant
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert ours.head_sizes == HEADS
    assert ours.architecture.head == ("deeplabv3plus" if plus else "deeplabv3")
    assert not ours.training


def separated(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with each 3x3 convolution of the classifier in two halves, as the published code names them."""
    changed = {}
    for name, tensor in state.items():
        if name.startswith("classifier") and tensor.ndim == 4 and tensor.shape[-1] == 3:
            stem = name.removesuffix("weight")
            changed[f"{stem}body.0.weight"] = torch.randn(tensor.shape[1], 1, 3, 3)
            changed[f"{stem}body.1.weight"] = torch.randn(*tensor.shape[:2], 1, 1)
        else:
            changed[name] = tensor
    return changed


def test_separable_convolutions_are_imported(v3: dict[str, Tensor]) -> None:
    state = separated(v3)
    ours = import_published(state, HEADS, output_stride=16)
    assert ours.architecture.separable
    halves = ours.heads[0].conv
    assert isinstance(halves, nn.Sequential)
    for place, half in enumerate(halves):
        assert torch.equal(half.weight, state[f"classifier.head.0.0.body.{place}.weight"])


def test_the_prefix_module_of_names_is_removed(v3: dict[str, Tensor], tmp_path: Path) -> None:
    state = load_published(write(tmp_path / "best.pth", {f"module.{name}": tensor for name, tensor in v3.items()}))
    assert state.keys() == v3.keys()
    assert all(torch.equal(tensor, v3[name]) for name, tensor in state.items())


def test_an_imported_network_is_a_checkpoint_like_any_other(v3: dict[str, Tensor], tmp_path: Path) -> None:
    ours = import_published(v3, HEADS, output_stride=16)
    save_checkpoint(tmp_path / "step_1", ours, {"labels": {}})
    opened, _ = load_checkpoint(tmp_path / "step_1")
    assert opened.architecture == ours.architecture
    assert all(torch.equal(tensor, ours.state_dict()[name]) for name, tensor in opened.state_dict().items())


# ---- refused: every tensor once -------------------------------------------------------------------------------------


def refusal(state: dict[str, Tensor], heads: tuple[int, ...] = HEADS) -> str:
    with pytest.raises(UserError) as refused:
        import_published(state, heads, output_stride=16)
    return str(refused.value)


@pytest.fixture
def uninitialised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the time of drawing initial weights."""
    for name in ("kaiming_normal_", "kaiming_uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


@pytest.mark.usefixtures("uninitialised")
@pytest.mark.parametrize(
    ("lost", "ours"),
    [
        ("backbone.layer1.0.conv1.weight", "backbone.4.0.conv1.weight"),
        ("classifier.aspp.convs.4.2.bias", "aspp.pooled.1.1.bias"),
        ("classifier.aspp.project.1.num_batches_tracked", "aspp.project.1.num_batches_tracked"),
        ("classifier.head.2.3.bias", "heads.2.classifier.bias"),
    ],
)
def test_a_missing_tensor_is_named(v3: dict[str, Tensor], lost: str, ours: str) -> None:
    message = refusal({name: tensor for name, tensor in v3.items() if name != lost})
    for words in ("1 tensors are missing", ours, "0 are left over"):
        assert words in message


@pytest.mark.usefixtures("uninitialised")
@pytest.mark.parametrize(
    "more",
    [
        "backbone.fc.weight",
        "classifier.aspp.convs.5.0.weight",
        "classifier.head.0.4.weight",
        "heads.0.conv.weight",  # a name of ours
        "classifier.head.0.0.body.weight",  # a second tensor for the same place
    ],
)
def test_a_tensor_left_over_is_named(v3: dict[str, Tensor], more: str) -> None:
    message = refusal({**v3, more: torch.zeros(1)})
    assert "1 are left over" in message
    assert more in message


@pytest.mark.usefixtures("uninitialised")
@pytest.mark.parametrize("name", ["backbone.conv1.weight", "classifier.head.3.0.weight"])
def test_a_tensor_of_another_shape_is_named_with_both_shapes(v3: dict[str, Tensor], name: str) -> None:
    with pytest.raises(UserError, match=r"1 tensors .* another shape .*\[5\], not \["):
        import_published({**v3, name: torch.zeros(5)}, HEADS, output_stride=16)


@pytest.mark.parametrize("wanted", [(1, 1, 3), (1, 1, 3, 2, 1), (1, 1, 3, 1), (5, 2), (1, 1, 2, 3)])
def test_heads_of_another_scenario_are_refused_with_both(v3: dict[str, Tensor], wanted: tuple[int, ...]) -> None:
    message = refusal(v3, wanted)
    for words in ("[1, 1, 3, 2]", str(list(wanted)), "--scenario or --step"):
        assert words in message


def test_another_backbone_is_refused(v3: dict[str, Tensor]) -> None:
    state = {name: tensor for name, tensor in v3.items() if not name.startswith("backbone.layer3.5")}
    assert "its layer3 has 5 blocks" in refusal(state)
    head = {name: tensor for name, tensor in v3.items() if name.startswith("classifier")}
    mobile = {f"backbone.{name}.weight": torch.zeros(1) for name in ("low_level_features.0.0", "high_level_features.4")}
    assert "MobileNetV2" in refusal(mobile | head)


def test_v3_plus_without_its_projection_is_refused() -> None:
    state = published(plus=True).state_dict()
    assert "another shape" in refusal(
        {name: tensor for name, tensor in state.items() if not name.startswith("classifier.project")}
    )


# ---- refused: not a published checkpoint ----------------------------------------------------------------------------


def test_a_file_is_read_as_tensors_alone(tmp_path: Path) -> None:
    """See tests/model/test_torch_files.py."""
    path = write(tmp_path / "best.pth", {"a": torch.ones(1)}, best_score=Touch(tmp_path / "the code ran"))
    with pytest.raises(UserError, match=r"best\.pth cannot be read as tensors alone.*code, which is not run"):
        load_published(path)
    assert not (tmp_path / "the code ran").exists()


@pytest.mark.parametrize("tensor", [torch.tensor(float("nan")), torch.zeros(1).expand(200_000, 100_000)])
def test_weights_that_are_not_finite_or_not_plain_are_refused(tmp_path: Path, tensor: Tensor) -> None:
    with pytest.raises(UserError, match=r"best\.pth"):
        load_published(write(tmp_path / "best.pth", {"a": tensor}))


@pytest.mark.parametrize(
    "content", [{"state_dict": {}}, {"model_state": [torch.ones(1)]}, {"model_state": {"a": 1}}, []], ids=str
)
def test_a_file_without_a_model_state_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "best.pth")
    with pytest.raises(UserError, match=r"best\.pth holds no model_state"):
        load_published(tmp_path / "best.pth")


def test_a_name_with_and_without_module_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "best.pth", {"a": torch.ones(1), "module.a": torch.zeros(1)})
    with pytest.raises(UserError, match="a is there twice"):
        load_published(path)


@pytest.mark.parametrize("name", ["nowhere.pth", "."])
def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="is not a file"):
        load_published(tmp_path / name)
