"""What a run cost: time, devices, tokens, memory, energy, CO2. What is neither measured nor estimated is None."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kiseki.analysis.statistics import Summary
from kiseki.history import History, number

_JOULES_PER_KWH = 3.6e6
_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of a run and where the figure comes from.

    Attributes:
        kwh: kilowatt hours; None when unknown.
        how: `measured`: the GPUs' own counter (whole cards; no processor, memory, power supply); `estimated`: the mean
            power that the author states, times the recorded time; `unknown`.
        covered_seconds: recorded time that the measurement covers; attempts cut off lose up to a minute.
        watts_stated: the mean power of an estimate.
    """

    kwh: float | None
    how: Literal["measured", "estimated", "unknown"]
    covered_seconds: float | None = None
    watts_stated: float | None = None


@dataclass(frozen=True, slots=True)
class Compute:
    """What a run cost.

    Attributes:
        elapsed_seconds: recorded time over all attempts.
        devices: accelerators at work: what the trainer says, else how many the machine has; None when unknown.
        device_hours: their number times the recorded time.
        tokens_seen: input tokens processed.
        tokens_per_second_mean: mean over the rows.
        peak_memory_bytes: largest memory in use.
        total_flos: floating-point operations as the Trainer estimates them (6 per token and non-embedding parameter).
        energy: energy.
        co2_grams: energy times the stated grams of CO2 equivalent per kWh; None without one of them.
        co2_grams_per_kwh: that factor, as the author states it.
        co2_source: where it comes from.
        location: where the machine stands.
    """

    elapsed_seconds: float
    devices: int | None
    device_hours: float | None
    tokens_seen: float | None
    tokens_per_second_mean: float | None
    peak_memory_bytes: float | None
    total_flos: float | None
    energy: Energy
    co2_grams: float | None
    co2_grams_per_kwh: float | None
    co2_source: str | None
    location: str | None


def compute_of(
    history: History, training: Mapping[str, Summary], elapsed_seconds: float, environment: Any, poc: Any
) -> Compute:
    """Gather what the record, the environment and the author's statements say of the cost.

    Args:
        history: the record.
        training: statistics of its training rows.
        elapsed_seconds: recorded time over all attempts.
        environment: `kiseki.provenance.environment`'s object, or anything else when unknown.
        poc: the configuration's `poc` block: `power_watts`, `co2_grams_per_kwh`, `co2_source`, `location`.
    """
    stated = poc if isinstance(poc, Mapping) else {}
    devices = _devices(environment)
    energy = _energy(history, elapsed_seconds, number(stated.get("power_watts")))
    factor = number(stated.get("co2_grams_per_kwh"))
    return Compute(
        elapsed_seconds=elapsed_seconds,
        devices=devices,
        device_hours=None if devices is None else devices * elapsed_seconds / _SECONDS_PER_HOUR,
        tokens_seen=_of(training, "tokens_seen", "final"),
        tokens_per_second_mean=_of(training, "tokens_per_second", "mean"),
        peak_memory_bytes=_of(training, "peak_memory_bytes", "max"),
        total_flos=_of(training, "total_flos", "final"),
        energy=energy,
        co2_grams=None if energy.kwh is None or factor is None else energy.kwh * factor,
        co2_grams_per_kwh=factor,
        co2_source=stated.get("co2_source"),
        location=stated.get("location"),
    )


def _of(training: Mapping[str, Summary], name: str, statistic: str) -> float | None:
    value: float | None = getattr(training[name], statistic) if name in training else None
    return value


def _devices(environment: Any) -> int | None:
    if not isinstance(environment, Mapping):
        return None
    gpus = environment.get("gpus")
    return len(gpus) if isinstance(gpus, list) and gpus else None


def _energy(history: History, elapsed_seconds: float, watts: float | None) -> Energy:
    joules, covered, found = 0.0, 0.0, False
    for attempt in history.attempts:
        notes = [note for note in history.notes_of("energy") if note["attempt"] == attempt.number]
        used = number(notes[-1].get("joules")) if notes else None
        if used is None:
            continue
        found = True
        joules += used
        before = number(attempt.opened.get("elapsed_before_seconds")) or 0.0
        covered += max(0.0, (number(notes[-1].get("elapsed_time_seconds")) or before) - before)
    if found:
        return Energy(joules / _JOULES_PER_KWH, "measured", covered)
    if watts is not None:
        return Energy(watts * elapsed_seconds / _JOULES_PER_KWH, "estimated", watts_stated=watts)
    return Energy(None, "unknown")
