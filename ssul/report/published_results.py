"""The numbers of the papers: mean IoU in percent, overlapped, DeepLabV3 over ResNet-101 (SSUL, tables 1 and 2).

The table of the literature shows them below ours. The old and new columns are known only for SSUL.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """Mean IoU in percent of base classes and background, of new classes, and of all; None if unknown."""

    old: float | None
    new: float | None
    all: float


def published(scenario: str, method: str) -> Published | None:
    """A paper's result of a method (ssul, ssul-m, mib, plop) in the overlapped setting; None if there is none."""
    found = _RESULTS.get(scenario, {}).get(method)
    if found is None:
        return None
    return Published(None, None, found) if isinstance(found, float) else Published(*found)


_RESULTS: dict[str, dict[str, float | tuple[float, float, float]]] = {
    "voc_19-1": {"ssul": (77.73, 29.68, 75.44), "ssul-m": (77.83, 49.76, 76.49), "mib": 69.15, "plop": 73.54},
    "voc_15-5": {"ssul": (77.82, 50.10, 71.22), "ssul-m": (78.40, 55.80, 73.02), "mib": 70.08, "plop": 70.09},
    "voc_15-1": {"ssul": (77.31, 36.59, 67.61), "ssul-m": (78.36, 49.01, 71.37), "mib": 29.29, "plop": 54.64},
    "voc_10-1": {"ssul": (71.31, 45.98, 59.25), "ssul-m": (74.02, 53.23, 64.12), "mib": 12.65, "plop": 30.45},
    "voc_5-3": {"ssul": (72.44, 50.67, 56.89), "ssul-m": (71.27, 53.21, 58.37), "mib": 46.71, "plop": 18.68},
    "voc_5-1": {"ssul": 48.65, "ssul-m": 55.11, "mib": 10.03, "plop": 6.46},
    "voc_2-1": {"ssul": 38.32, "ssul-m": 44.74, "mib": 9.88, "plop": 4.47},
    "ade_100-50": {"ssul": 33.58, "ssul-m": 34.37, "mib": 32.79, "plop": 32.94},
    "ade_100-10": {"ssul": 33.10, "ssul-m": 34.46, "mib": 29.24, "plop": 31.59},
    "ade_100-5": {"ssul": 32.48, "ssul-m": 34.56, "mib": 25.96, "plop": 28.75},
    "ade_50-50": {"ssul": 29.56, "ssul-m": 29.77, "mib": 29.31, "plop": 30.40},
}
