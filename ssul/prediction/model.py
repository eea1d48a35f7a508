"""A checkpoint that predicts."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ssul.errors import UserError
from ssul.inference.device import choose_device
from ssul.inference.predict import predict, setup_for_inference
from ssul.inference.trained_model import TrainedModel
from ssul.labels.colours import voc_colours
from ssul.labels.ids import BACKGROUND_ID, BACKGROUND_NAME
from ssul.labels.space import LabelSpace
from ssul.prediction.images import ImageLike, read_image
from ssul.prediction.look import LOOK, Look, look_of
from ssul.prediction.result import Prediction
from ssul.prediction.sliding import STRIDE, logits_of
from ssul.prediction.source import checkpoint_folder
from ssul.prediction.unknown import is_unknown, require_unknown, unknown_score

WINDOW = 2048
"""The default side in pixels up to which an image is seen whole."""
LEAST_WINDOW = 128
PRECISIONS = ("32", "bf16")


class Model:
    """A trained network that predicts images, one at a time. `ssul.load` opens one.

    Attributes:
        names: of the background (0) and of each learned class, by dataset id.
        palette: RGB 0..255 for each dataset id.
        trained: the network with the meaning of its channels; of the package, not promised.
    """

    def __init__(self, trained: TrainedModel, look: Look, *, precision: str = "32") -> None:
        """Takes a checkpoint, and moves it to the device that SSUL_ACCELERATOR names, or to the best one."""
        if precision not in PRECISIONS:
            raise UserError(f"the precision is {precision}: choose {' or '.join(PRECISIONS)}")
        self.names: Mapping[int, str] = class_names(trained)
        self.palette = look.palette
        self.trained, self._look, self._precision = trained, look, precision
        self._labels: LabelSpace = trained.labels
        self._background = look.background
        self._fabric = choose_device(precision)
        self._network: Any = setup_for_inference(trained.model, self._fabric)

    def predict(self, image: ImageLike, *, unknown: bool = False, window: int = WINDOW) -> Prediction:
        """Predicts an image at its full size.

        Where the image is seen whole, the mask is the one that the pipeline's evaluation makes at full size.

        Args:
            image: a JPEG or PNG file or its content, a Pillow image, or uint8 (H, W, 3), RGB. EXIF orientation is
                applied, grey, CMYK and palettes become RGB, transparency is ignored.
            unknown: whether to show the unknown class too.
            window: a longer side in pixels makes the image be seen in overlapping windows of this side.

        Raises:
            UserError: if the image cannot be read, the network has no unknown class, or the window is too small.
        """
        self.require(unknown=unknown, window=window)
        pixels = read_image(image)
        logits = logits_of(self._network, pixels, window - window % STRIDE, self._fabric.device)
        labels = self._labels
        whole = logits.cell is None  # windows have cells of one size, whose corners are not the image's
        see = partial(predict, background=self._background, align_corners=whole and self.trained.model.align_corners)
        indices = logits.at_full_size(lambda low, size: see(labels, low, size))
        score = marked = None
        if unknown:
            score = logits.at_full_size(lambda low, size: unknown_score(labels, low, size)).cpu().numpy()
            marked = logits.at_full_size(lambda low, size: is_unknown(labels, low, size)).cpu().numpy()
        mask = labels.decode(indices).cpu().numpy()
        return Prediction(_rows(pixels), mask, self.names, self.palette, score, marked)

    def save(self, folder: str | Path) -> None:
        """Writes a checkpoint folder, as a whole or not at all; colours stand beside the weights."""
        self.trained.save(Path(folder))
        self._look.write(Path(folder) / LOOK)

    def with_network(self, trained: TrainedModel) -> "Model":
        """This model with a network that has more classes, which get Pascal VOC's colours."""
        known = self._look.palette
        more = voc_colours(1 + max(trained.labels.classes))[len(known) :]
        return Model(trained, replace(self._look, palette=(*known, *more)), precision=self._precision)

    def require(self, *, unknown: bool, window: int) -> None:
        """Refuses what `predict` cannot do with any image.

        Raises:
            UserError: see `predict`.
        """
        if window < LEAST_WINDOW:
            raise UserError(f"the window is {window} pixels: choose {LEAST_WINDOW} or more")
        if unknown:
            require_unknown(self._labels)

    def __repr__(self) -> str:
        classes = [name for key, name in self.names.items() if key != BACKGROUND_ID]
        return f"<ssul.Model of {len(classes)} classes on {self._fabric.device}: {', '.join(classes)}>"


def load(checkpoint: str | Path, *, precision: str = "32", background: bool | None = None) -> Model:
    """Opens a checkpoint to predict with.

    Args:
        checkpoint: a folder, such as `data/checkpoints/step_2`; `runs:/ID`, a run of MLflow; or the name of an
            experiment as MLflow or DVC shows it. The last two need `ssul[pipeline]`.
        precision: 32, or bf16 on GPUs that compute it.
        background: whether a background is predicted. None asks what is known of the data: it is, unless they have
            none.

    Raises:
        UserError: if there is no such checkpoint, it cannot be opened, or the device cannot be used.
    """
    return Model(*open_checkpoint(checkpoint, background=background), precision=precision)


def open_checkpoint(checkpoint: str | Path, *, background: bool | None) -> tuple[TrainedModel, Look]:
    """A checkpoint and how its predictions look; the arguments and errors are those of `load`."""
    with checkpoint_folder(checkpoint) as folder:
        trained = TrainedModel.load(folder)
        look = look_of(folder, class_names(trained, background=False))
    return trained, look if background is None else replace(look, background=background)


def class_names(trained: TrainedModel, *, background: bool = True) -> dict[int, str]:
    """The names of the learned classes by dataset id, ascending, with or without the background's."""
    learned = dict(sorted(zip(trained.labels.classes, trained.class_names, strict=True)))
    return {BACKGROUND_ID: BACKGROUND_NAME, **learned} if background else learned


def _rows(pixels: Tensor) -> Any:
    """uint8 (3, H, W) -> an array (H, W, 3)."""
    return pixels.permute(1, 2, 0).contiguous().numpy()
