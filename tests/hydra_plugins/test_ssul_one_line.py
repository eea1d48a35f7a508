"""How a composition that cannot be made is refused."""

import re

import pytest

from tests.project import composed


@pytest.mark.parametrize("root", ["/data/Müller", "/data/a (b)", '/data/"quoted" ü'])
def test_a_value_that_hydra_cannot_read_is_told_how_to_be_quoted_and_the_advice_works(root: str) -> None:
    with pytest.raises(SystemExit) as refused:
        composed(f"data.root={root}")
    advice = re.search(r"two pairs of quotes, as in -S '(.*)'$", str(refused.value))
    assert advice is not None
    assert composed(advice[1])["data"]["root"] == root


def test_blanks_need_no_more_quotes_than_the_shells() -> None:
    assert composed("data.root=/data/my photos")["data"]["root"] == "/data/my photos"
