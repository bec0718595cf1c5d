"""`kiseki show` says at a glance how a run went and whether its record can be trusted."""

import math
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki import TrainingMetricsRecorder
from kiseki.cli.sparkline import BARS, NON_FINITE, sparkline
from kiseki.history import Column

Kiseki = Callable[..., Any]


def test_it_shows_status_metrics_and_quality(recorded: Path, kiseki: Kiseki) -> None:
    answer = kiseki("show", recorded)
    assert (answer.code, answer.err) == (0, "")
    for words in ("tiny", "completed", "step 20 of 20", "learning_rate", "eval_loss", "20 of 20 expected", "19 +1×"):
        assert words in answer.out, words
    assert "non-finite loss: 1, first at step 7" in answer.out


def test_it_shows_attempts_and_what_they_replaced(tmp_path: Path, kiseki: Kiseki) -> None:
    for resume_step in (None, 5):
        recorder = TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False, resume_step=resume_step)
        for step in range((resume_step or 0) + 1, 11):
            recorder.record_step(step=step, epoch=0.0, loss=1.0, learning_rate=1.0)
        recorder.close("interrupted")
    out = kiseki("show", tmp_path).out
    assert "step 5" in out
    assert "superseded by a resumed attempt: 5" in out


@pytest.mark.parametrize(("language", "cause"), [("en", "recorded cause: "), ("ja", "記録された原因: ")])
def test_a_failed_run_says_why_without_secrets_in_the_runs_language(
    tmp_path: Path, kiseki: Kiseki, language: str, cause: str
) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False, language=language)
    recorder.close("failed", error="OutOfMemoryError at --hf-token hf_abcdefghijklmnop")
    shown = kiseki("show", tmp_path).out
    assert f"{cause}OutOfMemoryError at --hf-token [redacted]\n" in shown
    assert ("failed" if language == "en" else "異常終了") in shown


def test_a_run_that_was_killed_is_told_from_one_that_was_interrupted(tmp_path: Path, kiseki: Kiseki) -> None:
    def record(resume_step: int | None) -> TrainingMetricsRecorder:
        recorder = TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False, resume_step=resume_step)
        recorder.record_step(step=(resume_step or 0) + 1, epoch=0.0, loss=1.0, learning_rate=1.0)
        return recorder

    killed = record(None)
    killed.flush()
    assert " · running · " in kiseki("show", tmp_path).out
    killed._journal.close()  # as a kill leaves it: no close line
    assert " · ended without closing (killed or power cut) · step 1" in kiseki("show", tmp_path).out
    assert "終了の記録なし（強制終了または電源断）" in kiseki("show", tmp_path, "--lang", "ja").out

    record(1).close("interrupted")
    headline, *lines = kiseki("show", tmp_path).out.splitlines()
    assert " · interrupted · " in headline
    assert [line[3:24].strip() for line in lines[2:4]] == ["ended without closing", "interrupted"]


def test_everything_is_written_where_there_is_no_terminal(
    tmp_path: Path, kiseki: Kiseki, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "so8t/layer_0/" + "a_long_name_" * 8
    recorder = TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False)
    for step in range(1, 13):
        recorder.record_step(step=step, epoch=0.0, loss=1.2345e-9, learning_rate=1.0, **{name: 1.0})
    recorder.close()
    monkeypatch.setenv("COLUMNS", "40")
    lines = kiseki("show", tmp_path).out.splitlines()
    assert [name, "1", "1", "1", "1", "12", "▅" * 12] in [line.split() for line in lines]
    assert "  rows: 12 of 12 expected (every step)" in lines


def test_it_changes_nothing(recorded: Path, kiseki: Kiseki) -> None:
    def standing() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in recorded.rglob("*") if path.is_file()}

    before = standing()
    kiseki("show", recorded)
    assert standing() == before


def test_hostile_names_do_not_steer_the_terminal(tmp_path: Path, kiseki: Kiseki) -> None:
    recorder = TrainingMetricsRecorder(
        tmp_path, model_name="\x1b[31mred [bold]m[/bold]", companion=False, save_plots=False
    )
    recorder.record_step(step=1, epoch=0.0, loss=1.0, learning_rate=1.0, **{"[red]x[/red]": 1.0, "\u202eevil": 1.0})
    recorder.close()
    answer = kiseki("show", tmp_path)
    assert answer.code == 0
    assert not {"\x1b", "\u202e"} & set(answer.out)
    assert "[red]x[/red]" in answer.out


@given(st.lists(st.floats(), min_size=1, max_size=100), st.integers(1, 50))
def test_a_sparkline_shows_every_non_finite_value_and_fits_its_width(values: list[float], width: int) -> None:
    count = len(values)
    line = sparkline(Column("x", array("q", range(count)), array("q", range(1, count + 1)), array("d", values)), width)
    assert len(line) == min(width, count)
    assert set(line) <= {*BARS, NON_FINITE}
    assert (NON_FINITE in line) == any(not math.isfinite(value) for value in values)


def test_a_gap_is_blank_and_a_falling_curve_falls() -> None:
    steps = [1, 2, 3, 4, 13, 14, 15, 16]
    column = Column("x", array("q", range(8)), array("q", steps), array("d", [8, 7, 6, 5, 4, 3, 2, 1]))
    line = sparkline(column, 8)
    assert " " in line
    bars = line.replace(" ", "")
    assert list(bars) == sorted(bars, reverse=True)
    assert (bars[0], bars[-1]) == (BARS[-1], BARS[0])


def test_every_kind_of_note_is_counted_so_that_nothing_is_quietly_tidied(tmp_path: Path, kiseki: Kiseki) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False, companion=False)
    recorder.mark("coffee", cups=2)
    recorder.record_step(None, 0.1, 1.0, 0.1)  # type: ignore[arg-type]
    recorder.close()
    shown = kiseki("show", tmp_path).out
    assert "notes of kind coffee: 1" in shown
    assert "notes of kind row_without_step: 1" in shown
