"""Every file that is given is predicted once, under a name of its own."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssul.errors import UserError
from ssul.prediction.inputs import find_inputs, output_names


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names_of(*paths: Path, out: Path = Path("elsewhere")) -> list[str]:
    return [one.name for one in find_inputs(paths, out)]


def test_a_folder_keeps_its_order_and_its_subfolders(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.PNG", "sub/c.jpeg", "notes.txt", "sub/film.mp4", "old.tiff")
    assert names_of(tmp_path) == ["a", "b", "old", "sub/c", "sub/film"]
    assert [one.path.name for one in find_inputs([tmp_path], Path("out")) if one.is_video] == ["film.mp4"]


def test_equal_names_get_the_folders_or_the_suffixes_that_tell_them_apart(tmp_path: Path) -> None:
    touch(tmp_path, "one/x.jpg", "two/x.jpg", "two/y.jpg", "three/z.jpg", "three/z.png")
    assert names_of(tmp_path / "one", tmp_path / "two") == ["one/x", "two/x", "y"]
    assert names_of(tmp_path / "three") == ["z.jpg", "z.png"]


def test_a_file_that_is_given_twice_is_predicted_once(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg")
    assert names_of(tmp_path, tmp_path / "x.jpg", tmp_path / "." / "x.jpg") == ["x"]


def test_outputs_below_a_folder_are_not_taken_for_its_images(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg", "out/overlays/x.jpg")
    assert names_of(tmp_path, out=tmp_path / "out") == ["x"]


def test_what_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.jpg does not exist"):
        names_of(tmp_path / "gone.jpg")
    with pytest.raises(UserError, match="holds no image and no video"):
        names_of(tmp_path)


part = st.sampled_from(["a", "b", "A", "x", "x.jpg"])
files = st.tuples(st.lists(part, max_size=3), part, st.sampled_from([".jpg", ".png", ".JPG", ".jpg.png"]))


@settings(max_examples=25)
@given(st.lists(files, min_size=1, max_size=6))
def test_names_never_meet_and_never_leave_the_folder(drawn: list[tuple[list[str], str, str]]) -> None:
    places = {Path("/", *folders, f"{stem}{suffix}") for folders, stem, suffix in drawn}
    places = list({str(place).casefold(): place for place in places}.values())  # distinct where case does not count
    names = output_names({place: Path(place.name) for place in places})
    assert len({name.casefold() for name in names.values()}) == len(places)
    assert not any(name.startswith("/") or ".." in name.split("/") for name in names.values())
