"""The specification's report, and the acceptance rules R06–R31 that speak of it."""

import hashlib
import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from kiseki.companion.views import refresh_views
from kiseki.filesystem import FileLock

Report = Callable[..., dict[str, Any]]
Summary = Callable[..., dict[tuple[str, str], str]]


def test_the_report_has_exactly_the_specified_keys(run: Any, report_of: Report) -> None:
    report = report_of(run.opened().row(10).closed())
    assert set(report["model_info"]) == {"name", "config"}
    assert set(report["training_info"]) == {"config", "start_time", "end_time", "total_time_seconds", "total_steps"}
    assert set(report["metrics"]) == {"history", "final", "summary"}
    assert set(report["files"]) == {"metrics_json", "metrics_csv", "plots_png"}
    beside = {"schema_version", "status", "attempts", "record_quality", "criteria", "environment", "data", "compute"}
    assert beside | {"evidence"} <= set(report)
    assert report["model_info"]["name"] == "borea_phi35_so8t"


def test_r06_a_metric_that_is_missing_in_rows_is_neither_zero_nor_counted(
    run: Any, report_of: Report, summary_of: Summary
) -> None:
    run.opened().row(10).row(20, perplexity=20.0).row(30).closed()
    perplexity = report_of(run)["metrics"]["summary"]["perplexity"]
    assert (perplexity["min"], perplexity["mean"], perplexity["n"]) == (20.0, 20.0, 1)
    assert "perplexity" not in report_of(run)["metrics"]["history"][0]
    assert summary_of(run)["perplexity", "n"] == "1"


def test_r07_non_finite_values_are_the_three_strings_and_leave_the_statistics_alone(
    run: Any, report_of: Report, summary_of: Summary
) -> None:
    run.opened().row(10, loss=3.0).row(20, loss="Infinity").row(30, loss=1.0).row(40, loss="NaN").closed()
    report = report_of(run)
    loss = report["metrics"]["summary"]["loss"]
    assert (loss["min"], loss["max"], loss["mean"], loss["std"], loss["n"]) == (1.0, 3.0, 2.0, 1.0, 2)
    assert (loss["non_finite"], loss["first_non_finite_step"]) == (2, 20)
    assert [row["loss"] for row in report["metrics"]["history"]] == [3.0, "Infinity", 1.0, "NaN"]
    assert report["record_quality"]["non_finite"] == {"loss": {"count": 2, "first_step": 20}}
    assert summary_of(run)["loss", "last_recorded"] == "NaN"
    assert (loss["final"], loss["final_step"]) == ("NaN", 40)
    assert (summary_of(run)["loss", "final"], summary_of(run)["loss", "final_step"]) == ("NaN", "40")


def test_r10_history_and_the_files_beside_the_report_say_the_same(run: Any, report_of: Report) -> None:
    run.opened()
    for step in range(1, 8):
        run.row(step, loss=1 / step, 表=step)
    run.evaluation(7, eval_loss=0.5).closed()
    refresh_views(run.folder)
    report = report_of(run)
    assert report["metrics"]["history"] == json.loads(run.folder.training_json.read_bytes())
    assert report["evaluation"]["history"] == json.loads(run.folder.evaluation_json.read_bytes())


def test_r11_total_steps_is_the_optimizer_step_and_not_the_number_of_rows(run: Any, report_of: Report) -> None:
    report = report_of(run.opened(max_steps=50).row(10).row(20).row(21).closed())
    assert report["training_info"]["total_steps"] == 21
    quality = report["record_quality"]
    assert (quality["recorded_rows"], quality["last_step"], quality["max_steps"]) == (3, 21, 50)


def test_r21_no_path_user_or_host_stands_in_a_report(run: Any, report_of: Report) -> None:
    run.side_file(
        "config", {"model_path": "/home/suzuki/models/Borea", "data": {"path": r"D:\suzuki-data\train.jsonl"}}
    )
    run.side_file("environment", {"command": ["/home/suzuki/venv/bin/python", "--hf-token", "hunter2"]})
    run.side_file("report_inputs", {"model_config": {"path": str(run.folder.root), "api_key": "hunter2"}})
    run.opened().note("companion_failure", error="cannot write '/home/suzuki/run/plots'").row(1)
    text = json.dumps(report_of(run.closed("failed", error="OSError: /home/suzuki/x is full")))
    assert not any(word in text for word in ("suzuki", "hunter2", "/home/", str(run.folder.root.parent)))
    assert not re.search(r'": "(?:/|[A-Za-z]:\\)', text)


def test_r22_only_files_that_exist_are_evidence_with_their_digests(run: Any, report_of: Report) -> None:
    run.opened().row(10).closed()
    assert report_of(run)["evidence"]["files"] == {}
    refresh_views(run.folder)
    files = report_of(run)["evidence"]["files"]
    assert {"metrics/training_metrics.json", "metrics/training_metrics.csv"} <= set(files)
    assert "plots/training_curves.png" not in files
    for path, fact in files.items():
        content = (run.folder.root / path).read_bytes()
        assert fact == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_r22_a_file_is_null_only_where_the_output_is_switched_off(run: Any, report_of: Report) -> None:
    report = report_of(run.opened(outputs={"json": True, "csv": False, "plots": True}).row(10).closed())
    expected = {"metrics_json": "metrics/training_metrics.json", "metrics_csv": None}
    assert report["files"] == {**expected, "plots_png": "plots/training_curves.png"}


def test_r23_time_runs_from_the_first_start_over_all_attempts(run: Any, report_of: Report) -> None:
    run.opened().row(10).row(20)
    run.opened(resume_step=10, elapsed_before_seconds=30.0).row(20, elapsed_time_seconds=61.5)
    training = report_of(run)["training_info"]
    assert training["start_time"] == "2026-11-23T01:00:00.000000Z"
    assert training["end_time"] == "2026-11-23T02:20:00.000000Z"
    assert training["total_time_seconds"] == 61.5


@pytest.mark.parametrize("status", ["completed", "interrupted", "failed"])
def test_r26_the_report_says_how_the_run_ended(run: Any, report_of: Report, status: str) -> None:
    report = report_of(run.opened().row(10).closed(status))
    assert (report["status"], report["attempts"][0]["status"]) == (status, status)


def test_r26_a_run_that_was_killed_is_interrupted(run: Any, report_of: Report) -> None:
    run.opened().row(10).row(20)
    with run.folder.journal.open("ab") as journal:
        journal.write(b'{"row":{"step":30,"lo')
    report = report_of(run)
    assert report["status"] == "interrupted"
    assert report["attempts"][0]["closed"] is False
    assert report["record_quality"]["torn_tail_bytes"] == 21
    assert report["record_quality"]["complete"] is False
    assert report["training_info"]["total_steps"] == 20


def test_r26_a_run_that_is_being_recorded_is_running_unless_its_recorder_says_how_it_ends(
    run: Any, report_of: Report
) -> None:
    run.opened().row(10)
    lock = FileLock(run.folder.journal_lock)
    assert lock.acquire()
    try:
        assert report_of(run)["status"] == "running"
        assert report_of(run, status="completed")["status"] == "completed"
        assert report_of(run, status="completed")["attempts"][0]["status"] == "completed"
    finally:
        lock.release()


def test_r27_every_numeric_metric_has_statistics_with_named_ddof(run: Any, report_of: Report) -> None:
    run.opened().row(10, grad_norm=1.5, custom=1, window_steps=10, text="no number", flag=True).closed()
    summary = report_of(run)["metrics"]["summary"]
    assert list(summary) == ["epoch", "loss", "learning_rate", "grad_norm", "custom"]
    for statistics in summary.values():
        assert {"min", "max", "mean", "std", "final"} <= set(statistics)
        assert statistics["ddof"] == 0


def test_r28_final_holds_every_metric_and_a_users_own_values_stand_beside_it(run: Any, report_of: Report) -> None:
    run.side_file("report_inputs", {"final_metrics": {"loss": 0.0, "bleu": 31.5}})
    report = report_of(run.opened().row(10, pet_loss=0.01, so8t_loss=1e-7).row(20, loss="NaN").closed())
    final = report["metrics"]["final"]
    assert final == {
        "step": 20,
        "epoch": 0.2,
        "loss": "NaN",
        "learning_rate": 2e-4,
        "pet_loss": 0.01,
        "so8t_loss": 1e-7,
    }
    assert report["metrics"]["summary"]["loss"]["final"] == "NaN"
    assert report["final_finite"]["loss"] == {"value": 2.0, "step": 10}
    assert report["final_finite"]["pet_loss"] == {"value": 0.01, "step": 10}
    assert report["final_metrics_given"] == {"loss": 0.0, "bleu": 31.5}


def test_r29_what_is_not_known_is_said_to_be_unknown(run: Any, report_of: Report) -> None:
    report = report_of(run.opened().row(10).closed())
    for section in (report["model_info"]["config"], report["environment"], report["data"], report["live"]):
        assert section == "unknown"
    assert report["compute"]["tokens_seen"] == "unknown"


def test_r30_what_the_live_model_has_stands_beside_the_settings_and_differences_are_named(
    run: Any, report_of: Report
) -> None:
    model = {"so8t": {"layer_indices": [0, 1, 2]}, "lora": {"r": 16}}
    live = {"so8t": {"layer_indices": [0, 1]}, "r": 16, "trainable_parameters": 123}
    run.side_file("report_inputs", {"model_config": model, "training_config": {"r": 16}, "live": live})
    report = report_of(run.opened().row(10).closed())
    assert report["live"] == live
    assert report["differences"] == [{"name": "so8t.layer_indices", "config": [0, 1, 2], "live": [0, 1]}]


def test_r31_the_whole_history_is_in_the_report_unless_fewer_rows_are_asked_for(run: Any, report_of: Report) -> None:
    run.opened()
    for step in range(1, 101):
        run.row(step)
    run.closed()
    assert [row["step"] for row in report_of(run)["metrics"]["history"]] == list(range(1, 101))
    for limit in (1, 2, 7, 99, 100, 1000):
        steps = [row["step"] for row in report_of(run, history_rows=limit)["metrics"]["history"]]
        assert len(steps) == min(limit, 100)
        assert steps == sorted(set(steps))
        assert steps[-1] == 100


def test_r39_the_summary_opens_anywhere(run: Any, summary_of: Summary) -> None:
    run.opened().row(10, loss=-0.5, **{'=HYPERLINK("x")': 1, "＋cmd": 2, "a,b\tc": 3}).closed()
    values = summary_of(run)
    assert values["loss", "min"] == "-0.5"
    assert values['\'=HYPERLINK("x")', "min"] == "1.0"
    assert values["'＋cmd", "min"] == "2.0"
    assert values["a,b\tc", "min"] == "3.0"
    assert all(value == "" or not math.isnan(float(value)) for value in values.values())
