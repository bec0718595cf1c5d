"""What is seen of training while it runs: sums for the rows, evaluations, samples of the logits, checkpoints.

Nothing in here changes what is trained, and no error of looking stops it.
"""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerState
from transformers.trainer_utils import rotate_checkpoints

from so8t.model.rotation import whole
from so8t.training.boundary import Boundary
from so8t.training.evaluation import EvaluationTotals
from so8t.training.gated_trainer import GatedTrainer
from so8t.training.logits import LogitsSamples
from so8t.training.losses import LossTerms, count_predictions, sequence_statistics
from so8t.training.recording import Recording
from so8t.training.row import StepFacts, learning_rates

_TIMINGS = ("_runtime", "_per_second", "_model_preparation_time", "_loss")
"""Ends of the names in the Trainer's evaluation metrics that are not recorded: its own times, and its own mean."""


class RecordedTrainer(GatedTrainer):
    """Feeds a `Recording` while there is one; otherwise a `GatedTrainer`.

    Args:
        *positional: as for `GatedTrainer`.
        checkpoint_written: given the folder of each checkpoint, in the process that saves, when all ranks have written
            their part and before older checkpoints are deleted.
        **kwargs: as for `GatedTrainer`.

    Attributes:
        recording: from the beginning of training to its end; None when nothing is recorded.
        boundary: where errors of recording end.
        logits: where samples of the logits go; None: nowhere.
    """

    def __init__(
        self, *positional: Any, checkpoint_written: Callable[[Path], None] | None = None, **kwargs: Any
    ) -> None:
        self.recording: Recording | None = None
        self.boundary = Boundary()
        self.logits: LogitsSamples | None = None
        self._checkpoint_written = checkpoint_written
        self._window_writer: Callable[[Path], None] | None = None
        self._evaluation: EvaluationTotals | None = None
        self._evaluated: dict[str, float] | None = None
        super().__init__(*positional, **kwargs)

    # -- rows -----------------------------------------------------------------------------------------------------

    def trained_micro_batch(
        self,
        terms: LossTerms,
        outputs: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
        num_items_in_batch: Tensor | int | None,
    ) -> None:
        """Sum the micro-batch up, and sample its logits when they are due."""
        if self.recording is not None:
            with self.boundary.guarded("summing up a micro-batch"):
                self._add_to_window(self.recording, terms, outputs, inputs, num_items_in_batch)
        step = self.state.global_step + 1
        if self.logits is not None and self.accelerator.sync_gradients and self.logits.due(step):
            with self.boundary.guarded("keeping a sample of the logits"):
                self.logits.write(step, outputs["logits"], inputs.get("attention_mask"))

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

    def _get_learning_rate(self) -> float:
        """As the Trainer's, which calls it when the optimizer has stepped and the schedule has not: the rate that the
        step used. All groups' rates are kept for the row; where they cannot be read, the row has none."""
        learning_rate: float = super()._get_learning_rate()
        if self.recording is not None:
            with self.boundary.guarded("reading the learning rates"):
                self.recording.learning_rates = learning_rates(self.optimizer.param_groups)
        return learning_rate

    def begin_step(self, state: TrainerState) -> None:
        """Called before the first micro-batch of a step: notes where a PET phase begins."""
        if self.recording is not None and self.pet is not None:
            with self.boundary.guarded("noting a PET phase"):
                phase = self.pet.schedule.phase(state.global_step, state.max_steps)
                self.recording.begin_phase(phase, state.global_step + 1)

    def _maybe_log_save_evaluate(self, tr_loss: Any, grad_norm: Any, *args: Any, **kwargs: Any) -> None:
        """As the Trainer's; first the row, which so stands before the evaluation and the checkpoint of its step.

        The Trainer also calls this at the end of an epoch, where no step is open and so none is closed.
        """
        if isinstance(grad_norm, Tensor):
            grad_norm = whole(grad_norm)
        step = self.state.global_step
        if self.recording is not None and step:
            pet = None if self.pet is None else self.pet.schedule.weight(step - 1, self.state.max_steps)
            facts = StepFacts(step, self.state.epoch, self.recording.learning_rates, grad_norm, pet)
            self.recording.close_step(facts, last=self.control.should_training_stop)
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)

    # -- evaluations ----------------------------------------------------------------------------------------------

    @property
    def evaluated(self) -> Mapping[str, float]:
        """What the evaluation that runs has measured over all tokens; empty before its end and where none is recorded.

        It stands from there on while the Trainer logs its own, until the evaluation is recorded.
        """
        return self._evaluated or {}

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """As the Trainer's, whose metrics are returned and logged; during training the exact ones are recorded.

        The Trainer's `eval_loss` is the mean of the batches' means; recorded is the mean over all tokens. The values
        of several named datasets stand in one record.
        """
        recording = self.recording
        if recording is None or self._evaluated is not None:  # a dataset of several calls this once more
            metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            return metrics
        self._evaluated = {}
        try:
            with recording.window.paused():
                metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            with self.boundary.guarded("recording an evaluation"):
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
                with self.boundary.guarded("summing up an evaluation"):
                    self._evaluated.update(self._evaluation.metrics(metric_key_prefix))
            return output
        finally:
            self._evaluation = None

    def evaluated_batch(self, outputs: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> None:
        """Sum an evaluation's batch up."""
        if self._evaluation is not None:
            with self.boundary.guarded("summing up an evaluation"):
                sequences = sequence_statistics(outputs["logits"].detach(), inputs)
                # Over all ranks, without the sequences repeated to fill the last batch.
                self._evaluation.add(self.accelerator.gather_for_metrics(sequences))

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As the Trainer's, with the window; older checkpoints are deleted only when the new one is closed."""
        recording, limit = self.recording, self.args.save_total_limit
        self._window_writer = None if recording is None else recording.snapshot()
        self.args.save_total_limit = None
        try:
            with contextlib.nullcontext() if recording is None else recording.window.paused():
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()  # each rank writes its own random state
                if self.args.should_save:
                    self._close_checkpoint(Path(self._get_output_dir(trial=trial)), limit)
        finally:
            self._window_writer = None
            self.args.save_total_limit = limit

    def _close_checkpoint(self, checkpoints: Path, limit: int | None) -> None:
        if self._checkpoint_written is not None:
            self._checkpoint_written(checkpoints / f"checkpoint-{self.state.global_step}")
        rotate_checkpoints(
            output_dir=str(checkpoints), save_total_limit=limit, best_model_checkpoint=self.state.best_model_checkpoint
        )

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """As the Trainer's, in the process that saves; the window goes along."""
        super()._save(output_dir, state_dict)
        if self.args.should_save and self._window_writer is not None:
            self._window_writer(Path(self.args.output_dir if output_dir is None else output_dir))
