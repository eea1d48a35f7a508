"""The paths of the project; no other module spells one."""

from dataclasses import dataclass
from pathlib import Path

from ssul.environment import project_root

IMAGE_COUNTS = "image_counts.json"
"""The pixel counts of each validation image, in the folder of an evaluation and among a run's artifacts."""
SMALL_MASKS = "masks.zip"
"""Small masks of each validation image, in the folder of an evaluation."""


@dataclass(frozen=True)
class Layout:
    """The paths of one working folder, all relative to `root`."""

    root: Path = Path()

    @property
    def params(self) -> Path:
        """The composed parameters."""
        return self.root / "params.yaml"

    @property
    def pipeline(self) -> Path:
        """The stages and their dependencies."""
        return self.root / "dvc.yaml"

    @property
    def readme(self) -> Path:
        """The README, which holds a table of the evidence."""
        return self.root / "README.md"

    @property
    def lock(self) -> Path:
        """What dvc has recorded of the stages that ran."""
        return self.root / "dvc.lock"

    @property
    def composition(self) -> Path:
        """What Hydra composes by default."""
        return self.root / "conf" / "config.yaml"

    @property
    def scenarios(self) -> Path:
        """The scenario files that Hydra composes from."""
        return self.root / "conf" / "scenario"

    @property
    def datasets(self) -> Path:
        """The dataset files that Hydra composes from, also those of custom datasets."""
        return self.root / "conf" / "data"

    def method_files(self, name: str) -> dict[str, Path]:
        """The files of a method by the names of their templates."""
        code, tests = self.root / "ssul" / "methods" / name, self.root / "tests" / "methods" / name
        return {
            "__init__.py": code / "__init__.py",
            "parameters.py": code / "parameters.py",
            "increment.py": code / "increment.py",
            "method.yaml": self.root / "conf" / "method" / f"{name}.yaml",
            "test_increment.py": tests / "test_increment.py",
            "page.md": self.root / "docs" / "methods" / f"{name}.md",
        }

    @property
    def drawn(self) -> Path:
        """The embedded dataset, drawn by `prepare`; an empty folder where `data.root` names another."""
        return self.root / "data" / "drawn"

    @property
    def cache(self) -> Path:
        """Kept between runs, and may be deleted at any time; of the main folder, see `project_root`."""
        return self.root / "data" / "cache"

    @property
    def downloads(self) -> Path:
        """Where archives are downloaded to, and may be put by hand; of the main folder, see `project_root`."""
        return self.root / "data" / "downloads"

    @property
    def former_params(self) -> Path:
        """The parameters that the last `dvc exp run` replaced."""
        return self.cache / "params.yaml"

    def last_good(self, step: int) -> Path:
        """The last finite weights of a training that failed."""
        return self.cache / "last_good" / f"step_{step}"

    def stage_lock(self, stage: str) -> Path:
        """Held by the process of a stage, because an orphan of a killed command may still run."""
        return self.cache / "stages" / f"{stage}.lock"

    @property
    def trainings(self) -> Path:
        """States from which interrupted trainings resume; of the main folder, see `project_root`."""
        return self.cache / "trainings"

    @property
    def live(self) -> Path:
        """Journals of trainings, the source of MLflow's live curves; of the main folder, see `project_root`."""
        return self.cache / "live"

    @property
    def times(self) -> Path:
        """Notes on how long stages took; of the main folder, see `project_root`."""
        return self.cache / "times"

    def index(self, split: str) -> Path:
        """The index of a split, `train` or `val`."""
        return self.root / "data" / "index" / f"{split}.json"

    @property
    def dataset_info(self) -> Path:
        """Colours and skipped images of the dataset: for evaluations and the report, never for a training."""
        return self.root / "data" / "index" / "info.json"

    @property
    def initial_checkpoint(self) -> Path:
        """The checkpoint that the scenario starts from."""
        return self.root / "data" / "index" / "initial_checkpoint.json"

    @property
    def splits(self) -> Path:
        """The folder of all splits."""
        return self.root / "data" / "splits"

    def split(self, step: int) -> Path:
        """The classes and training images of a step."""
        return self.splits / f"step_{step}.json"

    @property
    def split_summary(self) -> Path:
        """How many images each step and class has."""
        return self.splits / "summary.json"

    def memory(self, step: int) -> Path:
        """The exemplars that are rehearsed during a step."""
        return self.root / "data" / "memory" / f"step_{step}.json"

    def kept(self, step: int) -> Path:
        """What the method keeps of past steps, beside exemplars, for a step."""
        return self.root / "data" / "memory" / f"step_{step}.safetensors"

    def checkpoint(self, step: int) -> Path:
        """The network after a step."""
        return self.root / "data" / "checkpoints" / f"step_{step}"

    def evaluation(self, step: int) -> Path:
        """The results of all steps up to this one."""
        return self.root / "data" / "evaluation" / f"step_{step}"

    @property
    def reports(self) -> Path:
        """The results for people; committed to git."""
        return self.root / "reports"

    def made_with(self, stage: str) -> Path:
        """The parameters that made the outputs of a stage, by the stage's name as dvc prints it."""
        return self.root / "data" / "made_with" / f"{stage.replace('@', '_')}.json"

    @property
    def reported_run(self) -> Path:
        """Which run the other reports are of, for `ssul show`."""
        return self.reports / "run.json"

    @property
    def metrics(self) -> Path:
        """The final numbers, for `dvc metrics`."""
        return self.reports / "metrics.json"

    @property
    def miou_per_step(self) -> Path:
        """One row of mean IoUs a step, for `dvc plots`."""
        return self.reports / "miou_per_step.json"

    @property
    def class_iou(self) -> Path:
        """One row for each class after the last step, for `dvc plots`."""
        return self.reports / "class_iou.json"

    @property
    def training_curve(self) -> Path:
        """The training curves of all steps, one after the other, for `dvc plots`."""
        return self.reports / "training_curve.json"

    @property
    def results(self) -> Path:
        """The table of many runs that `ssul table` writes."""
        return self.reports / "results.md"

    @property
    def results_figure(self) -> Path:
        """The figure of `results`."""
        return self.reports / "results.png"

    @property
    def evidence_spec(self) -> Path:
        """The experiments behind docs/evidence.md."""
        return self.root / "docs" / "evidence.yaml"

    @property
    def evidence(self) -> Path:
        """Their results."""
        return self.root / "docs" / "evidence.json"

    @property
    def evidence_page(self) -> Path:
        """The page with their tables."""
        return self.root / "docs" / "evidence.md"

    @property
    def page(self) -> Path:
        """The report."""
        return self.reports / "index.md"

    @property
    def interactive_page(self) -> Path:
        """The report as one file for a browser; not in git."""
        return self.reports / "index.html"

    @property
    def pages(self) -> tuple[Path, Path]:
        """The report, in both forms."""
        return self.page, self.interactive_page

    def browsed(self, step: int) -> Path:
        """The samples of a step, which `ssul browse` writes; not in git."""
        return self.reports / f"browse_step_{step}.html"

    @property
    def figures(self) -> Path:
        """The PNGs that the page shows."""
        return self.reports / "figures"


def data_root(data_root: str | None, layout: Layout) -> Path:
    """The folder of the dataset: `data.root`, relative paths against the project; null is the drawn dataset."""
    return layout.drawn if data_root is None else project_root() / Path(data_root).expanduser()


def given_checkpoint(path: str | None) -> Path | None:
    """`recipe.base.checkpoint`, relative paths against the project; None where the base step is trained."""
    return None if path is None else project_root() / Path(path).expanduser()


def weights_file(weights: str) -> str:
    """`model.weights` with a relative file name resolved against the project; `imagenet` and `none` stay."""
    candidate = project_root() / Path(weights).expanduser()
    return str(candidate) if candidate.is_file() else weights


LAYOUT = Layout()
