"""Pictures and masks within a page."""

import base64
import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ssul.report.inline import central_square, inline_image, inline_masks, read_ids


def test_masks_are_a_zlib_stream_of_ids_one_after_the_other() -> None:
    truth, prediction = np.array([[0, 255]], dtype=np.uint8), np.array([[3, 4]], dtype=np.uint8)
    assert zlib.decompress(base64.b64decode(inline_masks([truth, prediction]))) == bytes([0, 255, 3, 4])


def test_a_photograph_has_the_size_that_was_asked_for_and_a_square_is_its_middle(tmp_path: Path) -> None:
    pixels = np.zeros((400, 800, 3), dtype=np.uint8)
    pixels[:, 200:600] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.jpg")
    for square, dark in ((False, True), (True, False)):
        url = inline_image(tmp_path / "wide.jpg", (40, 40), square=square)
        kind, _, content = url.partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert image.size == (40, 40)
            assert (np.asarray(image)[20, 0].max() < 100) == dark
    assert central_square((5, 2)) == (1, 0, 3, 2)


def test_the_ids_of_a_smaller_mask_are_ids_of_the_mask(tmp_path: Path) -> None:
    ids = np.repeat(np.array([[1, 9], [255, 0]], dtype=np.uint8), 10, axis=0).repeat(10, axis=1)
    mask = Image.fromarray(ids)
    mask.putpalette([0] * 768)
    mask.save(tmp_path / "mask.png")
    assert read_ids(tmp_path / "mask.png", (2, 2)).tolist() == [[1, 9], [255, 0]]
    assert read_ids(tmp_path / "mask.png", (20, 20)).tolist() == ids.tolist()
