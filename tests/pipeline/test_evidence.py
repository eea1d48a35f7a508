"""The evidence through real `dvc`: what MLflow lacks is queued and run, and the page's tables come from its runs."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.pipeline.clone import TINY, Clone, make_clone, succeeded

pytestmark = pytest.mark.slow

TABLE = {
    "title": "Toys",
    "common": [*TINY, "scenario.increment=4"],
    "seeds": [0],
    "rows": {"SSUL": [], "fine-tuning": ["method=finetune"], "elsewhere": ["data.root=$NOWHERE"]},
    "differences": [["SSUL", "fine-tuning"]],
}
PAGE = "# Evidence\n\n<!-- evidence: toys -->\n<!-- evidence: end -->\n"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = make_clone(tmp_path_factory.mktemp("evidence"))
    docs = clone.root / "docs"
    (docs / "evidence.yaml").write_text(yaml.safe_dump({"tables": {"toys": TABLE}}), encoding="utf-8")
    (docs / "evidence.md").write_text(PAGE, encoding="utf-8")
    (docs / "evidence.json").unlink(missing_ok=True)
    succeeded(clone.command("git", "commit", "-qam", "another evidence"))
    return clone


def test_what_is_lacking_is_run_once_and_its_table_written_with_its_runs(clone: Clone) -> None:
    queued = succeeded(clone.command("ssul", "evidence", "queue")).text
    assert re.findall(r"queued (\S+)", queued) == ["toys-ssul-seed-0", "toys-fine-tuning-seed-0"]
    assert "left out, because the environment lacks the variable: data.root=$NOWHERE" in queued
    succeeded(clone.dvc("exp", "run", "--run-all", "--jobs", "1"))
    assert "queued" not in succeeded(clone.command("ssul", "evidence", "queue")).text
    assert "not run: toys-elsewhere-seed-0" in succeeded(clone.command("ssul", "evidence", "tables")).text
    written = (clone.root / "docs" / "evidence.md").read_text(encoding="utf-8")
    results = json.loads((clone.root / "docs" / "evidence.json").read_text(encoding="utf-8"))["results"]["toys"]
    for name in ("SSUL", "fine-tuning"):
        (result,) = results[name]
        scores, logged = result["scores"], metrics(clone, result["run"])
        assert all(scores[score] == logged[f"miou_{score}"] for score in ("old", "all"))
        last_cells = f"| {100 * scores['all']:.1f} | {100 * scores['pixel_accuracy']:.1f} | `{result['run'][:8]}` |"
        assert last_cells in written
    gap = 100 * (results["fine-tuning"][0]["scores"]["all"] - results["SSUL"][0]["scores"]["all"])
    assert re.search(rf"\| fine-tuning minus SSUL \|.*{re.escape(f'{gap:+.1f}')} \[", written)


def test_results_of_another_store_stay_in_the_table(clone: Clone) -> None:
    before = (clone.root / "docs" / "evidence.md").read_text(encoding="utf-8")
    for path in (clone.root / "mlflow.db", Path(f"{clone.root}/mlflow.db.lock")):
        path.unlink(missing_ok=True)
    succeeded(clone.command("ssul", "evidence", "tables"))
    assert (clone.root / "docs" / "evidence.md").read_text(encoding="utf-8") == before
    queued = succeeded(clone.command("ssul", "evidence", "queue")).text  # though DVC's queue knows these names as ended
    assert re.findall(r"queued (\S+)", queued) == ["toys-ssul-seed-0", "toys-fine-tuning-seed-0"]


def metrics(clone: Clone, run: str) -> dict[str, float]:
    from mlflow.tracking import MlflowClient

    return dict(MlflowClient(f"sqlite:///{clone.root / 'mlflow.db'}").get_run(run).data.metrics)
