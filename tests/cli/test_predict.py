"""`ssul predict` and `ssul export`: one bad file stops nothing, and each refusal is one line."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ssul.cli import app as cli
from ssul.labels.space import LabelSpace
from tests.onlooker import SPACE

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ssul(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command: its exit code, stdout and stderr."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ssul", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def album(tmp_path: Path, photograph: NDArray[np.uint8]) -> Path:
    """Two photographs of one name, one that is cut off, and one of 16 bits."""
    for folder in ("one", "two"):
        (tmp_path / "album" / folder).mkdir(parents=True)
        Image.fromarray(photograph).save(tmp_path / "album" / folder / "x.jpg")
    (tmp_path / "album" / "cut.jpg").write_bytes((tmp_path / "album" / "one" / "x.jpg").read_bytes()[:700])
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "album" / "deep.png")
    return tmp_path / "album"


def test_bad_files_are_named_and_the_others_go_on(
    ssul: Run,
    onlooker: Callable[..., Path],
    album: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    code, said, complained = ssul("predict", onlooker(), album, "--out", out, "--unknown")
    assert code == 1
    assert said == f"{out}: 2 of 4 files predicted\n"
    errors = [line for line in complained.splitlines() if "error: " in line]
    assert [line.partition(" cannot be read")[0].rpartition("/")[2] for line in errors] == ["cut.jpg", "deep.png"]
    for kind, end in (("masks", "png"), ("overlays", "jpg"), ("classes", "json"), ("unknown", "png")):
        assert sorted(path.relative_to(out / kind) for path in (out / kind).rglob("*.*")) == [
            Path(f"one/x.{end}"),
            Path(f"two/x.{end}"),
        ]


def test_good_files_end_with_code_0(
    ssul: Run,
    onlooker: Callable[..., Path],
    album: Path,
    tmp_path: Path,
) -> None:
    assert ssul("predict", onlooker(), album / "one" / "x.jpg", "--out", tmp_path / "out")[0] == 0


def test_what_no_image_could_get_is_refused_at_once(
    ssul: Run,
    onlooker: Callable[..., Path],
    album: Path,
    tmp_path: Path,
) -> None:
    mib = onlooker(LabelSpace(SPACE.groups, unknown=False, activation="softmax"), folder=tmp_path / "mib")
    refused = {
        ("predict", mib, album, "--unknown"): "has no unknown class to show",
        ("predict", mib, album, "--window", 5): "choose 128 or more",
        ("predict", mib, album, "--precision", 16): "choose 32 or bf16",
        ("predict", mib, album / "gone"): "gone does not exist",
        ("export", mib, "--format", "tflite"): "choose torch or onnx",
    }
    for words, why in refused.items():
        code, said, complained = ssul(*words, "--out", tmp_path / "out")
        assert (code, said) == (1, ""), words
        (line,) = complained.splitlines()
        assert line.startswith("error: ")
        assert why in line
    assert not (tmp_path / "out").exists()
    code, _, complained = ssul("predict", mib, album, "--out", album / "cut.jpg")
    assert (code, complained) == (1, f"error: --out is {album / 'cut.jpg'}, a file: name a folder\n")
