"""The page of a run, reports/index.md: scores, figures and splits in one place."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssul.config.naming import RunName
from ssul.config.schema import Images
from ssul.evaluation.results import Results
from ssul.labels.background import Future, Unknown
from ssul.report.markdown import count, details, figure, markdown, paragraphs
from ssul.report.rows import WITHOUT_BACKGROUND, absent_classes, learned_classes, step_rows
from ssul.report.tables import UNDEFINED, markdown_classes, markdown_holdout, markdown_steps, percent
from ssul.tracking.store import OPEN_COMMAND

STEPS_UNIT = "Mean IoU and forgetting, in percent."


@dataclass(frozen=True)
class PageText:
    """The words and tables of a run, as Markdown; empty where there is nothing to say. Both pages show them.

    Attributes:
        title: of the page.
        introduction: what was learned and evaluated, and the scores.
        steps: the table of scores.
        without_background: the last means without it.
        how_to_read: what the scores mean.
        holdout: on held-out images.
        absent: the classes that no mean holds.
        classes: IoU of each class after each step, as a table.
        examples: what the examples show; empty without examples.
        splits: the training data.
    """

    title: str
    introduction: str
    steps: str
    without_background: str
    how_to_read: str
    holdout: str
    absent: str
    classes: str
    examples: str
    splits: str


def page_text(
    name: RunName,
    results: Results,
    *,
    capacity: int,
    future: Future,
    unknown: Unknown,
    crop: int | None,
    images: Images,
    examples: bool,
    splits: str,
) -> PageText:
    """The words; the same for the same results on every machine.

    Args:
        name: for the title.
        results: of all steps.
        capacity: of the exemplar memory, in images; 0 without a memory.
        future, unknown: how images were evaluated, see `ssul.labels.background`.
        crop: the side in pixels of the central squares that were evaluated; None for whole images.
        images: which validation images were scored.
        examples: whether there are example images.
        splits: the section on the training data, see `split_section`.
    """
    learned = learned_classes(results.names, results.group_sizes)
    return PageText(
        title=f"{name.method} on {markdown(name.scenario)}, {name.setting} (backbone {markdown(name.model)})",
        introduction=_introduction(results, capacity),
        steps=markdown_steps(step_rows(results)),
        without_background=_without_background(results.rows[-1]),
        how_to_read=_how_to_read(results, future, unknown, crop, images),
        holdout=_holdout(results.rows),
        absent=_absent(results),
        classes=markdown_classes(results.rows, learned),
        examples=_examples(results.data_set) if examples else "",
        splits=splits,
    )


def write_page(words: PageText, figures: Collection[str]) -> str:
    """The page as Markdown.

    Args:
        words: of the run.
        figures: names of the existing files below figures/.
    """
    text = paragraphs(
        f"# {words.title}",
        words.introduction,
        "## After each step",
        STEPS_UNIT,
        words.steps,
        words.without_background,
        figure("miou_per_step.png", "mean IoU of old, new and all classes after each step", figures),
        words.how_to_read,
        words.holdout,
        "## Class by class",
        words.absent,
        figure("class_iou.png", "IoU of each class after each step", figures),
        details("The same numbers as a table (IoU, percent)", words.classes),
        figure("confusion.png", "which class was taken for which after the last step", figures),
        words.examples and f"## Examples\n\n{words.examples}",
        figure("examples.png", "images, ground truth and predictions", figures),
        _learned_from(figures),
        "## The splits",
        words.splits,
        f"## More\n\nCurves and parameters of all runs, side by side:\n\n```\n{OPEN_COMMAND}\n```",
    )
    return text + "\n"


def run_description(name: str, results: Results) -> str:
    """The description of a run in MLflow, as Markdown."""
    table = markdown_steps(step_rows(results))
    return (
        f"**{name}**: mean IoU and forgetting in percent, on {results.images} validation images.\n\n{table}\n\n"
        "Artifacts: the report as a page to explore, `index.html`, and as `index.md`, its figures, and the last "
        "network in `checkpoint/`. "
        "`mlflow artifacts download -r RUN_ID -a checkpoint` fetches it, "
        "and `ssul.inference.trained_model.TrainedModel.load` opens it. "
        "The runs below this one are the steps, with their training curves."
    )


def _introduction(results: Results, capacity: int) -> str:
    last = results.rows[-1]
    steps, classes = len(results.rows), sum(results.group_sizes)
    how = "at once" if steps == 1 else f"in {steps} steps"
    rehearsed = f", rehearsing {count(capacity, 'exemplar')}" if capacity else ""
    scores = [
        f"{words} **{percent(last[key])} %**"
        for key, words in (("all", "over all classes"), ("old", "over the old ones"), ("new", "over the new ones"))
        if last[key] is not None and (steps > 1 or key == "all")
    ]
    return (
        f"{count(classes, 'class', 'classes')} of the dataset {markdown(results.data_set)}, learned {how}{rehearsed}; "
        f"evaluated on {count(results.images, 'validation image')}. Mean IoU after the last step: {', '.join(scores)}."
    )


def _without_background(last: Mapping[str, Any]) -> str:
    if last["iou"].get("background") is None:  # the means hold only classes already
        return ""
    means = [(name, last[f"{name}_without_background"]) for name in WITHOUT_BACKGROUND]
    values = ", ".join(f"{name} {percent(value)}" for name, value in means if value is not None)
    return f"Without the background, after the last step: {values}." if values else ""


def _how_to_read(results: Results, future: Future, unknown: Unknown, crop: int | None, images: Images) -> str:
    background = ", and the background" if results.has_background else ""
    unseen = {
        "ignore": "Pixels of classes that are learned only later are not evaluated.",
        "background": "Pixels of classes that are learned only later count as background.",
    }[future]
    return "\n".join(
        (
            "How to read it:",
            "",
            f"- **old**: the classes of step 0{background}. **new**: all classes learned after step 0.",
            f"- **all**: every class learned so far{background}.",
            "- **hIoU**: the harmonic mean of *old* and *new*, which is high only where both are.",
            f"- **previous**: all classes learned before this step{background}. **current**: this step's.",
            "- **forgetting**: how far the classes of earlier steps have fallen below their best; below 0 they gained.",
            f"- {UNDEFINED}: undefined at this step. {unseen}",
            *_unusual_background(results, unknown),
            *_unusual_crop(crop),
            *_unusual_images(images),
        )
    )


def _unusual_background(results: Results, unknown: Unknown) -> list[str]:
    counted = ["background" in row["iou"] for row in results.rows]
    lines = []
    if not results.has_background:
        lines.append(f"- The dataset has no background{_in_its_place(counted)}")
    if unknown == "never" and any(counted):
        lines.append("- The background is never predicted (`evaluation.unknown=never`): each of its pixels is a miss.")
    return lines


def _in_its_place(counted: Sequence[bool]) -> str:
    """What happens without a background: the end of a sentence. counted: whether each step counts a background."""
    if counted[-1]:
        return ": a pixel that is taken for it is a miss of its class."
    if any(counted):
        return ". Before the last step the pixels of later classes count as one, which is in the means of these steps."
    return ", and none is predicted: each pixel gets the best of the learned classes."


def _unusual_crop(crop: int | None) -> list[str]:
    if crop is None:
        return []
    return [
        "- Only the central squares of images are evaluated, as in the published `crop_val`: the short side "
        f"of image and ground truth is resized to {crop} pixels, and the square of that side in the middle is cut out."
    ]


def _unusual_images(images: Images) -> list[str]:
    if images == "all":
        return []
    return [
        "- Each step is scored on those validation images alone that show one of its classes or of an earlier step's "
        "(`evaluation.images=seen`). The examples below show other images too."
    ]


def _holdout(rows: Sequence[Mapping[str, Any]]) -> str:
    if not any(row["holdout"] for row in rows):
        return ""
    return paragraphs(
        "### On held-out training images",
        "Mean IoU in percent on the training images that no step so far trained on, although they belong to it "
        "(`data.holdout`). These are for choosing settings; validation images are not looked at for that.",
        markdown_holdout(rows),
    )


def _absent(results: Results) -> str:
    absent = absent_classes(results.rows)
    if not absent:
        return ""
    return (
        f"Absent: {', '.join(map(markdown, absent))}. Neither the evaluated pixels nor the predictions of some step "
        "show them, so their IoU is undefined there and the means leave them out."
    )


def _learned_from(figures: Collection[str]) -> str:
    shown = [
        figure("training.png", "the loss over the iterations of each step", figures),
        figure("memory.png", "the exemplars in memory during the last step", figures),
    ]
    return paragraphs("## The training", *shown) if any(shown) else ""


def _examples(data_set: str) -> str:
    drawn = "The images of this dataset are drawn by the pipeline. " if data_set in ("shapes", "silhouettes") else ""
    return (
        f"{drawn}Each row is a validation image, its ground truth and what the network predicts after a step. The "
        "images are chosen to show rare classes too, and far from each other in the validation set. The ground truth "
        "shows all classes, also those that a step has not learned yet."
    )
