"""The parameters choose a method and its parts: each file of conf/method does what it says; memory goes with all."""

import copy
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from lightning_fabric import Fabric
from pydantic import TypeAdapter
from torch import Tensor, nn

from ssul.config.method import MethodParams, keeps_something, method_module
from ssul.config.schema import AnyMethod
from ssul.data.dataset import SegmentationDataset
from ssul.data.loader import training_loader
from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.data.training_set import Augmentation
from ssul.inference.trained_model import TrainedModel
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.methods.build import build_objective
from ssul.methods.dkd.increment import DkdIncrement
from ssul.methods.ilt.increment import IltIncrement
from ssul.methods.lwf.increment import LwfIncrement
from ssul.methods.mib.increment import MibIncrement
from ssul.methods.plop.increment import PlopIncrement
from ssul.methods.remember import PastStep
from ssul.methods.ssul.increment import FrozenIncrement, PseudoLabelIncrement
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.scenario.splits import Split
from ssul.training.loop import TrainingProgress, learn_step
from ssul.training.objective import Objective, Supervised, TeacherStudentObjective
from tests.methods.builders import NEW, OLD, drawn, trained
from tests.model.learning import tensors_changed_by_training

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

CONF = Path(__file__).resolve().parents[2] / "conf" / "method"
METHODS = sorted(path.stem for path in CONF.glob("*.yaml"))
FUSIBLE = ["finetune", "ilt", "lwf", "lwf_mc", "mib", "plop"]
OFF: dict[str, Any] = {
    "loss": "ce",
    "unknown": False,
    "pseudo_threshold": None,
    "freeze": False,
    "freeze_norm": False,
    "weight_transfer": False,
}


def method_of(name: str, **changes: Any) -> MethodParams:
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    own = content[content["name"]]
    for key, value in changes.items():
        (own if key in own else content)[key] = value
    method: MethodParams = TypeAdapter(AnyMethod).validate_python(content)
    return method


def labels_of(method: MethodParams) -> LabelSpace:
    return LabelSpace(OLD.groups, method.unknown, method.activation, method.constant_background)


def prepared(method: MethodParams, model: IncrementalDeepLab) -> Objective:
    kept = kept_after(method, model, labels_of(method))
    torch.manual_seed(9)
    return build_objective(method, model, labels_of(method), NEW, kept).train()


def kept_after(method: MethodParams, model: IncrementalDeepLab, labels: LabelSpace) -> dict[str, Tensor]:
    """What the method keeps if the network has learned all of its classes in the base step."""
    if not keeps_something(method.name):
        return {}
    names = tuple(map(str, labels.classes))
    split = Split(0, (labels.classes,), names, ("a",), ())
    channels = range(labels.background_channel, labels.num_channels)
    batch = drawn(*channels, dtype=next(model.parameters()).dtype)
    past = PastStep(TrainedModel(model, labels, names), split, "overlapped", {}, {}, [batch])
    kept: dict[str, Tensor] = method_module(method.name, "remember").remember(past)
    return kept


def what_learns(objective: Objective, images: Tensor, target: Tensor) -> set[str]:
    """The tensors of the network's state that a few iterations change, after the calibration."""
    for _ in objective.calibrate([(images, target)]):
        pass
    return tensors_changed_by_training(objective.model, lambda: objective(images, target).total)


# ---- which objective ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_each_file_of_methods_gives_its_objective(name: str) -> None:
    method = method_of(name)
    model = trained(labels_of(method))
    objective = prepared(method, model)
    own = f"ssul.methods.{method.name}.increment"
    assert type(objective) is Supervised if method.name == "finetune" else type(objective).__module__ == own
    assert objective.model is model
    assert objective.labels == labels_of(method).with_step(NEW)
    assert model.head_sizes == objective.labels.head_sizes
    assert method.adds_pseudo_labels == hasattr(objective, "completed")


def test_the_settings_of_mib_reach_it() -> None:
    method = method_of("mib", distillation=100, void="ignore")
    objective = prepared(method, trained(labels_of(method)))
    assert isinstance(objective, MibIncrement)
    assert (objective.distillation, objective.void_is_background) == (100, False)


def test_the_settings_of_lwf_and_ilt_reach_them() -> None:
    lwf = prepared(method_of("lwf", distillation=10), trained(OLD))
    assert isinstance(lwf, LwfIncrement)
    assert lwf.distillation == 10
    ilt = prepared(method_of("ilt", distillation=10, features=5), trained(OLD))
    assert isinstance(ilt, IltIncrement)
    assert (ilt.distillation, ilt.features) == (10, 5)


def test_the_settings_of_plop_reach_it_and_grow_with_the_classes() -> None:
    method = method_of("plop", pod=0.001, pod_logits=1e-5, entropy="published")
    objective = prepared(method, trained(labels_of(method)))
    assert isinstance(objective, PlopIncrement)
    growth = (6 / 2) ** 0.5  # background and five classes, two of them new
    assert (objective.pod, objective.pod_logits) == pytest.approx((0.001 * growth, 1e-5 * growth))
    assert objective.entropy == "published"


def test_the_settings_of_dkd_reach_its_increments_and_not_those_of_its_base_step_and_memory() -> None:
    content = yaml.safe_load((CONF / "dkd.yaml").read_text(encoding="utf-8"))
    own = {"positive_weight": 35, "distillation": 1, "decomposed": 2, "other_decay": 0.1, "memory_threshold": 0.8}
    method = TypeAdapter(AnyMethod).validate_python(content | {"positive_weight": 34, "dkd": own})
    objective = prepared(method, trained(labels_of(method)))
    assert isinstance(objective, DkdIncrement)
    assert (objective.positive_weight, objective.distillation, objective.decomposed) == (35, 1, 2)
    assert [group.get("weight_decay") for group in objective.parameter_groups(1.0, backbone_ratio=1.0)] == [
        0.1,
        0.1,
        None,
    ]
    assert method.memory_threshold == 0.8


def test_the_settings_of_star_reach_it() -> None:
    changes = {"distillation": 2, "separation": 0.5, "newest_lr_ratio": 3, "positive_weight": 30}
    method = method_of("star", **changes)
    objective = prepared(method, trained(labels_of(method)))
    assert {name: getattr(objective, name) for name in changes} == changes


@pytest.mark.parametrize("frozen", [True, False], ids=["norms frozen", "norms adapt"])
@pytest.mark.parametrize("name", [*FUSIBLE, "ssul"])
def test_norms_neither_adapt_nor_learn_where_a_method_freezes_them(name: str, frozen: bool) -> None:
    method = method_of(name, freeze_norm=frozen, **({"freeze": False} if name == "ssul" else {}))
    objective = prepared(method, trained(labels_of(method)))
    norms = {at for at, module in objective.model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    learned = what_learns(objective, *drawn(0, 4, 5))
    assert norms
    assert {at.rpartition(".")[0] for at in learned} & norms == (set() if frozen else norms)


# ---- the fusion of weights ------------------------------------------------------------------------------------------


def after_training(method: MethodParams, model: IncrementalDeepLab, old: LabelSpace) -> Objective:
    """An objective whose network has learned a little, unfinished."""
    torch.manual_seed(9)
    objective = build_objective(method, model, old, NEW).train()
    what_learns(objective, *drawn(0, 4, 5, dtype=next(model.parameters()).dtype))
    return objective


def test_every_method_with_a_fusion_is_known_here() -> None:
    assert [name for name in METHODS if "fusion" in type(method_of(name)).model_fields] == FUSIBLE
    assert not any(method_of(name).fuses for name in METHODS)


@pytest.mark.parametrize("name", FUSIBLE)
def test_with_the_fusion_every_head_but_the_newest_is_frozen_and_all_else_learns(name: str) -> None:
    method = method_of(name, fusion=True)
    objective = prepared(method, trained(labels_of(method)))
    learned = what_learns(objective, *drawn(0, 4, 5))
    earlier = {f"heads.{head}." for head in range(len(objective.model.heads) - 1)}
    assert learned == {key for key in objective.model.state_dict() if not key.startswith(tuple(earlier))}
    assert {group["name"] for group in objective.parameter_groups(0.1, backbone_ratio=1.0)} == {"backbone", "heads"}


@pytest.mark.parametrize("name", FUSIBLE)
def test_the_fusion_ends_between_the_network_before_and_the_trained_one(name: str) -> None:
    method = method_of(name, fusion=True)
    model, old = trained(labels_of(method)), labels_of(method)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    objective = after_training(method, model, old)
    after = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    objective.finish()
    share = (2 / (2 + 4)) ** 0.5  # two new classes beside three old ones and the background
    for key, tensor in model.state_dict().items():
        fused = key in before and tensor.is_floating_point()
        expected = (1 - share) * before[key] + share * after[key] if fused else after[key]
        torch.testing.assert_close(tensor, expected, rtol=1e-12, atol=1e-12, msg=key)


@pytest.mark.parametrize("name", FUSIBLE)
def test_without_the_fusion_the_end_of_a_training_changes_nothing(name: str) -> None:
    method = method_of(name)
    objective = after_training(method, trained(labels_of(method)), labels_of(method))
    after = {key: tensor.clone() for key, tensor in objective.model.state_dict().items()}
    objective.finish()
    assert all(torch.equal(tensor, after[key]) for key, tensor in objective.model.state_dict().items())


def test_the_fused_network_is_the_next_steps_teacher_and_the_start_of_its_fusion(tmp_path: Path) -> None:
    method = method_of("mib", fusion=True)
    first = after_training(method, trained(OLD, dtype=torch.float32), OLD)
    trained_only = {key: tensor.clone() for key, tensor in first.model.state_dict().items()}
    first.finish()
    TrainedModel(first.model, first.labels, tuple("abcde")).save(tmp_path / "step_1")
    fused = {key: tensor.clone() for key, tensor in first.model.state_dict().items()}
    assert not torch.equal(fused["aspp.project.0.weight"], trained_only["aspp.project.0.weight"])

    saved = TrainedModel.load(tmp_path / "step_1")
    second = build_objective(method, saved.model, saved.labels, (6,))
    assert isinstance(second, TeacherStudentObjective)
    images, _ = drawn(0, dtype=torch.float32)
    teacher = second.teacher(images).state_dict()
    assert second.fusion is not None
    assert second.fusion.share == (1 / (1 + 6)) ** 0.5
    for key, tensor in fused.items():
        assert torch.equal(teacher[key], tensor), key
        assert not tensor.is_floating_point() or torch.equal(second.fusion.before[key], tensor), key


def test_the_lowered_bias_of_mibs_background_is_fused_like_any_old_tensor() -> None:
    model = trained(OLD)
    bias = model.heads[0].state_dict()["classifier.bias"].clone()
    objective = after_training(method_of("mib", fusion=True), model, OLD)
    objective.finish()
    share, lowered = (2 / 6) ** 0.5, torch.tensor([math.log(3), 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(model.heads[0].state_dict()["classifier.bias"], bias - share * lowered)


# ---- the switches of SSUL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"unknown": False}, FrozenIncrement),
        ({"pseudo_threshold": None}, FrozenIncrement),
        ({"weight_transfer": False}, FrozenIncrement),
        ({"freeze_norm": False}, FrozenIncrement),
        ({"loss": "ce"}, FrozenIncrement),
        ({"loss": "focal"}, FrozenIncrement),
        ({"freeze": False}, PseudoLabelIncrement),
        ({"freeze": False, "pseudo_threshold": None}, Supervised),
        (OFF, Supervised),
    ],
    ids=str,
)
def test_each_part_of_ssul_can_be_turned_off_alone(changes: dict[str, Any], kind: type[Objective]) -> None:
    method = method_of("ssul", **changes)
    old = labels_of(method)
    grown = old.with_step(NEW)
    model = trained(old)
    fresh = copy.deepcopy(model)
    torch.manual_seed(9)
    fresh.grow(len(NEW))
    objective = prepared(method, model)
    assert type(objective) is kind

    # what is old is as it was, and the newest head is a copy of the unknown one's exactly with the transfer
    newest = len(grown.head_sizes) - 1
    state, before = model.state_dict(), fresh.state_dict()
    changed = {name.split(".")[1] for name in state if not torch.equal(state[name], before[name])}
    assert changed == ({str(newest)} if method.own.weight_transfer and method.unknown else set())

    # the threshold acts exactly with pseudo-labels
    threshold = getattr(objective, "threshold", None)
    assert threshold == changes.get("pseudo_threshold", 0.7)
    assert method.adds_pseudo_labels == (method.own.pseudo_threshold is not None)

    # what learns: everything, or the heads that the freezing leaves; norms exactly where they are not frozen
    images, target = drawn(*range(old.first_class_channel), *map(grown.channel_of, NEW))
    learned = what_learns(objective, images, target)
    heads = ((0, 1, newest) if method.unknown else (newest,)) if method.own.freeze else tuple(range(newest + 1))
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    may_learn = set()
    for name in model.state_dict():
        part = name.split(".")
        in_frozen_part = method.own.freeze and (part[0] != "heads" or int(part[1]) not in heads)
        in_frozen_norm = method.own.freeze_norm and name.rpartition(".")[0] in norms
        if not in_frozen_part and not in_frozen_norm:
            may_learn.add(name)
    assert learned == may_learn


def test_ssul_with_everything_off_is_fine_tuning_step_for_step() -> None:
    losses: list[list[float]] = []
    states: list[dict[str, Tensor]] = []
    for method in (method_of("finetune"), method_of("ssul", **OFF)):
        model = trained(labels_of(method), dtype=torch.float32).train()
        objective = prepared(method, model)
        groups = model.parameter_groups(0.05, backbone_ratio=0.1, low_lr_head=None, low_lr_ratio=1.0)
        batches = [
            ((60 * images + 120).clamp(0, 255).to(torch.uint8), target)
            for images, target in (drawn(0, 4, 5, dtype=torch.float32, seed=seed) for seed in range(4))
        ]
        torch.manual_seed(3)  # of the dropout
        losses.append([state.loss for state in run(objective, batches, groups)])
        states.append(model.state_dict())
    assert len(losses[0]) == 4
    assert len(set(losses[0])) == 4
    assert losses[0] == losses[1]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def run(
    objective: Objective, batches: list[tuple[Tensor, Tensor]], groups: list[dict[str, Any]]
) -> list[TrainingProgress]:
    progress = learn_step(
        objective,
        batches,
        groups,
        fabric=Fabric(accelerator="cpu", devices=1),
        normalisation=objective.model.normalisation,
        iterations=len(batches),
        momentum=0.9,
        weight_decay=1e-4,
        schedule="poly",
    )
    return list(progress)


# ---- memory goes with every method ----------------------------------------------------------------------------------


@pytest.fixture
def dataset(book: "HandmadeDataset") -> SegmentationDataset:
    """new0, new1 with new classes, old0, old1 with old ones; all with background, void and something salient."""
    for number, (name, ids) in enumerate({"new0": (2, 4), "new1": (4, 2), "old0": (3, 5), "old1": (1, 3)}.items()):
        mask = np.kron([[0, ids[0], 0], [ids[1], VOID, 0]], np.ones((16, 12)))
        photograph = np.random.default_rng(number).integers(0, 256, (*mask.shape, 3))
        book.add(name, mask, saliency=255 * (mask > 0), image=photograph)
    return SegmentationDataset(book.folders, saliency=True)


@pytest.mark.parametrize("head", ["deeplabv3", "deeplabv3plus"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_with_memory(dataset: SegmentationDataset, name: str, head: str) -> None:
    method = method_of(name)
    old = labels_of(method)
    model = trained(old, Architecture("small", head, 8, 16), torch.float32)
    objective = prepared(method, model)
    shift = {"without_unknown_shift": method.published_bugs.memory_labels}
    order = SampleOrder(
        (TrainingItem("new0", NEW), TrainingItem("new1", NEW)),
        (TrainingItem("old0", (3, 1), **shift), TrainingItem("old1", (3, 1), **shift)),
        batch=4,
        seed=0,
        step=2,
    )
    augmentation = Augmentation(40, (0.8, 1.25), published_padding=method.published_bugs.padding)
    batches = list(training_loader(order, dataset, objective.labels, augmentation, iterations=2, workers=0))
    seen = {int(channel) for _, target in batches for channel in target.unique()}
    assert {objective.labels.channel_of(class_id) for class_id in NEW} <= seen  # of new images
    assert seen & set(range(old.first_class_channel, old.num_channels))  # of memory
    for _ in objective.calibrate(
        [(objective.model.normalisation.normalise(images), target) for images, target in batches]
    ):
        pass
    before = {key: tensor.clone() for key, tensor in model.heads[-1].state_dict().items()}
    progress = run(objective, batches, objective.parameter_groups(0.05, backbone_ratio=0.1))
    assert len(progress) == 2
    assert all(np.isfinite(state.loss) for state in progress)
    assert not torch.equal(model.heads[-1].state_dict()["classifier.weight"], before["classifier.weight"])
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
