"""The pixel counts of a run in MLflow."""

import tempfile
from pathlib import Path

from ssul.config.paths import IMAGE_COUNTS
from ssul.evaluation.image_counts import read_counts
from ssul.report.paired import CountedRun
from ssul.tracking.collect import LoggedRun, fetch_artifact, step_scores


def counted_run(run: LoggedRun) -> CountedRun:
    """The counts of each validation image after the last step of a run.

    Raises:
        TrackingError: if the run has none, or the store cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        counts = read_counts(fetch_artifact(run.id, IMAGE_COUNTS, Path(folder)).parent)
    # a background that can be right is scored; one that cannot may be predicted all the same
    background = _scores_background(run) or run.params.get("evaluation.unknown") == "background"
    known = run.params.get("recipe.base.checkpoint", "None") != "None"
    return CountedRun(counts, int(run.params["scenario.base_classes"]), background, known)


def _scores_background(run: LoggedRun) -> bool:
    """Whether the background is scored after the last step; in data without one it may be after the steps before."""
    names = ("per_class_iou/background", "iou/background")  # the second is how earlier versions named it
    logged = [step_scores(run.id, name) for name in names if name in run.scores]
    return bool(logged) and max(step_scores(run.id, "miou_all")) in logged[0]
