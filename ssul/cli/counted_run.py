"""The pixel counts of a run in MLflow."""

import tempfile
from pathlib import Path

from ssul.config.paths import IMAGE_COUNTS
from ssul.evaluation.image_counts import read_counts
from ssul.report.paired import CountedRun
from ssul.tracking.collect import LoggedRun, fetch_artifact


def counted_run(run: LoggedRun) -> CountedRun:
    """The counts of each validation image after the last step of a run.

    Raises:
        TrackingError: if the run has none, or the store cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        counts = read_counts(fetch_artifact(run.id, IMAGE_COUNTS, Path(folder)).parent)
    # a background that can be right is scored; one that cannot may be predicted all the same
    scored = {"per_class_iou/background", "iou/background"}  # the second is how earlier versions named it
    background = bool(scored & run.scores.keys()) or run.params.get("evaluation.unknown") == "background"
    return CountedRun(counts, int(run.params["scenario.base_classes"]), background)
