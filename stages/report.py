"""Stage `report`: the results as JSON, figures and a page, and the run's entry in MLflow."""

import sys
from typing import Any

from ssul.config.load import load_params
from ssul.config.naming import RunName
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params
from ssul.evaluation.results import Results
from ssul.io.atomic import write_json
from ssul.io.strict_json import read_json
from ssul.pipeline.run import run
from ssul.report.page import run_description
from ssul.report.rows import learned_classes, per_step
from ssul.report.tables import text_table
from ssul.report.write import shown_exemplars, write_report
from ssul.tracking import store
from ssul.tracking.runs import LATER, finished_run, log_finished


def main(last: str) -> None:
    """Writes reports/ from data/evaluation/step_LAST and logs the run."""
    settings, step = load_params(LAYOUT.params), int(last)
    results = Results.read(LAYOUT.evaluation(step))
    summary = read_json(LAYOUT.split_summary, dict[str, Any], what="the summary", way_out="run `dvc repro splits`")
    exemplars, missing = shown_exemplars(LAYOUT, settings.data.root, step)
    if missing:
        print(f"warning: {missing} exemplars are not shown, because their images are missing", file=sys.stderr)
    write_report(LAYOUT, settings, results, summary, step=step, exemplars=exemplars)
    rows = per_step(results.rows, learned_classes(results.names, results.group_sizes))
    print(f"\nmean IoU and forgetting in percent, {RunName.of(settings)}\n\n{text_table(rows)}\n")
    print(f"report: {LAYOUT.page}", flush=True)
    track(settings, results, summary, step)
    write_json(LAYOUT.reported, {"step": step})


def track(settings: Params, results: Results, summary: dict[str, Any], last: int) -> None:
    """Logs the run in MLflow; a failure costs one warning, because the reports are complete without it."""
    try:
        if store.is_on():
            note = run_description(RunName.of(settings).run_name(settings.seed), results)
            log_finished(finished_run(settings, results.rows, results.training, summary, last=last, note=note))
            print(f"MLflow: {store.how_to_open()}")
    except store.TrackingError as error:
        print(f"warning: this run is not in MLflow: {error}. {LATER}", file=sys.stderr)


if __name__ == "__main__":
    run(main, *sys.argv[1:])
