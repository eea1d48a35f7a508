"""Where a network says "something, none of my classes": SSUL's unknown class, which its predictions fold away."""

from torch import Tensor

from ssul.errors import UserError
from ssul.inference.predict import predict
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import upsample


def require_unknown(labels: LabelSpace) -> None:
    """Refuses networks that cannot say it.

    Raises:
        UserError: with the reason.
    """
    if not labels.unknown:
        raise UserError(
            "this checkpoint has no unknown class to show: its method does not learn one; SSUL does (-S method=ssul)"
        )
    if labels.constant_background:
        raise UserError(
            "this checkpoint has no unknown class to show: its method's extra channel is an auxiliary class, which "
            "learns to be nowhere so that new classes can start as its copy; SSUL learns one (-S method=ssul)"
        )


def unknown_score(labels: LabelSpace, low_res: Tensor, images: Tensor) -> Tensor:
    """The score of the unknown class at image resolution.

    Args:
        labels: the meaning of the channels; with an unknown class.
        low_res: float (1, K, h, w).
        images: (1, 3, H, W); only their size counts.

    Returns:
        float (1, H, W) in 0..1.
    """
    channel = labels.unknown_channel
    if labels.activation == "softmax":
        return upsample(low_res, images).softmax(dim=1)[:, channel]
    return upsample(low_res[:, channel : channel + 1], images)[:, 0].sigmoid()


def is_unknown(labels: LabelSpace, low_res: Tensor, images: Tensor) -> Tensor:
    """Where none of the classes wins, and the unknown's score is above the background's: bool (1, H, W).

    These are the pixels of SSUL's background, in which the unknown is folded, that are "something" rather than nothing.
    The arguments are those of `unknown_score`.
    """
    channels = [labels.unknown_channel, labels.background_channel]
    unknown, background = upsample(low_res[:, channels], images).unbind(dim=1)
    return (predict(labels, low_res, images) == 0) & (unknown > background)
