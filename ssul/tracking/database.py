"""The sqlite store, read and mended without mlflow, whose import takes seconds."""

import sqlite3
from contextlib import closing
from pathlib import Path

ARTIFACTS = "mlruns"
"""The folder of all artifacts, beside the database."""
_PLACES = (("runs", "artifact_uri"), ("logged_models", "artifact_location"), ("experiments", "artifact_location"))


def experiment_id(database: Path, name: str) -> str | None:
    """The id of an experiment; None if there is none yet."""
    if not database.is_file():
        return None
    with closing(sqlite3.connect(database)) as connection:
        if not _has_tables(connection):
            return None
        found = connection.execute("select experiment_id from experiments where name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])


def follow_moved_artifacts(database: Path, name: str) -> None:
    """Makes the runs of an experiment name their artifacts where they lie now.

    mlflow keeps whole paths. Where the project's folder was moved or copied, they name the old place; the artifacts
    still lie beside the database.

    Args:
        database: exists.
        name: of the experiment.
    """
    folder = database.parent / ARTIFACTS
    with closing(sqlite3.connect(database)) as connection, connection:
        if not folder.is_dir() or not _has_tables(connection):
            return
        found = connection.execute("select artifact_location from experiments where name = ?", (name,)).fetchone()
        old, new = None if found is None else str(found[0]), folder.as_uri()
        if old is None or old == new or not old.startswith("file:") or not old.endswith(f"/{ARTIFACTS}"):
            return  # nothing was logged yet, nothing was moved, or somebody chose another place
        for table, column in _PLACES:
            connection.execute(
                f"update {table} set {column} = ? || substr({column}, ?) "
                f"where {column} = ? or substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )


def _has_tables(connection: sqlite3.Connection) -> bool:
    names = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
    return names.issuperset(table for table, _ in _PLACES)
