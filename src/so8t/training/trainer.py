"""The trainer: Hugging Face's, with SO(8) gates, PET and a record of what happened.

Two lines of work stay apart. What trains (`so8t.training.gated_trainer`) fails loudly. What records
(`so8t.training.recorded_trainer` while training runs; in here the beginning and the end of the record) never stops
training; it is switched off as a whole by `save_metrics=False`, and nothing about training changes then.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.utils import DistributedType
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.recorder import Status
from so8t.model.rotation_statistics import recorded_statistics
from so8t.training.logits import LogitsSamples
from so8t.training.losses import PetRegularization
from so8t.training.recorded_trainer import RecordedTrainer
from so8t.training.recording import GateStatistics, Recording
from so8t.training.reporting import default_report_inputs
from so8t.training.trainer_settings import laid_out, require_exact_losses, require_whole
from so8t.training.window import WINDOW_FILE, read_window, to_host

__all__ = ["SO8TPETTrainer"]

logger = logging.getLogger("so8t")


class StopReason(Protocol):
    """Says why training was asked to stop."""

    @property
    def reason(self) -> str | None:
        """None while nobody asked."""


class SO8TPETTrainer(RecordedTrainer):
    """Trains a causal language model with L = LM + lambda * PET + so8t_loss, and records every optimizer step.

    Checkpoints go to `{output_dir}/checkpoints`; `metrics`, `plots` and `poc_reports` stand directly in `output_dir`.

    Args:
        model: as for `transformers.Trainer`; gates on it are found, trained and saved.
        args: as for `transformers.Trainer`; not changed. `output_dir` is the run folder, or `checkpoints` in it.
        *positional: as for `transformers.Trainer`.
        pet_regularization: how PET enters the loss, or the configuration's `pet` section as a mapping; None: not.
        orthogonal_reg: weight of the gates' distance from orthogonality in so8t_loss.
        rotation_reg: weight of the gates' generators in so8t_loss.
        gate_lr_factor: the gates' learning rate as a multiple of the others'.
        rotation_statistics: measures the gates for each row, by decoder layer, as whole copies where FSDP has split the
            model; None: rows say nothing of them.
        save_metrics: record at all.
        save_metrics_steps: optimizer steps from row to row.
        save_logits: keep samples of the logits.
        save_logits_steps: optimizer steps between them.
        save_logits_dir: their folder; relative: in the run folder.
        save_logits_max_files: how many are kept.
        recorder_options: further arguments for `kiseki.TrainingMetricsRecorder`.
        report_inputs: called at the end; gives `model_config`, `training_config`, `live` and `final_metrics` (each may
            be missing) for the report. Default: the model's and the Trainer's own settings, and what was found live.
        stop_request: when it has a reason after training returned, the record ends as interrupted.
        checkpoint_written: given the folder of each checkpoint, in the process that saves, when all ranks have written
            their part and before older checkpoints are deleted.
        **kwargs: as for `transformers.Trainer`.

    Attributes:
        run_dir: the run folder.
        recorder: from the beginning of training on, in world process zero; else None.
        report_path: the PoC report, once it is made.
        recording_failures: errors of recording so far, those inside the recorder left out.

    Raises:
        ConfigError: a setting is out of range, or the Trainer's arguments ask for what cannot be recorded rightly.

    Example::

        trainer = SO8TPETTrainer(
            model, TrainingArguments(output_dir="runs/one"), train_dataset=rows, data_collator=collator,
            pet_regularization={"lambda_exploration": 0.01}, save_metrics_steps=10,
        )
        trainer.train()
        print(trainer.report_path)
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        *positional: Any,
        pet_regularization: PetRegularization | Mapping[str, Any] | None = None,
        orthogonal_reg: float = 1e-4,
        rotation_reg: float = 0.0,
        gate_lr_factor: float = 1.0,
        rotation_statistics: GateStatistics | None = recorded_statistics,
        save_metrics: bool = True,
        save_metrics_steps: int = 10,
        save_logits: bool = False,
        save_logits_steps: int = 100,
        save_logits_dir: str = "logits",
        save_logits_max_files: int = 10,
        recorder_options: Mapping[str, Any] | None = None,
        report_inputs: "Callable[[SO8TPETTrainer], Mapping[str, Any]] | None" = None,
        stop_request: StopReason | None = None,
        checkpoint_written: Callable[[Path], None] | None = None,
        **kwargs: Any,
    ) -> None:
        require_whole("save_metrics_steps", save_metrics_steps)
        require_whole("save_logits_steps", save_logits_steps)
        require_whole("save_logits_max_files", save_logits_max_files)
        self.run_dir, args = laid_out(TrainingArguments(output_dir="tmp_trainer") if args is None else args)
        require_exact_losses(args, kwargs.get("compute_loss_func"))
        self.save_metrics = save_metrics
        self.save_metrics_steps = save_metrics_steps
        self.recorder: TrainingMetricsRecorder | None = None
        self.report_path: Path | None = None
        self._recorder_options = dict(recorder_options or {})
        self._report_inputs = report_inputs or default_report_inputs
        self._stop_request = stop_request
        self._rotation_statistics = rotation_statistics
        self._resumed_from: Path | None = None
        super().__init__(
            model,
            args,
            *positional,
            pet_regularization=pet_regularization,
            orthogonal_reg=orthogonal_reg,
            rotation_reg=rotation_reg,
            gate_lr_factor=gate_lr_factor,
            checkpoint_written=checkpoint_written,
            **kwargs,
        )
        if save_logits and self.is_world_process_zero():
            self.logits = LogitsSamples(self.run_dir / save_logits_dir, save_logits_steps, save_logits_max_files)
        # First of all callbacks: the others find the recorder there when training begins.
        self.callback_handler.callbacks.insert(0, _TrainingEvents(self))

    @property
    def recording_failures(self) -> int:
        """Errors of recording that did not stop training."""
        return self.boundary.failures

    # -- training -------------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | Path | bool | None = None, **kwargs: Any) -> Any:
        """Train, and leave a record and a report however training ends.

        Args:
            resume_from_checkpoint: as for `transformers.Trainer`; the record that stands in the run folder is then
                continued, and otherwise set aside whole for a new one.
            **kwargs: as for `transformers.Trainer`.

        Returns:
            As `transformers.Trainer`.
        """
        self.recorder, self.report_path = None, None
        if not self.save_metrics:
            logger.info("save_metrics is off: no metrics, curves or report are made")
        if resume_from_checkpoint is True:
            resume_from_checkpoint = get_last_checkpoint(self.args.output_dir) or True  # the Trainer says what is wrong
        self._resumed_from = Path(resume_from_checkpoint) if isinstance(resume_from_checkpoint, str | Path) else None
        try:
            output = super().train(resume_from_checkpoint, **kwargs)
        except (KeyboardInterrupt, SystemExit) as stop:
            self._end("interrupted", error=type(stop).__name__, orderly=False)
            raise
        except BaseException as error:
            # only its kind: the message may hold paths, and partners see the record
            self._end("failed", error=type(error).__name__, orderly=False)
            raise
        reason = self._stop_request.reason if self._stop_request is not None else None
        self._end("completed" if reason is None else "interrupted", error=reason, orderly=True)
        return output

    def begin_training(self, state: TrainerState) -> None:
        """Called when everything is loaded, before the first step: opens the record, so that a checkpoint that cannot
        be loaded leaves an earlier record as it is."""
        self.open_terms()
        if not self.save_metrics:
            return
        ranks = self.accelerator.num_processes
        saved = None
        if self._resumed_from is not None and (self._resumed_from / WINDOW_FILE).exists():
            saved = read_window(self._resumed_from / WINDOW_FILE)
        if self.recorder is None and self.is_world_process_zero():
            self.recorder = self._open_recorder(state)
            self.boundary.recorder = self.recorder
        self.recording = Recording(
            self.recorder,
            self.boundary,
            device=self.args.device,
            every=self.save_metrics_steps,
            gates=self.gates,
            ranks=ranks,
            gather=self._gather if ranks > 1 else None,
            statistics=self._gate_statistics(),
            clock=time.perf_counter,
        )
        if self._resumed_from is not None:
            step, last_row = state.global_step, self._last_recorded_step()
            self.recording.go_on(
                saved, step=step, last_row=last_row, row_stands=self._first_rank_says(last_row == step)
            )

    def _open_recorder(self, state: TrainerState) -> TrainingMetricsRecorder:
        options: dict[str, Any] = {
            "save_interval": self.save_metrics_steps,
            "max_steps": state.max_steps,
            "resume_step": state.global_step if self._resumed_from is not None else None,
        }
        return TrainingMetricsRecorder(self.run_dir, **{**options, **self._recorder_options})

    def _gate_statistics(self) -> GateStatistics | None:
        # FSDP 2 leaves shards that the ranks can bring together; FSDP 1 and DeepSpeed put other things in their place.
        replaced = self.accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)
        return None if replaced and not self.accelerator.is_fsdp2 else self._rotation_statistics

    def _last_recorded_step(self) -> int:
        """Step of the record's last row up to the checkpoint: an attempt that ended right after it left one of its
        own. 0 without rows, and on the ranks that do not record."""
        steps = read_history(self.recorder.folder).rows.steps if self.recorder is not None else []
        return steps[-1] if steps else 0

    def _first_rank_says(self, own: bool) -> bool:
        """What the rank says that has the recorder."""
        flag = torch.tensor([float(own)], device=self.args.device)
        rows = self._gather(flag) if self.accelerator.num_processes > 1 else flag[None]
        return bool(to_host(rows)[0][0])

    def _gather(self, packed: Tensor) -> Tensor:
        gathered: Tensor = self.accelerator.gather(packed[None])
        return gathered

    def _end(self, status: Status, *, error: str | None, orderly: bool) -> None:
        """Last row, close, report: each even if the one before it failed, none in the way of what ended training."""
        recording, self.recording = self.recording, None
        recorder, self.boundary.recorder = self.recorder, None
        self.close_terms()
        if recording is not None and (orderly or self.accelerator.num_processes == 1):
            # After an exception the other ranks may not come to bring their sums.
            recording.close()
        if recorder is None:
            return
        if self.recording_failures:
            text = f"recording failed {self.recording_failures} times outside the recorder; training went on"
            recorder.mark("warning", text=text)
        recorder.close(status, error=error)
        with self.boundary.guarded("making the report"):
            self.report_path = recorder.generate_poc_report(**self._report_inputs(self))


class _TrainingEvents(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Tells the trainer what only callbacks are told."""

    def __init__(self, trainer: SO8TPETTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trainer.begin_training(state)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trainer.begin_step(state)
