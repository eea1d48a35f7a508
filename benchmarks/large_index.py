"""What a dataset of COCO-Stuff's size costs before and beside the training: 164,000 images, 171 classes, 72 steps.

    python -m benchmarks.large_index [--quick] [--json FILE]

The index is drawn: an image shows nine classes on average, and the most frequent class has about twenty times the
images of the rarest. Each part is a process of its own, as a stage is, with limits of memory and time far above the
targets. Seconds are those of the processor; memory is the most that the process had, its libraries too.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ssul.config.paths import Layout
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.layout import MaskEncoding, SplitFiles
from ssul.memory.exemplars import merge_candidates, write_exemplars
from ssul.memory.selection import choose
from ssul.scenario.scenario import Scenario, Setting
from ssul.scenario.splits import Split, is_held_out, make_splits
from ssul.scenario.summary import summarise

if TYPE_CHECKING:  # late where it is used: it imports torch, which most of these parts do without
    from benchmarks.measure import Row

SECONDS, GIB = 60.0, 2.0
"""The targets of a stage."""
LIMIT_SECONDS, LIMIT_GIB = 900, 8
HEIGHT, WIDTH, BATCH, CAPACITY, HOLDOUT = 480, 640, 32, 300, 0.01


class Size(NamedTuple):
    """How large the dataset and its scenario are: `base` classes at step 0, then one more in each step."""

    images: int
    validation: int
    classes: int
    base: int


FULL, QUICK, SMOKE = Size(164_000, 5_000, 171, 100), Size(16_400, 500, 171, 100), Size(600, 60, 12, 8)


def draw_index(name: str, images: int, classes: int) -> ImageIndex:
    """Draws an index: images of one size that show 1 to 25 classes, frequent ones and rare ones."""
    chance = np.random.default_rng(len(name))
    frequency = 1 / (np.arange(classes) + max(1, classes // 20))
    numbers = np.minimum(1 + chance.poisson(8, images), min(25, classes))
    rows = []
    for position, number in enumerate(numbers.tolist()):
        order = np.log(frequency) + chance.gumbel(size=classes)  # the first of them are drawn without repetition
        shown = np.sort(np.argpartition(-order, number - 1)[:number]) + 1
        pixels = 1 + (chance.dirichlet(np.ones(number)) * (HEIGHT * WIDTH // 2)).astype(int)
        void = int(chance.integers(0, 5_000))
        counts = dict(zip(shown.tolist(), pixels.tolist(), strict=True))
        counts = {0: HEIGHT * WIDTH - void - sum(counts.values()), **counts}
        digest = chance.bytes(32).hex()
        rows.append(IndexRow(f"{name}/{position:012d}", HEIGHT, WIDTH, counts, void, 150_000 + position, digest))
    files = SplitFiles("images/{id}.jpg", "masks/{id}.png", list=f"{name}.txt")
    names = tuple(f"class {class_id}" for class_id in range(1, classes + 1))
    return ImageIndex("large", names, files, MaskEncoding(), tuple(rows))


def scenario_of(index: ImageIndex, base: int) -> Scenario:
    """The scenario of all classes."""
    return Scenario(tuple(range(1, len(index.class_names) + 1)), base, 1)


# --- the parts; each returns what it found, as JSON ------------------------------------------------------------------


def read(layout: Layout, base: int) -> int:
    """Reads the index, as every stage does; the images."""
    del base
    return len(ImageIndex.read(layout.index("train")).rows)


def splits(layout: Layout, base: int, setting: Setting = "overlapped") -> list[int]:
    """What the stage `splits` does; the images of each step."""
    index = ImageIndex.read(layout.index("train"))
    scenario = scenario_of(index, base)
    made = make_splits(index.present, scenario, setting, names=index.class_names, seed=0, holdout=HOLDOUT)
    summary = summarise(made, index.present, setting)
    for split in made:
        split.write(layout.split(split.step))
    return [step["images"] for step in summary["steps"]]


def partitioned(layout: Layout, base: int) -> list[int]:
    """The same in the partitioned setting; its splits are kept nowhere."""
    with tempfile.TemporaryDirectory() as elsewhere:
        (Path(elsewhere) / layout.index("train").relative_to(layout.root).parent).mkdir(parents=True)
        copy = Layout(Path(elsewhere))
        copy.index("train").symlink_to(layout.index("train"))
        return splits(copy, base, "partitioned")


def memory(layout: Layout, base: int) -> list[int]:
    """The memory after the base step; its images, and how many classes it shows."""
    from ssul.memory.candidates import with_annotated_classes  # late: torch is this part's alone

    del base
    index, split = ImageIndex.read(layout.index("train")), Split.read(layout.split(0))
    candidates = with_annotated_classes(merge_candidates([], split.images, 0), index.present, split.groups)
    chosen = choose(candidates, split.new, CAPACITY, seed=0)
    write_exemplars(layout.memory(1), chosen)
    return [len({one.id for one in chosen}), len({shown for one in chosen for shown in one.classes})]


def order(layout: Layout, base: int, *, appended: bool = False) -> int:
    """The samples of an epoch of the base step; how many images it shows."""
    from ssul.data.sampling import SampleOrder, TrainingItem  # late, likewise

    del base
    split = Split.read(layout.split(0))
    new = tuple(TrainingItem(one, split.new) for one in split.images)
    samples = SampleOrder(new, new[:CAPACITY] if appended else (), BATCH, seed=0, step=0, appended=appended)
    iterations = len(split.images) // BATCH
    return len({samples.item(iteration, slot).id for iteration in range(iterations) for slot in range(BATCH)})


def appended(layout: Layout, base: int) -> int:
    """The same with exemplars that are appended to the images."""
    return order(layout, base, appended=True)


def report(layout: Layout, base: int) -> int:
    """What evaluation and report take from the indices: examples and exemplars; how many of both."""
    from ssul.evaluation.examples import choose_examples  # late, likewise
    from ssul.report.memory import shown_exemplars

    del base
    examples = choose_examples(ImageIndex.read(layout.index("val")), 24)
    found, missing = shown_exemplars(layout, None, 1)
    return len(set(examples)) + len(found) + missing


PARTS: dict[str, Callable[[Layout, int], Any]] = {
    "read the index": read,
    "splits": splits,
    "splits, partitioned": partitioned,
    "memory after the base step": memory,
    "order of an epoch": order,
    "order, exemplars appended": appended,
    "report: examples and exemplars": report,
}


def expected(name: str, index: ImageIndex, size: Size, found: Any) -> bool | None:
    """Whether a part found what is known from the index by another way; None where nothing is."""
    if name == "splits":
        shows = np.zeros((size.images, size.classes + 1), dtype=bool)
        for place, row in enumerate(index.rows):
            shows[place, list(row.pixels)] = not is_held_out(row.id, HOLDOUT, 0)
        return bool(found == [shows[:, 1 : size.base + 1].any(axis=1).sum(), *shows[:, size.base + 1 :].sum(axis=0)])
    if name == "read the index":
        return bool(found == size.images)
    if name == "memory after the base step":
        return bool(found == [CAPACITY, size.base])
    return None


def measure(size: Size) -> "list[Row]":
    """The rows: for each part its seconds and its memory."""
    from benchmarks.measure import Row

    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        layout = Layout(Path(temporary))
        index = draw_index("train", size.images, size.classes)
        index.write(layout.index("train"))
        draw_index("val", size.validation, size.classes).write(layout.index("val"))
        mib = layout.index("train").stat().st_size / 2**20
        steps = 1 + size.classes - size.base
        print(f"{size.images} images, {size.classes} classes, {steps} steps; the index: {mib:.1f} MiB")
        for name in PARTS:
            seconds, gib, found = in_process(name, layout, size.base)
            print(f"{name}: {seconds:.1f} s, {gib:.2f} GiB", flush=True)
            equal = expected(name, index, size, found)
            rows.append(Row(name, seconds, SECONDS, equal, unit="CPU seconds", at_most=True))
            rows.append(Row(f"{name}: memory", gib, GIB, None, unit="GiB", at_most=True))
    return rows


def in_process(name: str, layout: Layout, base: int) -> tuple[float, float, Any]:
    """Seconds, GiB and result of a part in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.large_index", "--part", name, str(layout.root), str(base)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()[-2000:] or f'exit status {done.returncode}'}")
    seconds, gib, found = json.loads(done.stdout)
    return seconds, gib, found


def part(name: str, layout: Layout, base: int) -> tuple[float, float, Any]:
    """Seconds, GiB and result of a part in this process, which gets limits."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_GIB * 2**30,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_SECONDS,) * 2)
    found = PARTS[name](layout, base)
    return (*used(), found)


def used() -> tuple[float, float]:
    """What this process has used: seconds of the processor, and the most memory in GiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return time.process_time(), int(status.split("VmHWM:")[1].split()[0]) / 2**20


def main() -> None:
    """Prints the table; with --part NAME FOLDER BASE, which it uses by itself, what one part took and found."""
    if sys.argv[1:2] == ["--part"]:
        name, folder, base = sys.argv[2:]
        print(json.dumps(part(name, Layout(Path(folder)), int(base))))
        return
    from benchmarks.measure import arguments, print_table

    given = arguments(__doc__ or "").parse_args()
    size = SMOKE if given.smoke else QUICK if given.quick else FULL
    print_table("a dataset of COCO-Stuff's size", measure(size), given.json)


if __name__ == "__main__":
    main()
