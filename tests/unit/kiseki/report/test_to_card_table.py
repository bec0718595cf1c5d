"""The table and the hyperparameters are those that the Trainer writes for the same run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Phi3Config, Phi3ForCausalLM, Trainer, TrainerCallback, TrainingArguments
from transformers.modelcard import (
    TrainingSummary,
    extract_hyperparameters_from_trainer,
    make_markdown_table,
    parse_log_history,
)

from kiseki.history import read_history
from kiseki.recorder import TrainingMetricsRecorder
from kiseki.report.card import to_card
from kiseki.report.card.table import evenly, hyperparameters, markdown_table, results_lines
from kiseki.report.dossier import gather
from kiseki.run_folder import RunFolder


class Recording(TrainerCallback):
    """Hands every log to the recorder as it comes."""

    def __init__(self, recorder: TrainingMetricsRecorder) -> None:
        self.recorder = recorder

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        logs = dict(logs)
        if "loss" in logs:
            self.recorder.record_step(step=state.global_step, **logs)
        elif any(name.startswith("eval_") for name in logs):
            self.recorder.record_evaluation(step=state.global_step, **logs)


class Data(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        ids = (torch.arange(8) * (place + 1)) % 32
        return {"input_ids": ids, "labels": ids}


def trained(root: Path, logging_steps: int = 3, **settings: Any) -> Trainer:
    config = Phi3Config(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=16, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(root), max_steps=8, per_device_train_batch_size=2, per_device_eval_batch_size=4,
        logging_steps=logging_steps,
        eval_strategy="steps", eval_steps=2, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
        learning_rate=5e-3, **settings,
    )  # fmt: skip
    torch.manual_seed(0)
    recorder = TrainingMetricsRecorder(
        root,
        companion=False,
        save_plots=False,
        config={"training": {"arguments": arguments.to_dict()}, "arguments": arguments.to_dict()},
    )
    trainer = Trainer(
        model=Phi3ForCausalLM(config),
        args=arguments,
        train_dataset=Data(),
        eval_dataset=Data(),
        callbacks=[Recording(recorder)],
        compute_metrics=lambda prediction: {"mean_label": float(prediction.label_ids.mean())},
    )
    trainer.train()
    recorder.close()
    return trainer


def own_table(trainer: Trainer) -> str:
    return make_markdown_table(parse_log_history(trainer.state.log_history)[1])


def our_table(root: Path) -> str:
    return markdown_table(results_lines(read_history(RunFolder(root)))) + "\n"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"eval_on_start": True},
        {"logging_steps": 1, "gradient_accumulation_steps": 2},
        {"logging_steps": 500, "logging_first_step": True},
    ],
    ids=str,
)
def test_the_table_is_the_one_that_the_trainer_writes(settings: dict[str, Any], tmp_path: Path) -> None:
    trainer = trained(tmp_path, **settings)
    assert own_table(trainer).count("\n") >= 6
    assert our_table(tmp_path) == own_table(trainer)
    assert our_table(tmp_path) in to_card(gather(RunFolder(tmp_path)), language="en") + "\n"


def test_where_the_trainers_own_table_is_empty_ours_is_the_one_it_would_have_been(tmp_path: Path) -> None:
    trainer = trained(tmp_path / "counted", logging_steps=1, include_num_input_tokens_seen="all")
    assert own_table(trainer) == ""
    end = trainer.state.log_history[-1]
    without = [
        {name: value for name, value in log.items() if not name.startswith("train_")}
        for log in trainer.state.log_history
    ]
    would_have_been = make_markdown_table(parse_log_history([*without[:-1], end])[1])
    assert would_have_been.count("\n") == 6
    assert our_table(tmp_path / "counted") == would_have_been


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "gradient_accumulation_steps": 2,
            "warmup_steps": 2,
            "lr_scheduler_type": "cosine",
            "label_smoothing_factor": 0.1,
        },
        {"optim": "sgd", "warmup_steps": 0.25},
    ],
    ids=("defaults", "more", "sgd"),
)
def test_hyperparameters_are_those_of_the_trainers_own_card(settings: dict[str, Any], tmp_path: Path) -> None:
    trainer = trained(tmp_path, **settings)
    own = extract_hyperparameters_from_trainer(trainer)
    # transformers 5.23 shows the member of its enumeration, OptimizerNames.SGD, and not its value
    own["optimizer"] = own["optimizer"].replace(str(trainer.args.optim), trainer.args.optim.value)
    assert list(hyperparameters(trainer.args.to_dict(), 1).items()) == list(own.items())
    card = to_card(gather(RunFolder(tmp_path)), language="en")
    summary = TrainingSummary.from_trainer(trainer, model_name="tiny", license="mit")
    for name in summary.hyperparameters:
        assert f"\n- {name}: " in card


def test_without_evaluations_the_training_losses_are_shown(run: Any) -> None:
    run.opened().row(10, loss=2.5).row(20, loss="NaN").closed()
    table = markdown_table(results_lines(read_history(run.folder)))
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["2.5", "nan"]


def test_a_long_table_shows_evenly_chosen_rows_and_says_of_how_many(run: Any) -> None:
    run.opened()
    for step in range(1, 301):
        run.evaluation(step, eval_loss=1.0)
    card = to_card(gather(run.closed().folder), language="en")
    rows = [line for line in card.splitlines() if line.startswith("| No log")]
    assert len(rows) == 200
    assert "| 300 " in rows[-1]
    assert "200 of 300 rows, evenly chosen." in card


def test_few_lines_are_all_shown() -> None:
    lines = [{"Step": step} for step in range(5)]
    assert evenly(lines, 5) == lines
