"""Memory of common NVIDIA GPUs, to say what a plan fits on. Nominal figures in GB from NVIDIA's product pages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from friction_tui.vocabulary.protocol import MemoryForecast

RESERVE = 600_000_000
"""Bytes left free on any GPU, for the CUDA context and the libraries' own kernels (0.3 to 0.6 GB is usual)."""
STRAIGHT = 0.01
"""How far, relatively, a forecast may be from a straight line and still be continued beyond what was looked at."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as sold. `gigabytes` as NVIDIA states it; `target` from https://developer.nvidia.com/cuda-gpus."""

    name: str
    gigabytes: float
    target: str
    source: str

    @property
    def usable(self) -> int:
        """Bytes a model may take."""
        return int(self.gigabytes * 1_000_000_000) - RESERVE


_DATA_CENTRE = "https://www.nvidia.com/en-us/data-center/"
_GEFORCE = "https://www.nvidia.com/en-us/geforce/graphics-cards/"
GPUS = (
    Gpu("Orin Nano", 8, "SM87", "https://developer.nvidia.com/embedded/jetson-modules"),
    Gpu("RTX 4060", 8, "SM89", f"{_GEFORCE}40-series/rtx-4060-4060ti/"),
    Gpu("RTX 3060", 12, "SM86", f"{_GEFORCE}30-series/rtx-3060-3060ti/"),
    Gpu("T4", 16, "SM75", f"{_DATA_CENTRE}tesla-t4/"),
    Gpu("L4", 24, "SM89", f"{_DATA_CENTRE}l4/"),
    Gpu("A10", 24, "SM86", f"{_DATA_CENTRE}products/a10-gpu/"),
    Gpu("RTX 4090", 24, "SM89", f"{_GEFORCE}40-series/rtx-4090/"),
    Gpu("RTX 5090", 32, "SM120", f"{_GEFORCE}50-series/rtx-5090/"),
    Gpu("A100 40 GB", 40, "SM80", f"{_DATA_CENTRE}a100/"),
    Gpu("L40S", 48, "SM89", f"{_DATA_CENTRE}l40s/"),
    Gpu("A100 80 GB", 80, "SM80", f"{_DATA_CENTRE}a100/"),
    Gpu("H100 SXM", 80, "SM90", f"{_DATA_CENTRE}h100/"),
    Gpu("H200", 141, "SM90", f"{_DATA_CENTRE}h200/"),
)


_UNITS = {"gb": 1_000_000_000, "gib": 1 << 30, "mb": 1_000_000, "mib": 1 << 20}


def named(text: str) -> Gpu | None:
    """The GPU a person means: a name of the list, or memory such as `6.5GB` (nominal, the reserve still goes off).

    Names are compared without spaces and case; one that several begin with, such as A100, is the smallest of them.
    """
    wanted = text.strip().lower().replace(" ", "")
    sized = re.fullmatch(r"(\d+(?:\.\d+)?)(gb|gib|mb|mib)", wanted)
    if sized is not None:
        return Gpu(text.strip(), float(sized[1]) * _UNITS[sized[2]] / 1e9, "", "")
    names = {gpu: gpu.name.lower().replace(" ", "") for gpu in GPUS}
    exact = [gpu for gpu, name in names.items() if wanted == name]
    return next(iter(exact or (gpu for gpu, name in names.items() if wanted and name.startswith(wanted))), None)


def needed(forecast: MemoryForecast, at: int) -> int:
    """Predicted bytes at the forecast's `at`-th size: weights and activations."""
    return forecast.weights + forecast.activations[at]


def fits_up_to(forecast: MemoryForecast, usable: int) -> int | None:
    """The largest size looked at that fits; None when not even the smallest does."""
    fitting = [size for at, size in enumerate(forecast.sizes) if needed(forecast, at) <= usable]
    return max(fitting, default=None)


def extrapolated(forecast: MemoryForecast, usable: int) -> int | None:
    """The largest size that fits if memory goes on growing along a straight line; None where it does not grow so.

    A batch dimension grows so exactly, an image side or a sequence under attention does not.
    """
    sizes, figures = forecast.sizes, [needed(forecast, at) for at in range(len(forecast.sizes))]
    if len(sizes) < 3:
        return None
    slope = (figures[-1] - figures[0]) / (sizes[-1] - sizes[0])
    straight = all(
        abs(figures[0] + slope * (size - sizes[0]) - figure) <= STRAIGHT * figure
        for size, figure in zip(sizes, figures, strict=True)
    )
    if not straight or slope <= 0:
        return None
    return int(sizes[0] + (usable - figures[0]) / slope)
