"""The tables of coloured cells: what stands in a cell and beside the pointer."""

from typing import Any

from ssul.evaluation.results import Results
from ssul.report.cell_tables import TableCell, confusion_rows, iou_rows

NAMES = ("background", "cat", "dog")
ROWS: tuple[dict[str, Any], ...] = (
    {"step": 0, "iou": {"background": 0.9, "cat": 0.8}},
    {"step": 1, "iou": {"background": 0.9, "cat": 0.6, "dog": None}},
)
RESULTS = Results("toy", True, NAMES, (1, 1), 9, ROWS, ((9, 1, 0), (3, 1, 0), (0, 0, 0)))


def test_a_cell_of_a_class_names_its_change_and_is_blank_before_the_class_is_learned() -> None:
    background, cat, dog = iou_rows(RESULTS)
    assert cat.cells[0] == TableCell("80.0", 80.0, "cat after step 0: 80.0 %")
    assert cat.cells[1] == TableCell("60.0", 60.0, "cat after step 1: 60.0 %; -20.0 since step 0")
    assert dog.cells[0] == TableCell()
    assert dog.cells[1].shade is None
    assert "undefined" in dog.cells[1].words
    assert [background.first, cat.first, dog.first] == [False, True, True]


def test_a_cell_of_the_confusion_says_what_is_taken_for_what_and_opens_images_if_there_are_any() -> None:
    background, cat, dog = confusion_rows(RESULTS, {"background": 0, "cat": 7, "dog": 3})
    assert cat.cells[0] == TableCell("75", 10 * 75**0.5, "75.0 % of cat is taken for background", "7-0")
    assert background.cells[0].words == "90.0 % of background is right"
    assert background.cells[2].key == ""
    assert dog.cells[1].shade is None
