"""What a run cost: measured where the GPUs count, estimated where the author gives a power, unknown otherwise."""

from pathlib import Path

import pytest

from kiseki import TrainingMetricsRecorder, recorder
from kiseki.provenance.energy import EnergyMeter
from kiseki.report.dossier import Dossier, gather
from kiseki.run_folder import RunFolder
from support import ToldClock, strict_json

KWH = 3.6e6


def attempt(root: Path, clock: ToldClock, seconds: int, *, resume: int | None = None, end: bool = True, **poc: object):
    recording = TrainingMetricsRecorder(
        root, companion=False, save_plots=False, clock=clock, resume_step=resume, config={"poc": poc}
    )
    for step in range((resume or 0) + 1, (resume or 0) + seconds + 1):
        clock.pass_seconds(1)
        recording.record_step(step=step, epoch=0.1, loss=1.0, learning_rate=0.1, tokens_seen=step * 100)
    if end:
        recording.close()
    return recording


def gathered(root: Path) -> Dossier:
    return gather(RunFolder(root))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> ToldClock:
    """GPUs that use 100 watts by the told clock."""
    clock = ToldClock()
    monkeypatch.setattr(recorder, "_energy_meter", lambda: EnergyMeter(lambda: [clock.monotonic / 1e9 * 100]))
    return clock


def test_measured_energy_is_summed_over_attempts(tmp_path: Path, counting: ToldClock) -> None:
    attempt(tmp_path, counting, 90)
    counting.pass_seconds(1000)  # between attempts nothing is counted
    attempt(tmp_path, counting, 30, resume=90)
    energy = gathered(tmp_path).compute.energy
    assert energy.how == "measured"
    assert energy.kwh == pytest.approx(120 * 100 / KWH)
    assert energy.covered_seconds == pytest.approx(120)


def test_a_killed_attempt_loses_less_than_a_minute_of_its_energy(tmp_path: Path, counting: ToldClock) -> None:
    cut_off = attempt(tmp_path, counting, 150, end=False)
    cut_off._journal.close()  # as a kill leaves it: no close line
    energy = gathered(tmp_path).compute.energy
    assert energy.kwh == pytest.approx(120 * 100 / KWH)
    assert energy.covered_seconds == pytest.approx(120)


def test_energy_is_estimated_from_the_power_that_the_author_states(tmp_path: Path) -> None:
    attempt(tmp_path, ToldClock(), 36, power_watts=200, co2_grams_per_kwh=450, co2_source="a table", location="Tokyo")
    compute = gathered(tmp_path).compute
    assert (compute.energy.how, compute.energy.watts_stated) == ("estimated", 200)
    assert compute.energy.kwh == pytest.approx(36 * 200 / KWH)
    assert compute.co2_grams == pytest.approx(36 * 200 / KWH * 450)
    assert (compute.co2_source, compute.location, compute.tokens_seen) == ("a table", "Tokyo", 3600)


def test_what_nobody_measured_or_stated_is_unknown_in_the_report_too(tmp_path: Path) -> None:
    recording = attempt(tmp_path, ToldClock(), 3)
    compute = gathered(tmp_path).compute
    assert (compute.energy.how, compute.energy.kwh, compute.co2_grams) == ("unknown", None, None)
    told = strict_json(recording.generate_poc_report().read_bytes())["compute"]
    assert (told["energy_kwh"], told["co2_grams"], told["energy"]) == ("unknown", "unknown", {"how": "unknown"})
