"""What users call: never raises into training, counts what it could not keep, ends in any order."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki import RunFolderError, TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.run_folder import RunFolder
from support import ToldClock, strict_json

Reader = Callable[[Path], Any]


def quiet(root: Path, **options: Any) -> TrainingMetricsRecorder:
    return TrainingMetricsRecorder(root, "m", save_plots=False, companion=False, **options)


def test_r19_times_are_utc_and_elapsed_time_never_runs_backwards(
    tmp_path: Path, clock: ToldClock, read_json: Reader
) -> None:
    recorder = quiet(tmp_path, clock=clock)
    recorder.record_step(1, 0.1, 1.0, 0.1)
    clock.pass_seconds(10)
    clock.wall -= 3600 * 10**9  # somebody sets the clock back
    recorder.record_step(2, 0.2, 1.0, 0.1)
    recorder.close()
    first, second = read_json(recorder.folder.training_json)
    assert (first["timestamp"], second["timestamp"]) == ("2025-11-23T05:00:00.000000Z", "2025-11-23T04:00:10.000000Z")
    assert (first["elapsed_time_seconds"], second["elapsed_time_seconds"]) == (0.0, 10.0)


def test_r33_reserved_names_are_refused_and_a_strange_value_spoils_nothing(tmp_path: Path, read_json: Reader) -> None:
    recorder = quiet(tmp_path)
    strange: dict[str, Any] = {"timestamp": 1.0, "attempt": 9, "note": "text", "ok": 2.0, "nested": {"a": 1}}
    assert recorder.record_step(1, 0.1, 1.0, 0.1, **strange)
    assert recorder.record_step(2, 0.2, 1.0, 0.1)
    recorder.close()
    first, _ = read_json(recorder.folder.training_json)
    assert (first["attempt"], first["ok"]) == (1, 2.0)
    assert {"note", "nested"}.isdisjoint(first)
    assert recorder.errors == 4
    refused = {note["name"] for note in read_history(recorder.folder).notes_of("refused_value")}
    assert refused == {"timestamp", "attempt", "note", "nested"}


@pytest.mark.parametrize("step", [None, "7", -1, 2**60, float("nan"), 1.5, [1]])
def test_c4_a_row_whose_step_is_none_is_kept_in_a_note_and_counted(tmp_path: Path, step: Any) -> None:
    recorder = quiet(tmp_path)
    assert recorder.record_step(step, 0.1, 1.25, 0.1, lm_loss=1.0) is False
    assert recorder.record_step(1, 0.1, 1.0, 0.1) is True
    recorder.close()
    assert recorder.errors == 1
    history = read_history(recorder.folder)
    assert list(history.rows.steps) == [1]
    (note,) = history.notes_of("row_without_step")
    assert (note["measured"]["loss"], note["measured"]["lm_loss"]) == (1.25, 1.0)
    assert note["given"] == repr(step)[:40]


def test_c3_a_wall_clock_that_is_set_is_noted_and_order_and_elapsed_time_do_not_suffer(
    tmp_path: Path, clock: ToldClock
) -> None:
    recorder = quiet(tmp_path, clock=clock)
    for step, jump in enumerate((0, -3600, 0, 30 * 365 * 86400, 0.5), start=1):
        clock.pass_seconds(2)
        clock.wall += round(jump * 1e9)
        recorder.record_step(step, 0.1, 1.0, 0.1)
    recorder.close()
    history = read_history(recorder.folder)
    assert [note["seconds"] for note in history.notes_of("clock_jump")] == [-3600.0, 30 * 365 * 86400.0]
    assert list(history.rows.columns["elapsed_time_seconds"].value) == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert list(history.rows.steps) == [1, 2, 3, 4, 5]


def test_whatever_fails_inside_never_reaches_the_training_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Explosive:
        def item(self) -> float:
            raise MemoryError("device lost")

    recorder = quiet(tmp_path)
    assert recorder.record_step(1, 0.1, Explosive(), 0.1) is False
    assert recorder.record_step(2, 0.1, Explosive(), 0.1) is False
    assert recorder.record_step(3, 0.1, 1.0, 0.1) is True
    recorder.close()
    assert recorder.errors == 2
    warnings = [r for r in caplog.records if "device lost" in r.getMessage()]
    assert len(warnings) == 1, "one warning a minute, not one a step"


def test_r37_repeated_and_decreasing_steps_are_kept_and_flagged_and_views_show_one_row_a_step(
    tmp_path: Path, read_json: Reader
) -> None:
    recorder = quiet(tmp_path)
    for step, loss in ((1, 1.0), (2, 2.0), (2, 3.0), (5, 4.0), (3, 5.0)):
        recorder.record_step(step, 0.1, loss, 0.1)
    recorder.close()
    assert [(row["step"], row["loss"]) for row in read_json(recorder.folder.training_json)] == [
        (1, 1.0),
        (2, 3.0),
        (3, 5.0),
        (5, 4.0),
    ]
    history = read_history(recorder.folder)
    assert (history.rows.repeated, history.rows.out_of_order) == (1, 1)
    assert recorder.folder.journal.read_bytes().count(b'{"row":') == 5


def test_a_row_is_in_the_file_when_the_call_returns_whatever_the_interval(tmp_path: Path) -> None:
    recorder = quiet(tmp_path, save_interval=10**6)
    for step in range(1, 4):
        assert recorder.record_step(step, 0.1, 1.0, 0.1)
        assert list(read_history(recorder.folder).rows.steps) == list(range(1, step + 1))
    recorder.close()


def test_r10_rows_after_the_last_interval_are_in_every_file_at_the_end(tmp_path: Path, read_json: Reader) -> None:
    with quiet(tmp_path, save_interval=100) as recorder:
        for step in range(1, 338):
            recorder.record_step(step, 0.1, 1.0, 0.1)
    (report,) = recorder.folder.reports.glob("poc_report_*.json")
    rows = read_json(recorder.folder.training_json)
    assert len(rows) == 337
    assert read_json(report)["metrics"]["history"] == rows


def test_leaving_the_block_makes_the_report_with_how_it_ended(tmp_path: Path, read_json: Reader) -> None:
    def status_of(name: str) -> str:
        (report,) = (tmp_path / name / "poc_reports").glob("poc_report_*.json")
        return str(read_json(report)["status"])

    with quiet(tmp_path / "completed") as recorder:
        recorder.record_step(1, 0.1, 1.0, 0.1)
    with pytest.raises(ZeroDivisionError), quiet(tmp_path / "failed") as recorder:
        recorder.record_step(1 // 0, 0.1, 1.0, 0.1)
    with pytest.raises(KeyboardInterrupt), quiet(tmp_path / "interrupted"):
        raise KeyboardInterrupt
    assert [status_of(n) for n in ("completed", "failed", "interrupted")] == ["completed", "failed", "interrupted"]


def test_the_report_can_be_made_before_and_after_close_and_is_never_overwritten(tmp_path: Path) -> None:
    recorder = quiet(tmp_path)
    recorder.record_step(1, 0.1, 1.0, 0.1)
    first = recorder.generate_poc_report({"layers": 2}, {"lr": 0.1}, {"loss": 1.0})
    recorder.close()
    recorder.close()
    second = recorder.generate_poc_report({"layers": 2}, {"lr": 0.1})
    assert first != second
    for path in (first, second):
        report = strict_json(path.read_bytes())
        assert (report["model_info"]["config"], report["training_info"]["config"]) == ({"layers": 2}, {"lr": 0.1})
        assert report["status"] == "completed"


def test_after_close_nothing_is_recorded_and_nothing_is_raised(tmp_path: Path) -> None:
    recorder = quiet(tmp_path)
    recorder.close()
    before = recorder.folder.journal.read_bytes()
    assert recorder.record_step(1, 0.1, 1.0, 0.1) is False
    assert recorder.record_evaluation(1, eval_loss=1.0) is False
    assert recorder.mark("phase", name="x", step=1) is False
    assert recorder.flush() is False
    assert recorder.folder.journal.read_bytes() == before


def test_sixteen_threads_lose_and_mix_nothing(tmp_path: Path) -> None:
    recorder = quiet(tmp_path, save_interval=10**6)

    def work(thread: int) -> None:
        for number in range(200):
            recorder.record_step(thread * 200 + number, 0.1, float(thread), 0.1)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    history = read_history(recorder.folder)
    assert history.damage == ()
    assert list(history.rows.steps) == list(range(3200))
    assert all(row["loss"] == row["step"] // 200 for row in history.rows.decoded())


def test_a_tensor_on_a_device_is_copied_at_the_call_and_written_with_the_next_row(tmp_path: Path) -> None:
    class OnDevice:
        """Stands for an accelerator, which no test machine here has; it changes after the call as accumulators do."""

        class device:  # noqa: N801 - as torch spells it
            type = "accelerator"

        def __init__(self, value: float) -> None:
            self.number = value

        def detach(self) -> "OnDevice":
            return self

        def to(self, where: str, *, non_blocking: bool) -> float:
            assert (where, non_blocking) == ("cpu", True)
            return self.number

        def item(self) -> float:
            raise AssertionError("reading a device tensor would synchronise")

    recorder = quiet(tmp_path)
    loss = OnDevice(0.5)
    assert recorder.record_step(1, 0.1, loss, 0.1) is False
    loss.number = 0.0
    assert list(read_history(recorder.folder).rows.steps) == []
    assert recorder.record_step(2, 0.2, 0.25, 0.1) is True
    assert [row["loss"] for row in read_history(recorder.folder).rows.decoded()] == [0.5, 0.25]
    recorder.record_step(3, 0.3, OnDevice(0.125), 0.1)
    recorder.flush()
    assert [row["loss"] for row in read_history(recorder.folder).rows.decoded()] == [0.5, 0.25, 0.125]
    recorder.close()


def test_what_only_the_owner_may_see_stands_beside_the_journal_bound_by_its_digest(tmp_path: Path) -> None:
    import hashlib

    recorder = quiet(tmp_path, config={"secret_path": "/home/someone/data"})
    recorder.close()
    opened = read_history(recorder.folder).opened
    assert set(opened["side_files"]) == {"config.json", "environment.json"}
    for name, digest in opened["side_files"].items():
        assert hashlib.sha256((recorder.folder.metrics / name).read_bytes()).hexdigest() == digest
    journal = recorder.folder.journal.read_bytes()
    assert b"someone" not in journal
    assert os.fsencode(os.uname().nodename if hasattr(os, "uname") else "-") + b'"' not in journal


@pytest.mark.parametrize(("metric", "meant"), [("los", "loss"), ("evel_loss", "eval_loss"), ("val_loss", None)])
def test_a_criterion_on_what_looks_like_a_misspelt_metric_is_told_before_training_and_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, metric: str, meant: str | None
) -> None:
    recorder = quiet(tmp_path, criteria=[{"metric": metric, "operator": "<", "threshold": 2.0, "when": "final"}])
    assert (f"did you mean {meant}?" in caplog.text) == (meant is not None)
    recorder.close()
    assert read_history(recorder.folder).opened["criteria"][0]["metric"] == metric


def test_criteria_stand_in_the_first_line_with_their_digest(tmp_path: Path) -> None:
    recorder = quiet(tmp_path, criteria=[{"metric": "loss", "operator": "<", "threshold": 2.0, "when": "final"}])
    recorder.close()
    opened = read_history(recorder.folder).opened
    assert opened["criteria"][0]["metric"] == "loss"
    assert len(opened["criteria_sha256"]) == 64


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is where not even root may make a folder")
def test_a_folder_that_cannot_be_written_is_named_before_the_first_step() -> None:
    with pytest.raises(RunFolderError, match="/proc/run: the run folder cannot be written"):
        quiet(Path("/proc/run"))


def test_an_output_folder_that_is_a_file_is_named_before_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(RunFolderError, match="cannot be written"):
        quiet(tmp_path / "run")


def test_r34_importing_kiseki_loads_only_the_standard_library_and_msgspec() -> None:
    program = "import kiseki, sys; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    foreign = {
        name
        for name in eval(loaded)
        if name not in sys.stdlib_module_names and not name.startswith(("_", "sitecustomize"))
    }
    assert foreign <= {"kiseki", "msgspec", "typing_extensions"}


def test_the_old_import_path_gives_the_same_class() -> None:
    root = Path(__file__).parents[3]
    program = "from scripts.utils.training_metrics_recorder import TrainingMetricsRecorder as T; print(T.__module__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout == "kiseki.recorder\n", done.stderr


def test_without_a_companion_the_curves_are_drawn_in_process(tmp_path: Path) -> None:
    with TrainingMetricsRecorder(tmp_path, companion=False) as recorder:
        recorder.record_step(1, 0.1, 1.0, 0.1)
    assert RunFolder(tmp_path).curves_png.read_bytes().startswith(b"\x89PNG")
