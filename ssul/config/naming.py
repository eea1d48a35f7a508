"""The name of a run: method, scenario, setting, backbone, seed."""

from dataclasses import dataclass
from typing import get_args

from ssul.config.method import MethodParams
from ssul.config.schema import Params

SWITCHES = ("freeze", "freeze_norm", "weight_transfer")


@dataclass(frozen=True)
class RunName:
    """The parts of a run's name.

    Attributes:
        scenario: like voc_15-1.
        setting: overlapped, disjoint or partitioned.
        method: ssul, ssul-m (with a memory) or finetune.
        model: the backbone.
    """

    scenario: str
    setting: str
    method: str
    model: str

    @classmethod
    def of(cls, params: Params) -> "RunName":
        """The name of a run with these parameters; it shows what overrides changed."""
        return cls(_scenario_of(params), params.setting, _method_of(params), params.model.backbone)

    def __str__(self) -> str:
        return f"{self.method} {self.scenario} {self.setting} {self.model}"

    def with_seed(self, seed: int) -> str:
        """The name in reports/, such as `ssul-m voc_15-1 overlapped resnet101, seed 0`."""
        return f"{self}, seed {seed}"

    def run_name(self, seed: int) -> str:
        """The name in a list of runs, such as `ssul-m voc 15-1 overlapped resnet101`; it shows a seed other than 0."""
        name = f"{self.method} {self.scenario.replace('_', ' ', 1)} {self.setting} {self.model}"
        return f"{name} seed {seed}" if seed else name


def _scenario_of(params: Params) -> str:
    """The scenario's name from its arithmetic, because an override makes another scenario."""
    scenario = params.scenario
    task = f"{scenario.base_classes}-{scenario.increment}" if scenario.last else "offline"
    order = scenario.order if isinstance(scenario.order, str) else "custom"
    return f"{params.data.name}_{task}" + ("" if order == "natural" else f"_{order}")


def _method_of(params: Params) -> str:
    """The method, -m with a memory, the fusion, the switches that differ from the default, and the published bugs."""
    method = params.method
    whole = method.name == "ssul"
    own = method.own.model_dump()
    parts = {} if _is_fixed(method, "unknown") else {"unknown": method.unknown}
    if "pseudo_threshold" in own:
        parts["pseudo_labels"] = own["pseudo_threshold"] is not None
    parts |= {switch: own[switch] for switch in SWITCHES if switch in own}
    if not _is_fixed(method, "loss"):
        parts["bce"] = method.loss == "bce"
    different = [part for part, on in parts.items() if on != whole]
    memory = "-m" if params.memory.capacity > 0 and params.scenario.last else ""
    switched = f" {'without' if whole else 'with'} {', '.join(different)}" if different else ""
    fusion = " + fusion" if method.fuses else ""
    return f"{method.name}{memory}{fusion}{switched}{_bugs_of(method)}"


def _is_fixed(method: MethodParams, parameter: str) -> bool:
    """Whether the method allows one value alone, which its name then says already."""
    return len(get_args(type(method).model_fields[parameter].annotation)) == 1


def _bugs_of(method: MethodParams) -> str:
    bugs = method.published_bugs.model_dump() | {"selection": method.selection == "published"}
    if all(bugs.values()):
        return " as published"
    some = [name for name, on in bugs.items() if on]
    return f" with bugs {', '.join(some)}" if some else ""
