"""A real `mlflow server` by the command of docs/experiments.md, which can die and come back."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.project import PROJECT


def documented_command() -> list[str]:
    """The words of the page's `mlflow server`, without the variables before it."""
    page = (PROJECT / "docs" / "experiments.md").read_text(encoding="utf-8").partition("## A server")[2]
    (command,) = re.findall(r"(mlflow server .*?)\n```", page, flags=re.DOTALL)
    return shlex.split(command.replace("\\\n", " "))


@dataclass
class Server:
    """A server over a folder, which can be killed and started again at the same port.

    Attributes:
        folder: of its artifacts and its log, and of its database, unless that is another.
        port: of its address.
        database: the address of its database.
        process: while it runs.
    """

    folder: Path
    port: int
    database: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        here = {"0.0.0.0": "127.0.0.1", "/srv/mlflow": str(self.folder / "artifacts")}
        words = [
            here.get(word, self.database if word.startswith("postgresql:") else word) for word in documented_command()
        ]
        assert len(set(words) - set(documented_command())) == 3  # all three are other ones here
        command = [sys.executable, "-m", *words, "--port", str(self.port), "--workers", "1"]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + 180
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "log.txt").read_text()[-3000:]
            assert time.monotonic() < end
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether it takes requests."""
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        """Kills it and its workers."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=60)
            self.process = None


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
