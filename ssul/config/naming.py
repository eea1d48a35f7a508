"""What a run is called: method, scenario, setting, backbone."""

from dataclasses import dataclass

from ssul.config.schema import MethodParams, Params

SWITCHES = ("freeze", "freeze_norm", "weight_transfer")


@dataclass(frozen=True)
class RunName:
    """What a run is about, in the words that a person uses for it.

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
    def of(cls, settings: Params) -> "RunName":
        """The subject of a run with these parameters; what overrides changed is in it."""
        return cls(_scenario_of(settings), settings.setting, _method_of(settings), settings.model.backbone)

    def __str__(self) -> str:
        return f"{self.method} {self.scenario} {self.setting} {self.model}"

    def run_name(self, seed: int) -> str:
        """What a list of runs calls it, like `ssul-m voc 15-1 overlapped resnet101`; a seed other than 0 is told."""
        name = f"{self.method} {self.scenario.replace('_', ' ', 1)} {self.setting} {self.model}"
        return f"{name} seed {seed}" if seed else name


def _scenario_of(settings: Params) -> str:
    """The scenario by its arithmetic, as the named ones are named: an override makes another scenario."""
    scenario = settings.scenario
    task = f"{scenario.base_classes}-{scenario.increment}" if scenario.last else "offline"
    order = scenario.order if isinstance(scenario.order, str) else "custom"
    return f"{settings.data.name}_{task}" + ("" if order == "natural" else f"_{order}")


def _method_of(settings: Params) -> str:
    """The method, -m with a memory, the switches that differ from what its name promises, and known faults."""
    method = settings.method
    whole = method.name == "ssul"
    own = method.own.model_dump()
    parts = {"unknown": method.unknown}
    if "pseudo_threshold" in own:
        parts["pseudo_labels"] = own["pseudo_threshold"] is not None
    parts |= {switch: own[switch] for switch in SWITCHES if switch in own} | {"bce": method.loss == "bce"}
    different = [part for part, on in parts.items() if on != whole]
    memory = "-m" if settings.memory.capacity > 0 and settings.scenario.last else ""
    told = f" {'without' if whole else 'with'} {', '.join(different)}" if different else ""
    return f"{method.name}{memory}{told}{_faults_of(method)}"


def _faults_of(method: MethodParams) -> str:
    faults = method.published_bugs.model_dump() | {"selection": method.selection == "published"}
    if all(faults.values()):
        return " as published"
    some = [name for name, holds in faults.items() if holds]
    return f" with bugs {', '.join(some)}" if some else ""
