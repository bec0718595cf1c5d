"""JSON and CSV hold the rows that count, byte for byte or cell for cell."""

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiseki import TrainingMetricsRecorder
from kiseki.companion.tables import TRAINING_COLUMNS, write_csv, write_json
from kiseki.companion.views import refresh_views
from kiseki.history import read_history
from kiseki.vocabulary import BASIC
from support import opened, strict_json, write_journal

Reader = Callable[[Path], Any]


def record(root: Path) -> TrainingMetricsRecorder:
    return TrainingMetricsRecorder(root, "m", save_plots=False, companion=False)


def test_r05_a_metric_that_appears_later_widens_the_csv_and_loses_nothing(tmp_path: Path, read_csv: Reader) -> None:
    with record(tmp_path) as recorder:
        recorder.record_step(step=1, epoch=0.1, loss=2.0, learning_rate=0.1)
        recorder.record_step(step=2, epoch=0.2, loss=1.0, learning_rate=0.1, lm_loss=0.9, router_loss=0.1)
    first, second = read_csv(recorder.folder.training_csv)
    assert tuple(first)[: len(TRAINING_COLUMNS)] == TRAINING_COLUMNS
    assert tuple(first)[len(TRAINING_COLUMNS) :] == ("lm_loss", "router_loss")
    assert (first["lm_loss"], second["lm_loss"], second["router_loss"]) == ("", "0.9", "0.1")


def test_r06_a_missing_metric_is_an_absent_key_and_an_empty_cell(
    tmp_path: Path, read_json: Reader, read_csv: Reader
) -> None:
    with record(tmp_path) as recorder:
        recorder.record_step(step=1, epoch=0.1, loss=2.0, learning_rate=0.1, perplexity=None)
        recorder.record_step(step=2, epoch=0.2, loss=1.0, learning_rate=0.1, perplexity=20.0)
    rows = read_json(recorder.folder.training_json)
    assert [row.get("perplexity", "absent") for row in rows] == ["absent", 20.0]
    assert [row["perplexity"] for row in read_csv(recorder.folder.training_csv)] == ["", "20.0"]


def test_r07_non_finite_values_are_strings_in_strict_json_and_words_in_csv(
    tmp_path: Path, read_json: Reader, read_csv: Reader
) -> None:
    with record(tmp_path) as recorder:
        for step, loss in enumerate((float("nan"), float("inf"), float("-inf"), -0.0), start=1):
            recorder.record_step(step=step, epoch=0.1, loss=loss, learning_rate=0.1)
    assert [row["loss"] for row in read_json(recorder.folder.training_json)] == ["NaN", "Infinity", "-Infinity", -0.0]
    assert [row["loss"] for row in read_csv(recorder.folder.training_csv)] == ["NaN", "inf", "-inf", "-0.0"]


def test_every_training_row_has_the_six_basic_keys_and_evaluations_stand_apart(
    tmp_path: Path, read_json: Reader, read_csv: Reader
) -> None:
    with record(tmp_path) as recorder:
        recorder.record_step(step=1, epoch=0.1, loss=2.0, learning_rate=0.1)
        recorder.record_evaluation(step=1, epoch=0.1, eval_loss=1.9)
        recorder.record_step(step=2, epoch=0.2, loss=1.0, learning_rate=0.1)
    rows = read_json(recorder.folder.training_json)
    assert all(set(BASIC) <= set(row) for row in rows)
    assert not any(name.startswith("eval") for row in rows for name in row)
    (evaluation,) = read_json(recorder.folder.evaluation_json)
    assert (evaluation["step"], evaluation["eval_loss"]) == (1, 1.9)
    assert [row["eval_loss"] for row in read_csv(recorder.folder.evaluation_csv)] == ["1.9"]


def test_rows_are_copied_byte_for_byte_from_the_journal(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, [opened()])
    payload = b'{"step":1,"loss":1.10,"odd":1e2}'
    from kiseki.record.line import frame

    with folder.journal.open("ab") as journal:
        journal.write(frame("row", payload, 1))
    history = read_history(folder)
    json_out, csv_out = io.BytesIO(), io.BytesIO()
    write_json(history.rows, json_out)
    write_csv(history.rows, ("step",), csv_out)
    assert json_out.getvalue() == b"[\n" + payload + b"\n]\n"
    assert csv_out.getvalue() == b"step,loss,odd\n1,1.10,1e2\n"


def test_an_empty_run_has_valid_views(tmp_path: Path, read_json: Reader, read_csv: Reader) -> None:
    recorder = record(tmp_path)
    recorder.close()
    assert read_json(recorder.folder.training_json) == []
    assert read_csv(recorder.folder.training_csv) == []
    assert recorder.folder.training_csv.read_text().startswith("step,epoch,timestamp,elapsed_time_seconds,loss,")


def test_names_that_a_spreadsheet_would_take_for_a_formula_are_disarmed_and_numbers_stay(
    tmp_path: Path, read_csv: Reader
) -> None:
    with record(tmp_path) as recorder:
        recorder.record_step(1, 0.1, -0.5, 0.1, **{"=cmd|' /C calc'!A0": 1.0, "＠x": 2.0, 'a,b"c': 3.0})
    header = recorder.folder.training_csv.read_text(encoding="utf-8").splitlines()[0]
    (row,) = read_csv(recorder.folder.training_csv)
    assert "'=cmd|' /C calc'!A0" in row
    assert "'＠x" in row
    assert row['a,b"c'] == "3.0"
    assert row["loss"] == "-0.5"
    assert ",=cmd" not in header


@settings(max_examples=20)
@given(rows=st.lists(st.dictionaries(st.sampled_from(["a", "b", 'say "c"', "back\\slash", "日本"]), st.integers(0, 9))))
def test_whichever_names_appear_whenever_every_value_has_its_cell(
    rows: list[dict[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with record(tmp_path_factory.mktemp("run")) as recorder:
        for step, row in enumerate(rows, start=1):
            recorder.record_step(step, 0.1, 0.5, 0.1, **row)
    appeared = [*dict.fromkeys(name for row in rows for name in row)]
    with recorder.folder.training_csv.open(encoding="utf-8", newline="") as table:
        cells = list(csv.DictReader(table))
    assert all(tuple(row)[len(TRAINING_COLUMNS) :] == tuple(appeared) for row in cells)
    assert [{name: row[name] for name in appeared if row[name]} for row in cells] == [
        {name: str(value) for name, value in row.items()} for row in rows
    ]


def test_views_made_again_after_deletion_are_the_same_bytes(tmp_path: Path) -> None:
    with record(tmp_path) as recorder:
        for step in range(1, 30):
            recorder.record_step(step=step, epoch=0.1, loss=1 / step, learning_rate=0.1)
        recorder.record_evaluation(step=29, eval_loss=0.5)
    folder = recorder.folder
    views = (folder.training_json, folder.training_csv, folder.evaluation_json, folder.evaluation_csv)
    before = [view.read_bytes() for view in views]
    for view in views:
        view.unlink()
    refresh_views(folder)
    assert [view.read_bytes() for view in views] == before


def test_outputs_that_are_switched_off_are_not_made(tmp_path: Path) -> None:
    with TrainingMetricsRecorder(tmp_path, save_plots=False, save_csv=False, companion=False) as recorder:
        recorder.record_step(1, 0.1, 1.0, 0.1)
    refresh_views(recorder.folder)
    assert recorder.folder.training_json.exists()
    assert not recorder.folder.training_csv.exists()
    assert not recorder.folder.curves_png.exists()
    assert strict_json(recorder.folder.training_json.read_bytes())[0]["step"] == 1


def test_r35_a_figure_that_cannot_be_drawn_costs_neither_the_tables_nor_the_old_figure_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TrainingMetricsRecorder(tmp_path, companion=False) as recorder:
        recorder.record_step(1, 0.1, 1.0, 0.1)
    before = recorder.folder.curves_png.read_bytes()
    (recorder.folder.training_json).unlink()

    def explode(*_: object, **__: object) -> bytes:
        raise RuntimeError("no canvas")

    monkeypatch.setattr("kiseki.curves.draw_training_curves", explode)
    with pytest.raises(RuntimeError, match="no canvas"):
        refresh_views(recorder.folder)
    assert strict_json(recorder.folder.training_json.read_bytes())[0]["step"] == 1
    assert recorder.folder.curves_png.read_bytes() == before
    assert [path for folder in (recorder.folder.plots, recorder.folder.metrics) for path in folder.glob(".*")] == []
    pyplot = sys.modules.get("matplotlib.pyplot")  # seaborn loads it
    assert pyplot is None or pyplot.get_fignums() == [], "no figure is registered anywhere, so none can leak"
    monkeypatch.undo()
    refresh_views(recorder.folder)
    assert recorder.folder.curves_png.read_bytes() == before
