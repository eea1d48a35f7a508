"""A SLURM of two nodes on this machine, from Debian's packages slurm-wlm and munge, without root's folders."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch")
_SYSTEM = f"{os.environ['PATH']}:/usr/sbin:/sbin"
# A requeued job starts when its credential has expired: by default after two minutes.
_CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
GresTypes=gpu
KillWait=20
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=32 Gres=gpu:4
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=32 Gres=gpu:4
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs of SLURM that this machine lacks."""
    return [one for one in PROGRAMS if shutil.which(one, path=_SYSTEM) is None]


def has_ended(states: Sequence[str]) -> bool:
    """Whether all tasks of a job have ended, well or not."""
    return set(states) <= {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}


@dataclass(frozen=True)
class Slurm:
    """A running cluster."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What its commands need; MASTER_ADDR, because the names of these nodes resolve nowhere."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "MASTER_ADDR": "127.0.0.1"}

    def submit(self, root: Path, environment: Mapping[str, str], *words: str) -> str:
        """The number of a new job, which `sbatch` starts in a folder."""
        command = ["sbatch", "--parsable", *words]
        done = subprocess.run(
            command, cwd=root, env={**environment, **self.variables}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(self, *words: str) -> str:
        """What one of its commands prints."""
        environment = {**os.environ, **self.variables}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout

    def states(self, job: str) -> list[str]:
        """The states of a job's tasks, such as RUNNING."""
        return self.ask("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}").split()

    def ended(self, job: str, seconds: float = 900) -> list[str]:
        """The states of a job's tasks when all have ended."""
        end = time.monotonic() + seconds
        while not has_ended(found := self.states(job)):
            assert time.monotonic() < end, found
            time.sleep(0.5)
        return found


@contextmanager
def slurm() -> Iterator[Slurm]:
    """A cluster that ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # pytest's would be too long for the name of a socket
    cluster = Slurm(folder)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("state", "n1", "n2"):
            (folder / name).mkdir()
        content = _CONFIGURATION.format(folder=folder, user=getpass.getuser(), host=_host(), ports=_free_ports(3))
        (folder / "slurm.conf").write_text(content, encoding="utf-8")
        for number in range(4):  # neither of them is a GPU, and no job uses them
            (folder / f"gpu{number}").touch()
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-3]\n", encoding="utf-8")
        key, socket_file = folder / "munge.key", folder / "munge.socket"
        subprocess.run([_program("mungekey"), "--create", f"--keyfile={key}"], check=True)
        munge = ("--force", f"--key-file={key}", f"--socket={socket_file}", f"--seed-file={folder}/munge.seed")
        stack.enter_context(_running(cluster, "munged", "--foreground", *munge, f"--pid-file={folder}/munge.pid"))
        _appears(socket_file)
        stack.enter_context(_running(cluster, "slurmctld", "-D"))
        for node in ("n1", "n2"):
            stack.enter_context(_running(cluster, "slurmd", "-D", "-N", node))
        end = time.monotonic() + 60
        while _idle(cluster) < 2:
            assert time.monotonic() < end, (folder / "slurmctld.log").read_text(encoding="utf-8")[-2000:]
            time.sleep(0.2)
        try:
            yield cluster
        finally:  # else their processes would outlive it
            cluster.ask("scancel", "--partition=all", "--signal=KILL", "--full")
            cluster.ask("scancel", "--partition=all")
            while cluster.ask("squeue", "--noheader"):
                time.sleep(0.2)


def _idle(cluster: Slurm) -> int:
    try:
        return cluster.ask("sinfo", "--noheader", "--Node", "--format=%t").split().count("idle")
    except subprocess.CalledProcessError:  # its controller is not there yet
        return 0


@contextmanager
def _running(cluster: Slurm, name: str, *words: str) -> Iterator[None]:
    with (cluster.folder / f"{name}.out").open("ab") as log:
        environment = {**os.environ, **cluster.variables}
        process = subprocess.Popen([_program(name), *words], env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _program(name: str) -> str:
    found = shutil.which(name, path=_SYSTEM)
    assert found is not None
    return found


def _host() -> str:
    return socket.gethostname().split(".")[0]  # as slurmd names itself


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _appears(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)
