"""Predictions of videos, frame by frame, by PyAV."""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssul.errors import UserError
from ssul.io.atomic import replace_file, write_json
from ssul.labels.ids import BACKGROUND_ID
from ssul.prediction.drawing import Pixels, Swatch, legend_name, with_legend
from ssul.prediction.model import Model
from ssul.prediction.result import Prediction

_FRAME_RATE = Fraction(25)
"""Of a video that does not say its own."""


def predict_video(model: Model, path: Path, folder: Path, name: str, *, unknown: bool, window: int) -> None:
    """Writes videos/NAME.mp4, the overlays of all frames, and classes/NAME.json, the mean shares, below a folder.

    Raises:
        UserError: if PyAV is not installed, or cannot read the video.
    """
    try:
        import av
    except ImportError:
        raise UserError(f'{path} is a video, and PyAV is not installed: pip install "ssul[video]"') from None
    shares: Counter[str] = Counter()
    frames = 0
    try:
        with av.open(str(path)) as video, replace_file(folder / f"videos/{name}.mp4") as temporary:
            if not video.streams.video:
                raise UserError(f"{path} holds no video")
            stream = video.streams.video[0]
            stream.thread_type = "AUTO"
            with av.open(str(temporary), "w", format="mp4") as film:
                made: Any = None
                decoded: Iterator[Any] = video.decode(stream)
                for frame in decoded:
                    result = model.predict(frame.to_image(), unknown=unknown, window=window)
                    shares.update(result.classes)
                    frames += 1
                    shown = _frame(result, model)
                    if made is None:
                        made = film.add_stream("libx264", rate=stream.average_rate or _FRAME_RATE)
                        made.height, made.width = shown.shape[:2]
                        made.pix_fmt = "yuv420p"
                    film.mux(made.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
                if made is None:
                    raise UserError(f"{path} holds no frame")
                film.mux(made.encode())
    except (av.FFmpegError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a video: {' '.join(str(error).split())}") from None
    classes = [{"name": key, "share": round(share / frames, 6)} for key, share in shares.most_common()]
    write_json(folder / f"classes/{name}.json", {"frames": frames, "classes": classes})


def _frame(result: Prediction, model: Model) -> Pixels:
    """The overlay above a legend that is the same for all frames; of even height and width, as H.264 needs them."""
    sheet = with_legend(np.asarray(result.overlay(legend=False)), list(_entries(result, model)))
    even = Image.new("RGB", (sheet.width + sheet.width % 2, sheet.height + sheet.height % 2), "white")
    even.paste(sheet)
    return np.asarray(even)


def _entries(result: Prediction, model: Model) -> Iterator[tuple[str, Swatch]]:
    for key, name in model.names.items():
        if key != BACKGROUND_ID:
            yield legend_name(name), model.palette[key]
    if result.unknown is not None:
        yield "unknown", None
