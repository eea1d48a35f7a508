"""The counts of each image come back as they were written, and damage is refused."""

from pathlib import Path

import pytest

from ssul.config.paths import IMAGE_COUNTS
from ssul.errors import UserError
from ssul.evaluation.image_counts import ImageCounts, read_counts, write_counts


def test_counts_come_back_one_line_an_image(tmp_path: Path) -> None:
    counts: ImageCounts = {'a/"b': [(0, 1, 2, 3), (4, 0, 5, 0)], "c": []}
    write_counts(tmp_path, counts)
    assert list(read_counts(tmp_path).items()) == list(counts.items())
    assert len((tmp_path / IMAGE_COUNTS).read_text().splitlines()) == 2 + len(counts)


@pytest.mark.parametrize("text", ["", "[]", '{"a": [[1, 2, 3]]}', '{"a": [[1, 2, 3, "4"]]}'])
def test_damaged_counts_are_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / IMAGE_COUNTS).write_text(text)
    with pytest.raises(UserError, match=r"pixel counts of each image .* is damaged .*dvc repro"):
        read_counts(tmp_path)
