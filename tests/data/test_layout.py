"""The places of an image's files below a data root, and image lists."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ssul.data.layout import ImagePaths, SplitFiles, invalid_id_reason, masks_by_id, read_image_list
from ssul.datasets.catalog import find_dataset
from ssul.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

VOC, ADE = find_dataset("voc"), find_dataset("ade")


def with_masks(root: Path, template: str, *names: str) -> ImagePaths:
    """A split without a list, with some files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return ImagePaths(root, SplitFiles("photos/{id}.jpg", template))


def test_the_published_datasets_have_their_own_places() -> None:
    voc, ade = ImagePaths(Path("/voc"), VOC.train), ImagePaths(Path("/ade"), ADE.val)
    assert voc.image("2007_000032") == Path("/voc/JPEGImages/2007_000032.jpg")
    assert voc.mask("2007_000032") == Path("/voc/SegmentationClassAug/2007_000032.png")
    assert voc.saliency("2007_000032") == Path("/voc/saliency_map/2007_000032.png")
    assert ImagePaths(Path("/ade"), ADE.train).image("ADE_train_1") == Path("/ade/images/training/ADE_train_1.jpg")
    assert ade.mask("ADE_val_1") == Path("/ade/annotations/validation/ADE_val_1.png")
    with pytest.raises(ValueError, match="no saliency maps"):
        ade.saliency("a")


def test_an_id_may_contain_folders_and_stand_anywhere_in_a_name() -> None:
    place = ImagePaths(Path("/own"), SplitFiles("photos/{id}_cam.png", "masks/mask_{id}.png", "salient/{id}/map.png"))
    assert place.files_of("town/street_7", saliency=True) == (
        Path("/own/photos/town/street_7_cam.png"),
        Path("/own/masks/mask_town/street_7.png"),
        Path("/own/salient/town/street_7/map.png"),
    )
    assert len(place.files_of("a", saliency=False)) == 2


@pytest.mark.parametrize(
    ("template", "files", "ids"),
    [
        ("masks/{id}.png", ["masks/b.png", "masks/a.png", "masks/notes.txt", "other/c.png", "c.png"], ["a", "b"]),
        ("masks/mask_{id}.png", ["masks/mask_a.png", "masks/b.png", "masks/mask_.png"], ["a"]),
        ("masks/{id}_gt.png", ["masks/a_gt.png", "masks/a.png", "masks/town/b_gt.png"], ["a", "town/b"]),
        ("{id}.png", ["a.png", "town/b.png", "c.jpg"], ["a", "town/b"]),
        ("{id}/mask.png", ["a/mask.png", "b/image.png", "town/c/mask.png"], ["a", "town/c"]),
        ("masks/{id}", ["masks/a", "masks/b.raw", "masks/.DS_Store"], ["a", "b.raw"]),
        ("masks/{id}.png", ["masks/a.png", "masks/._a.png", "masks/town/._b.png", "masks/.a.png"], [".a", "a"]),
        ("m.a+s[k]/{id}.png", ["m.a+s[k]/a.png", "mxa+s[k]/b.png"], ["a"]),
        ("nowhere/{id}.png", [], []),
    ],
)
def test_the_ids_are_those_of_the_masks(tmp_path: Path, template: str, files: list[str], ids: list[str]) -> None:
    assert with_masks(tmp_path, template, *files).list_masks() == ids


@pytest.mark.parametrize("image_id", ["", " ", "/etc/passwd", "../a", "a/../../b", "a\x00b", "\ud800"])
def test_invalid_image_ids(image_id: str) -> None:
    assert invalid_id_reason(image_id) is not None


@pytest.mark.parametrize("image_id", ["a", "town/a", "a..b", "2007_000032", "ö 🐑", "<b>", "a\u00a0b"])
def test_valid_image_ids(image_id: str) -> None:
    assert invalid_id_reason(image_id) is None
    assert masks_by_id([f"m/{image_id}.png"], "m/{id}.png") == {image_id: f"m/{image_id}.png"}


@pytest.mark.parametrize("name", ["a\nb", "a\udcff", "a\u2028b", "\x1b[31m"])
def test_a_mask_with_an_invalid_id_is_refused_in_printable_text(name: str) -> None:
    with pytest.raises(UserError, match="cannot be used, because its name") as refused:
        masks_by_id(["m/a.png", f"m/{name}.png"], "m/{id}.png")
    assert str(refused.value).isprintable()


def test_a_list_is_read_in_its_order(book: "HandmadeDataset") -> None:
    assert book.folders.read_list() is None  # VOC itself has no train_aug.txt
    book.list_images("train_aug", ["b", "a", "c"])
    assert book.folders.read_list() == ["b", "a", "c"]
    with pytest.raises(UserError, match=r"image list .*val\.txt is missing: it must hold one image id a line"):
        ImagePaths(book.root, VOC.val).read_list()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_blank_lines_spaces_and_a_windows_editors_line_ends_and_byte_order_mark_are_ignored(
    tmp_path: Path, mark: str
) -> None:
    (tmp_path / "val.txt").write_bytes(f"{mark}b \r\n\r\n  a\r\n  \r\n".encode())
    assert read_image_list(tmp_path / "val.txt", VOC.train) == ["b", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n", r"image list .*val\.txt is empty: it must name at least one image"),
        (b"a\nb\nc\nb\na\na\n", r"val\.txt names images twice: a, b$"),
        (b"a\n../a\n", r"val\.txt names files outside data\.root: \.\./a$"),
        (b"a\ntown/../../a\n", r"val\.txt names files outside data\.root: town/\.\./\.\./a$"),
        (b"a\n/etc/a\n", r"val\.txt names files outside data\.root: /etc/a$"),
        (b"a\nb\x00c\n", r"val\.txt names images with control characters"),
        (b"a\n\xff\xfe\n", r"image list .*val\.txt cannot be read"),
    ],
)
def test_an_invalid_list_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "val.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_image_list(tmp_path / "val.txt", VOC.train)
