"""`ssul remote`, `ssul share`, `ssul fetch`: experiments between machines, with their data and their runs in MLflow."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
from ssul.tracking.store import NoStoreError

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
            _refuse_lacking(
                one,
                store.lacking(outputs[one.commit], here=True, there=True),
                "lies neither here nor on the remote",
                _made_again(one),
            )
        head = git(root, "rev-parse", "HEAD").strip()
        present = store.outputs(head)
        whole = {} if store.lacking(present, here=True, there=True) else {head: present}
        store.push([*outputs.values(), *whole.values()])
        _dvc(root, "push", git_remote, experiments)
        sent = _send_runs(root, store, experiments, outputs)
        _verify(store, experiments, outputs | whole)
        _verify_refs(root, git_remote, experiments)
    for one in experiments:
        run = "and its run in MLflow" if one in sent else "but MLflow has no run of it here"
        print(f"shared {one.name}: {len(outputs[one.commit])} outputs, {run}")
    if not experiments:
        print("there is no experiment here" + (": shared the outputs of the present commit" if whole else ""))
    print(f"on the other machine: `ssul remote {store.url}` once, then `ssul fetch`")


def fetch(names: Names = None, git_remote: GitRemote = "origin", root: Root = Path()) -> None:
    """Bring shared experiments here, with their data and their runs in MLflow; the working folder stays as it is."""
    require_project(root)
    here = {one.ref: one.commit for one in experiments_here(root)}
    experiments = chosen(experiments_there(root, git_remote), names or (), f"on {git_remote}")
    for one in experiments:
        _refuse_another(one, here.get(one.ref), "here", f"dvc exp rename {one.name} NEW_NAME")
    with open_shared(root) as store:
        _dvc(root, "pull", git_remote, experiments)
        outputs = {one.commit: store.outputs(one.commit) for one in experiments}
        for one in experiments:
            _refuse_lacking(
                one,
                store.lacking(outputs[one.commit], here=True, there=True),
                f"is not on the remote {store.url}",
                f"type `ssul share {one.name}` where it was made",
            )
        store.fetch([*outputs.values(), store.outputs(git(root, "rev-parse", "HEAD").strip())])
        for one in experiments:
            _refuse_lacking(
                one, store.lacking(outputs[one.commit], here=True), "did not arrive", "type `ssul fetch` again"
            )
            print(f"fetched {one.name}: {len(outputs[one.commit])} outputs, {_import(store, one)}")
    print(
        "`dvc exp apply NAME` brings one into the working folder" if experiments else f"no experiment on {git_remote}"
    )


def _refuse_another(one: Experiment, other: str | None, where: str, removal: str) -> None:
    """Refuses an experiment if one of the same name and baseline, but another commit, is at the other end."""
    if other not in (None, one.commit):
        raise UserError(
            f"another experiment {one.name} of the same commit is {where}: rename one with `dvc exp rename`, or "
            f"type `{removal}`"
        )


def _refuse_lacking(one: Experiment, lacking: Sequence[str], what: str, way_out: str) -> None:
    if lacking:
        more = f" (and {len(lacking) - 1} more outputs)" if len(lacking) > 1 else ""
        raise UserError(f"{lacking[0]}{more} of {one.name} {what}: {way_out}")


def _made_again(one: Experiment) -> str:
    return f"`dvc exp apply {one.name}` and `dvc repro` make it again, or share others by their names"


def _send_runs(
    root: Path, store: SharedStore, experiments: Sequence[Experiment], outputs: Mapping[str, Outputs]
) -> list[Experiment]:
    """Sends the runs of experiments; returns those that have one."""
    try:
        runs = finished_runs() if experiments else []
    except NoStoreError:
        runs = []
    sent = []
    with TemporaryDirectory() as temporary:
        for one in experiments:
            if (run := run_of(one, runs, root)) is not None:
                file = Path(temporary) / f"{one.commit}.zip"
                pack_run(run.id, file, elsewhere={md5 for files in outputs[one.commit].values() for md5 in files or ()})
                store.send_run(file, one.commit)
                sent.append(one)
    return sent


def _import(store: SharedStore, one: Experiment) -> str:
    """Brings the run of an experiment into MLflow; returns what is to be said of it."""
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / f"{one.commit}.zip"
        if not store.get_run(one.commit, file):
            return "without a run in MLflow"
        return "and its run in MLflow" if import_run(file, store.cached) else "MLflow had its run already"


def _verify(store: SharedStore, experiments: Sequence[Experiment], outputs: Mapping[str, Outputs]) -> None:
    """Asks the remote for each file, because a transfer that failed is only a warning of dvc's."""
    names = {one.commit: one.name for one in experiments}
    for commit, wanted in outputs.items():
        if lacking := store.lacking(wanted, there=True):
            raise UserError(
                f"{lacking[0]} of {names.get(commit, 'the present commit')} has not arrived on {store.url}: see the "
                "warnings above, and type `ssul share` again"
            )


def _verify_refs(root: Path, git_remote: str, experiments: Sequence[Experiment]) -> None:
    there = {one.ref: one.commit for one in experiments_there(root, git_remote)}
    for one in experiments:
        if there.get(one.ref) != one.commit:
            raise UserError(f"git did not push {one.name} to {git_remote}: type `dvc exp push {git_remote} {one.name}`")


def run_of(one: Experiment, runs: Sequence[LoggedRun], root: Path) -> LoggedRun | None:
    """The run of an experiment: by its name, or by its parameters, because equal experiments have one run together.

    Its scores must be those that the experiment has in reports/.
    """
    params = logged_params(parse_params(yaml.safe_load(_content(root, one, Layout().params))))
    wanted = {name: str(value) for name, value in params.items() if affects_results(name)}
    equal = [run for run in runs if all(run.params.get(name) == value for name, value in wanted.items())]
    equal.sort(key=lambda run: run.tags.get("dvc.experiment") != one.name)
    rows = json.loads(_content(root, one, Layout().miou_per_step))
    scores = {row["step"]: row["all"] for row in rows}
    return next((run for run in equal if step_scores(run.id, "miou_all") == scores), None)


def _content(root: Path, one: Experiment, path: Path) -> str:
    """A file of an experiment's commit."""
    return git(root, "show", f"{one.commit}:./{path}")


def _dvc(root: Path, command: str, git_remote: str, experiments: Sequence[Experiment]) -> None:
    """Runs `dvc exp push` or `pull` without data; none names all experiments of the present commit to dvc."""
    if experiments:
        words = ["exp", command, "--quiet", "--no-cache", git_remote, *(one.ref for one in experiments)]
        if subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, check=False).returncode:
            raise UserError(f"`dvc exp {command}` failed, as it says above")
