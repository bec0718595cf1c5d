"""A run that goes on under other settings or data because its operator said so: they take effect, and are recorded."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from kiseki.provenance.redaction import Redactor
from so8t.errors import CheckpointError
from so8t.training.checkpoints import checkpoint_step
from so8t.training.recovery import shown_differences
from so8t.training.trainer import SO8TPETTrainer


def require_steps_left(checkpoint: Path, arguments: TrainingArguments, rows: int) -> None:
    """Refuse to go on where nothing is left: the Trainer looks after a step whether it was the last one.

    Args:
        checkpoint: where training is to go on from.
        arguments: the Trainer's.
        rows: training records.

    Raises:
        CheckpointError: the checkpoint is at or beyond the last step.
    """
    steps = arguments.max_steps
    if steps <= 0:
        batches = math.ceil(rows / (arguments.per_device_train_batch_size * arguments.world_size))
        steps = math.ceil(arguments.num_train_epochs * math.ceil(batches / arguments.gradient_accumulation_steps))
    if (checkpoint_step(checkpoint) or 0) >= steps:
        raise CheckpointError(
            f"{checkpoint}: under these settings training ends at step {steps}, and nothing is left to train: raise "
            "training.max_steps, or resume with the same settings to finish the run"
        )


def reapply_settings(trainer: SO8TPETTrainer) -> None:
    """Let the trainer's own arguments win over those that a checkpoint brought back with its states.

    These are the intervals in the Trainer's state, the settings of the optimizer's groups, and the learning rates that
    the schedule begins from. Where the arguments are the checkpoint's own nothing changes, to the last bit.

    Args:
        trainer: with everything loaded, before its first step.
    """
    trainer.state.compute_steps(trainer.args, trainer.state.max_steps)
    schedule, groups = trainer.lr_scheduler, trainer.optimizer.param_groups
    for group, settings in zip(groups, trainer.group_settings, strict=True):
        group.update(settings, initial_lr=settings["lr"])
    schedule.base_lrs = [group["initial_lr"] for group in groups]
    for group, shape in zip(groups, schedule.lr_lambdas, strict=True):
        group["lr"] = group["initial_lr"] * shape(schedule.last_epoch)
    schedule._last_lr = [group["lr"] for group in groups]


class ForcedResume(TrainerCallback):  # type: ignore[misc]
    """Makes what `--force` overrode take effect, and notes it: all differences, and a warning that the report shows.

    Args:
        differences: a phrase each; paths in them are shortened to their last part, since partners see the record.
        trainer: the trainer, whose record is open when training begins.
    """

    def __init__(self, differences: Sequence[str], trainer: SO8TPETTrainer) -> None:
        redactor = Redactor.of_this_machine(trainer.run_dir)
        self._differences = [redactor.text(difference) for difference in differences]
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note it in the attempt that goes on."""
        reapply_settings(self._trainer)
        recorder = self._trainer.recorder
        if recorder is not None:
            recorder.mark("forced_resume", step=state.global_step, differences=self._differences)
            text = f"resumed after step {state.global_step} under other settings (--force)"
            recorder.mark("warning", text=f"{text}: {shown_differences(self._differences)}")
