"""The cache changes no image and never exceeds its limit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssul.data.dataset import LabeledImage
from ssul.data.image_cache import ImageCache, cache_bytes
from ssul.environment import CACHE_MIB
from ssul.errors import UserError

SIDE = 10
ONE = 5 * SIDE**2  # bytes of an image, a mask and a saliency map


class Reader:
    """Makes the same image for the same id, and records the requests."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, image_id: str) -> LabeledImage:
        self.read.append(image_id)
        return made(image_id)


def made(image_id: str) -> LabeledImage:
    values = torch.full((SIDE, SIDE), sum(map(ord, image_id)) % 256, dtype=torch.uint8)
    return LabeledImage(image_id, values.expand(3, -1, -1), values, values)


def asked(cache: ImageCache, names: str, *, pinned: str = "") -> list[str]:
    """Asks for images in turn and returns which were read."""
    reader = Reader()
    for name in names:
        assert cache.get(name, reader, pinned=name in pinned).id == name
    return reader.read


def test_an_image_is_read_once() -> None:
    assert asked(ImageCache(9 * ONE), "abab") == ["a", "b"]


def test_the_one_not_asked_for_the_longest_goes() -> None:
    cache = ImageCache(2 * ONE)
    assert asked(cache, "abac") == ["a", "b", "c"]
    assert asked(cache, "a") == []
    assert asked(cache, "b") == ["b"]


def test_exemplars_stay_while_new_images_pass() -> None:
    cache = ImageCache(3 * ONE)
    asked(cache, "xy", pinned="xy")
    assert asked(cache, "abcdef") == list("abcdef")
    assert asked(cache, "xy", pinned="xy") == []
    assert asked(cache, "f") == []  # and the rest of the place is for the others


def test_exemplars_take_the_place_of_new_images_and_of_older_exemplars() -> None:
    cache = ImageCache(2 * ONE)
    asked(cache, "ab")
    assert asked(cache, "xyz", pinned="xyz") == ["x", "y", "z"]
    assert asked(cache, "zy", pinned="xyz") == []
    assert asked(cache, "a") == ["a"]
    assert asked(cache, "y", pinned="xyz") == []


def test_an_image_may_come_as_an_exemplar_and_as_a_new_one() -> None:
    cache = ImageCache(2 * ONE)
    asked(cache, "x", pinned="x")
    assert asked(cache, "x") == []
    assert (len(cache), cache.used) == (1, ONE)


@pytest.mark.parametrize("limit", [0, ONE - 1])
def test_what_does_not_fit_is_read_each_time(limit: int) -> None:
    cache = ImageCache(limit)
    assert asked(cache, "aa", pinned="a") == ["a", "a"]
    assert (len(cache), cache.used) == (0, 0)


@given(st.text("abcdefgh", max_size=60), st.sets(st.sampled_from("abcdefgh")), st.integers(0, 9 * ONE))
def test_the_limit_holds_and_the_content_is_the_files(names: str, pinned: set[str], limit: int) -> None:
    cache = ImageCache(limit)
    for name in names:
        labeled = cache.get(name, made, pinned=name in pinned)
        assert torch.equal(labeled.image, made(name).image)
        assert torch.equal(labeled.mask, made(name).mask)
        assert cache.used == len(cache) * ONE <= limit


def test_the_environment_says_how_much_and_workers_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_MIB, "8")
    assert [cache_bytes(workers) for workers in (0, 1, 4)] == [8 * 2**20, 8 * 2**20, 2 * 2**20]
    monkeypatch.setenv(CACHE_MIB, "0")
    assert cache_bytes(0) == 0
    monkeypatch.delenv(CACHE_MIB)
    assert cache_bytes(0) > 0


def test_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_MIB, "much")
    with pytest.raises(UserError, match=r"SSUL_CACHE_MIB=much is not a number of MiB"):
        cache_bytes(0)
