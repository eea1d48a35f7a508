"""The view that MLflow's page opens with: it is there, and shows what runs have."""

import json

import pytest

from ssul.tracking.metrics import metric_points
from ssul.tracking.store import opened
from ssul.tracking.view import VIEW, page_tags
from tests.tracking.examples import ROWS, client


@pytest.mark.usefixtures("project")
def test_a_new_experiment_has_the_view_that_its_address_names() -> None:
    with opened() as store:
        tags = client().get_experiment(store.experiment_id).tags
    assert page_tags().items() <= tags.items()
    assert f"mlflow.sharedViewState.{VIEW.partition('=')[2]}" in tags


def test_every_score_of_the_view_is_one_that_runs_have() -> None:
    state = json.loads(page_tags()["mlflow.sharedViewState.ssul"])
    columns = [name.removeprefix("metrics.").strip("`") for name in state["selectedColumns"] if "metrics." in name]
    charts = [name for chart in state["compareRunCharts"] for name in chart["selectedMetricKeys"]]
    assert {*columns, *charts} <= {key for key, _, _ in metric_points(ROWS)}


def test_mlflow_takes_the_tags_whole() -> None:
    assert all(len(value) <= 5000 for value in page_tags().values())
