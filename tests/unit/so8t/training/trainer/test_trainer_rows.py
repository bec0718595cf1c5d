"""Which rows there are, and what recording them costs."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import TrainerCallback

from so8t.data.dataset import ThinkingCollator
from so8t.errors import ConfigError
from so8t.model.attach import find_gates
from so8t.model.rotation_statistics import recorded_statistics
from so8t.training.losses import PetRegularization

TIMES = ("timestamp", "elapsed_time_seconds", "tokens_per_second", "peak_memory_bytes")


def journal(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run_dir / "metrics" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry[kind] for entry in map(json.loads, lines) if kind in entry]


def test_r01_one_row_for_each_optimizer_step_whatever_the_accumulation(
    tmp_path: Path, make_trainer: Any, read_rows: Any
) -> None:
    make_trainer(tmp_path, arguments={"max_steps": 5, "gradient_accumulation_steps": 4}).train()
    assert [row["step"] for row in read_rows(tmp_path)] == [1, 2, 3, 4, 5]
    assert len(journal(tmp_path, "row")) == 5


def test_r01_rows_stand_on_the_interval_and_at_the_last_step(tmp_path: Path, make_trainer: Any, read_rows: Any) -> None:
    make_trainer(tmp_path, save_metrics_steps=3, arguments={"max_steps": 8}).train()
    assert [(row["step"], row["window_steps"]) for row in read_rows(tmp_path)] == [(3, 3), (6, 3), (8, 2)]


def test_r02_a_step_that_is_due_for_everything_has_one_row_with_all_components(
    tmp_path: Path, make_trainer: Any, make_rows: Any, read_rows: Any
) -> None:
    trainer = make_trainer(
        tmp_path,
        save_metrics_steps=2,
        save_logits=True,
        save_logits_steps=2,
        eval_dataset=make_rows([9, 5]),
        arguments={
            "max_steps": 4,
            "save_strategy": "steps",
            "save_steps": 2,
            "eval_strategy": "steps",
            "eval_steps": 2,
        },
    )
    trainer.train()
    rows = journal(tmp_path, "row")
    assert [row["step"] for row in rows] == [2, 4]
    expected = {
        *("step", "epoch", "timestamp", "elapsed_time_seconds", "loss", "learning_rate", "attempt"),
        *("lm_loss", "pet_loss", "pet_penalty", "pet_lambda", "so8t_loss", "accuracy", "perplexity", "grad_norm"),
        *("tokens_seen", "tokens_per_second", "peak_memory_bytes", "window_steps"),
        *recorded_statistics(find_gates(trainer.model)),
    }
    assert [row.keys() ^ expected for row in rows] == [set(), set()]


@pytest.mark.parametrize("stop_in", ["on_step_end", "on_evaluate", "on_epoch_end"])
def test_r10_the_last_steps_are_recorded_when_training_stops_early(
    tmp_path: Path, make_trainer: Any, make_rows: Any, read_rows: Any, stop_in: str
) -> None:
    """Also when the stop is asked for after the step's row had its turn; no step is counted twice."""

    class StopAtFour(TrainerCallback):
        def stop(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = control.should_training_stop or state.global_step == 4

    setattr(StopAtFour, stop_in, StopAtFour.stop)
    make_trainer(
        tmp_path,
        save_metrics_steps=3,
        eval_dataset=make_rows([9, 5]),
        callbacks=[StopAtFour()],
        arguments={"max_steps": 50, "eval_strategy": "steps", "eval_steps": 2},
    ).train()
    rows = read_rows(tmp_path)
    assert [(row["step"], row["window_steps"]) for row in rows] == [(3, 3), (4, 1)]
    assert rows[-1].keys() == rows[0].keys()


def test_r15_gradient_norm_and_accuracy_are_the_steps_own(tmp_path: Path, make_trainer: Any, read_rows: Any) -> None:
    """The Trainer logs every step here; a row of three steps has the last one's norm, taken before clipping."""
    trainer = make_trainer(tmp_path, save_metrics_steps=3, arguments={"max_grad_norm": 0.01, "learning_rate": 0.05})
    trainer.train()
    norms = [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]
    rows = read_rows(tmp_path)
    assert [row["grad_norm"] for row in rows] == pytest.approx([norms[2], norms[5]], rel=1e-6)
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    assert rows[0]["grad_norm"] > 0.01


class CountedOperations(TorchDispatchMode):
    """Counts what reads a tensor's value on the host, or copies one: on an accelerator each waits for it."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "copy_")

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name in self.WAITING:
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


def angle_of(gates: Any) -> dict[str, torch.Tensor]:
    return {f"so8t/layer_{layer}/mean_square": gate.theta.square().mean() for layer, gate in gates.items()}


@pytest.mark.parametrize(("statistics", "copies"), [(None, 3), (angle_of, 6)])
def test_r14_recording_reads_the_device_once_in_each_recorded_step_and_never_between(
    tmp_path: Path, make_trainer: Any, statistics: Any, copies: int
) -> None:
    """The same run with and without recording: the only difference is one copy for each of its three rows, and one
    more where statistics of the gates are tensors on the device."""
    counted = []
    for save_metrics in (True, False):
        trainer = make_trainer(
            tmp_path / str(save_metrics),
            save_metrics=save_metrics,
            rotation_statistics=statistics,
            save_metrics_steps=4,
            arguments={"max_steps": 10, "gradient_accumulation_steps": 3, "logging_strategy": "no"},
        )
        with CountedOperations() as mode:
            trainer.train()
        counted.append(mode.counts)
    recorded, plain = counted
    assert recorded - plain == {"copy_": copies}


def test_the_gates_are_measured_for_each_row_as_they_are_at_its_step(
    tmp_path: Path, make_trainer: Any, read_rows: Any
) -> None:
    """Numbers and 0-d tensors; a measurement that fails leaves a row without it, and is told."""
    calls = []

    def measure(gates: Any) -> dict[str, Any]:
        calls.append(next(iter(gates.values())).theta.detach().clone())
        if len(calls) == 2:
            raise RuntimeError("no eigenvalues")
        return {"so8t_layers": len(gates), "so8t/layer_0/first": calls[-1][0, 0]}

    trainer = make_trainer(tmp_path, rotation_statistics=measure, save_metrics_steps=2)
    trainer.train()
    rows = read_rows(tmp_path)
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert [row.get("so8t_layers") for row in rows] == [2, None, 2]
    assert [row.get("so8t/layer_0/first") for row in rows] == [calls[0][0, 0].item(), None, calls[2][0, 0].item()]
    assert torch.equal(calls[2], find_gates(trainer.model)[0].theta)
    assert trainer.recording_failures == 1


def test_r17_evaluation_makes_no_training_rows_and_leaves_training_as_it_is(
    tmp_path: Path, make_trainer: Any, make_rows: Any, read_rows: Any
) -> None:
    """One epoch, no dropout: beyond that the evaluation set's loader draws from the same random numbers."""
    rows = {}
    for evaluates in (True, False):
        run = tmp_path / str(evaluates)
        evaluation = {"eval_strategy": "steps", "eval_steps": 1} if evaluates else {}
        make_trainer(
            run, eval_dataset=make_rows([9, 5, 30]), save_metrics_steps=2, arguments={"max_steps": 4, **evaluation}
        ).train()
        rows[evaluates] = [{n: v for n, v in row.items() if n not in TIMES} for row in read_rows(run)]
    assert rows[True] == rows[False]
    assert len(rows[True]) == 2
    assert [row["step"] for row in journal(tmp_path / "True", "eval")] == [1, 2, 3, 4]


def test_r17_an_evaluation_is_recorded_apart_and_weighs_every_token_the_same(
    tmp_path: Path, make_trainer: Any, make_model: Any, make_rows: Any
) -> None:
    """Against the sum by hand, without dropout, PET and so8t_loss; the Trainer's mean of means is another number."""
    held_out = make_rows([40, 3, 4, 25, 3])
    arguments = {"max_steps": 2, "per_device_eval_batch_size": 2, "eval_strategy": "steps", "eval_steps": 2}
    trainer = make_trainer(tmp_path, model=make_model(dropout=0.3), eval_dataset=held_out, arguments=arguments)
    trainer.train()
    model = trainer.model.eval()
    loss, tokens, correct = 0.0, 0, 0
    with torch.no_grad():
        for row in held_out:
            labels = torch.tensor(row["labels"])[1:]
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
            loss += nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum").item()
            tokens += int((labels != -100).sum())
            correct += int((logits.argmax(-1) == labels).sum())
    (recorded,) = journal(tmp_path, "eval")
    assert recorded["step"] == 2
    assert recorded["eval_tokens"] == tokens
    assert recorded["eval_loss"] == pytest.approx(loss / tokens, rel=1e-6)
    assert recorded["eval_perplexity"] == pytest.approx(math.exp(recorded["eval_loss"]), rel=1e-12)
    assert recorded["eval_accuracy"] == correct / tokens
    (logged,) = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert abs(logged - recorded["eval_loss"]) > 1e-4


def test_several_evaluation_sets_stand_in_one_record(tmp_path: Path, make_trainer: Any, make_rows: Any) -> None:
    sets = {"ja": make_rows([9, 5]), "en": make_rows([30])}
    arguments = {"max_steps": 2, "eval_strategy": "steps", "eval_steps": 2}
    make_trainer(tmp_path, eval_dataset=sets, arguments=arguments).train()
    (recorded,) = journal(tmp_path, "eval")
    assert recorded["eval_ja_tokens"] == 10
    assert recorded["eval_en_tokens"] == 28
    assert {"eval_ja_loss", "eval_en_perplexity"} <= recorded.keys()


def test_a_step_that_is_not_finite_is_recorded_though_the_trainers_filter_hides_it(
    tmp_path: Path, make_trainer: Any, make_model: Any, read_rows: Any
) -> None:
    model = make_model()

    class PoisonStepTwo(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 1:
                self.hook = model.lm_head.register_forward_hook(lambda module, inputs, logits: logits * math.nan)

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 1:
                self.hook.remove()
                model.zero_grad()  # what loss scaling does with such a step: the weights stay as they are

    trainer = make_trainer(
        tmp_path,
        model=model,
        save_metrics_steps=3,
        callbacks=[PoisonStepTwo()],
        arguments={"logging_nan_inf_filter": True, "logging_steps": 1},
    )
    trainer.train()
    first, second = read_rows(tmp_path)
    assert math.isnan(first["loss"])
    assert math.isnan(first["lm_loss"])
    assert math.isnan(first["perplexity"])
    assert first["non_finite_steps"] == 1
    assert math.isfinite(second["loss"])
    assert "non_finite_steps" not in second
    assert [(n["step"], n["steps"]) for n in journal(tmp_path, "note") if n["kind"] == "non_finite"] == [(2, 1)]
    assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    report = json.loads(trainer.report_path.read_text(encoding="utf-8"))
    assert report["record_quality"]["non_finite_steps"] == [2]


def test_pet_phases_are_marked_at_their_first_step_and_weigh_by_it(
    tmp_path: Path, make_trainer: Any, read_rows: Any
) -> None:
    make_trainer(tmp_path, arguments={"max_steps": 10}).train()
    phases = [(n["name"], n["step"]) for n in journal(tmp_path, "note") if n["kind"] == "phase"]
    assert phases == [("exploration", 1), ("transition", 3), ("stabilization", 7)]
    rows = read_rows(tmp_path)
    assert [row["pet_lambda"] for row in rows] == [0.01] * 2 + [0.05] * 4 + [0.1] * 4
    assert all(row["pet_loss"] == pytest.approx(row["pet_lambda"] * row["pet_penalty"]) for row in rows)


@pytest.mark.parametrize("broken", ["record_row", "add", "record_step"])
def test_a_recording_that_fails_is_counted_and_reported_and_training_goes_on(
    tmp_path: Path, make_trainer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    def fails(*args: object, **kwargs: object) -> None:
        raise OSError("secret/path is gone")

    target = {
        "record_row": "so8t.training.recording.training_row",
        "add": "so8t.training.window.RecordingWindow.add",
        "record_step": "kiseki.TrainingMetricsRecorder.record_step",
    }[broken]
    monkeypatch.setattr(target, fails)
    trainer = make_trainer(tmp_path)
    trainer.train()
    assert trainer.state.global_step == 6
    assert trainer.recording_failures >= 6
    assert "training goes on" in caplog.text
    report = json.loads(trainer.report_path.read_text(encoding="utf-8"))
    assert any("OSError" in text for text in report["record_quality"]["warnings"])
    assert "secret" not in (tmp_path / "metrics" / "journal.jsonl").read_text(encoding="utf-8")


def test_without_metrics_there_are_no_folders_and_the_same_weights(
    tmp_path: Path, make_trainer: Any, make_model: Callable[..., nn.Module], caplog: pytest.LogCaptureFixture
) -> None:
    weights = {}
    caplog.set_level("INFO", logger="so8t")
    for save_metrics in (True, False):
        trainer = make_trainer(tmp_path / str(save_metrics), model=make_model(dropout=0.3), save_metrics=save_metrics)
        trainer.train()
        weights[save_metrics] = trainer.model.state_dict()
        assert (trainer.recorder is None) is not save_metrics
    assert "save_metrics is off" in caplog.text
    assert [path.name for path in (tmp_path / "False").iterdir()] == ["checkpoints"]
    assert all(torch.equal(weights[True][name], weights[False][name]) for name in weights[True])


@pytest.mark.parametrize("folder", ["run", "run/checkpoints"])
def test_r18_a_trainer_made_by_hand_has_the_documented_layout(tmp_path: Path, make_trainer: Any, folder: str) -> None:
    from transformers import TrainingArguments

    trainer = make_trainer(tmp_path / folder, arguments={"max_steps": 2, "save_strategy": "steps", "save_steps": 2})
    trainer.train()
    run = tmp_path / "run"
    assert trainer.run_dir == run
    assert sorted(path.name for path in run.iterdir()) == ["checkpoints", "metrics", "poc_reports"]
    assert (run / "checkpoints" / "checkpoint-2" / "trainer_state.json").exists()
    assert trainer.report_path.parent == run / "poc_reports"

    own = TrainingArguments(output_dir=str(tmp_path / "other"), use_cpu=True, report_to="none")
    make_trainer(tmp_path, arguments=None).__class__(
        trainer.model, own, data_collator=ThinkingCollator(0, "left"), save_metrics=False
    )
    assert own.output_dir == str(tmp_path / "other")


def test_r11_steps_rows_and_planned_steps_are_three_numbers(tmp_path: Path, make_trainer: Any) -> None:
    trainer = make_trainer(tmp_path, save_metrics_steps=4, arguments={"max_steps": 10})
    trainer.train()
    report = json.loads(trainer.report_path.read_text(encoding="utf-8"))
    assert report["training_info"]["total_steps"] == 10
    assert len(report["metrics"]["history"]) == 3
    assert report["record_quality"]["max_steps"] == 10


@pytest.mark.parametrize("name", ["save_metrics_steps", "save_logits_steps", "save_logits_max_files"])
@pytest.mark.parametrize("value", [0, -1, True, 2.0])
def test_intervals_that_are_no_positive_whole_numbers_are_refused(
    tmp_path: Path, make_trainer: Any, name: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=name):
        make_trainer(tmp_path / "run", **{name: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings", [{"label_smoothing_factor": 0.1}, {"use_liger_kernel": True}])
def test_what_would_make_a_recorded_number_wrong_is_refused(
    tmp_path: Path, make_trainer: Any, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        make_trainer(tmp_path, arguments=settings)


def test_an_unknown_pet_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="lambda_max"):
        PetRegularization.of({"lambda_max": 1.0})


def test_peak_memory_and_throughput_are_plausible(tmp_path: Path, make_trainer: Any, read_rows: Any) -> None:
    trainer = make_trainer(tmp_path, save_metrics_steps=3)
    trainer.train()
    for row in read_rows(tmp_path):
        assert 1e7 < row["peak_memory_bytes"] < 1e11
        assert row["tokens_per_second"] > 0
