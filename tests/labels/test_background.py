"""When the background is predicted, and when it is counted."""

import pytest

from ssul.labels.background import Background, Future, Unknown

BOTH, NEITHER = Background(possible=True, predicted=True), Background(possible=False, predicted=False)
SHOWN, TAKEN = Background(possible=True, predicted=False), Background(possible=False, predicted=True)


@pytest.mark.parametrize(
    ("in_data", "classes_left", "future", "auto", "never", "background"),
    [
        pytest.param(True, 3, "ignore", BOTH, SHOWN, BOTH, id="the dataset has one"),
        pytest.param(True, 0, "background", BOTH, SHOWN, BOTH, id="the dataset has one, after the last step too"),
        pytest.param(False, 3, "ignore", NEITHER, NEITHER, TAKEN, id="none: every pixel is of a class"),
        pytest.param(False, 3, "background", BOTH, SHOWN, BOTH, id="later classes count as one"),
        pytest.param(False, 0, "background", NEITHER, NEITHER, TAKEN, id="no class is left to count as one"),
    ],
)
def test_the_background_is_predicted_where_it_can_be_right_unless_asked_otherwise(
    in_data: bool, classes_left: int, future: Future, auto: Background, never: Background, background: Background
) -> None:
    expected: dict[Unknown, Background] = {"auto": auto, "never": never, "background": background}
    found = {
        unknown: Background.of(in_data=in_data, classes_left=classes_left, future=future, unknown=unknown)
        for unknown in expected
    }
    assert found == expected


def test_a_background_that_is_neither_shown_nor_predicted_is_not_counted_and_has_no_name() -> None:
    assert [one.counted for one in (BOTH, SHOWN, TAKEN, NEITHER)] == [True, True, True, False]
    assert BOTH.names(("cat", "dog")) == ("background", "cat", "dog")
    assert NEITHER.names(("cat", "dog")) == ("cat", "dog")
