"""The view of the runs in MLflow's page: a table of scores without the runs of single steps, the best first.

MLflow keeps such a view in a tag of the experiment, which the address of the page names. The tag is not part of
MLflow's API; a version that does not know it shows its usual page.
"""

import json

VIEW = "runs?workflowType=machine_learning&viewStateShareKey=ssul"
"""The view in the address of the page, behind `#/experiments/ID/`."""
_COLUMNS = (
    "attributes.`Created`",
    "attributes.`Duration`",
    *(f"metrics.`{name}`" for name in ("miou_old", "miou_new", "miou_all", "hiou", "forgetting", "average")),
    *(f"params.`{name}`" for name in ("seed", "memory.capacity")),
    *(f"tags.`{name}`" for name in ("scenario", "setting", "method", "model", "dvc.experiment", "hardware")),
)
_CHARTS = (
    ("miou_old", "miou_new", "miou_all"),
    ("miou_all",),
    ("miou_old",),
    ("miou_new",),
    ("forgetting",),
    ("miou_current",),
)


def page_tags() -> dict[str, str]:
    """The tags of the MLflow experiment."""
    state = {
        "orderByKey": "metrics.`miou_all`",
        "orderByAsc": False,
        "searchFilter": "tags.`ssul.fingerprint` LIKE '%'",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": _COLUMNS,
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_10_RUNS",
        "runsVisibilityMap": {},
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunSections": [{"uuid": "ssul", "name": "after each step", "display": True, "isReordered": True}],
        "compareRunCharts": [_chart(*metrics) for metrics in _CHARTS],
    }
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.sharedViewState.ssul": json.dumps(state),
        "mlflow.note.content": "One run an experiment; below it one for each step, with its training curve. "
        f"The table of scores: `#/experiments/ID/{VIEW}`.",
    }


def _chart(*metrics: str) -> dict[str, object]:
    """A chart of some metrics of all runs over the steps."""
    return {
        "type": "LINE",
        "uuid": f"ssul-{'-'.join(metrics)}",
        "runsCountToCompare": 10,
        "metricSectionId": "ssul",
        "deleted": False,
        "isGenerated": len(metrics) == 1,  # otherwise the page generates it again
        "metricKey": metrics[0],
        "selectedMetricKeys": metrics,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "selectedXAxisMetricKey": "",
        "lineSmoothness": 0,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
