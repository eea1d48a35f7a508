"""`ssul browse`."""

from pathlib import Path
from typing import Annotated

import typer

from ssul.config.paths import LAYOUT, Layout
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.io.atomic import write_text


def browse(
    step: Annotated[int, typer.Option(help="Which step, from 0.")] = 0,
    images: Annotated[int, typer.Option(min=1, help="How many samples at most.")] = 24,
    out: Annotated[
        Path | None, typer.Option(help="The page to write; by default reports/browse_step_STEP.html.")
    ] = None,
) -> None:
    """Write a page of what a step is trained on: its first augmented samples, their labels and pseudo-labels."""
    page = LAYOUT.browsed(step) if out is None else out
    if page.is_dir():
        raise UserError(f"--out is {page}, a folder: name a file")
    if not LAYOUT.pipeline.is_file():
        raise UserError(f"{Path.cwd()} is no ssul project, because it has no dvc.yaml: go to the project's folder")
    from ssul.cli.upcoming import upcoming_training  # late: it brings torch, which takes seconds
    from ssul.data.dataset_info import DatasetInfo
    from ssul.data.index import ImageIndex
    from ssul.pipeline.progress import with_progress
    from ssul.pipeline.watch import calibrate, silent
    from ssul.report.samples import first_samples
    from ssul.report.samples_page import write_samples_page
    from ssul.training.resume import StateFile
    from ssul.training.session import TrainingSession

    coming = upcoming_training(step)
    job, fabric = coming.job, coming.fabric
    if fabric is not None:
        unused = StateFile(Layout(project_root()).trainings, "browse")
        calibrate(TrainingSession(job, fabric, 0, 1, unused, silent))
    count = min(images, job.iterations * job.order.batch)
    samples = first_samples(job, count, fabric)
    text = write_samples_page(
        coming.params,
        job,
        list(with_progress(samples, total=count, title=f"samples of step {step}", unit="sample")),
        index=ImageIndex.read(LAYOUT.index("train")),
        palette=DatasetInfo.read(LAYOUT.dataset_info).palette,
        left_out=coming.left_out,
    )
    try:
        write_text(page, text)
    except OSError as error:
        raise UserError(f"{page} cannot be written: {error.strerror or error}") from None
    for sentence in coming.left_out:
        print(sentence)
    print(f"{page}: {count} samples of step {step}, {len(text) / 1e6:.1f} MB")
