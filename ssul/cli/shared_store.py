"""The DVC remote through which machines share results, and what lies there.

DVC moves the files; what its own commands leave out silently is asked here. `dvc exp push` reads the remote from the
.dvc/config of each experiment's commit, and sends nothing where it stands there not yet; and it believes an index of
what was pushed once, whether it is still there or not.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ssul.errors import UserError
from ssul.io.urls import is_url, redact_password
from ssul.tracking.store import TrackingError

NAME = "shared"
"""The name of the remote that `ssul remote URL` makes."""
_RUNS = ("ssul", "runs")
"""The folder of the runs on the remote; `dvc gc` looks at other folders only."""

_EXTRAS = {"ssh": "ssul[ssh]"}
_LONGEST = 500

Outputs = Mapping[str, Collection[str] | None]
"""Output -> the MD5s of its files; None where nobody knows what the output holds."""


@dataclass(frozen=True)
class SharedStore:
    """A DVC remote, with the settings of the present folder whatever commit is asked about.

    Attributes:
        repo: dvc's.
        name: of the remote.
        url: its address without a password.
    """

    repo: Any
    name: str
    url: str

    def outputs(self, commit: str) -> Outputs:
        """The cached outputs of a commit, as its dvc.lock lists them."""
        hashes: dict[str, Any] = {}
        for _ in self.repo.brancher(revs=[commit], workspace=False):
            hashes |= {str(out): out.hash_info for out in self.repo.index.outs if out.use_cache}
        self._copy(self._objects, self._cache, [one.value for one in hashes.values() if one and one.isdir], verify=True)
        return {path: self._files(one) for path, one in hashes.items()}

    def lacking(self, outputs: Outputs, *, here: bool = False, there: bool = False) -> list[str]:
        """The outputs of which a file is missing in all of these places; sorted.

        Args:
            outputs: of a commit.
            here: whether to look into the cache.
            there: whether to look at the remote.
        """
        wanted = _all_files([outputs])
        for asked, place in ((here, self._cache), (there, self._objects)):
            if asked and wanted:
                wanted -= set(place.oids_exist(list(wanted)))
        return sorted(path for path, files in outputs.items() if files is None or wanted & set(files))

    def push(self, outputs: Iterable[Outputs]) -> None:
        """Sends outputs from the cache to the remote."""
        self._copy(self._cache, self._objects, _all_files(outputs))

    def fetch(self, outputs: Iterable[Outputs]) -> None:
        """Brings outputs from the remote into the cache."""
        self._copy(self._objects, self._cache, _all_files(outputs), verify=True)

    def cached(self, md5: str) -> Path:
        """The file of the cache with that MD5; it may be missing."""
        return Path(self._cache.oid_to_path(md5))

    def send_run(self, file: Path, commit: str) -> None:
        """Puts the run of an experiment, by its commit, beside the outputs."""
        remote, place = self._run(commit)
        remote.fs.makedirs(remote.fs.parent(place), exist_ok=True)
        remote.fs.put_file(str(file), place)

    def get_run(self, commit: str, file: Path) -> bool:
        """Copies the run of an experiment into a file; whether there is one."""
        remote, place = self._run(commit)
        if there := remote.fs.exists(place):
            remote.fs.get_file(place, str(file))
        return bool(there)

    def check(self) -> None:
        """Asks the remote something."""
        self._objects.fs.exists(self._objects.path)

    @property
    def _cache(self) -> Any:
        return self.repo.cache.local

    @property
    def _objects(self) -> Any:
        return self.repo.cloud.get_remote_odb(self.name, "push")

    def _run(self, commit: str) -> tuple[Any, str]:
        remote = self.repo.cloud.get_remote(self.name)
        return remote, remote.fs.join(remote.path, *_RUNS, f"{commit}.zip")

    def _files(self, of: Any) -> Collection[str] | None:
        """The MD5s of an output's files, its list of files too; None where that list is neither here nor there."""
        from dvc_data.hashfile.tree import Tree
        from dvc_objects.errors import ObjectFormatError

        if not of:
            return None
        if not of.isdir:
            return {of.value}
        try:
            tree = Tree.load(self._cache, of)
        except (FileNotFoundError, ObjectFormatError):
            return None
        return {of.value, *(one.value for _, _, one in tree)}

    def _copy(self, source: Any, target: Any, md5s: Collection[str], *, verify: bool = False) -> None:
        """Copies what the target lacks, having asked the target itself; what the source lacks stays away.

        Args:
            source, target: of dvc.
            md5s: of files.
            verify: whether a copy with another MD5 is removed.
        """
        from dvc.fs.callbacks import TqdmCallback
        from dvc_data.hashfile.hash_info import HashInfo

        if md5s:
            with TqdmCallback(
                desc=f"to {redact_password(target.fs.unstrip_protocol(target.path))}", unit="file"
            ) as bar:
                self.repo.cloud.transfer(
                    source,
                    target,
                    {HashInfo("md5", md5) for md5 in md5s},
                    verify=verify,
                    cache_odb=self._cache,
                    callback=bar,
                )


@contextmanager
def open_shared(root: Path) -> Iterator[SharedStore]:
    """Opens the remote; what dvc raises within the block becomes one line.

    Raises:
        UserError: if no remote is known, or it cannot be used.
    """
    with _repo(root) as repo:
        name = repo.config["core"].get("remote")
        if name is None:
            raise UserError(
                "no DVC remote is known here, so that git alone would be shared, without data: name one with "
                "`ssul remote URL`: a folder that both machines see, ssh://host/path, s3://bucket/path or any other "
                "that dvc takes"
            )
        yield SharedStore(repo, name, redact_password(str(repo.config["remote"][name]["url"])))


def set_remote(root: Path, url: str | None) -> None:
    """Makes a remote known to this clone, for all its commits: in .dvc/config.local.

    The committed .dvc/config would not do, because dvc's own commands read it as it was at each experiment's commit;
    and a folder or a user's name belong to one machine.

    Args:
        root: of the project.
        url: of the remote; None takes the one that is known.

    Raises:
        UserError: if it is none that dvc takes, or lies inside the project.
    """
    with _repo(root) as repo:
        written = repo.config.read()  # without what dvc adds to it
        known = written["core"].get("remote")
        if url is not None:
            _check_url(url, root)
            address = url if is_url(url) else str(Path(url).expanduser().resolve())
            name, settings = NAME, {"url": address}
            if known is not None and written["remote"][known]["url"] == address:
                name, settings = known, written["remote"][known]
        elif known is not None:
            name, settings = known, written["remote"][known]
        else:
            raise UserError("no DVC remote is known here: give its address, `ssul remote URL`")
        with repo.config.edit("local") as local:
            local["remote"][name] = settings
            local["core"]["remote"] = name


def _check_url(url: str, root: Path) -> None:
    """Refuses what dvc would take for a folder by mistake, and a folder that no other machine can see."""
    if not is_url(url) and re.match(r"[^/]*:", url):
        host, _, path = url.partition(":")
        guess = f"ssh://{host}/{path.strip('/')}" if "@" in host or "." in host else f"{host}://{path.lstrip('/')}"
        raise UserError(f"'{url}' is neither a folder nor an address: did you mean {guess}?")
    if is_url(url) and not urlsplit(url).netloc:
        raise UserError(f"'{redact_password(url)}' names no host or bucket: give one, or a folder without file:")
    if is_url(url):
        return
    folder = Path(url).expanduser().resolve()
    if not url.strip() or folder.is_relative_to(root.resolve()):
        raise UserError(f"'{url}' lies inside the project, where no other machine sees it: name a folder elsewhere")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{url}' is not a folder")
    if not folder.parent.is_dir():
        raise UserError(f"'{url}' cannot be made, because there is no folder {folder.parent}: mount or make it first")


@contextmanager
def _repo(root: Path) -> Iterator[Any]:
    try:
        from dvc.repo import Repo
    except ImportError as error:
        raise UserError(f'{error}: pip install "ssul[pipeline]"') from None
    try:
        with Repo(str(root)) as repo:
            yield repo
    except (UserError, TrackingError):
        raise
    except Exception as error:  # the file systems behind dvc raise anything
        plugin = re.search(r"'dvc-(\w+)'", str(error)) if isinstance(error, ImportError) else None
        causes = [one for one in (error, error.__cause__) if one is not None]
        reason = ": ".join(" ".join(str(one).split()) or type(one).__name__ for one in causes)
        way_out = f': pip install "{_EXTRAS.get(plugin[1], f"dvc[{plugin[1]}]")}"' if plugin else ""
        raise UserError(f"the DVC remote cannot be used: {redact_password(reason)[:_LONGEST]}{way_out}") from None


def _all_files(outputs: Iterable[Outputs]) -> set[str]:
    return {md5 for one in outputs for files in one.values() for md5 in files or ()}
