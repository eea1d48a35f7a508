"""What the report wants to know of a dataset."""

from pathlib import Path

import pytest

from ssul.data.dataset_info import DatasetInfo
from ssul.errors import UserError

INFO = DatasetInfo(((0, 0, 0), (9, 8, 7)), {"d": "unreadable image (not an image)"}, {"town/ö": "no mask at m/ö.png"})


def test_it_is_read_as_it_was_written_and_the_same_gives_the_same_bytes(tmp_path: Path) -> None:
    INFO.write(tmp_path / "index" / "info.json")
    assert DatasetInfo.read(tmp_path / "index" / "info.json") == INFO
    DatasetInfo.read(tmp_path / "index" / "info.json").write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "index" / "info.json").read_bytes()


def test_where_it_is_missing_the_stage_that_makes_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"info\.json is missing: run `dvc repro prepare`"):
        DatasetInfo.read(tmp_path / "info.json")
