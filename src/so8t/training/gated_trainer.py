"""What trains: Hugging Face's Trainer with SO(8) gates and PET in the loss, and the gates in the checkpoints.

Everything in here fails loudly. What is recorded of it stands in `so8t.training.trainer`, which has a place to look at
each micro-batch and changes nothing.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from so8t.errors import CheckpointError, ConfigError, ModelError
from so8t.model.attach import GATES_FILE, find_gates, load_gates, parameter_groups, save_gates, shard_gates
from so8t.model.pet import FinalHiddenState
from so8t.model.rotation import SO8Gate, so8t_loss
from so8t.training.losses import LossTerms, PetRegularization


class GatedTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped here
    """Trains a causal language model with L = LM + lambda * PET + so8t_loss.

    Args:
        model: as for `transformers.Trainer`; gates on it are found, trained and saved.
        args: as for `transformers.Trainer`.
        *positional: as for `transformers.Trainer`.
        pet_regularization: how PET enters the loss, or the configuration's `pet` section as a mapping; None: not.
        orthogonal_reg: weight of the gates' distance from orthogonality in so8t_loss.
        rotation_reg: weight of the gates' generators in so8t_loss.
        gate_lr_factor: the gates' learning rate as a multiple of the others'.
        **kwargs: as for `transformers.Trainer`.

    Attributes:
        gates: the model's gates by decoder layer, while it trains.
        group_settings: of the optimizer's groups as the arguments have them; a checkpoint brings its own back.
    """

    loss_is_scaled_for_ga = True
    """`compute_loss` returns a micro-batch's share of the optimizer step's loss. Left to its own inference the Trainer
    takes a mean for a share, and both the logged loss and the gradients are as many times too large as there are
    micro-batches."""

    optimizer_cls_and_kwargs: Any

    def __init__(
        self,
        model: nn.Module | None,
        args: TrainingArguments,
        *positional: Any,
        pet_regularization: PetRegularization | Mapping[str, Any] | None = None,
        orthogonal_reg: float = 1e-4,
        rotation_reg: float = 0.0,
        gate_lr_factor: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self.pet = PetRegularization.of(pet_regularization)
        self.orthogonal_reg = orthogonal_reg
        self.rotation_reg = rotation_reg
        self.gate_lr_factor = gate_lr_factor
        self.gates: dict[int, SO8Gate] = {}
        self.group_settings: list[dict[str, Any]] = []
        self._hidden: FinalHiddenState | None = None
        self._sequences_in_step = 0
        super().__init__(model, args, *positional, **kwargs)

    def open_terms(self) -> None:
        """Find the gates, and begin to watch the hidden states that PET looks at; before the first step."""
        self.gates = dict(find_gates(self.model))
        self.close_terms()
        self._hidden = FinalHiddenState(self.model) if self.pet is not None else None

    def close_terms(self) -> None:
        """Take the watch off the model again; harmless when called twice."""
        if self._hidden is not None:
            self._hidden.close()
            self._hidden = None

    def trained_micro_batch(
        self,
        terms: LossTerms,
        outputs: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
        num_items_in_batch: Tensor | int | None,
    ) -> None:
        """Called with each micro-batch's terms of the loss, before they are differentiated."""

    def evaluated_batch(self, outputs: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> None:
        """Called with each batch of an evaluation."""

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
            if self._hidden is not None:
                self._hidden.clear()
            self.evaluated_batch(outputs, inputs)
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
        self.trained_micro_batch(terms, outputs, inputs, num_items_in_batch)
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
        if not self.gates or not self.accelerator.sync_gradients:
            return None
        return so8t_loss(list(self.gates.values()), self.orthogonal_reg, self.rotation_reg)

    # -- the optimizer --------------------------------------------------------------------------------------------

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As the Trainer's, with the gates in a group of their own: no weight decay, `lr * gate_lr_factor`."""
        if self.optimizer is None:
            optimized = self.model if model is None else model
            if self.accelerator.is_fsdp2:
                shard_gates(optimized)
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
        self.group_settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        return optimizer

    # -- gates in checkpoints -------------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """As the Trainer's, in the process that saves; the gates, which PEFT leaves out, go along."""
        super()._save(output_dir, state_dict)
        if self.args.should_save and find_gates(self.model):
            save_gates(
                self.model, Path(self.args.output_dir if output_dir is None else output_dir) / GATES_FILE, state_dict
            )

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


def _sequences(batch: Mapping[str, Any]) -> int:
    """Sequences in a batch, from its shape alone."""
    return len(batch["input_ids"]) if "input_ids" in batch else len(batch["labels"])
