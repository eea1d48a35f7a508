"""The fingerprint of a training."""

import torch

from ssul.training.job import fingerprint


def test_a_fingerprint_differs_if_anything_differs() -> None:
    weight = torch.arange(6.0)
    nudged = weight.clone()
    nudged[3] = torch.nextafter(nudged[3], torch.tensor(9.0))
    weights = [{"w": weight}, {"w": nudged}, {"w": weight.reshape(2, 3)}, {"w": weight.double()}, {"v": weight}, {}]
    found = [fingerprint(["bce", 1], one) for one in weights]
    found += [fingerprint(parts, {"w": weight}) for parts in (["bce", 2], ["bce"])]
    assert len(set(found)) == len(found)
    assert all(len(one) == 64 for one in found)


def test_a_fingerprint_depends_neither_on_the_order_of_weights_nor_on_their_layout() -> None:
    weight = torch.randn(2, 3, 4, 4)
    channels_last = weight.contiguous(memory_format=torch.channels_last)
    one = fingerprint([1], {"v": weight, "w": torch.ones(2)})
    assert one == fingerprint([1], {"w": torch.ones(2), "v": channels_last})
