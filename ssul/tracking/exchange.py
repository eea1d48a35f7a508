"""Runs that travel to another store: a run, those of its steps and its artifacts in one file.

Two machines without a common server exchange runs this way. MLflow itself copies no run from one store to another.
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from ssul.errors import UserError
from ssul.io.strict_json import parse_json
from ssul.tracking.store import FINGERPRINT_TAG, Store, open_store

_RECORD = "run.json"
_INCOMPLETE = "ssul.incomplete"
"""The tag of a run whose import has not ended; a later import removes it."""
_A_BATCH, _PARAMS_A_BATCH = 1000, 100  # MLflow's own limits


@dataclass(frozen=True)
class PackedRun:
    """All that MLflow knows of a run.

    Attributes:
        name: of the run.
        status: MLflow's, like FINISHED.
        began, ended: milliseconds since 1970.
        tags, params: as text.
        points: (metric, value, milliseconds since 1970, step).
        datasets: each as MLflow's fields of a dataset, and the tags of its use.
        artifacts: path in the run -> MD5 of the file in hexadecimal digits.
        steps: the runs below it.
    """

    name: str
    status: str
    began: int
    ended: int | None
    tags: dict[str, str]
    params: dict[str, str]
    points: tuple[tuple[str, float, int, int], ...]
    datasets: tuple[tuple[dict[str, Any], dict[str, str]], ...]
    artifacts: dict[str, str]
    steps: tuple["PackedRun", ...]


def pack_run(run_id: str, path: Path, *, elsewhere: Container[str]) -> None:
    """Writes a run as a file.

    Args:
        run_id: of an experiment's run.
        path: file to write.
        elsewhere: the MD5s of what the file need not hold, because the reader has it.

    Raises:
        TrackingError: if the store cannot be read.
    """
    with open_store(create=False) as store, TemporaryDirectory() as temporary:
        folder = Path(store.client.download_artifacts(run_id, "", temporary))
        files = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*")) if file.is_file()}
        digests = {name: _md5(file) for name, file in files.items()}
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            archive.writestr(_RECORD, json.dumps(asdict(_packed(store, store.client.get_run(run_id), digests))))
            for digest, name in {digest: name for name, digest in digests.items()}.items():
                if digest not in elsewhere:
                    archive.write(files[name], digest)


def import_run(path: Path, find: Callable[[str], Path]) -> bool:
    """Adds a packed run to the store of this project; an experiment that has a run there keeps it.

    Args:
        path: what `pack_run` wrote.
        find: gives the file with an MD5 that is elsewhere.

    Returns:
        Whether the run was added.

    Raises:
        UserError: if the file is damaged.
        TrackingError: if the store cannot be written.
    """
    with TemporaryDirectory() as temporary:
        run = _unpack(path, Path(temporary), find)
        with open_store() as store, store.locked():
            if store.search(f"tags.`{FINGERPRINT_TAG}` = '{run.tags[FINGERPRINT_TAG]}'") is not None:
                return False
            while (left := store.search(f"tags.`{_INCOMPLETE}` = 'true'")) is not None:
                store.client.delete_run(left)
            made = [_add(store, run, {})]
            made += [_add(store, step, {"mlflow.parentRunId": made[0]}) for step in run.steps]
            store.client.log_artifacts(made[0], temporary)
            for run_id, one in zip(made, (run, *run.steps), strict=True):
                store.client.set_terminated(run_id, one.status, end_time=one.ended)
                store.client.delete_tag(run_id, _INCOMPLETE)
            store.client.set_tag(made[0], FINGERPRINT_TAG, run.tags[FINGERPRINT_TAG])  # at last it is the experiment's
    return True


def _packed(store: Store, run: Any, artifacts: Mapping[str, str]) -> PackedRun:
    client, run_id = store.client, run.info.run_id
    histories = (client.get_metric_history(run_id, key) for key in run.data.metrics)
    below = client.search_runs([store.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return PackedRun(
        run.info.run_name,
        run.info.status,
        run.info.start_time,
        run.info.end_time,
        dict(run.data.tags),
        dict(run.data.params),
        tuple((point.key, point.value, point.timestamp, point.step) for history in histories for point in history),
        tuple((dict(one.dataset), {tag.key: tag.value for tag in one.tags}) for one in run.inputs.dataset_inputs),
        dict(artifacts),
        tuple(_packed(store, one, {}) for one in below),
    )


def _unpack(path: Path, folder: Path, find: Callable[[str], Path]) -> PackedRun:
    """Reads a packed run, and lays its artifacts out below a folder."""
    try:
        with ZipFile(path) as archive:
            run = parse_json(archive.read(_RECORD), PackedRun)
            held = set(archive.namelist())
            for name, digest in run.artifacts.items():
                if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                    raise ValueError(f"an artifact has the path {name}")
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                if digest in held:
                    (folder / name).write_bytes(archive.read(digest))
                else:
                    shutil.copyfile(find(digest), folder / name)
                if _md5(folder / name) != digest:
                    raise ValueError(f"the artifact {name} has another content")
            if FINGERPRINT_TAG not in run.tags:
                raise ValueError("it is no experiment's")
    except (BadZipFile, zlib.error, KeyError, ValueError, OSError) as error:
        raise UserError(f"the shared run {path.name} is damaged ({error}): share the experiment again") from None
    return run


def _add(store: Store, run: PackedRun, tags: Mapping[str, str]) -> str:
    """Makes a run with all but the artifacts and the fingerprint; returns its id."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    given = {key: value for key, value in run.tags.items() if key != FINGERPRINT_TAG} | dict(tags)
    run_id = store.create(run.name, given | {_INCOMPLETE: "true"}, run.began / 1000)
    params = [Param(key, value) for key, value in run.params.items()]
    for start in range(0, len(params), _PARAMS_A_BATCH):
        store.client.log_batch(run_id, params=params[start : start + _PARAMS_A_BATCH])
    points = [Metric(*point) for point in run.points]
    for start in range(0, len(points), _A_BATCH):
        store.client.log_batch(run_id, metrics=points[start : start + _A_BATCH])
    inputs = [
        DatasetInput(Dataset(**fields), [InputTag(key, value) for key, value in tags.items()])
        for fields, tags in run.datasets
    ]
    if inputs:
        store.client.log_inputs(run_id, inputs)
    return run_id


def _md5(path: Path) -> str:
    """The MD5 of a file, by which DVC names it too."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
