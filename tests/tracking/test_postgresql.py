"""A server of MLflow over PostgreSQL, which several experiments log to at once, and which dies in mid-run."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tracking.at_once import assert_whole, log_at_once, start_at_once
from tests.tracking.examples import parent, runs
from tests.tracking.server import Server, free_port

pytestmark = pytest.mark.slow

NAMES = ["one", "two", "three", "four"]


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL of its own from Debian's package, with one database, in a folder of the user `postgres`."""

    programs: Path
    folder: Path
    port: int

    @property
    def uri(self) -> str:
        """The address of its database."""
        return f"postgresql://mlflow@127.0.0.1:{self.port}/mlflow"

    def create(self) -> None:
        """Makes and starts it, and makes the database."""
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")  # which refuses to run as root
        secret = self.folder / "password"
        secret.write_text(os.environ["PGPASSWORD"], encoding="utf-8")
        words = ["-D", str(self.folder / "data"), "-U", "mlflow", "--auth=scram-sha-256", f"--pwfile={secret}"]
        self.run("initdb", *words)
        self.start()
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mlflow", "mlflow")

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        self.run(
            "pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-o", options, "start"
        )

    def kill(self) -> None:
        """Ends it as a crash does."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def run(self, program: str, *words: str) -> None:
        """Runs one of its programs."""
        user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*user, str(self.programs / program), *words]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, timeout=120)


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="psycopg is not installed: ssul[dev]")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("PostgreSQL is not installed: Debian's package postgresql")
    monkeypatch.setenv("PGPASSWORD", "s3cret-word")
    with tempfile.TemporaryDirectory(prefix="ssul-", ignore_cleanup_errors=True) as folder:
        one = Postgres(found[-1], Path(folder), free_port())
        one.create()
        try:
            yield one
        finally:
            one.kill()


@pytest.fixture
def server(postgres: Postgres, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    one = Server(tmp_path / "server", free_port(), postgres.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", one.uri)
    assert project.is_dir()  # whose own store the address replaces
    try:
        one.start()
        yield one
    finally:
        one.kill()


def test_four_experiments_at_once_are_whole_although_server_and_database_die_meanwhile(
    postgres: Postgres, server: Server, tmp_path: Path
) -> None:
    processes = start_at_once(tmp_path / "first", NAMES)
    while not list((server.folder / "artifacts").rglob("index.md")):
        assert any(process.poll() is None for process in processes)
        time.sleep(0.01)
    server.kill()
    postgres.kill()
    outputs = [process.communicate(timeout=300) for process in processes]
    assert any(process.returncode for process in processes)  # an outage loses a log, and nothing else
    assert all("cannot be used" in error for (_, error), one in zip(outputs, processes, strict=True) if one.returncode)
    postgres.start()
    server.start()
    ids = log_at_once(tmp_path / "again", NAMES)  # as `dvc repro --force --single-item report` does
    assert len(set(ids)) == len(NAMES)
    assert len(runs()) == 3 * len(NAMES)  # what was unfinished was completed
    for name in NAMES:
        assert_whole(parent(name))
