"""The training job in this process, on the smallest model that has everything."""

import io
import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, TrainerState, TrainingArguments

from kiseki import RunLocked, TrainingMetricsRecorder
from kiseki.filesystem import FileLock
from kiseki.report.several.facts import gather_several
from kiseki.run_folder import RunFolder
from so8t.errors import CheckpointError, DataError, JobFailed, ModelError, So8tError
from so8t.model.attach import attach_saved_gates
from so8t.training import finiteness, job
from so8t.training.checkpoints import newest_complete_checkpoint, what_is_missing
from so8t.training.config_checks import keys_without_effect
from so8t.training.config_keys import Config
from so8t.training.console import ProgressCallback
from so8t.training.console_texts import TEXTS, duration
from so8t.training.finishing import save_final
from so8t.training.finiteness import NonFinite, last_checkpoint_before, recorded_non_finite, warning_at_end
from so8t.training.job import JobResult
from so8t.training.preflight import check_output_folder
from training_job import (
    Settings,
    make_settings,
    report_of,
    same_tensors,
    snapshot,
    stopped_after_two,
    train,
    without_drawing,
)


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, data_files: tuple[Path, Path]
) -> tuple[Config, JobResult, str]:
    """One complete run, for the tests that look at what it left."""
    config = make_settings(
        tmp_path_factory.mktemp("complete"),
        model_folder,
        data_files,
        poc={"language": "ja", "criteria": [{"metric": "loss", "operator": "<", "threshold": 100.0}]},
    )
    return (config, *train(config))


class TestACompleteRun:
    def test_it_says_what_it_does_and_names_the_files_to_submit(self, run: Any) -> None:
        _, result, said = run
        assert result.status == "completed"
        assert result.exit_code == 0
        assert re.search(r"ステップ 2/4  損失 \d", said)
        assert "fuses it into qkv_proj" in said
        assert re.search(r"学習データ：16 件中 16 件、[\d,]+ トークン", said)
        assert "停電で失われる作業は最大 2 ステップ" in said
        assert "a power cut" not in said
        assert f"完了：4 ステップ中 4 ステップ、モデル：{result.run_dir / 'final'}" in said
        listed = said[said.index("提出ファイル\n") :].splitlines()[1:6]
        submitted = result.submission
        files = (submitted.report, submitted.summary, submitted.page, submitted.document, submitted.curves)
        for line, path in zip(listed, files, strict=True):
            assert Path(line.strip()).resolve() == path.resolve()
            assert path.stat().st_size > 0

    def test_the_held_out_loss_that_is_said_is_the_one_that_is_recorded(self, run: Any) -> None:
        """The Trainer's own is the mean of batches of unequal length."""
        recorded = report_of(run[1])["evaluation"]["history"]
        assert re.findall(r"ステップ (\d)/4  評価損失 ([\d.]+)\n", run[2]) == [
            (str(row["step"]), f"{row['eval_loss']:.4g}") for row in recorded
        ]

    def test_first_and_last_held_out_loss_are_recorded_apart_from_training(self, run: Any) -> None:
        report = report_of(run[1])
        assert [row["step"] for row in report["evaluation"]["history"]] == [0, 2, 4]
        assert [row["step"] for row in report["metrics"]["history"]] == [2, 4]

    def test_whatever_is_recorded_can_be_a_criterion(self, run: Any, settings: Settings) -> None:
        report = report_of(run[1])
        rows = [*report["metrics"]["history"], *report["evaluation"]["history"]]
        names = sorted({name for row in rows for name in row} - {"timestamp"})
        config = settings(poc={"criteria": [{"metric": name, "operator": "<", "threshold": 1.0} for name in names]})
        assert list(keys_without_effect(config, set())) == []

    def test_the_report_says_what_was_asked_and_what_there_really_is(self, run: Any) -> None:
        report = report_of(run[1])
        assert report["status"] == "completed"
        assert report["model_info"]["name"] == "tiny_so8t"
        assert report["model_info"]["config"]["qlora"]["r"] == 2
        assert report["training_info"]["config"]["training"]["save_metrics_steps"] == 2
        assert report["training_info"]["config"]["arguments"]["max_steps"] == 4
        assert "eval_on_start" not in report["training_info"]["config"]["arguments"], "resuming alone would change it"
        assert report["live"]["ranks"] == 1
        assert report["live"]["gate_layers"] == [0, 1]
        assert report["live"]["lora_modules"] == {"qkv_proj": 2, "o_proj": 2}
        assert report["live"]["trainable_parameters"] > 0
        assert report["data"]["train"]["kept"] == 16
        assert report["data"]["eval"]["kept"] == 4
        assert report["criteria"]["verdicts"][0]["verdict"] == "met"
        (difference,) = report["differences"]
        assert difference["name"] == "qlora.target_modules"
        assert set(difference["live"]) == {"qkv_proj", "o_proj"}

    def test_no_private_path_is_handed_over(self, run: Any) -> None:
        config, result, _ = run
        text = result.submission.report.read_text(encoding="utf-8") + result.submission.summary.read_text("utf-8")
        text += (result.run_dir / "training_session.json").read_text(encoding="utf-8")
        for secret in (str(result.run_dir.resolve().parent), str(Path(config.model.base_model).parent), "hub_token"):
            assert secret not in text

    def test_the_final_model_loads_and_is_the_trained_one(self, run: Any) -> None:
        config, result, _ = run
        final = result.run_dir / "final"
        assert not any(
            name in {path.name for path in final.iterdir()} for name in ("training_args.bin", "optimizer.pt")
        )
        base = AutoModelForCausalLM.from_pretrained(config.model.base_model)
        attach_saved_gates(base, final / "so8_gates.safetensors")
        PeftModel.from_pretrained(base, final)
        gates = load_file(final / "so8_gates.safetensors")
        assert all(theta.abs().max() > 0 for theta in gates.values())
        last = result.run_dir / "checkpoints" / "checkpoint-4"
        assert same_tensors(final, last)

    def test_checkpoints_are_complete_and_the_session_has_ended(self, run: Any) -> None:
        run_dir = run[1].run_dir
        for step in (2, 4):
            assert what_is_missing(run_dir / "checkpoints" / f"checkpoint-{step}", gates=True) is None
        session = json.loads((run_dir / "training_session.json").read_text(encoding="utf-8"))
        assert (session["status"], session["current_step"], session["total_steps"]) == ("completed", 4, 4)
        assert session["checkpoints"] == ["checkpoints/checkpoint-2", "checkpoints/checkpoint-4"]
        assert session["session_id"] == report_of(run[1])["run_id"]

    def test_a_run_that_is_done_is_not_trained_again(self, run: Any) -> None:
        config, result, _ = run
        journal = result.run_dir / "metrics" / "journal.jsonl"
        before = journal.read_bytes()
        again, said = train(config, "auto")
        assert "checkpoint-4 は最後のステップのため、学習は残っていません" in said
        assert again.submission == result.submission
        assert journal.read_bytes() == before

    def test_what_a_kill_after_the_last_step_left_out_is_made_up_for(self, run: Any) -> None:
        """The end of the record, the report and the final model, without a further step."""
        config, result, _ = run
        run_dir = result.run_dir
        gone = (run_dir / "final").rename(run_dir / "gone")
        session = json.loads((run_dir / "training_session.json").read_text(encoding="utf-8"))
        (run_dir / "training_session.json").write_text(json.dumps({**session, "status": "running"}), encoding="utf-8")
        again, _ = train(config, "auto")
        report = report_of(again)
        assert again.submission != result.submission
        assert report["status"] == "completed"
        assert [row["step"] for row in report["metrics"]["history"]] == [2, 4]
        assert {path.name for path in (run_dir / "final").iterdir()} == {path.name for path in gone.iterdir()}
        assert same_tensors(run_dir / "final", gone)
        after = json.loads((run_dir / "training_session.json").read_text(encoding="utf-8"))
        assert (after["status"], after["current_step"], after["start_time"]) == ("completed", 4, session["start_time"])


class TestRestarts:
    def test_a_resumed_run_is_the_uninterrupted_one(self, settings: Settings, tmp_path: Path) -> None:
        """Stopped after step 2 of 4 and resumed: the same rows, the same gates, two attempts."""
        whole, _ = train(settings(training={"output_dir": str(tmp_path / "whole")}))
        stopped = stopped_after_two(settings())
        assert (stopped.status, stopped.exit_code) == ("interrupted", 143)
        assert report_of(stopped)["status"] == "interrupted"
        assert not (stopped.run_dir / "final").exists()
        resumed, said = train(settings(), "auto")
        assert "training goes on from" in said
        report = report_of(resumed)
        assert [(attempt["status"], attempt["resume_step"]) for attempt in report["attempts"]] == [
            ("interrupted", None),
            ("completed", 2),
        ]
        expected = report_of(whole)["metrics"]["history"]
        assert [row["step"] for row in report["metrics"]["history"]] == [2, 4]
        for row, other in zip(report["metrics"]["history"], expected, strict=True):
            for name in ("loss", "lm_loss", "pet_loss", "so8t_loss", "accuracy", "grad_norm", "tokens_seen"):
                assert row[name] == pytest.approx(other[name], rel=1e-9), (row["step"], name)
        assert same_tensors(resumed.run_dir / "final", whole.run_dir / "final")
        folders = [RunFolder(one.run_dir) for one in (whole, resumed)]
        assert gather_several(folders).differing == {}, "that one was resumed is no setting"

    def test_a_new_run_sets_the_earlier_one_aside_whole(self, settings: Settings) -> None:
        first, _ = train(settings(training={"max_steps": 2}))
        old_id = report_of(first)["run_id"]
        (first.run_dir / "final" / "mark").write_text("of the first run", encoding="utf-8")
        reports = {path.name for path in (first.run_dir / "poc_reports").iterdir()}
        second, said = train(settings(training={"max_steps": 3}))
        aside = first.run_dir / "earlier" / old_id
        assert str(aside) in said
        assert (aside / "final" / "mark").is_file()
        assert what_is_missing(aside / "checkpoints" / "checkpoint-2", gates=True) is None
        kept = RunFolder(first.run_dir / "metrics" / "earlier" / old_id)
        assert kept.journal.is_file()
        assert kept.curves_png.is_file()
        assert {path.name for path in kept.reports.iterdir()} == reports
        (report,) = (second.run_dir / "poc_reports").glob("poc_report_*.json")
        assert second.submission is not None
        assert report == second.submission.report, "what stands there is what is to be submitted"
        checkpoints = {path.name for path in (second.run_dir / "checkpoints").iterdir()}
        assert checkpoints == {"checkpoint-2", "checkpoint-3"}
        assert not (second.run_dir / "final" / "mark").exists()
        assert len(report_of(second)["attempts"]) == 1

    def test_a_new_run_that_records_nothing_sets_the_earlier_record_aside_too(self, settings: Settings) -> None:
        first, _ = train(settings(training={"max_steps": 2}))
        old_id = report_of(first)["run_id"]
        record = {"metrics", "plots", "poc_reports"}
        before = {name: snapshot(first.run_dir / name) for name in record}
        train(settings(training={"max_steps": 2, "save_metrics": False}))
        aside = first.run_dir / "earlier" / old_id
        assert {name: snapshot(aside / name) for name in record} == before
        assert not record & {path.name for path in first.run_dir.iterdir()}

    def test_other_settings_are_refused_and_nothing_changes(self, run: Any, settings: Settings) -> None:
        run_dir = run[1].run_dir
        before = snapshot(run_dir)
        with pytest.raises(CheckpointError, match=r"training\.learning_rate: 0\.01 -> 0\.02"):
            train(settings(training={"output_dir": str(run_dir), "learning_rate": 2.0e-2}), "auto")
        assert snapshot(run_dir) == before

    def test_force_goes_on_under_other_settings_and_record_and_report_say_so(
        self, settings: Settings, tmp_path: Path, data_files: tuple[Path, Path]
    ) -> None:
        """Half the learning rate, other data, two steps more; no private path gets into the record."""
        train(settings())
        other = tmp_path / "other.jsonl"
        other.write_bytes(b"".join(data_files[0].read_bytes().splitlines(keepends=True)[:12]))
        changes = {"training": {"max_steps": 6, "learning_rate": 5.0e-3}, "data": {"train_data": str(other)}}
        with pytest.raises(CheckpointError, match="--force"):
            train(settings(**changes), "auto")
        result, said = train(settings(**changes), "auto", force=True)
        assert "--force: training goes on under other settings: data.train_data: " in said
        report = report_of(result)
        assert [attempt.get("resume_step") for attempt in report["attempts"]] == [None, 4]
        assert [row["step"] for row in report["metrics"]["history"]] == [2, 4, 6]
        (warning,) = report["record_quality"]["warnings"]
        assert warning.startswith("resumed after step 4 under other settings (--force): data.train_data: ")
        assert "training.learning_rate: 0.01 -> 0.005" in warning
        journal = (result.run_dir / "metrics" / "journal.jsonl").read_text(encoding="utf-8")
        assert str(tmp_path) not in journal
        (note,) = [
            note
            for line in journal.splitlines()
            if (note := json.loads(line).get("note")) and note["kind"] == "forced_resume"
        ]
        assert note["step"] == 4
        assert [difference.split(":")[0] for difference in note["differences"]] == [
            "data.train_data",
            "training.learning_rate",
            "training.max_steps",
            "train data",
        ]
        again, said = train(settings(**changes), "auto")
        assert "nothing is left to train" in said, "the settings that were forced are now the run's own"
        assert again.submission == result.submission

    def test_a_checkpoint_without_manifest_is_refused_and_by_force_taken_and_the_report_says_so(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without_drawing(monkeypatch)
        checkpoint = stopped_after_two(settings()).run_dir / "checkpoints" / "checkpoint-2"
        (checkpoint / "checkpoint_manifest.json").unlink()
        before = snapshot(checkpoint.parents[1])
        with pytest.raises(CheckpointError, match=r"no checkpoint_manifest\.json"):
            train(settings(), str(checkpoint))
        assert snapshot(checkpoint.parents[1]) == before
        result, _ = train(settings(), str(checkpoint), force=True)
        (warning,) = report_of(result)["record_quality"]["warnings"]
        assert "checkpoint-2 has no checkpoint_manifest.json: whether it is whole" in warning

    def test_other_base_weights_are_refused_before_anything_changes_and_by_force_said(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model_folder: Path
    ) -> None:
        without_drawing(monkeypatch)
        base = tmp_path / "base"
        shutil.copytree(model_folder, base)
        config = settings(model={"base_model": str(base)})
        run_dir = stopped_after_two(config).run_dir
        weights = base / "model.safetensors"
        with safe_open(weights, "pt") as file:
            metadata = file.metadata()
        save_file({name: tensor * 1.05 for name, tensor in load_file(weights).items()}, weights, metadata)
        before = snapshot(run_dir)
        with pytest.raises(CheckpointError, match=r"model\.safetensors of the base model: another file"):
            train(config, "auto")
        assert snapshot(run_dir) == before
        result, _ = train(config, "auto", force=True)
        (warning,) = report_of(result)["record_quality"]["warnings"]
        assert "model.safetensors of the base model: another file" in warning

    def test_what_another_process_trained_while_this_one_was_loading_is_not_set_aside(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two restarts at once: the one that loads more slowly finds the folder free again, and the run completed."""
        without_drawing(monkeypatch)
        config = settings()
        run_dir = stopped_after_two(config).run_dir
        original = job.prepare

        def slowly(*args: Any, **more: Any) -> Any:
            prepared = original(*args, **more)
            monkeypatch.setattr(job, "prepare", original)
            assert train(config, "auto")[0].status == "completed"
            before.update(snapshot(run_dir))
            return prepared

        before: dict[str, bytes] = {}
        monkeypatch.setattr(job, "prepare", slowly)
        with pytest.raises(RunLocked, match="another process trained into this folder"):
            train(config, "auto")
        assert snapshot(run_dir) == before

    def test_force_without_a_difference_changes_nothing(self, settings: Settings) -> None:
        stopped = stopped_after_two(settings())
        resumed, said = train(settings(), "auto", force=True)
        assert "--force" not in said
        assert report_of(resumed)["record_quality"]["warnings"] == []
        assert stopped.run_dir == resumed.run_dir

    def test_a_checkpoint_by_the_clock_stands_between_those_by_steps(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each look at the clock is two minutes later than the one before it: every second step is due, or sooner."""
        now = iter(range(0, 10**6, 120))
        original = job.TimedCheckpoints

        def with_told_clock(minutes: float, largest: Any) -> Any:
            return original(minutes, largest, monotonic=lambda: float(next(now)))

        monkeypatch.setattr(job, "TimedCheckpoints", with_told_clock)
        config = settings(training={"max_steps": 6, "save_steps": 500, "save_minutes": 5, "save_total_limit": None})
        result, said = train(config)
        saved = sorted(int(path.name.split("-")[1]) for path in (result.run_dir / "checkpoints").iterdir())
        assert saved == [3, 6]
        assert "a power cut now costs at most 6 steps, or 5 min of work and one step where that is less" in said

    def test_a_folder_that_is_in_use_is_refused_and_nothing_changes(self, settings: Settings, tmp_path: Path) -> None:
        (tmp_path / "run" / "checkpoints" / "checkpoint-2").mkdir(parents=True)
        lock = FileLock(tmp_path / "run" / "training.lock")
        assert lock.acquire()
        before = snapshot(tmp_path / "run")
        with pytest.raises(RunLocked, match="another process is training into this folder"):
            train(settings())
        assert snapshot(tmp_path / "run") == before
        lock.release()


def raise_at(moment: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a signal come at a moment of a run whose step 2 evaluates and saves; like the operating system's, once."""
    number, given = getattr(signal, name), []

    def once(condition: bool) -> None:
        if condition and not given:
            given.append(name)
            signal.raise_signal(number)

    def around(owner: Any, method: str, condition: Callable[[Any], bool] = lambda trainer: True) -> None:
        original = getattr(owner, method)

        def wrapped(self: Any, *args: Any, **more: Any) -> Any:
            once(condition(self))
            return original(self, *args, **more)

        monkeypatch.setattr(owner, method, wrapped)

    trainer = job.SO8TPETTrainer
    if moment == "before the first step":
        around(trainer, "begin_training")
    elif moment == "in the first evaluation":
        around(trainer, "prediction_step")
    elif moment == "in a step":
        around(trainer, "training_step", lambda self: self.state.global_step == 1)
    elif moment == "in a later evaluation":
        around(trainer, "prediction_step", lambda self: self.state.global_step == 2)
    elif moment == "in a checkpoint":
        around(trainer, "_save_optimizer_and_scheduler", lambda self: self.state.global_step == 2)
    elif moment == "in the last step":
        around(trainer, "training_step", lambda self: self.state.global_step == 3)
    elif moment == "after the last step":
        around(trainer, "_finalize_training")
    else:
        monkeypatch.setattr(job, "save_final", lambda *args: (once(True), save_final(*args)))


class TestSignals:
    @pytest.mark.parametrize(
        ("name", "moment", "last_step"),
        [
            ("SIGINT", "before the first step", 1),
            ("SIGTERM", "in the first evaluation", 1),
            ("SIGBREAK" if hasattr(signal, "SIGBREAK") else "SIGINT", "in a step", 2),
            ("SIGINT", "in a later evaluation", 2),
            ("SIGTERM", "in a checkpoint", 2),
            ("SIGINT", "in the last step", 4),
            ("SIGTERM", "after the last step", 4),
            ("SIGINT", "while the final model is saved", 4),
        ],
    )
    def test_a_signal_at_any_moment_leaves_a_checkpoint_a_complete_record_and_a_report(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, moment: str, last_step: int
    ) -> None:
        raise_at(moment, name, monkeypatch)
        without_drawing(monkeypatch)
        result, said = train(settings(training={"save_metrics_steps": 1}))
        completed = last_step == 4
        assert result.status == ("completed" if completed else "interrupted")
        assert result.exit_code == (0 if completed else 128 + getattr(signal, name))
        report = report_of(result)
        assert report["status"] == result.status
        assert [row["step"] for row in report["metrics"]["history"]] == list(range(1, last_step + 1))
        assert [row["step"] for row in report["evaluation"]["history"]] == [s for s in (0, 2, 4) if s <= last_step]
        views = json.loads((result.run_dir / "metrics" / "training_metrics.json").read_text(encoding="utf-8"))
        assert views == report["metrics"]["history"]
        assert not report["record_quality"]["torn_tail_bytes"]
        newest = newest_complete_checkpoint(result.run_dir / "checkpoints", gates=True)
        assert newest is not None
        assert newest.name == f"checkpoint-{last_step}"
        session = json.loads((result.run_dir / "training_session.json").read_text(encoding="utf-8"))
        assert (session["status"], session["current_step"]) == (result.status, last_step)
        assert (result.run_dir / "final").exists() == completed
        assert completed or f"interrupted after step {last_step} of 4" in said


class TestLossesThatAreNoNumbers:
    """A learning rate that turns every weight into nonsense with the first step that has one."""

    @pytest.fixture
    def broken(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        without_drawing(monkeypatch)
        training = {"max_steps": 8, "learning_rate": 1.0e30, "save_total_limit": None, "eval_steps": 8}

        def with_changes(**changes: Any) -> Config:
            changes["training"] = {**training, **changes.get("training", {})}
            return settings(**changes)

        return with_changes

    def test_it_is_said_once_while_it_trains_and_plainly_at_the_end(self, broken: Settings) -> None:
        result, said = train(broken(training={"save_steps": 1}))
        assert (result.status, result.exit_code) == ("completed", 0)
        rows = report_of(result)["metrics"]["history"]
        count = sum(row.get("non_finite_steps", 0) for row in rows)
        ((logged, first),) = re.findall(r"step (\d)/8  warning: the loss was NaN or infinite at step (\d): ", said)
        assert int(logged) - int(first) in (0, 1), "with the first line about it"
        assert said.count("warning: the loss was NaN or infinite at") == 1
        assert count == 9 - int(first), "none was finite after it"
        sound = int(first) - 2
        checkpoint = result.run_dir / "checkpoints" / f"checkpoint-{sound}"
        before = f"the last checkpoint from before it: {checkpoint}"
        assert (
            f"warning: the loss was NaN or infinite in {count} of 8 steps, first at step {first}: the weights in "
            f"{result.run_dir / 'final'} are likely damaged" + (f"; {before}" if sound else ", and no checkpoint")
        ) in said

    def test_steps_that_were_never_logged_come_to_light_with_the_evaluation(self, broken: Settings) -> None:
        _, said = train(broken(training={"logging_steps": 100, "save_metrics_steps": 100}))
        assert len(re.findall(r"step 8/8  warning: the loss was NaN or infinite at step \d: ", said)) == 1

    def test_without_a_record_it_is_said_as_far_as_it_was_logged(self, broken: Settings) -> None:
        _, said = train(broken(training={"logging_steps": 4, "save_metrics": False}))
        assert "step 4/8  warning: the loss was NaN or infinite at one of the steps 1 to 4: " in said
        assert "warning: the loss was NaN or infinite, first at one of the steps 1 to 4: the weights in " in said

    def test_a_run_that_is_done_says_it_again(self, broken: Settings) -> None:
        _, said = train(broken(training={"save_metrics_steps": 100}))
        assert re.search(r"step [24]/8  warning: the loss was NaN or infinite at step \d: ", said), "no row has it yet"
        _, said = train(broken(training={"save_metrics_steps": 100}), "auto")
        assert "nothing is left to train" in said
        assert "warning: the loss was NaN or infinite in " in said

    def test_a_loss_that_was_finite_again_calls_no_weights_damaged(self, tmp_path: Path) -> None:
        """As with fp16, whose scaler leaves such a step out; what a resumed run trained anew does not count."""
        with TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False) as recorder:
            recorder.mark("non_finite", step=2, steps=1)
            recorder.record_step(step=5, loss=float("nan"), non_finite_steps=1)
            recorder.record_step(step=10, loss=1.0)
        found = recorded_non_finite(tmp_path)
        assert found == NonFinite(1, (2, 2), at_end=False)
        said = warning_at_end(found, tmp_path, 10, "en", completed=True)
        assert said.startswith("warning: the loss was NaN or infinite in 1 of 10 steps, first at step 2: it was finite")
        with TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False, resume_step=0) as recorder:
            recorder.record_step(step=5, loss=1.0)
        assert recorded_non_finite(tmp_path) is None

    def test_weights_whose_next_loss_was_none_are_not_called_sound(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folders = [tmp_path / "checkpoints" / f"checkpoint-{step}" for step in (1, 2, 3)]
        monkeypatch.setattr(finiteness, "complete_checkpoints", lambda folder: folders)
        assert last_checkpoint_before(tmp_path, 4) == folders[1], "the loss of step 4 is that of checkpoint 3"
        assert last_checkpoint_before(tmp_path, 2) is None


class TestFailures:
    def test_an_error_in_training_is_one_line_and_leaves_report_and_traceback(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def out_of_memory(self: Any, *args: Any, **more: Any) -> Any:
            raise RuntimeError("CUDA out of memory\nsecond line")

        monkeypatch.setattr(job.SO8TPETTrainer, "compute_loss", out_of_memory)
        with pytest.raises(JobFailed) as failed:
            train(settings(data={"eval_data": None}))
        assert failed.value.exit_code == 1
        assert "after step 0 (RuntimeError: CUDA out of memory)" in str(failed.value)
        assert "\n" not in str(failed.value)
        log = (tmp_path / "run" / "training_error.log").read_text(encoding="utf-8")
        assert "Traceback" in log
        assert "second line" in log
        (report,) = (tmp_path / "run" / "poc_reports").glob("poc_report_*.json")
        assert json.loads(report.read_text(encoding="utf-8"))["status"] == "failed"
        session = json.loads((tmp_path / "run" / "training_session.json").read_text(encoding="utf-8"))
        assert session["status"] == "failed"

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a file that is always full")
    def test_a_traceback_that_the_disk_does_not_take_goes_to_standard_error(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        without_drawing(monkeypatch)
        log = stopped_after_two(settings()).run_dir / "training_error.log"
        log.symlink_to("/dev/full")
        monkeypatch.setattr(job.SO8TPETTrainer, "compute_loss", lambda *args, **more: 1 / 0)
        with pytest.raises(JobFailed) as failed:
            train(settings(), "auto")
        assert f"details: above ({log} cannot be written: No space left on device)" in str(failed.value)
        assert "Traceback" in capfd.readouterr().err
        assert not log.is_symlink(), "an empty file would say that there is nothing to say"

    @pytest.mark.parametrize(
        ("changes", "kind", "says"),
        [
            ({"model": {"model_type": "llama"}}, ModelError, "is a phi3 model, and model.model_type says llama"),
            ({"so8t": {"layer_indices": [0, 7]}}, ModelError, "the model has 2 decoder layers"),
            ({"qlora": {"target_modules": ["qkv_porj"]}}, ModelError, "the nearest is 'qkv_proj'"),
            ({"data": {"max_seq_length": 8}}, DataError, "none of 16 rows fits into max_seq_length 8"),
        ],
    )
    def test_what_only_the_loaded_model_shows_is_found_before_anything_is_written(
        self, settings: Settings, tmp_path: Path, changes: dict[str, Any], kind: type[So8tError], says: str
    ) -> None:
        with pytest.raises(kind, match=re.escape(says)):
            train(settings(**changes))
        assert not (tmp_path / "run").exists()

    def test_damaged_weights_are_no_model(self, settings: Settings, tmp_path: Path, model_folder: Path) -> None:
        damaged = tmp_path / "damaged"
        damaged.mkdir()
        for path in model_folder.iterdir():
            content = path.read_bytes()
            (damaged / path.name).write_bytes(content[:-100] if path.suffix == ".safetensors" else content)
        with pytest.raises(ModelError, match="cannot be loaded as a language model"):
            train(settings(model={"base_model": str(damaged)}))
        assert not (tmp_path / "run").exists()

    def test_an_unsupported_architecture_is_refused(
        self, settings: Settings, tmp_path: Path, model_folder: Path
    ) -> None:
        from transformers import GPT2Config, GPT2LMHeadModel

        other = tmp_path / "gpt2"
        GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=700)).save_pretrained(other)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            (other / name).write_bytes((model_folder / name).read_bytes())
        with pytest.raises(ModelError, match="model_type 'gpt2' is not supported"):
            train(settings(model={"base_model": str(other), "model_type": None}))
        assert not (tmp_path / "run").exists()

    def test_a_full_disk_is_found_before_anything_is_written(self, tmp_path: Path) -> None:
        with pytest.raises(So8tError, match="1 MiB of disk are free, and this run needs 64 MiB"):
            check_output_folder(tmp_path / "a" / "b", 64 << 20, free_bytes=lambda path: 1 << 20)
        check_output_folder(tmp_path / "a" / "b", 64 << 20, free_bytes=lambda path: 64 << 20)
        assert list(tmp_path.iterdir()) == []


class TestSettingsThatReachTheModel:
    def test_without_metrics_nothing_is_recorded_and_training_is_the_same(self, run: Any, settings: Settings) -> None:
        kept = run[1]
        result, said = train(settings(training={"save_metrics": False}))
        assert "save_metrics is false" in said
        assert (result.status, result.submission) == ("completed", None)
        for name in ("metrics", "plots", "poc_reports"):
            assert not (result.run_dir / name).exists()
        assert same_tensors(result.run_dir / "final", kept.run_dir / "final")

    def test_gates_alone_train_on_a_frozen_base_with_gradient_checkpointing(self, settings: Settings) -> None:
        config = settings(
            model={"freeze_base_model": True},
            qlora={"enabled": False},
            data={"eval_data": None},
            training={"max_steps": 2, "gradient_checkpointing": True},
        )
        result, _ = train(config)
        live = report_of(result)["live"]
        assert live["trainable_parameters"] == live["gate_parameters"] == 2 * 2 * 28
        gates = load_file(result.run_dir / "final" / "so8_gates.safetensors")
        assert all(theta.abs().max() > 0 for theta in gates.values())


class TestProgress:
    def callback(self, now: list[float], *, terminal: bool = False) -> tuple[ProgressCallback, io.StringIO]:
        said = io.StringIO()
        console = Console(file=said, force_terminal=terminal, width=120)
        return ProgressCallback(console, monotonic=lambda: now[0]), said

    def test_a_fast_run_does_not_flood_the_log(self, tmp_path: Path) -> None:
        now = [0.0]
        callback, said = self.callback(now)
        args, state = TrainingArguments(output_dir=str(tmp_path)), TrainerState(max_steps=1000)
        callback.on_train_begin(args, state, None)
        for step in range(1, 1001):
            now[0], state.global_step = step * 0.001, step
            callback.on_step_end(args, state, None)
            callback.on_log(args, state, None, logs={"loss": 1.0, "learning_rate": 1e-3})
        assert 2 <= said.getvalue().count("\n") <= 4
        assert "step 1000/1000  loss 1, learning rate 0.001, 0 s left" in said.getvalue()

    def test_time_left_is_judged_by_the_steps_of_this_attempt(self, tmp_path: Path) -> None:
        now = [100.0]
        callback, said = self.callback(now)
        args, state = TrainingArguments(output_dir=str(tmp_path)), TrainerState(max_steps=100, global_step=50)
        callback.on_train_begin(args, state, None)
        now[0] = 150.0  # an evaluation before the first step
        callback.on_step_begin(args, state, None)
        now[0], state.global_step = 160.0, 60
        callback.on_log(args, state, None, logs={"loss": 1.0})
        assert "step  60/100  loss 1, 40 s left" in said.getvalue()

    def test_a_terminal_gets_a_bar_and_gets_its_cursor_back(self, tmp_path: Path) -> None:
        callback, said = self.callback([0.0], terminal=True)
        args, state = TrainingArguments(output_dir=str(tmp_path)), TrainerState(max_steps=10)
        callback.on_train_begin(args, state, None)
        state.global_step = 3
        callback.on_step_end(args, state, None)
        callback.close()
        callback.close()
        assert "3/10" in said.getvalue()
        assert said.getvalue().rstrip().endswith(("\x1b[?25h", "\x1b[2K")) or "\x1b[?25h" in said.getvalue()

    def test_both_languages_fill_in_the_same_blanks(self) -> None:
        for key, (english, japanese) in TEXTS.items():
            assert sorted(re.findall(r"{\w*}", english)) == sorted(re.findall(r"{\w*}", japanese)), key
            assert english != japanese, key

    @pytest.mark.parametrize("seconds", [0, 59.6, 3599.7, 86399.9])
    def test_durations_are_never_sixty_of_anything(self, seconds: float) -> None:
        assert "60" not in duration(seconds)
