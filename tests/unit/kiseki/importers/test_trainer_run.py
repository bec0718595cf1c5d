"""What a real Trainer of the installed transformers leaves is imported as it stands in `state.log_history`."""

import math
from pathlib import Path
from typing import Any

import pytest

from kiseki.importers.trainer_state import import_trainer_state

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


class Line(torch.nn.Module):  # type: ignore[misc]
    """y = w x, with the loss of the labels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(self.layer.weight, 0.5)

    def forward(self, x: Any, labels: Any) -> dict[str, Any]:
        prediction = self.layer(x)
        return {"loss": torch.nn.functional.mse_loss(prediction, labels), "logits": prediction}


def trainer(out: Path, **arguments: Any) -> Any:
    numbers = [torch.tensor([float(value)]) for value in range(1, 9)]
    data = [{"x": value, "labels": 2 * value} for value in numbers]
    options = {
        "logging_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 4,
        "save_steps": 4,
        "max_steps": 10,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-2,
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": "none",
        "seed": 1,
    }
    training = transformers.TrainingArguments(str(out), **{**options, **arguments})
    return transformers.Trainer(Line(), training, train_dataset=data, eval_dataset={"near": data[:2], "far": data[6:]})


@pytest.mark.usefixtures("without_figure")
def test_every_record_of_a_real_run_and_its_resumption_is_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    trainer(out).train()
    resumed = trainer(out)
    resumed.train(resume_from_checkpoint=str(out / "checkpoint-4"))
    resumed.save_state()
    log = resumed.state.log_history
    imported = import_trainer_state(out, tmp_path / "run")
    history = imported.history

    ours = ("attempt", "window_steps")
    rows = [{name: value for name, value in row.items() if name not in ours} for row in history.rows.decoded()]
    assert rows == [record for record in log if "loss" in record]
    evaluations = {row["step"]: row for row in history.evaluations.decoded()}
    evaluated = [record for record in log if any(name.startswith("eval_") for name in record)]
    assert len(evaluated) == 2 * len(evaluations) > 0
    for record in evaluated:
        assert all(evaluations[record["step"]][name] == value for name, value in record.items())
    assert imported.counts["records"] == len(log)
    assert imported.counts["not_taken"] == 0
    [summary] = history.notes_of("trainer_summary")
    assert {**summary["values"], "step": summary["step"]} == log[-1]
    assert history.status == "completed"
    assert history.opened["imported"]["settings"]["logging_steps"] == 2


@pytest.mark.usefixtures("without_figure")
def test_a_run_whose_loss_is_nan_behind_the_filter_is_told_as_what_it_is(tmp_path: Path) -> None:
    diverging = trainer(tmp_path / "out", eval_strategy="no", save_strategy="no", logging_steps=1, max_steps=3)
    torch.nn.init.constant_(diverging.model.layer.weight, math.nan)
    diverging.train()
    diverging.save_state()
    imported = import_trainer_state(tmp_path / "out" / "trainer_state.json", tmp_path / "run")
    assert list(imported.history.rows.columns["loss"].value) == [0.0, 0.0, 0.0]
    assert all(math.isnan(value) for value in imported.history.rows.columns["grad_norm"].value)
    assert any("3 steps (1, 2, 3)" in text and "logging_nan_inf_filter" in text for text in imported.warnings)
