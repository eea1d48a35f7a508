"""Torchvision's DeepLabV3: the same logits from the same tensors, every tensor used once."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import segmentation

from ssul.cli.import_file import import_softmax_network
from ssul.cli.torchvision_checkpoint import import_torchvision, load_torchvision
from ssul.datasets.catalog import find_dataset
from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from tests.cli.foreign import assert_that_it_learns_a_class_more, some_image, trained


def theirs(name: str = "deeplabv3_resnet50", classes: int = 21) -> nn.Module:
    net = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=classes, aux_loss=True)
    return trained(net, net.classifier[4])


@pytest.fixture(scope="module")
def resnet50() -> nn.Module:
    return theirs()


def without_auxiliary(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in net.state_dict().items() if not name.startswith("aux_classifier.")}


def test_an_imported_file_is_a_checkpoint_with_vocs_classes_and_the_same_logits(
    resnet50: nn.Module, tmp_path: Path
) -> None:
    torch.save({"model": resnet50.state_dict(), "epoch": 3}, tmp_path / "model.pth")
    _, dropped = import_softmax_network(
        tmp_path / "model.pth", "torchvision", None, output_stride=8, out=tmp_path / "ours"
    )
    assert dropped
    assert all(name.startswith("aux_classifier.") for name in dropped)
    opened = TrainedModel.load(tmp_path / "ours")
    assert opened.class_names == find_dataset("voc").classes
    assert (opened.labels.activation, opened.labels.unknown, opened.model.head_sizes) == ("softmax", False, (21,))
    with torch.no_grad():
        expected, found = resnet50(some_image())["out"], opened.model(some_image())
    assert expected.std(dim=(0, 2, 3)).min() > 0.05
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert_that_it_learns_a_class_more(tmp_path / "ours")


@pytest.mark.slow
def test_resnet101_with_other_classes_is_imported() -> None:
    net = theirs("deeplabv3_resnet101", classes=5)
    with torch.no_grad():
        expected, found = net(some_image())["out"], import_torchvision(without_auxiliary(net))(some_image())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("classes", "words"),
    [(["a", "b"], "names 2 classes, but the network has 21 channels"), (["a"] * 21, "names 21 classes")],
)
def test_other_numbers_of_classes_are_refused_and_nothing_is_written(
    resnet50: nn.Module, tmp_path: Path, classes: list[str], words: str
) -> None:
    save_file(without_auxiliary(resnet50), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=words):
        import_softmax_network(
            tmp_path / "model.safetensors", "torchvision", classes, output_stride=8, out=tmp_path / "ours"
        )
    assert not (tmp_path / "ours").exists()


def test_another_network_is_refused_by_name(resnet50: nn.Module) -> None:
    state = without_auxiliary(resnet50)
    for lost, words in (
        ("classifier.4.weight", "no classifier.4.weight"),
        ("classifier.1.weight", "1 tensors are mis"),
    ):
        with pytest.raises(UserError, match=words):
            import_torchvision({name: tensor for name, tensor in state.items() if name != lost})
    with pytest.raises(UserError, match=r"1 are left over \(classifier\.5\.bias\)"):
        import_torchvision({**state, "classifier.5.bias": torch.zeros(1)})
    mobile = segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None).state_dict()
    with pytest.raises(UserError, match="not a ResNet-50 or ResNet-101"):
        import_torchvision(mobile)


def test_a_file_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"optimizer": {"lr": 1.0}}, tmp_path / "model.pth")
    with pytest.raises(UserError, match="holds no state dict or model: it is not from torchvision"):
        load_torchvision(tmp_path / "model.pth")
