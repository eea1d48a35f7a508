"""Any annotation of another tool is painted or refused by name: 300 examples, the same ones each time."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssul.convert.annotations import Annotations
from ssul.convert.coco import read_coco
from ssul.convert.colours import read_colour_file
from ssul.convert.labelme import read_labelme
from ssul.convert.mat import read_mats
from ssul.data.image_files import UnreadableImageError
from tests.fuzz.test_fuzz import UNHEALTHY, broken_bytes, broken_json, result_or_refusal

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 16, 20
LABELME = Path(__file__).parents[1] / "convert" / "labelme_6.3.1.json"
SEGMENTATIONS = [
    [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]],
    {"size": [16, 20], "counts": [7, 313]},
    {"size": [16, 20], "counts": "7i9"},
]
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
    "categories": [{"id": 1, "name": "hat"}, {"id": 2, "name": "ball"}],
    "annotations": [
        {"id": place, "image_id": 1, "category_id": 1, "segmentation": one, "iscrowd": place % 2}
        for place, one in enumerate(SEGMENTATIONS)
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("convert")
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "a.png")
    return root


def painted_or_refused(read: Callable[[], Annotations]) -> None:
    found = result_or_refusal(read)
    for image in found.images if isinstance(found, Annotations) else ():
        try:
            values = image.paint(HEIGHT, WIDTH)
        except UnreadableImageError as error:
            message = str(error)
            assert "\n" not in message
        else:
            assert (values.shape, values.dtype) == ((HEIGHT, WIDTH), np.uint8)


@settings(max_examples=80, suppress_health_check=UNHEALTHY)
@given(broken_json(json.dumps(COCO).encode()))
def test_a_changed_coco_file(folder: Path, content: bytes) -> None:
    (folder / "coco.json").write_bytes(content)
    painted_or_refused(lambda: read_coco(folder / "coco.json", folder))
    (folder / "coco.json").unlink()


@settings(max_examples=60, suppress_health_check=UNHEALTHY)
@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12))
def test_any_compressed_run_lengths(folder: Path, counts: str) -> None:
    annotation = COCO["annotations"][2] | {"segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}}
    (folder / "coco.json").write_text(json.dumps(COCO | {"annotations": [annotation]}))
    painted_or_refused(lambda: read_coco(folder / "coco.json", folder))
    (folder / "coco.json").unlink()


@settings(max_examples=60, suppress_health_check=UNHEALTHY)
@given(broken_json(LABELME.read_bytes()))
def test_a_changed_labelme_file(folder: Path, content: bytes) -> None:
    (folder / "a.json").write_bytes(content)
    painted_or_refused(lambda: read_labelme(folder, None))
    (folder / "a.json").unlink()


def matrix(compressed: bool) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"mask": np.zeros((HEIGHT, WIDTH)), "s": {"a": [1, "x"]}}, do_compression=compressed)
    return file.getvalue()


@settings(max_examples=60, suppress_health_check=UNHEALTHY)
@given(st.sampled_from([matrix(False), matrix(True)]).flatmap(broken_bytes))
def test_a_changed_matrix(folder: Path, content: bytes) -> None:
    (folder / "a.mat").write_bytes(content)
    painted_or_refused(lambda: read_mats(folder, folder, ["hat"], variable="mask", ending=".mat"))


@settings(max_examples=40, suppress_health_check=UNHEALTHY)
@given(
    broken_bytes(b"name,r,g,b\nroad,128,64,128\ncar,0,0,142\n") | st.binary(max_size=60),
    st.sampled_from(["a.txt", "a.yaml"]),
)
def test_a_changed_colour_file(folder: Path, content: bytes, name: str) -> None:
    (folder / name).write_bytes(content)
    result_or_refusal(lambda: read_colour_file(folder / name))
