"""The cache changes no image and never exceeds its limit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssul.data.dataset import LabeledImage
from ssul.data.image_cache import ImageCache, cache_bytes
from ssul.environment import CACHE_MIB

SIDE = 10
ONE = 5 * SIDE**2  # bytes of an image, a mask and a saliency map


def made(image_id: str) -> LabeledImage:
    values = torch.full((SIDE, SIDE), sum(map(ord, image_id)) % 256, dtype=torch.uint8)
    return LabeledImage(image_id, values.expand(3, -1, -1), values, values)


def read(cache: ImageCache, names: str, *, pinned: str = "") -> list[str]:
    """Gets images in turn; returns which were read."""
    found: list[str] = []
    for name in names:
        assert cache.get(name, lambda one: found.append(one) or made(one), pinned=name in pinned).id == name
    return found


def test_an_image_is_read_once_and_the_least_recently_used_one_is_evicted() -> None:
    cache = ImageCache(2 * ONE)
    assert read(cache, "abac") == ["a", "b", "c"]
    assert read(cache, "a") == []
    assert read(cache, "b") == ["b"]


def test_new_images_do_not_evict_exemplars() -> None:
    cache = ImageCache(3 * ONE)
    read(cache, "xy", pinned="xy")
    assert read(cache, "abcdef") == list("abcdef")
    assert read(cache, "xy", pinned="xy") == []
    assert read(cache, "f") == []  # the remaining place is for new images


def test_exemplars_evict_new_images_and_older_exemplars() -> None:
    cache = ImageCache(2 * ONE)
    read(cache, "ab")
    assert read(cache, "xyz", pinned="xyz") == ["x", "y", "z"]
    assert read(cache, "zy", pinned="xyz") == []
    assert read(cache, "a") == ["a"]
    assert read(cache, "y", pinned="xyz") == []


def test_an_image_may_be_an_exemplar_and_a_new_one() -> None:
    cache = ImageCache(2 * ONE)
    read(cache, "x", pinned="x")
    assert read(cache, "x") == []
    assert (len(cache), cache.used) == (1, ONE)


@pytest.mark.parametrize("limit", [0, ONE - 1])
def test_an_image_beyond_the_limit_is_read_each_time(limit: int) -> None:
    cache = ImageCache(limit)
    assert read(cache, "aa", pinned="a") == ["a", "a"]
    assert (len(cache), cache.used) == (0, 0)


@given(st.text("abcdefgh", max_size=60), st.sets(st.sampled_from("abcdefgh")), st.integers(0, 9 * ONE))
def test_the_limit_holds_and_no_image_changes(names: str, pinned: set[str], limit: int) -> None:
    cache = ImageCache(limit)
    for name in names:
        labeled = cache.get(name, made, pinned=name in pinned)
        assert torch.equal(labeled.image, made(name).image)
        assert torch.equal(labeled.mask, made(name).mask)
        assert cache.used == len(cache) * ONE <= limit


def test_the_environment_sets_the_size_and_workers_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_MIB, "8")
    assert [cache_bytes(workers) for workers in (0, 1, 4)] == [8 * 2**20, 8 * 2**20, 2 * 2**20]
    monkeypatch.setenv(CACHE_MIB, "0")
    assert cache_bytes(0) == 0
