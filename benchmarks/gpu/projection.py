"""What whole runs would take on this card, from the images a second that were measured."""

from collections.abc import Iterator, Sequence

from benchmarks.gpu.feeding import LOADER
from benchmarks.gpu.speed import BASE, LAST
from benchmarks.measure import Row

VOC_IMAGES, VOC_EPOCHS = (9_568, 2_325), 50
"""Images of the base step, and of all increments, an epoch: 15-1, overlapped (docs/performance.md)."""
ADE_IMAGES, ADE_EPOCHS = (20_210, 20_210), 100
"""Of ADE20K's 20,210 images the base step sees fewer; the ten increments are set to one more pass over all of them."""


def projection(rows: Sequence[Row]) -> Iterator[Row]:
    """The hours of training of VOC 15-1 and ADE 100-5, and whether the loader keeps up.

    Every increment is taken to cost what the last one does.

    Args:
        rows: what was measured; what is missing in them is left out.
    """
    speeds = {row.name: row.ratio for row in rows if row.unit == "images/s"}
    for name, images, epochs in (("VOC 15-1", VOC_IMAGES, VOC_EPOCHS), ("ADE 100-5", ADE_IMAGES, ADE_EPOCHS)):
        for precision in ("32", "bf16"):
            found = [speeds.get(f"{name}, {step}, {precision}") for step in (BASE, LAST)]
            if None in found:
                continue
            base, rest = (
                count * epochs / speed / 3600 for count, speed in zip(images, found, strict=True) if speed is not None
            )
            detail = f"{base:.2f} h for the base step, {rest:.2f} h for all increments"
            yield Row(f"{name} in {precision}, training, projected", base + rest, None, None, detail, "hours")
    steps = {name: speed for name, speed in speeds.items() if name.endswith((", 32", ", bf16"))}
    if LOADER in speeds and steps:
        quickest = max(steps, key=lambda name: steps[name])
        yield Row(
            "the loader against the quickest step",
            speeds[LOADER] / steps[quickest],
            1.0,
            None,
            quickest,
            "times its need",
        )
