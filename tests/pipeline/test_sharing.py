"""docs/sharing.md is right: two machines exchange experiments with data and runs, through a folder and over SSH."""

import getpass
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.pipeline.clone import TINY, Clone, Outcome, digest, succeeded, switches
from tests.project import PROJECT

pytestmark = pytest.mark.slow

PAGE = (PROJECT / "docs" / "sharing.md").read_text(encoding="utf-8")
NAME = "tidy-moth"


def block(part: str) -> str:
    """The commands of a part of the page."""
    found = re.search(rf"<!-- {part}: begin -->\n```bash\n(.*?)```\n<!-- {part}: end -->", PAGE, flags=re.DOTALL)
    assert found is not None
    return found[1]


def typed(clone: Clone, commands: str) -> Outcome:
    """The outcome of commands of a shell."""
    return clone.command("bash", "-ec", commands)


def join(hub: Path, root: Path) -> Clone:
    """A new clone of a bare repository: the other machine."""
    subprocess.run(["git", "clone", "-q", "-b", "main", hub, root], check=True)
    clone = Clone(root)
    clone.command("git", "config", "user.name", "other")
    clone.command("git", "config", "user.email", "other@example.org")
    return clone


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty bare repository."""
    path = tmp_path_factory.mktemp("hub") / "hub.git"
    subprocess.run(["git", "init", "-q", "--bare", path], check=True)
    return path


@pytest.fixture(scope="module")
def here(clone: Clone, hub: Path) -> Clone:
    """A clone with a committed and published result, and an experiment with other splits."""
    for command in ("add -A", "commit -qm results", f"remote add origin {hub}", "push -q origin HEAD:main"):
        succeeded(clone.command("git", *command.split()))
    succeeded(clone.dvc("exp", "run", "-n", NAME, *switches(*TINY, "scenario.increment=4")))
    return clone


@pytest.fixture(scope="module")
def ssh_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An sshd on loopback with keys of its own; its name in the ~/.ssh/config of a home of its own."""
    pytest.importorskip("dvc_ssh", reason="dvc-ssh is not installed: ssul[ssh]")
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None:
        pytest.skip("there is no sshd: apt install openssh-server")
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir(mode=0o700)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / ".ssh" / key], check=True)
    (home / ".ssh" / "authorized_keys").write_text((home / ".ssh" / "user.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (home / ".ssh" / "config").write_text(
        f"Host archive\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {home}/.ssh/user\n"
    )
    (home / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {home}/.ssh/host\nAuthorizedKeysFile {home}/.ssh/authorized_keys\n"
        "PasswordAuthentication no\nStrictModes no\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd gives up its rights; its package makes it at boot
    server = subprocess.Popen([sshd, "-D", "-e", "-f", home / "sshd_config"], stderr=(home / "log").open("w"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        yield "archive"
    server.terminate()
    assert server.wait(timeout=30) is not None


@dataclass(frozen=True)
class Shared:
    """Both machines after the commands of the page."""

    here: Clone
    there: Clone
    store: Path
    outcome: Outcome


@pytest.fixture(scope="module", params=["folder", "ssh"])
def shared(request: pytest.FixtureRequest, here: Clone, hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    root = tmp_path_factory.mktemp(request.param)
    store, name = root / "store", "ssul remote /mnt/team/ssul"
    place = name.replace("/mnt/team/ssul", str(store))
    if request.param == "ssh":
        host = request.getfixturevalue("ssh_host")
        assert f"ssh://{host}/srv/ssul" in block("ssh")
        place = block("ssh").strip().replace("/srv/ssul", str(store))
    assert name in block("here")
    assert name in block("there")
    there = join(hub, root / "there")
    succeeded(typed(here, block("here").replace(name, place)))
    return Shared(here, there, store, succeeded(typed(there, block("there").replace(name, place))))


def runs(clone: Clone) -> Any:
    """All that a clone's MLflow holds, but for ids and places."""
    client = MlflowClient(f"sqlite:///{clone.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("ssul")
    found = client.search_runs([experiment.experiment_id])
    named = {run.info.run_id: run.info.run_name for run in found}
    return {
        (named.get(run.data.tags.get("mlflow.parentRunId")), run.info.run_name): (
            run.info.status,
            (run.info.start_time, run.info.end_time),
            run.data.params,
            {key: value for key, value in run.data.tags.items() if key != "mlflow.parentRunId"},
            {key: [*map(dict, client.get_metric_history(run.info.run_id, key))] for key in run.data.metrics},
            [(dict(one.dataset), [*map(dict, one.tags)]) for one in run.inputs.dataset_inputs],
            digest(Path(client.download_artifacts(run.info.run_id, "")))
            if client.list_artifacts(run.info.run_id)
            else {},
        )
        for run in found
    }


def test_the_other_machine_has_nothing_to_run(shared: Shared) -> None:
    assert "Data and pipelines are up to date." in shared.outcome.text
    assert shared.outcome.ran == shared.outcome.restored == []


def test_the_other_machine_has_the_same_files(shared: Shared) -> None:
    for folder in ("reports", "data/checkpoints", "data/evaluation"):
        found = digest(shared.there.root / folder)
        assert found
        assert found.items() <= digest(shared.here.root / folder).items()  # a longer scenario left files here


def test_the_runs_are_the_same_in_its_mlflow(shared: Shared) -> None:
    found = runs(shared.there)
    assert len(found) == 7  # of three steps and of two, and their parents
    assert any(f"[{NAME}]" in name for _, name in found)
    assert found == runs(shared.here)


def test_a_lost_file_is_sent_again_and_all_else_stays(shared: Shared) -> None:
    before = digest(shared.store / "files")
    lost = max((shared.store / "files").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    lost.unlink()
    succeeded(shared.here.command("ssul", "share", NAME))
    assert digest(shared.store / "files") == before
    assert "MLflow had its run already" in succeeded(shared.there.command("ssul", "fetch", NAME)).text


def test_a_file_that_nobody_has_stops_both_and_is_named(shared: Shared, tmp_path: Path) -> None:
    (shared.here.root / ".dvc" / "cache").rename(tmp_path / "cache")
    (shared.store / "files").rename(tmp_path / "files")
    try:
        refused = shared.here.command("ssul", "share", NAME)
        (shared.there.root / ".dvc" / "cache").rename(tmp_path / "other")
        unfetched = shared.there.command("ssul", "fetch", NAME)
    finally:
        (tmp_path / "cache").rename(shared.here.root / ".dvc" / "cache")
        shutil.rmtree(shared.store / "files", ignore_errors=True)
        (tmp_path / "files").rename(shared.store / "files")
    assert refused.code == unfetched.code == 1
    assert "data/checkpoints/step_0" in refused.text
    assert f"neither here nor on the remote: `dvc exp apply {NAME}`" in refused.text
    assert "data/checkpoints/step_0" in unfetched.text
    assert "Type `ssul share` where they were made" in unfetched.text


def test_the_silent_loss_of_dvc_is_mended(here: Clone, tmp_path: Path) -> None:
    """The remote is committed after the experiment ran: `dvc exp push` says that it pushed, and sends no data."""
    late, hub, store = here.copy(tmp_path / "late"), tmp_path / "hub.git", tmp_path / "store"
    (late.root / ".dvc" / "config.local").unlink(missing_ok=True)
    succeeded(late.command("git", "init", "-q", "--bare", str(hub)))
    succeeded(late.command("git", "checkout", "-q", "."))
    succeeded(late.dvc("remote", "add", "-d", "team", str(store)))
    for command in ("commit -qam remote", f"remote set-url origin {hub}", "push -q origin HEAD:main"):
        succeeded(late.command("git", *command.split()))
    assert "Pushed experiment" in succeeded(late.dvc("exp", "push", "origin", NAME)).text
    assert not store.exists()
    succeeded(late.command("ssul", "share", NAME))
    there = join(hub, tmp_path / "there")
    succeeded(typed(there, f"ssul fetch {NAME}; git checkout -q HEAD~1; dvc exp apply {NAME}"))
    assert "Data and pipelines are up to date." in succeeded(there.dvc("repro")).text
