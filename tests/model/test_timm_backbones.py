"""Networks of timm as backbones: their own maps, strides, normalisation and weights; wrong names are refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor, nn

from ssul.errors import UserError
from ssul.methods.ssul.frozen_teacher import FrozenTeacher
from ssul.model.backbones import build_backbone, forward_stages, outputs_of
from ssul.model.checkpoint import load_checkpoint, save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.model.normalisation import Normalisation
from ssul.model.timm_backbones import TimmBackbone, build_timm_backbone, timm_normalisation
from ssul.training import distributed
from tests.model.learning import randomise_norms, tensors_changed_by_training

timm = pytest.importorskip("timm")
REAL_WEIGHTS = Path(__file__).parents[3] / "shared" / "weights" / "tf_efficientnet_lite0_imagenet.safetensors"
SWIN = "swin_tiny_patch4_window7_224"
LITE0 = "tf_efficientnet_lite0"


def some_images(height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def network(name: str, head: str = "deeplabv3", heads: tuple[int, ...] = (1, 1, 2)) -> IncrementalDeepLab:
    torch.manual_seed(0)
    return IncrementalDeepLab(Architecture(f"timm:{name}", head, 16, 16), heads)


# ---- maps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("test_resnet", {16: (4, 8, 16, 16), 8: (4, 8, 8, 8)}),
        ("test_efficientnet", {16: (4, 8, 16, 16), 8: (4, 8, 8, 8)}),
        pytest.param("test_convnext", {16: (4, 8, 16, 16), 8: (4, 8, 8, 8)}, marks=pytest.mark.slow),
        ("test_mambaout", {16: (4, 8, 16, 32), 8: (4, 8, 16, 32)}),  # cannot dilate; gives NHWC
        ("test_vit", {16: (16,) * 4, 8: (16,) * 4}),
        pytest.param("dla34", {16: (4, 8, 16, 32), 8: (4, 8, 16, 32)}, marks=pytest.mark.slow),  # refuses odd sizes
        pytest.param(SWIN, {16: (4, 8, 16, 32), 8: (4, 8, 16, 32)}, marks=pytest.mark.slow),
    ],
)
def test_stages_have_the_named_strides_and_channels_whatever_the_size_of_the_image(
    name: str, strides: dict[int, tuple[int, ...]]
) -> None:
    for output_stride, expected in strides.items():
        backbone = build_backbone(f"timm:{name}", output_stride).eval()
        assert isinstance(backbone, TimmBackbone)
        assert backbone.strides == expected
        images = some_images(75, 101)
        with torch.no_grad():
            stages, output = forward_stages(f"timm:{name}", backbone, images), backbone(images)
        assert torch.equal(stages.output, output)
        for layer, stride, channels in zip(stages.before_activation, expected, backbone.channels, strict=True):
            assert layer.shape[1] == channels
            assert layer.shape[2] in (75 // stride, -(-75 // stride))
            assert layer.shape[3] in (101 // stride, -(-101 // stride))


@pytest.mark.parametrize("name", ["test_resnet", "test_mambaout", "test_vit"])
def test_maps_are_timms_own_with_channels_first(name: str) -> None:
    backbone = build_timm_backbone(f"timm:{name}", 16).eval()
    with torch.no_grad():
        theirs, ours = backbone.net(some_images()), backbone.stages(some_images())
    for one, other in zip(theirs, ours, strict=True):
        assert torch.equal(one.permute(0, 3, 1, 2) if name == "test_mambaout" else one, other)


def test_dilated_features_contain_the_strided_ones(tmp_path: Path) -> None:
    whole = timm.create_model("efficientnet_lite0").eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    dense = build_timm_backbone("timm:efficientnet_lite0", 8, str(tmp_path / "weights.pth")).eval()
    with torch.no_grad():
        strided = whole.forward_intermediates(some_images(), indices=[4], intermediates_only=True)[0]
        torch.testing.assert_close(dense(some_images())[..., ::4, ::4], strided, rtol=1e-4, atol=1e-4)


def test_early_features_of_v3_plus_are_finer_and_are_refused_where_none_are() -> None:
    model = network("test_efficientnet", head="deeplabv3plus").eval()
    with torch.no_grad():
        features = model.features(some_images())
    assert features.low_level is not None
    assert features.low_level.shape == (2, 48, 16, 24)
    assert outputs_of("timm:test_efficientnet", model.backbone, 16).low_level_stride == 4
    with pytest.raises(UserError, match=r"all features of timm:test_vit have the stride 16.*choose deeplabv3"):
        network("test_vit", head="deeplabv3plus")


def test_the_rates_of_the_aspp_are_scaled_to_the_stride_of_a_backbone_that_cannot_dilate() -> None:
    model = network("test_mambaout")
    convolutions = [part for part in model.aspp.modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)]
    assert model.stride == 32
    assert [part.dilation[0] for part in convolutions] == [3, 6, 9]


# ---- normalisation and checkpoints ----------------------------------------------------------------------------------


def test_each_network_is_normalised_as_it_was_pretrained() -> None:
    assert timm_normalisation(f"timm:{LITE0}") == Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert network("test_vit").normalisation == Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert network("test_efficientnet").normalisation == Normalisation()


@pytest.mark.parametrize("name", ["test_vit", pytest.param(SWIN, marks=pytest.mark.slow)])
def test_a_checkpoint_gives_the_same_logits_and_normalisation_and_draws_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(name).eval()
    save_checkpoint(tmp_path / "step_0", model, {})
    monkeypatch.setattr("ssul.model.deeplab.timm_normalisation", lambda _: pytest.fail("timm was asked"))
    random = torch.get_rng_state()
    opened, _ = load_checkpoint(tmp_path / "step_0")
    assert torch.equal(torch.get_rng_state(), random)
    with torch.no_grad():
        assert torch.equal(opened(some_images()), model(some_images()))
    assert opened.architecture == model.architecture
    described = json.loads((tmp_path / "step_0" / "model.json").read_text())["architecture"]
    assert (described["backbone"], described["mean"]) == (f"timm:{name}", list(model.normalisation.mean))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone": "timm:hf-hub:somebody/something"}, "does not have"),
        ({"backbone": "timm:test_resnet"}, "does not hold the weights"),
        ({"std": [0.0, 1.0, 1.0]}, "architecture.std"),
        ({"mean": [0.5]}, "architecture.mean"),
    ],
)
def test_a_checkpoint_with_another_description_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    save_checkpoint(tmp_path / "step_0", network("test_vit"), {})
    path = tmp_path / "step_0" / "model.json"
    content = json.loads(path.read_text())
    content["architecture"].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=words):
        load_checkpoint(tmp_path / "step_0")


# ---- freezing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "test_vit",
        "test_efficientnet_gn",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("test_convnext", SWIN)),
    ],
)
def test_frozen_norms_of_any_kind_do_not_learn_and_all_else_does(name: str) -> None:
    model = network(name).train()
    model.freeze_norms()
    norms = {key for key, _ in model.named_parameters() if "norm" in key or ".bn" in key}
    assert len(norms) > 8
    changed = tensors_changed_by_training(model, lambda: model(some_images()).square().mean())
    assert not changed & norms
    assert any(key.startswith("backbone") for key in changed)


def test_a_frozen_backbone_computes_the_same_in_training_mode() -> None:
    model = network("test_vit")
    model.freeze_past(learning=[2])
    model.train()
    assert torch.equal(model.features(some_images()).aspp, model.eval().features(some_images()).aspp)


def test_nothing_inside_draws_random_numbers() -> None:
    """Stochastic depth would depend on the number of processes."""
    backbone = build_timm_backbone("timm:test_vit", 16)
    assert {part.p for part in backbone.modules() if isinstance(part, nn.Dropout)} <= {0.0}
    assert all(getattr(part, "drop_prob", 0.0) == 0.0 for part in backbone.modules())


def test_a_frozen_teacher_has_the_logits_of_the_network() -> None:
    model = network("test_efficientnet").eval()
    randomise_norms(model)
    teacher = FrozenTeacher(model)
    with torch.no_grad():
        expected = model.classify(model.features(some_images()))
    torch.testing.assert_close(teacher.classify(teacher.features(some_images())), expected, rtol=1e-4, atol=1e-4)


def test_norms_that_hold_an_activation_keep_it_when_processes_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = build_timm_backbone("timm:test_efficientnet", 16).train()
    fabric = Fabric(accelerator="cpu", devices=1)
    monkeypatch.setattr(Fabric, "world_size", 2)
    monkeypatch.setattr(Fabric, "device", torch.device("cuda"))
    activations = [str(part.act) for part in backbone.modules() if isinstance(part, nn.BatchNorm2d)]  # type: ignore[union-attr]
    distributed.convert_to_sync_batchnorm(backbone, fabric)
    shared = [str(part.act) for part in backbone.modules() if isinstance(part, nn.SyncBatchNorm)]  # type: ignore[union-attr]
    assert shared == activations
    assert any("SiLU" in one for one in shared)


# ---- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [torch.save, save_file], ids=[".pth", ".safetensors"])
def test_weights_of_the_whole_network_or_of_a_backbone_are_loaded(
    tmp_path: Path, save: Callable[[object, Path], object]
) -> None:
    path = str(tmp_path / ("weights.pth" if save is torch.save else "weights.safetensors"))
    whole = timm.create_model("test_efficientnet")
    save(whole.state_dict(), Path(path))
    loaded = build_timm_backbone("timm:test_efficientnet", 16, path).state_dict()
    for name, tensor in loaded.items():
        assert torch.equal(tensor, whole.state_dict()[name.removeprefix("net.")])
    save(loaded, Path(path))
    again = build_timm_backbone("timm:test_efficientnet", 16, path).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in loaded.items())


def without_a_block(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("blocks.1.")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_a_block, r"Missing key.*blocks\.1"),
        (lambda state: {**state, "more": torch.zeros(1)}, "Unexpected key.*more"),
        (lambda state: {**state, "conv_stem.weight": torch.zeros(1)}, r"conv_stem\.weight"),
        (lambda _: {}, "it is empty"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], words: str
) -> None:
    torch.save(change(timm.create_model("test_efficientnet").state_dict()), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=words) as refused:
        build_timm_backbone("timm:test_efficientnet", 16, str(tmp_path / "weights.pth"))
    assert "timm.create_model('test_efficientnet')" in str(refused.value)


def test_weights_that_cannot_be_downloaded_are_refused_with_the_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no network\nhere")

    monkeypatch.setattr("timm.models._builder.load_pretrained", fail)
    with pytest.raises(UserError, match=r"timm:test_resnet are not available \(no network here\).*weights=none"):
        build_timm_backbone("timm:test_resnet", 16, "imagenet")


@pytest.mark.skipif(not REAL_WEIGHTS.is_file(), reason=f"the ImageNet weights {REAL_WEIGHTS} are not here")
def test_the_real_imagenet_weights_are_loaded() -> None:
    whole = timm.create_model(LITE0, checkpoint_path=str(REAL_WEIGHTS)).eval()
    backbone = build_timm_backbone(f"timm:{LITE0}", 16, str(REAL_WEIGHTS)).eval()
    images = some_images(65, 97)  # with other sides TensorFlow's padding shifts strided features
    with torch.no_grad():
        strided = whole.forward_intermediates(images, indices=[4], intermediates_only=True)[0]
        torch.testing.assert_close(backbone(images)[..., ::2, ::2], strided, rtol=1e-3, atol=1e-3)


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnt50", r"does not have \(near: timm:resnet50,"),
        ("resnet50.a1_in2k", r"does not have \(near: timm:resnet50\.a1_in1k"),
        ("hf-hub:timm/resnet50", "does not have"),
        ("test_coatnet", "takes images of certain sizes alone"),
    ],
)
def test_other_names_are_refused_with_near_ones(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build_backbone(f"timm:{name}", 16)


def test_networks_without_feature_maps_are_refused_and_marked_among_near_names(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def without_maps(name: str, **settings: Any) -> nn.Module:
        if settings.get("features_only") and name != "test_vit2":
            raise RuntimeError("features_only not implemented")
        return create(name, **settings)  # type: ignore[no-any-return]

    monkeypatch.setattr(timm, "create_model", without_maps)
    with pytest.raises(UserError, match="timm:test_vit3', of which timm gives no feature maps"):
        build_backbone("timm:test_vit3", 16)
    with pytest.raises(UserError, match=r"timm:test_vit3 without feature maps.*timm:test_vit2[,)]"):
        build_backbone("timm:test_vit23", 16)


def test_a_missing_timm_is_one_line_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r'timm is not installed: pip install "ssul\[backbones\]"'):
        build_backbone("timm:resnet18", 16)
