"""The fusion of weights: by hand, at its ends, and where the layout or the type of a tensor is special."""

import pytest
import torch
from torch import Tensor, nn

from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.training.fusion import WeightFusion

SMALL = Architecture("small", "deeplabv3", 8, 16)
State = dict[str, Tensor]


def copied(model: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def grown_and_moved(seed: int = 0) -> tuple[IncrementalDeepLab, WeightFusion, State]:
    """A network with a further head, all of whose tensors have moved; its fusion; and its state before both."""
    torch.manual_seed(seed)
    model = IncrementalDeepLab(SMALL, (4,))
    before = copied(model)
    fusion = WeightFusion.with_network_before(model, old=4, new=2)
    model.grow(2)
    model.train()(torch.randn(2, 3, 33, 33))  # statistics and counts
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model, fusion, before


@pytest.mark.parametrize(("old", "new", "share"), [(3, 1, 0.5), (16, 1, (1 / 17) ** 0.5), (1, 3, 0.75**0.5)])
def test_the_share_is_the_root_of_the_new_classes_share(old: int, new: int, share: float) -> None:
    model = IncrementalDeepLab(SMALL, (old,))
    assert WeightFusion.with_network_before(model, old=old, new=new).share == pytest.approx(share, rel=1e-15)


def test_a_fusion_by_hand() -> None:
    model, fusion, before = grown_and_moved()
    with torch.no_grad():
        model.heads[0].classifier.bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))  # type: ignore[union-attr, operator]
    fusion.before["heads.0.classifier.bias"].copy_(torch.tensor([5.0, 2.0, -1.0, 0.0]))
    WeightFusion(fusion.before, 0.25).apply(model)
    # a quarter of what it became, three quarters of what it was
    assert model.state_dict()["heads.0.classifier.bias"].tolist() == [4.0, 2.0, 0.0, 1.0]
    assert before.keys() == {name for name in model.state_dict() if not name.startswith("heads.1.")}


def test_a_share_of_1_leaves_the_network_as_trained_to_the_bit() -> None:
    model, fusion, _ = grown_and_moved()
    after = copied(model)
    WeightFusion(fusion.before, 1.0).apply(model)
    assert all(torch.equal(tensor, after[name]) for name, tensor in model.state_dict().items())


def test_a_share_of_0_gives_the_network_before_and_keeps_the_new_head_and_the_counts() -> None:
    model, fusion, before = grown_and_moved()
    after = copied(model)
    WeightFusion(fusion.before, 0.0).apply(model)
    for name, tensor in model.state_dict().items():
        new_or_count = name.startswith("heads.1.") or name.endswith("num_batches_tracked")
        assert torch.equal(tensor, (after if new_or_count else before)[name]), name
        assert not torch.equal(after[name], before.get(name, torch.tensor(-1))), name  # the case is not an empty one


def test_what_did_not_change_stays_the_same_to_the_bit() -> None:
    model = IncrementalDeepLab(SMALL, (4,))
    before = copied(model)
    for new in range(1, 50):
        WeightFusion.with_network_before(model, old=7, new=new).apply(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_memory_layout_changes_neither_the_numbers_nor_itself() -> None:
    plain, fusion, _ = grown_and_moved()
    strided, _, _ = grown_and_moved()
    strided.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as in the loop
    strides = {name: tensor.stride() for name, tensor in strided.state_dict().items()}
    fusion.apply(plain)
    fusion.apply(strided)
    assert any(tensor.stride() != strides[name] for name, tensor in plain.state_dict().items())
    for name, tensor in strided.state_dict().items():
        assert torch.equal(tensor, plain.state_dict()[name]), name
        assert tensor.stride() == strides[name], name


def test_the_weights_before_are_a_copy_that_training_does_not_reach() -> None:
    _, fusion, before = grown_and_moved()
    assert fusion.before.keys() == {name for name, tensor in before.items() if tensor.is_floating_point()}
    assert all(torch.equal(tensor, before[name]) for name, tensor in fusion.before.items())
