"""A video is predicted frame by frame."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ssul.errors import UserError
from ssul.prediction.model import load
from ssul.prediction.video import predict_video

av = pytest.importorskip("av", reason="PyAV is not installed: ssul[video]")


def test_every_frame_of_a_video_gets_its_overlay_above_one_legend(
    onlooker: Callable[..., Path], photograph: NDArray[np.uint8], tmp_path: Path
) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as film:
        stream = film.add_stream("libx264", rate=5)
        stream.height, stream.width, stream.pix_fmt = 90, 130, "yuv420p"
        for shift in range(3):
            frame = np.roll(photograph, 10 * shift, axis=1)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(stream.encode())
    predict_video(load(onlooker()), tmp_path / "clip.mp4", tmp_path, "sub/clip", unknown=True, window=2048)
    with av.open(str(tmp_path / "videos" / "sub" / "clip.mp4")) as film:
        frames = list(film.decode(video=0))
        assert film.streams.video[0].average_rate == 5
    assert len(frames) == 3
    assert frames[0].height > 90
    content = json.loads((tmp_path / "classes" / "sub" / "clip.json").read_text())
    assert content["frames"] == 3
    assert sum(one["share"] for one in content["classes"]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("content", [b"", b"no video" * 99])
def test_what_is_no_video_is_refused_by_name(onlooker: Callable[..., Path], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.mp4 cannot be read as a video"):
        predict_video(load(onlooker()), tmp_path / "bad.mp4", tmp_path, "bad", unknown=False, window=2048)
    assert not list(tmp_path.rglob("videos/*.mp4"))
