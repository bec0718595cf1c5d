"""What the accelerators of this machine have used, by their own counter.

NVIDIA drivers count millijoules per GPU since they were loaded (NVML `nvmlDeviceGetTotalEnergyConsumption`, Volta and
later). Two readings give what lies between them: energy of the whole card, whoever used it, without processor, memory
and power supply. Nothing here raises; what cannot be read is None.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any

Counters = Callable[[], Sequence[float] | None]


class EnergyMeter:
    """Counts from its making on.

    Args:
        counters: gives the joules of each GPU since some moment in the past, None where they cannot be read.

    Example:
        >>> readings = iter([[100.0], [150.0]])
        >>> EnergyMeter(lambda: next(readings)).used()
        50.0
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._first = counters()

    def used(self) -> float | None:
        """Joules of all GPUs since the meter was made; None when unknown, as after the driver was loaded anew."""
        now = self._counters() if self._first else None
        if not self._first or not now or len(now) != len(self._first):
            return None
        differences = [last - first for first, last in zip(self._first, now, strict=True)]
        return None if min(differences) < 0 else sum(differences)


def gpu_joules() -> Sequence[float] | None:
    """The counter of every NVIDIA GPU that this process may use, in joules."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):
        return None
    try:
        return [pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000 for handle in _visible(pynvml)]
    except pynvml.NVMLError:  # a card that does not count
        return None
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _visible(nvml: Any) -> list[Any]:
    """Handles of the GPUs that CUDA_VISIBLE_DEVICES names, by number or UUID; all without it."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    names = [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    return [
        nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdigit() else nvml.nvmlDeviceGetHandleByUUID(name)
        for name in names
    ]
