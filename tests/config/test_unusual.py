"""The name of a run tells it from the other runs of a sweep."""

from pathlib import Path

import pytest

from ssul.config.paths import Layout
from ssul.config.unusual import unusual
from tests.project import PROJECT, composed

LAYOUT = Layout(PROJECT)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ((), ""),
        (("scenario=voc_15-1", "method=mib", "memory=rehearsal", "seed=3", "data.root=/elsewhere"), ""),
        (("recipe.increment.lr=0.1", "memory.capacity=30"), "capacity=30, increment.lr=0.1"),
        (("method.ssul.pseudo_threshold=0.5", "method.ssul.freeze=false"), "pseudo_threshold=0.5"),
        (("scenario=voc_15-1", "model=mobilenet_v2", "model.weights=/a/b.pth"), "weights=b.pth"),
        (("scenario=voc_15-1", "recipe=mib_plop_published", "method=mib"), "recipe=mib_plop_published"),
        (
            ("scenario=voc_15-1", "recipe.crop=160", "recipe.base.epochs=8", "recipe.increment.lr=0.001"),
            "crop=160, base.epochs=8, increment.lr=0.001",
        ),
        (
            (
                *("scenario=voc_15-1", "recipe.increment.lr=0.001", "recipe.increment.backbone_lr_ratio=1"),
                *("recipe.increment.epochs=12", "recipe.base.batch=16", "recipe.increment.batch=16"),
            ),
            "base.batch=16, increment.epochs=12, increment.batch=16, increment.lr=0.001, increment.backbone_lr_ratio=1",
        ),
        (("memory=appended",), "annotation=step, placement=append"),
        (("evaluation.protocol=crop", "data.holdout=0.1"), "holdout=0.1, protocol=crop"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_what_differs_from_the_choices_is_named(overrides: tuple[str, ...], words: str) -> None:
    assert unusual(composed(*overrides), LAYOUT) == words


def test_of_many_parameters_some_are_named_and_a_digest_tells_the_others() -> None:
    many = [f"recipe.{part}.{name}=3" for part in ("base", "increment") for name in ("epochs", "batch")]
    many += ["recipe.base.lr=0.5", "recipe.base.momentum=0.5"]
    texts = {unusual(composed(*many[:-1], f"recipe.base.momentum={one}"), LAYOUT) for one in (0.5, 0.6)}
    assert len(texts) == 2
    assert all("and 1 more" in text for text in texts)


def test_without_conf_nothing_is_unusual(tmp_path: Path) -> None:
    assert unusual(composed("recipe.crop=64"), Layout(tmp_path)) == ""
