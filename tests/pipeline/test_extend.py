"""The pages on new classes for a trained network, followed to the letter."""

import json
import re

import pytest

from tests.pipeline.clone import Clone, rows, succeeded, switches
from tests.project import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untracked")]

LITTLE = switches("recipe.increment.epochs=1", "evaluation.examples=2")


def block(page: str) -> str:
    """The commands or the code of a page between its markers `extend`."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    (found,) = re.findall(r"<!-- extend: begin -->\n```\w+\n(.*?)```", text, flags=re.DOTALL)
    return str(found)


def test_the_pages_commands_and_its_python_add_a_class_to_the_trained_network(clone: Clone) -> None:
    """The page runs after `make repro`: here after an experiment of a few images and a narrow network."""
    commands = block("extend.md").replace("-S scenario=extension", f"-S scenario=extension {' '.join(LITTLE)}")
    outcome = succeeded(clone.command("bash", "-ec", commands))
    assert [row["step"] for row in rows(clone)] == [0, 1]
    assert outcome.text.count("leaf") > 2
    known = json.loads((clone.root / "data" / "known" / "model.json").read_text())["meaning"]["class_names"]
    per_class = json.loads((clone.root / "reports" / "metrics.json").read_text())["per_class_iou"]
    assert {name for name, iou in per_class.items() if iou is None} == set(known)  # no mask of leaves shows them
    assert "leaf" in per_class

    succeeded(clone.command("python", "-c", block("python.md").replace("epochs=12", "epochs=1")))
    grown = json.loads((clone.root / "data" / "grown" / "model.json").read_text())
    assert grown["meaning"]["class_names"] == [*known, "leaf"]
