"""`ssul remote`, `ssul share`, `ssul fetch`: experiments between machines, with their data and their runs in MLflow."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
import yaml

from ssul.cli.experiment_refs import (
    Experiment,
    chosen,
    experiments_here,
    experiments_there,
    git,
    require_published,
)
from ssul.cli.options import Root, require_project
from ssul.cli.shared_store import Outputs, SharedStore, open_shared, set_remote
from ssul.config.dotted import affects_results
from ssul.config.load import parse_params
from ssul.config.paths import Layout
from ssul.errors import UserError
from ssul.tracking.collect import LoggedRun, finished_runs, step_scores
from ssul.tracking.exchange import import_run, pack_run
from ssul.tracking.experiment import logged_params
from ssul.tracking.store import NoStoreError, is_on

Names = Annotated[list[str] | None, typer.Argument(help="Experiments, as `dvc exp show` names them; all by default.")]
GitRemote = Annotated[str, typer.Option(help="The git remote that both machines know.")]


def remote(
    url: Annotated[
        str | None,
        typer.Argument(
            help="A folder that both machines see, ssh://host/path, s3://bucket/path, … whatever DVC takes."
        ),
    ] = None,
    root: Root = Path(),
) -> None:
    """Name the place through which machines share data, once in each clone; without an address, check it."""
    require_project(root)
    set_remote(root, url)
    try:
        with open_shared(root) as store:
            store.check()
    except UserError as error:
        raise UserError(f"{error}. The remote is set; mend this, and `ssul remote` checks it again") from None
    print(f"the remote {store.name} is {store.url}, for this clone")


def share(names: Names = None, git_remote: GitRemote = "origin", root: Root = Path()) -> None:
    """Send experiments with their data and their runs in MLflow, and check that all of it has arrived."""
    require_project(root)
    there = {one.ref: one.commit for one in experiments_there(root, git_remote)}
    experiments = chosen(experiments_here(root), names or (), "here")
    require_published(root, git_remote)
    for one in experiments:
        _refuse_another(one, there.get(one.ref), f"on {git_remote}", f"dvc exp remove -g {git_remote} {one.name}")
    with open_shared(root) as store:
        outputs = {one.commit: store.outputs(one.commit) for one in experiments}
        for one in experiments:
            if lacking := store.lacking(outputs[one.commit], here=True, there=True):
                raise UserError(
                    f"{_some(lacking)} of {one.name} lies neither here nor on the remote: "
                    f"`dvc exp apply {one.name}` and `dvc repro` make it again, or share others by their names"
                )
        present = store.outputs(git(root, "rev-parse", "HEAD").strip())
        whole = not store.lacking(present, here=True, there=True)
        store.push([*outputs.values(), *([present] if whole else [])])
        for one in experiments:  # git's part comes last, so that nobody sees an experiment without its data
            if lacking := store.lacking(outputs[one.commit], there=True):
                raise UserError(
                    f"{_some(lacking)} of {one.name} has not arrived on {store.url}: see above, "
                    "and type `ssul share` again"
                )
        _dvc_exp(root, "push", git_remote, experiments)
        runs = _finished_runs() if experiments else []
        for one in experiments:
            sent = _send_run(store, one, outputs[one.commit], run_of(one, runs, root))
            print(f"shared {one.name}: {len(outputs[one.commit])} outputs, {sent}")
    if not experiments:
        print("there is no experiment here" + (": shared the outputs of the present commit" if whole else ""))
    print(f"on the other machine: `ssul remote {store.url}` once, then `ssul fetch`")


def fetch(names: Names = None, git_remote: GitRemote = "origin", root: Root = Path()) -> None:
    """Bring shared experiments here, with their data and their runs in MLflow; the working folder stays as it is."""
    require_project(root)
    here = {one.ref: one.commit for one in experiments_here(root)}
    experiments = chosen(experiments_there(root, git_remote), names or (), f"on {git_remote}")
    for one in experiments:
        _refuse_another(one, here.get(one.ref), "here", f"dvc exp remove {one.name}")
    lost = []
    with open_shared(root) as store:
        if experiments:  # without refs yet, so that nobody applies an experiment without its data
            git(root, "fetch", "--quiet", git_remote, *(one.ref for one in experiments))
        outputs = {one.commit: store.outputs(one.commit) for one in experiments}
        store.fetch([*outputs.values(), store.outputs(git(root, "rev-parse", "HEAD").strip())])
        for one in experiments:
            if lacking := store.lacking(outputs[one.commit], here=True):
                lost.append(f"{_some(lacking)} of {one.name}")
                continue
            _dvc_exp(root, "pull", git_remote, [one])
            print(f"fetched {one.name}: {len(outputs[one.commit])} outputs, {_import_run(store, one)}")
    if lost:
        raise UserError(f"not on {store.url}: {'; '.join(lost)}. Type `ssul share` where they were made")
    print(
        "`dvc exp apply NAME` brings one into the working folder" if experiments else f"no experiment on {git_remote}"
    )


def run_of(one: Experiment, runs: Sequence[LoggedRun], root: Path) -> LoggedRun | None:
    """The run of an experiment: by its name, or by its parameters, because equal experiments have one run together.

    Its scores must be those that the experiment has in reports/.

    Args:
        one: the experiment.
        runs: all finished ones, the latest first.
        root: of the project.
    """
    equal = [
        run
        for run in runs
        if (run.tags.get("dvc.experiment"), run.tags.get("mlflow.source.git.commit")) == (one.name, one.baseline)
    ]
    with suppress(UserError):  # an earlier version may have had other parameters
        params = logged_params(parse_params(yaml.safe_load(_content(root, one, Layout().params))))
        wanted = {name: str(value) for name, value in params.items() if affects_results(name)}
        equal += [run for run in runs if all(run.params.get(name) == value for name, value in wanted.items())]
    if not equal:
        return None
    scores = {row["step"]: row["all"] for row in json.loads(_content(root, one, Layout().miou_per_step))}
    return next((run for run in equal if step_scores(run.id, "miou_all") == scores), None)


def _refuse_another(one: Experiment, other: str | None, where: str, removal: str) -> None:
    """Refuses an experiment if one of the same name and baseline, but another commit, is at the other end."""
    if other not in (None, one.commit):
        raise UserError(
            f"another experiment {one.name} of the same commit is {where}: rename one with `dvc exp rename`, or "
            f"type `{removal}`"
        )


def _some(outputs: Sequence[str]) -> str:
    return outputs[0] + (f" (and {len(outputs) - 1} more outputs)" if len(outputs) > 1 else "")


def _finished_runs() -> list[LoggedRun]:
    """The finished runs of the store; none if there is no store yet."""
    try:
        return finished_runs()
    except NoStoreError:
        return []


def _send_run(store: SharedStore, one: Experiment, outputs: Outputs, run: LoggedRun | None) -> str:
    """Sends the run of an experiment, without the artifacts that are its outputs; returns what is to be said."""
    if run is None:
        return "but MLflow has no run of it here"
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / f"{one.commit}.zip"
        pack_run(run.id, file, elsewhere={md5 for files in outputs.values() for md5 in files or ()})
        store.send_run(file, one.commit)
    return "and its run in MLflow"


def _import_run(store: SharedStore, one: Experiment) -> str:
    """Brings the run of an experiment into MLflow; returns what is to be said."""
    if not is_on():
        return "without its run, because SSUL_TRACKING is off"
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / f"{one.commit}.zip"
        if not store.get_run(one.commit, file):
            return "without a run in MLflow"
        return "and its run in MLflow" if import_run(file, store.cached) else "MLflow had its run already"


def _content(root: Path, one: Experiment, path: Path) -> str:
    """A file of an experiment's commit."""
    return git(root, "show", f"{one.commit}:./{path}")


def _dvc_exp(root: Path, command: str, git_remote: str, experiments: Sequence[Experiment]) -> None:
    """Runs `dvc exp push` or `pull` without data; none would mean all experiments of the present commit."""
    if not experiments:
        return
    words = ["exp", command, "--no-cache", git_remote, *(one.ref for one in experiments)]
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"`dvc exp {command}` failed: {' '.join(done.stderr.split())[-300:]}")
