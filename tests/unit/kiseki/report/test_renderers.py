"""Whatever was recorded, the JSON is strict, the CSV has three columns, and both say what numpy says."""

import csv
import io
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiseki.history import number
from kiseki.report.dossier import gather
from kiseki.report.to_csv import inactive, to_csv
from kiseki.report.to_json import to_json

NOW = datetime(2026, 11, 23, 6, 7, 8, tzinfo=UTC)
NAMES = st.text(min_size=1, max_size=12).filter(
    lambda name: name not in ("step", "epoch", "timestamp", "elapsed_time_seconds", "attempt", "loss", "learning_rate")
)
VALUES = st.floats(min_value=-1e9, max_value=1e9) | st.sampled_from(["NaN", "Infinity", "-Infinity"])
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_any_metrics_come_back_equal_with_numpys_statistics(
    builder: Any, read_strictly: Callable[[bytes], Any], rows: list[dict[str, float | str]]
) -> None:
    with TemporaryDirectory() as folder:
        run = builder(Path(folder) / "run").opened()
        for step, row in enumerate(rows, start=1):
            run.row(step, **row)
        dossier = gather(run.closed().folder, now=NOW)
        report = read_strictly(to_json(dossier))
        table = list(csv.reader(io.StringIO(to_csv(dossier).decode("utf-8"), newline="")))
    for recorded, shown in zip(rows, report["metrics"]["history"], strict=True):
        assert {name: shown[name] for name in recorded} == recorded
    for name in {name for row in rows for name in row} - {"window_steps"}:
        values = [value for row in rows if name in row and (value := number(row[name])) is not None]
        finite = np.array([value for value in values if math.isfinite(value)])
        summary = report["metrics"]["summary"][name]
        assert report["metrics"]["final"][name] == next(row[name] for row in reversed(rows) if name in row)
        assert (summary["n"], summary["n"] + summary["non_finite"]) == (len(finite), len(values))
        if len(finite):
            scale = max(1.0, float(np.abs(finite).max()))
            assert summary["mean"] == pytest.approx(finite.mean(), rel=1e-12, abs=1e-12 * scale)
            assert summary["std"] == pytest.approx(finite.std(ddof=summary["ddof"]), rel=1e-12, abs=1e-12 * scale)
    assert all(len(line) == 3 for line in table)
    assert all(value == "" or isinstance(float(value), float) for _, _, value in table[1:])


HOSTILE = (
    "</script><script>alert(1)</script>",
    '"},"status":"completed","x":{"',
    "\u202eevil",
    "a\\u0000b",
    "__proto__",
    "名" * 120,
    "=cmd|' /C calc'!A0",
    " =1+1",
    "\u2028",
    "metrics",
    '"history": [',
)


def test_hostile_metric_names_change_nothing_around_them(
    run: Any, report_of: Callable[..., dict[str, Any]], summary_of: Callable[..., dict[tuple[str, str], str]]
) -> None:
    run.opened().row(10, **dict.fromkeys(HOSTILE, 1.5)).closed("failed")
    report = report_of(run)
    assert report["status"] == "failed"
    assert set(HOSTILE) <= set(report["metrics"]["summary"])
    values = summary_of(run)
    assert sum(value == "1.5" for (_, statistic), value in values.items() if statistic == "final") == len(HOSTILE)
    assert not any(name.lstrip(" ").startswith(("=", "+", "-", "@")) for name, _ in values)


def test_numbers_that_json_cannot_hold_are_strings_in_every_section(
    run: Any, report_of: Callable[..., dict[str, Any]]
) -> None:
    run.side_file("report_inputs", {"training_config": {"seed": 2**63, "small": 2**53}})
    report = report_of(run.opened().row(10, big=str(2**60), loss="-Infinity").closed())
    assert report["training_info"]["config"] == {"seed": str(2**63), "small": 2**53}
    assert report["metrics"]["final"]["big"] == str(2**60)
    assert report["metrics"]["final"]["loss"] == "-Infinity"


def test_each_row_of_the_history_stands_on_its_line_as_it_was_recorded(run: Any) -> None:
    run.opened().row(10, tiny=1e-300, loss=0.1).row(20, loss=1e22).closed()
    dossier = gather(run.folder, now=NOW)
    lines = to_json(dossier).splitlines()
    for payload in dossier.history.rows.payloads():
        assert any(line.strip().rstrip(b",") == payload for line in lines)


def test_the_same_dossier_gives_the_same_bytes(run: Any) -> None:
    run.opened().row(10, loss=0.1).evaluation(10, eval_loss=0.2).closed()
    first, second = gather(run.folder, now=NOW), gather(run.folder, now=NOW)
    assert (to_json(first), to_csv(first)) == (to_json(second), to_csv(second))


def test_a_run_without_rows_has_a_report_too(
    run: Any, report_of: Callable[..., dict[str, Any]], summary_of: Callable[..., dict[tuple[str, str], str]]
) -> None:
    report = report_of(run.opened())
    assert report["metrics"] == {"history": [], "final": {}, "summary": {}}
    assert report["training_info"]["total_steps"] == 0
    assert report["training_info"]["end_time"] == report["training_info"]["start_time"]
    assert summary_of(run) == {}


def test_evaluation_metrics_stand_in_the_summary_and_never_under_a_training_metrics_name(
    run: Any, summary_of: Callable[..., dict[tuple[str, str], str]]
) -> None:
    run.opened().row(10, loss=3.0).evaluation(10, eval_loss=2.5, loss=9.0).closed()
    values = summary_of(run)
    assert values["eval_loss", "final"] in ("2.5", "9.0")
    assert values["loss", "final"] == "3.0"
    assert {value for (_, statistic), value in values.items() if statistic == "final"} >= {"2.5", "9.0", "3.0"}
    assert values["eval_epoch", "final"] == "0.1"


@given(st.text(max_size=8))
def test_no_text_is_left_active_and_ordinary_text_is_left_alone(text: str) -> None:
    shown = inactive(text)
    assert not shown.lstrip(" ").startswith(tuple("=+-@\t\r\n＝＋－＠"))
    if not {"\r", "\n"} & set(text):
        assert shown in (text, f"'{text}")
