"""The GPUs' energy counter: two readings, and None whenever they do not belong together."""

import sys
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from kiseki.provenance.energy import EnergyMeter, gpu_joules


def meter(*readings: Sequence[float] | None) -> EnergyMeter:
    told = iter(readings)
    return EnergyMeter(lambda: next(told))


def test_the_energy_of_all_gpus_since_the_meter_was_made_is_counted() -> None:
    counting = meter([10.0, 5.0], [11.0, 7.5], [20.0, 10.0])
    assert counting.used() == 3.5
    assert counting.used() == 15.0


@pytest.mark.parametrize(
    "readings",
    [(None,), ([],), ([10.0], None), ([10.0], [3.0]), ([10.0], [12.0, 1.0])],
    ids=["no NVML", "no GPU", "NVML gone", "driver loaded anew", "a GPU came"],
)
def test_readings_that_do_not_belong_together_give_no_figure(readings: tuple[Sequence[float] | None, ...]) -> None:
    assert meter(*readings).used() is None


class NvmlError(Exception):
    pass


def nvml_with(*millijoules: int) -> SimpleNamespace:
    """NVML's interface over cards with these counters; a real card is in no test machine."""
    nvml = SimpleNamespace(NVMLError=NvmlError, open=False)

    def energy(handle: int) -> int:
        if handle >= len(millijoules):
            raise NvmlError("no such card")
        return millijoules[handle]

    nvml.nvmlInit = lambda: setattr(nvml, "open", True)
    nvml.nvmlShutdown = lambda: setattr(nvml, "open", False)
    nvml.nvmlDeviceGetCount = lambda: len(millijoules)
    nvml.nvmlDeviceGetHandleByIndex = lambda index: index
    nvml.nvmlDeviceGetHandleByUUID = lambda name: int(name.removeprefix("GPU-"))
    nvml.nvmlDeviceGetTotalEnergyConsumption = energy
    return nvml


@pytest.mark.parametrize(
    ("visible", "joules"),
    [(None, [4.0, 6.5]), ("1", [6.5]), ("GPU-0", [4.0]), ("", []), ("-1", []), ("1,0", [6.5, 4.0]), ("7", None)],
)
def test_only_the_cards_that_the_process_may_use_are_read(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, joules: list[float] | None
) -> None:
    nvml = nvml_with(4_000, 6_500)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_joules() == joules
    assert nvml.open is False


def test_without_the_library_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_joules() is None
