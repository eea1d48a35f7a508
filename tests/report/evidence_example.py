"""A small evidence file, and results of some of its experiments."""

from pathlib import Path

from ssul.report.evidence import Evidence, EvidenceSpec, PairedResult, Result, read_spec
from ssul.report.paired import Difference

SPEC = """
shared:
  toys: &toys [data.root=$TOYS, "recipe.scale=[0.5,1.0]"]
tables:
  toys:
    title: Toys, after the last step
    seeds: [0, 1]
    common: [*toys]
    rows:
      joint: [scenario=shapes_offline]
      SSUL: []
      MiB: [method=mib]
    some_seeds: {joint: [0]}
    joint: joint
    differences: [[MiB, SSUL]]
  more:
    title: More
    seeds: [0]
    rows: {SSUL: [], MiB: [method=mib]}
    differences: [[MiB, SSUL]]
"""


def spec_of(folder: Path, text: str = SPEC) -> EvidenceSpec:
    """The content of an evidence file, written into a folder."""
    path = folder / "evidence.yaml"
    path.write_text(text)
    return read_spec(path)


def result(
    seed: int, all_: float, *, run: str = "0123456789abcdef", new: float | None = None, below: int = 0
) -> Result:
    scores = {"old": 0.5, "all": all_, "pixel_accuracy": 0.9} | ({} if new is None else {"new": new})
    return Result(seed, (f"seed={seed}",), "ssul", "setup", run, "commit", "CPU, 1 thread", 0.6, scores, below)


EVIDENCE = Evidence(
    {
        "toys": {
            "joint": [result(0, 0.8)],
            "SSUL": [result(0, 0.60, new=0.40, below=1), result(1, 0.68, new=0.44, run="fedcba9876543210")],
            "MiB": [],
        },
        "more": {"SSUL": [result(0, 0.5)], "MiB": [result(0, 0.4)]},
    },
    {"toys": [PairedResult("MiB", "SSUL", {"all": Difference(0.02, -0.01, 0.05, (0.05, -0.01))})]},
)
