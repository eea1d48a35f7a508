"""New classes for a trained network from tensors."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from ssul.errors import UserError
from ssul.extension import Batches, extend
from ssul.inference.trained_model import TrainedModel
from ssul.labels.colours import voc_colours
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.prediction.look import Look
from ssul.prediction.model import Model, load

SSUL = LabelSpace(((1, 2), (3,)), unknown=True, activation="sigmoid")
SOFTMAX = LabelSpace(((4, 2, 1),), unknown=False, activation="softmax")


def trained(labels: LabelSpace) -> Model:
    torch.manual_seed(0)
    architecture = Architecture("small", "deeplabv3", 8, 16, constant_head=labels.constant_head)
    network = IncrementalDeepLab(architecture, labels.head_sizes, "pretrained").eval()
    return Model(TrainedModel(network, labels, ("tree", "car", "road")), Look(voc_colours(6), background=True))


def squares() -> DataLoader[tuple[Tensor, ...]]:
    """Red squares on grey, 0 around them and 1 in them."""
    images = torch.full((8, 3, 48, 48), 120, dtype=torch.uint8)
    masks = torch.zeros(8, 48, 48, dtype=torch.uint8)
    for place, (image, mask) in enumerate(zip(images, masks, strict=True)):
        box = (slice(2 * place, 2 * place + 24), slice(20 - place, 44 - place))
        image[(slice(None), *box)] = torch.tensor([230, 20, 20], dtype=torch.uint8)[:, None, None]
        mask[box] = 1
    return DataLoader(TensorDataset(images, masks), batch_size=4)


@pytest.mark.parametrize("labels", [SSUL, SOFTMAX], ids=["ssul", "softmax"])
def test_it_learns_a_class_and_keeps_the_logits_of_the_others_and_the_network_that_it_was_given(
    labels: LabelSpace,
) -> None:
    model = trained(labels)
    before = {name: tensor.clone() for name, tensor in model.trained.model.state_dict().items()}
    grown = extend(model, squares(), ["square"], epochs=25, lr=0.3, progress=False)
    assert grown.trained.class_names == ("tree", "car", "road", "square")
    assert grown.trained.labels.classes == (*labels.classes, max(labels.classes) + 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.trained.model.state_dict().items())
    pictures, masks = squares().dataset.tensors  # type: ignore[attr-defined]
    images = model.trained.model.normalisation.network_input(pictures)
    with torch.no_grad():
        old = model.trained.with_sigmoids().model.forward_low_res(images)
        new = grown.trained.model.forward_low_res(images)
    first = labels.first_class_channel  # unknown and background give way
    assert torch.equal(new[:, first:-1], old[:, first:])
    torch.testing.assert_close(new[:, :first].sigmoid(), old[:, :first].sigmoid() * (1 - new[:, -1:].sigmoid()))
    inside = masks[:, ::8, ::8] == 1
    assert new[:, -1][inside].mean() > new[:, -1][~inside].mean() + 1


def test_with_saliency_maps_the_unknown_learns_too_and_the_result_depends_on_the_seed_alone() -> None:
    images, masks = squares().dataset.tensors  # type: ignore[attr-defined]
    batches = [(images, masks, masks * 255)]
    one, same, other = (
        extend(trained(SSUL), batches, ["square"], epochs=2, lr=0.1, seed=seed, progress=False).trained.model
        for seed in (1, 1, 2)
    )
    before = trained(SSUL).trained.model.state_dict()
    moved = {
        name.partition(".conv")[0]
        for name, tensor in one.state_dict().items()
        if not torch.equal(tensor, before.get(name, tensor))
    }
    assert {name for name in moved if name.startswith("heads")} >= {"heads.0", "heads.1"}
    assert all(map(torch.equal, one.state_dict().values(), same.state_dict().values()))
    assert not all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_a_grown_network_is_saved_opened_and_grown_again(tmp_path: Path) -> None:
    extend(trained(SSUL), squares(), ["square"], epochs=1, lr=0.1, progress=False).save(tmp_path / "grown")
    grown = load(tmp_path / "grown")
    assert set(grown.names.values()) == {"background", "tree", "car", "road", "square"}
    again = extend(grown, squares(), ["box"], epochs=1, lr=0.1, progress=False)
    assert again.trained.model.head_sizes == (1, 1, 2, 1, 1, 1)
    assert again.trained.class_names[-2:] == ("square", "box")


@pytest.mark.parametrize(
    ("classes", "batches", "message"),
    [
        (["car"], squares(), "classes must be new and different: got \\['car'\\]"),
        (["a", "a"], squares(), "classes must be new and different"),
        ([], squares(), "classes must be new and different"),
        (["a"], [], "there is nothing to learn from: 0 batches"),
        (["a"], [(torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8))], "a batch is uint8 images"),
        (["a"], [(torch.zeros(2, 3, 8, 8).byte(), torch.full((2, 8, 8), 3).byte())], r"holds \[3\]"),
        ([f"class {number}" for number in range(253)], squares(), "too many"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(classes: list[str], batches: Batches, message: str) -> None:
    with pytest.raises(UserError, match=message):
        extend(trained(SSUL), batches, classes, epochs=1, lr=0.1, progress=False)


def test_a_network_with_a_constant_background_is_sent_to_the_pipeline() -> None:
    constant = replace(SSUL, constant_background=True)
    with pytest.raises(UserError, match="extended by its own method, in the pipeline"):
        extend(trained(constant), squares(), ["square"], epochs=1, lr=0.1, progress=False)


def test_the_random_state_of_the_caller_stays_and_a_batch_may_be_one_image() -> None:
    images, masks = squares().dataset.tensors  # type: ignore[attr-defined]
    model = trained(SSUL)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    extend(model, [(images[:1], masks[:1])], ["square"], epochs=2, lr=0.1, progress=False)
    assert torch.equal(torch.rand(3), expected)
