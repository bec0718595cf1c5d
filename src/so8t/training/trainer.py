"""The trainer: Hugging Face's, with SO(8) gates, PET and a record of what happened.

Two lines of work run through it and stay apart. What trains (`compute_loss`, the optimizer's groups, the gates in the
checkpoints) fails loudly. What records (rows, evaluations, samples of the logits, the report) never stops training;
it is switched off as a whole by `save_metrics=False`, and nothing about training changes then.
"""

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.recorder import Status
from so8t.errors import CheckpointError, ConfigError, ModelError
from so8t.model.architecture import base_model, live_facts
from so8t.model.attach import GATES_FILE, find_gates, load_gates, parameter_groups, save_gates
from so8t.model.pet import FinalHiddenState
from so8t.model.rotation import SO8Gate, so8t_loss
from so8t.training.logits import LogitsSamples
from so8t.training.losses import LossTerms, PetRegularization, count_predictions, sequence_statistics
from so8t.training.recording import Boundary, EvaluationTotals, Recording, StepFacts, learning_rates
from so8t.training.window import WINDOW_FILE, read_window, to_host

__all__ = ["SO8TPETTrainer"]

logger = logging.getLogger("so8t")

CHECKPOINTS = "checkpoints"
"""Folder in the run folder that the Trainer writes into."""

_TIMINGS = ("_runtime", "_per_second", "_model_preparation_time", "_loss")
"""Ends of the names in the Trainer's evaluation metrics that are not recorded: its own times, and its own mean."""


class StopReason(Protocol):
    """Says why training was asked to stop."""

    @property
    def reason(self) -> str | None:
        """None while nobody asked."""


class SO8TPETTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped here
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

    loss_is_scaled_for_ga = True
    """`compute_loss` returns a micro-batch's share of the optimizer step's loss. Left to its own inference the Trainer
    takes a mean for a share, and both the logged loss and the gradients are as many times too large as there are
    micro-batches."""

    optimizer_cls_and_kwargs: Any

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        *positional: Any,
        pet_regularization: PetRegularization | Mapping[str, Any] | None = None,
        orthogonal_reg: float = 1e-4,
        rotation_reg: float = 0.0,
        gate_lr_factor: float = 1.0,
        save_metrics: bool = True,
        save_metrics_steps: int = 10,
        save_logits: bool = False,
        save_logits_steps: int = 100,
        save_logits_dir: str = "logits",
        save_logits_max_files: int = 10,
        recorder_options: Mapping[str, Any] | None = None,
        report_inputs: "Callable[[SO8TPETTrainer], Mapping[str, Any]] | None" = None,
        stop_request: StopReason | None = None,
        **kwargs: Any,
    ) -> None:
        _require_whole("save_metrics_steps", save_metrics_steps)
        _require_whole("save_logits_steps", save_logits_steps)
        _require_whole("save_logits_max_files", save_logits_max_files)
        args = TrainingArguments(output_dir="tmp_trainer") if args is None else args
        self.run_dir, args = _laid_out(args)
        _require_exact_losses(args, kwargs.get("compute_loss_func"))
        self.pet = PetRegularization.of(pet_regularization)
        self.orthogonal_reg = orthogonal_reg
        self.rotation_reg = rotation_reg
        self.gate_lr_factor = gate_lr_factor
        self.save_metrics = save_metrics
        self.save_metrics_steps = save_metrics_steps
        self.recorder: TrainingMetricsRecorder | None = None
        self.report_path: Path | None = None
        self._recorder_options = dict(recorder_options or {})
        self._report_inputs = report_inputs or default_report_inputs
        self._stop_request = stop_request
        self._boundary = Boundary()
        self._recording: Recording | None = None
        self._resumed_from: Path | None = None
        self._window_writer: Callable[[Path], None] | None = None
        self._evaluation: EvaluationTotals | None = None
        self._evaluated: dict[str, float] | None = None
        self._hidden: FinalHiddenState | None = None
        self._gates: list[SO8Gate] = []
        self._sequences_in_step = 0
        self._logits: LogitsSamples | None = None
        super().__init__(model, args, *positional, **kwargs)
        if save_logits and self.is_world_process_zero():
            self._logits = LogitsSamples(self.run_dir / save_logits_dir, save_logits_steps, save_logits_max_files)
        # First of all callbacks: the others find the recorder there when training begins.
        self.callback_handler.callbacks.insert(0, _TrainingEvents(self))

    @property
    def recording_failures(self) -> int:
        """Errors of recording that did not stop training."""
        return self._boundary.failures

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
        self._gates = list(find_gates(self.model).values())
        if self._hidden is not None:
            self._hidden.close()
        self._hidden = FinalHiddenState(self.model) if self.pet is not None else None
        if not self.save_metrics:
            return
        ranks = self.accelerator.num_processes
        saved = None
        if self._resumed_from is not None and (self._resumed_from / WINDOW_FILE).exists():
            saved = read_window(self._resumed_from / WINDOW_FILE)
        if self.recorder is None and self.is_world_process_zero():
            self.recorder = self._open_recorder(state)
            self._boundary.recorder = self.recorder
        self._recording = Recording(
            self.recorder,
            self._boundary,
            device=self.args.device,
            every=self.save_metrics_steps,
            gates=bool(self._gates),
            ranks=ranks,
            gather=self._gather if ranks > 1 else None,
            clock=time.perf_counter,
        )
        if self._resumed_from is not None:
            self._recording.go_on(saved, row_stands=self._row_stands_at(state.global_step))

    def _open_recorder(self, state: TrainerState) -> TrainingMetricsRecorder:
        options: dict[str, Any] = {
            "save_interval": self.save_metrics_steps,
            "max_steps": state.max_steps,
            "resume_step": state.global_step if self._resumed_from is not None else None,
        }
        return TrainingMetricsRecorder(self.run_dir, **{**options, **self._recorder_options})

    def _row_stands_at(self, step: int) -> bool:
        """Whether the record has a row of this step: an attempt that ended right after it left one of its own."""
        stands = False
        if self.recorder is not None:
            steps = read_history(self.recorder.folder).rows.steps
            stands = bool(steps) and steps[-1] == step
        flag = torch.tensor([float(stands)], device=self.args.device)
        rows = self._gather(flag) if self.accelerator.num_processes > 1 else flag[None]
        return bool(to_host(rows)[0][0])  # as the first rank, which has the recorder, says

    def _gather(self, packed: Tensor) -> Tensor:
        gathered: Tensor = self.accelerator.gather(packed[None])
        return gathered

    def _end(self, status: Status, *, error: str | None, orderly: bool) -> None:
        """Last row, close, report: each even if the one before it failed, none in the way of what ended training."""
        recording, self._recording = self._recording, None
        recorder, self._boundary.recorder = self.recorder, None
        if self._hidden is not None:
            self._hidden.close()
            self._hidden = None
        if recording is not None and (orderly or self.accelerator.num_processes == 1):
            # After an exception the other ranks may not come to bring their sums.
            recording.close()
        if recorder is None:
            return
        if self.recording_failures:
            text = f"recording failed {self.recording_failures} times outside the recorder; training went on"
            recorder.mark("warning", text=text)
        recorder.close(status, error=error)
        with self._boundary.guarded("making the report"):
            self.report_path = recorder.generate_poc_report(**self._report_inputs(self))

    # -- the loss -------------------------------------------------------------------------------------------------

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """As the Trainer's; also counts the sequences of the optimizer step, which PET is averaged over."""
        batches, num_items_in_batch = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._sequences_in_step = sum(_sequences(batch) for batch in batches)
        return batches, num_items_in_batch

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The micro-batch's share of the optimizer step's loss, or in evaluation the plain language-model loss.

        Args:
            model: in training mode: L = LM + lambda * PET + so8t_loss; in evaluation mode: LM.
            inputs: `input_ids`, `labels`, `attention_mask` [batch, tokens].
            return_outputs: return the model's outputs too.
            num_items_in_batch: predicted tokens of the whole optimizer step, over all ranks.
        """
        lm, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if not model.training:
            self._add_to_evaluation(outputs, inputs)
            return (lm, outputs) if return_outputs else lm
        if num_items_in_batch is None:
            lm = lm / self.current_gradient_accumulation_steps
        terms = LossTerms(lm=lm, **self._pet_terms(inputs), so8t=self._gates_term())
        loss = terms.total()
        if not loss.requires_grad:
            raise ModelError(
                "the loss depends on no trainable parameter: attach gates or LoRA, or unfreeze the base; with gradient "
                "checkpointing on a frozen base call model.enable_input_require_grads()"
            )
        if self._recording is not None:
            with self._boundary.guarded("summing up a micro-batch"):
                self._add_to_window(self._recording, terms, outputs, inputs, num_items_in_batch)
        self._sample_logits(outputs, inputs)
        return (loss, outputs) if return_outputs else loss

    def _pet_terms(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if self.pet is None or self._hidden is None:
            return {}
        penalty = self.pet.penalty(self._hidden.take(), inputs.get("attention_mask"))
        if self.pet.reduction == "mean":
            # The means of micro-batches, by their sequences: 1 / accumulation where all are of one size.
            share = _sequences(inputs) / self._sequences_in_step if self._sequences_in_step else 1.0
        else:
            share = float(self.accelerator.num_processes)  # gradients are averaged over ranks, a sum is not
        weight = self.pet.schedule.weight(self.state.global_step, self.state.max_steps)
        return {"pet_penalty": share * penalty, "pet_weight": weight}

    def _gates_term(self) -> Tensor | None:
        # The gates do not change between the micro-batches of a step: their term comes once, whole, with the last.
        if not self._gates or not self.accelerator.sync_gradients:
            return None
        return so8t_loss(self._gates, self.orthogonal_reg, self.rotation_reg)

    def _get_learning_rate(self) -> float:
        """As the Trainer's, which calls it when the optimizer has stepped and the schedule has not: the rate that the
        step used. All groups' rates are kept for the row; where they cannot be read, the row has none."""
        learning_rate: float = super()._get_learning_rate()
        if self._recording is not None:
            with self._boundary.guarded("reading the learning rates"):
                self._recording.learning_rates = learning_rates(self.optimizer.param_groups)
        return learning_rate

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As the Trainer's, with the gates in a group of their own: no weight decay, `lr * gate_lr_factor`."""
        if self.optimizer is None:
            optimized = self.model if model is None else model
            given = self.optimizer_cls_and_kwargs
            kind, settings = given or self.get_optimizer_cls_and_kwargs(self.args, optimized)
            if settings.keys().isdisjoint(("params", "model", "optimizer_dict")):
                lr = settings.get("lr", self.args.learning_rate)
                groups = parameter_groups(optimized, self.args.weight_decay, lr, self.gate_lr_factor)
                if not groups:
                    raise ModelError("the model has no trainable parameter: attach gates or LoRA, or unfreeze the base")
                self.optimizer_cls_and_kwargs = (kind, {**settings, "params": groups})
            elif find_gates(optimized):
                raise ConfigError(
                    f"optim {self.args.optim} makes its own parameter groups, and gates need one: use adamw"
                )
            try:
                super().create_optimizer(model)
            finally:
                self.optimizer_cls_and_kwargs = given
        optimizer: torch.optim.Optimizer = self.optimizer
        return optimizer

    # -- the record -----------------------------------------------------------------------------------------------

    def _add_to_window(
        self,
        recording: Recording,
        terms: LossTerms,
        outputs: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
        num_items_in_batch: Tensor | int | None,
    ) -> None:
        tokens, correct = count_predictions(outputs["logits"], inputs)
        lm = terms.lm.detach().to(recording.window.dtype)
        if num_items_in_batch is None:
            cross_entropy = lm * self.current_gradient_accumulation_steps * tokens
        else:
            world = self.accelerator.num_processes // self.get_tp_size()
            cross_entropy = lm * num_items_in_batch / (world if self.args.average_tokens_across_devices else 1)
        mask = inputs.get("attention_mask")
        ids = inputs["input_ids"]
        recording.window.add(
            cross_entropy=cross_entropy,
            tokens=tokens,
            correct=correct,
            input_tokens=torch.ones_like(ids).sum() if mask is None else (mask != 0).sum(),
            pet_penalty=terms.pet_penalty,
            pet_loss=terms.pet,
            so8t_loss=terms.so8t,
        )

    def begin_step(self, state: TrainerState) -> None:
        """Called before the first micro-batch of a step: notes where a PET phase begins."""
        if self._recording is not None and self.pet is not None:
            with self._boundary.guarded("noting a PET phase"):
                phase = self.pet.schedule.phase(state.global_step, state.max_steps)
                self._recording.begin_phase(phase, state.global_step + 1)

    def _maybe_log_save_evaluate(self, tr_loss: Any, grad_norm: Any, *args: Any, **kwargs: Any) -> None:
        """As the Trainer's; first the row, which so stands before the evaluation and the checkpoint of its step.

        The Trainer also calls this at the end of an epoch, where no step is open and so none is closed.
        """
        if self._recording is not None:
            step = self.state.global_step
            pet = None if self.pet is None else self.pet.schedule.weight(step - 1, self.state.max_steps)
            facts = StepFacts(step, self.state.epoch, self._recording.learning_rates, grad_norm, pet)
            self._recording.close_step(facts, last=self.control.should_training_stop)
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """As the Trainer's, whose metrics are returned and logged; during training the exact ones are recorded.

        The Trainer's `eval_loss` is the mean of the batches' means; recorded is the mean over all tokens. The values
        of several named datasets stand in one record.
        """
        recording = self._recording
        if recording is None or self._evaluated is not None:  # a dataset of several calls this once more
            metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            return metrics
        self._evaluated = {}
        try:
            with recording.window.paused():
                metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            with self._boundary.guarded("recording an evaluation"):
                own = {n: v for n, v in metrics.items() if n.startswith(metric_key_prefix) and not n.endswith(_TIMINGS)}
                recording.record_evaluation(self.state.global_step, self.state.epoch, {**own, **self._evaluated})
            return metrics
        finally:
            self._evaluated = None

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> Any:
        """As the Trainer's; also sums up over tokens when an evaluation is being recorded."""
        if self._evaluated is not None:
            self._evaluation = EvaluationTotals(self.args.device)
        try:
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
            if self._evaluated is not None and self._evaluation is not None:
                with self._boundary.guarded("summing up an evaluation"):
                    self._evaluated.update(self._evaluation.metrics(metric_key_prefix))
            return output
        finally:
            self._evaluation = None

    def _add_to_evaluation(self, outputs: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> None:
        if self._hidden is not None:
            self._hidden.clear()
        if self._evaluation is not None:
            with self._boundary.guarded("summing up an evaluation"):
                sequences = sequence_statistics(outputs["logits"].detach(), inputs)
                # Over all ranks, without the sequences repeated to fill the last batch.
                self._evaluation.add(self.accelerator.gather_for_metrics(sequences))

    def _sample_logits(self, outputs: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> None:
        step = self.state.global_step + 1
        if self._logits is not None and self.accelerator.sync_gradients and self._logits.due(step):
            with self._boundary.guarded("keeping a sample of the logits"):
                self._logits.write(step, outputs["logits"], inputs.get("attention_mask"))

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        if self._recording is None:
            super()._save_checkpoint(model, trial)
            return
        self._window_writer = self._recording.snapshot()
        try:
            with self._recording.window.paused():
                super()._save_checkpoint(model, trial)
        finally:
            self._window_writer = None

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """As the Trainer's, in the process that saves; the gates, which PEFT leaves out, and the window go along."""
        super()._save(output_dir, state_dict)
        if not self.args.should_save:
            return
        folder = Path(self.args.output_dir if output_dir is None else output_dir)
        if find_gates(self.model):
            save_gates(self.model, folder / GATES_FILE)
        if self._window_writer is not None:
            self._window_writer(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._load_gates(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        super()._load_best_model()
        self._load_gates(Path(self.state.best_model_checkpoint))

    def _load_gates(self, checkpoint: Path) -> None:
        gates = find_gates(self.model)
        saved = checkpoint / GATES_FILE
        if bool(gates) != saved.exists():
            has, lacks = ("the model", "the checkpoint") if gates else ("the checkpoint", "the model")
            raise CheckpointError(
                f"{checkpoint}: {has} has SO(8) gates and {lacks} has none: resume with its own settings"
            )
        if gates:
            load_gates(self.model, saved)


class _TrainingEvents(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Tells the trainer what only callbacks are told."""

    def __init__(self, trainer: SO8TPETTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trainer.begin_training(state)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trainer.begin_step(state)


def default_report_inputs(trainer: SO8TPETTrainer) -> dict[str, Any]:
    """The settings that model and Trainer have, and what is found in them; kiseki takes names and paths out."""
    model_config = base_model(trainer.model).config.to_dict()
    model_config["_name_or_path"] = Path(str(model_config.get("_name_or_path", ""))).name
    args = trainer.args
    live = {
        **live_facts(trainer.model),
        "pet_enabled": trainer.pet is not None,
        "optimizer": type(getattr(trainer.optimizer, "optimizer", trainer.optimizer)).__name__,
        "device": args.device.type,
        "ranks": trainer.accelerator.num_processes,
        "recording_failures": trainer.recording_failures,
    }
    return {"model_config": model_config, "training_config": args.to_dict(), "live": live}


def _laid_out(args: TrainingArguments) -> tuple[Path, TrainingArguments]:
    """The run folder, and a copy of the arguments whose checkpoints go into it."""
    given = Path(args.output_dir)
    run_dir = given.parent if given.name == CHECKPOINTS else given
    args = copy.copy(args)
    args.output_dir = str(run_dir / CHECKPOINTS)
    return run_dir, args


def _require_exact_losses(args: TrainingArguments, compute_loss_func: object) -> None:
    if args.label_smoothing_factor or compute_loss_func is not None:
        name = "compute_loss_func" if compute_loss_func is not None else "label_smoothing_factor"
        raise ConfigError(
            f"{name} makes the language-model loss no cross-entropy, and perplexity needs one: leave it out"
        )
    if args.use_liger_kernel:
        raise ConfigError("use_liger_kernel leaves out the logits, and token accuracy needs them: leave it out")
    if args.n_gpu > 1:
        raise ConfigError(
            f"{args.n_gpu} GPUs in one process (DataParallel) are not supported: start with accelerate launch, or show "
            "one GPU with CUDA_VISIBLE_DEVICES=0"
        )


def _require_whole(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a whole number of optimizer steps or files from 1, not {value!r}")


def _sequences(batch: Mapping[str, Any]) -> int:
    """Sequences in a batch, from its shape alone."""
    return len(batch["input_ids"]) if "input_ids" in batch else len(batch["labels"])
