"""Networks of segmentation_models.pytorch: the same logits from the same tensors, also as a checkpoint that grows."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ssul.cli.import_file import import_softmax_network
from ssul.cli.smp_checkpoint import import_smp, load_smp
from ssul.errors import UserError
from ssul.inference.predict import predict
from ssul.inference.trained_model import TrainedModel
from tests.cli.foreign import assert_that_it_learns_a_class_more, some_image, trained

smp = pytest.importorskip("segmentation_models_pytorch")


def theirs(kind: str, output_stride: int, encoder: str = "resnet50", **settings: object) -> nn.Module:
    settings = {"encoder_weights": None, "encoder_output_stride": output_stride, "classes": 4, **settings}
    net = getattr(smp, kind)(encoder, **settings)
    return trained(net, net.segmentation_head[0])


@pytest.mark.parametrize(
    ("kind", "output_stride", "encoder"),
    [
        ("DeepLabV3Plus", 16, "resnet50"),
        ("DeepLabV3", 16, "mobilenet_v2"),
        ("DeepLabV3Plus", 8, "mobilenet_v2"),
        *[
            pytest.param(kind, stride, encoder, marks=pytest.mark.slow)
            for kind, stride, encoder in (
                ("DeepLabV3", 8, "resnet50"),
                ("DeepLabV3", 16, "resnet50"),
                ("DeepLabV3Plus", 8, "resnet50"),
                ("DeepLabV3", 8, "resnet101"),
                ("DeepLabV3Plus", 16, "resnet101"),
            )
        ],
    ],
)
def test_an_imported_network_gives_smps_logits(kind: str, output_stride: int, encoder: str, tmp_path: Path) -> None:
    net = theirs(kind, output_stride, encoder, aux_params={"classes": 3})
    lightning = {"state_dict": {f"model.{name}": tensor for name, tensor in net.state_dict().items()}, "epoch": 1}
    torch.save(lightning, tmp_path / "last.ckpt")
    _, dropped = import_softmax_network(
        tmp_path / "last.ckpt", "smp", ["cat", "dog", "cow"], output_stride=output_stride, out=tmp_path / "ours"
    )
    assert dropped == [name for name in net.state_dict() if name.startswith("classification_head.")]
    opened = TrainedModel.load(tmp_path / "ours")
    with torch.no_grad():
        expected, found = net(some_image())[0], opened.model(some_image())
        low_res = opened.model.forward_low_res(some_image())
    assert expected.std(dim=(0, 2, 3)).min() > 0.05
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    best = predict(opened.labels, low_res, some_image(), align_corners=opened.model.align_corners)
    assert (best == expected.argmax(dim=1)).float().mean() > 0.9999
    assert_that_it_learns_a_class_more(tmp_path / "ours")


@pytest.fixture(scope="module")
def v3() -> dict[str, Tensor]:
    return theirs("DeepLabV3", 8).state_dict()


def test_names_of_earlier_versions_are_read(v3: dict[str, Tensor], tmp_path: Path) -> None:
    former = {"decoder.aspp.": "decoder.0.", "decoder.conv.": "decoder.1.", "decoder.bn.": "decoder.2."}
    renamed = dict(v3)
    for present, past in former.items():
        renamed = {name.replace(present, past): tensor for name, tensor in renamed.items()}
    torch.save(renamed, tmp_path / "old.pth")
    assert load_smp(tmp_path / "old.pth").keys() == v3.keys()


def test_other_networks_are_refused_by_name(v3: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match=r"1 tensors are missing \(heads\.0\.conv\.weight\)"):
        import_smp({name: one for name, one in v3.items() if name != "decoder.conv.weight"}, output_stride=8)
    with pytest.raises(UserError, match=r"1 are left over \(decoder\.more\)"):
        import_smp({**v3, "decoder.more": torch.zeros(1)}, output_stride=8)
    with pytest.raises(UserError, match="ASPP has separable convolutions, the part before its classifier has none"):
        import_smp(theirs("DeepLabV3", 8, decoder_aspp_separable=True).state_dict(), output_stride=8)
    with pytest.raises(UserError, match="not a ResNet-50"):
        import_smp(smp.DeepLabV3("resnet18", encoder_weights=None).state_dict(), output_stride=8)
    with pytest.raises(UserError, match="no network of smp"):
        import_smp({f"encoder.layer3.{block}.conv1.weight": torch.zeros(1) for block in range(6)}, output_stride=8)
