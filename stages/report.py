"""Stage `report`: the results as JSON, figures and a page, and the run's entry in MLflow."""

import sys
from typing import Any

from ssul.config.naming import RunName
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params
from ssul.evaluation.results import Results
from ssul.io.strict_json import read_json
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run
from ssul.report.mlflow_run import log_run
from ssul.report.rows import step_rows
from ssul.report.tables import run_table
from ssul.report.write import write_report
from ssul.tracking import store

LATER = "Log it later with `dvc repro --force --single-item report`"


def main(last: str) -> None:
    """Writes reports/ from data/evaluation/step_LAST and logs the run."""
    provenance, step = Provenance.read("report", last), int(last)
    settings = provenance.params
    results = Results.read(LAYOUT.evaluation(step))
    summary = read_json(LAYOUT.split_summary, dict[str, Any], what="the summary", way_out="run `dvc repro splits`")
    missing = write_report(LAYOUT, settings, results, summary, step=step)
    if missing:
        print(f"warning: {missing} exemplars are not shown, because their images are missing", file=sys.stderr)
    print(f"\n{run_table(RunName.of(settings).with_seed(settings.seed), step_rows(results))}")
    print(f"report: {LAYOUT.page}", flush=True)
    track(settings, results, summary, step)
    provenance.record()


def track(settings: Params, results: Results, summary: dict[str, Any], last: int) -> None:
    """Logs the run in MLflow; a failure costs one warning, because the reports are complete without it."""
    try:
        if store.is_on():
            log_run(settings, results, summary, last)
            print(f"MLflow: {store.how_to_open()}")
    except store.TrackingError as error:
        print(f"warning: this run is not in MLflow: {error}. {LATER}", file=sys.stderr)


if __name__ == "__main__":
    run(main, *sys.argv[1:])
