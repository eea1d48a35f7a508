"""Trains a network of segmentation_models.pytorch as somebody would who knows nothing of ssul.

A plain loop, softmax and cross-entropy, over the first classes of Pascal VOC; for the table of docs/extend.md on
photographs:

    python docs/site/smp_base.py --root VOC --weights mobilenet_v2.pth --out data/smp.ckpt
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2
from torchvision.tv_tensors import Image as ImageTensor
from torchvision.tv_tensors import Mask

from ssul.data.decoding import decode_rgb, decode_values
from ssul.model.torch_files import read_tensors

VOID = 255
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    """Trains and writes what Lightning would write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="Pascal VOC")
    parser.add_argument("--weights", type=Path, required=True, help="torchvision's mobilenet_v2")
    parser.add_argument(
        "--classes", default="3 14 6 1 2 11 12 17 7 20 4 5 9 16 19", help="their ids; channels 1, 2, ..."
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.manual_seed(0)
    table = np.zeros(256, dtype=np.uint8)
    table[VOID] = VOID
    for channel, class_id in enumerate(map(int, asked.classes.split()), start=1):
        table[class_id] = channel
    samples = [pair for pair in pairs(asked.root, table) if ((pair[1] > 0) & (pair[1] < VOID)).any()]
    network = smp.DeepLabV3(
        "mobilenet_v2", encoder_weights=None, encoder_output_stride=16, classes=len(asked.classes.split()) + 1
    )
    network.encoder.load_state_dict(read_tensors(asked.weights))
    train(network, samples, asked.epochs)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {f"model.{name}": one for name, one in network.state_dict().items()}}, asked.out)


def pairs(root: Path, table: np.ndarray) -> list[tuple[Tensor, Tensor]]:
    """Images uint8 (3, H, W) and masks (H, W) of channels, of all training images."""
    found = []
    val = set((root / "ImageSets/Segmentation/val.txt").read_text().split())
    for path in sorted((root / "SegmentationClassAug").glob("*.png")):
        if path.stem not in val:
            image, mask = decode_rgb(root / "JPEGImages" / f"{path.stem}.jpg"), decode_values(path, "mask")
            found.append((image, torch.from_numpy(table[mask.numpy()])))
    return found


def train(network: Any, samples: list[tuple[Tensor, Tensor]], epochs: int, batch: int = 16) -> None:
    """SGD with a polynomial rate, the encoder's a tenth."""
    augment = v2.Compose(
        [
            v2.RandomResizedCrop(160, scale=(0.25, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
        ]
    )
    normalise = v2.Normalize(MEAN, STD)
    groups = [
        {"params": network.encoder.parameters(), "lr": 0.001},
        {"params": [*network.decoder.parameters(), *network.segmentation_head.parameters()], "lr": 0.01},
    ]
    optimiser = torch.optim.SGD(groups, momentum=0.9, weight_decay=1e-4)
    iterations = epochs * (len(samples) // batch)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, iterations, power=0.9)
    network.train()
    for iteration in range(iterations):
        chosen = torch.randint(len(samples), (batch,)).tolist()
        drawn = [augment(ImageTensor(samples[one][0]), Mask(samples[one][1])) for one in chosen]
        images = normalise(torch.stack([image for image, _ in drawn]).float() / 255)
        target = torch.stack([mask for _, mask in drawn]).long()
        loss: Any = functional.cross_entropy(network(images), target, ignore_index=VOID)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if iteration % 20 == 0:
            print(f"{iteration}/{iterations}: loss {loss.item():.3f}", flush=True)


if __name__ == "__main__":
    main()
