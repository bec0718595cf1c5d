"""From the trainer's sums to the rows that kiseki keeps.

Every rank has a `Recording`, since all of them must meet where sums are brought together; only world process zero's
has a recorder. Nothing in here may stop training: whatever fails is counted, told, and noted in the record.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kiseki import TrainingMetricsRecorder
from so8t.training.losses import accumulator_dtype
from so8t.training.peak_memory import PeakMemory
from so8t.training.window import WINDOW_FILE, Gather, RecordingWindow, WindowTotals, to_host, write_window

__all__ = ["Boundary", "EvaluationTotals", "Recording", "StepFacts", "training_row"]

logger = logging.getLogger("so8t")


class Boundary:
    """The one place where an error of recording ends: counted, told once for each kind, noted in the record.

    Attributes:
        failures: how many there were.
        recorder: where they are noted; None: nowhere.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.recorder: TrainingMetricsRecorder | None = None
        self._told: set[tuple[str, type[Exception]]] = set()

    @contextmanager
    def guarded(self, doing: str) -> Iterator[None]:
        """Let no error out.

        Args:
            doing: what is done inside, for the message.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the training boundary: counted and reported, never raised
            self.failures += 1
            if (doing, type(error)) in self._told:
                return
            self._told.add((doing, type(error)))
            logger.warning("%s failed (%s: %s); training goes on", doing, type(error).__name__, error)
            if self.recorder is not None:
                # only the kind of error: a message may hold paths, and partners see the record
                self.recorder.mark("warning", text=f"{doing} failed: {type(error).__name__}; training went on")


@dataclass(frozen=True)
class StepFacts:
    """What is known on the host about the optimizer step that a row closes with.

    Attributes:
        step: its number, counted from 1.
        epoch: passes over the data so far.
        learning_rates: as used in it, by the name they are recorded under; empty where unknown.
        grad_norm: before clipping; None where unknown.
        pet_weight: lambda; None with PET off.
    """

    step: int
    epoch: float | None
    learning_rates: Mapping[str, float]
    grad_norm: Tensor | float | None
    pet_weight: float | None


def training_row(totals: WindowTotals, facts: StepFacts, grad_norm: float | None, *, gates: bool) -> dict[str, Any]:
    """The row of a window, without what needs the run so far.

    Args:
        totals: the window.
        facts: of its last step.
        grad_norm: the number of `facts.grad_norm`.
        gates: whether the model has SO(8) gates.

    Returns:
        Arguments for `record_step`; what was not measured is absent. `loss` is the sum of its terms exactly.
    """
    steps, tokens = totals.steps, totals.tokens
    lm_loss = totals.cross_entropy / tokens if tokens else math.nan
    row: dict[str, Any] = {"step": facts.step, "epoch": facts.epoch, "loss": lm_loss, **facts.learning_rates}
    row["lm_loss"] = lm_loss
    if facts.pet_weight is not None:
        row["pet_loss"] = totals.pet_loss / steps
        row["pet_penalty"] = totals.pet_penalty / steps
        row["pet_lambda"] = facts.pet_weight
        row["loss"] += row["pet_loss"]
    if gates:
        row["so8t_loss"] = totals.so8t_loss / steps
        row["loss"] += row["so8t_loss"]
    if tokens:
        row["accuracy"] = totals.correct / tokens
    row["perplexity"] = perplexity(lm_loss)
    if grad_norm is not None:
        row["grad_norm"] = grad_norm
    if totals.seconds > 0:
        row["tokens_per_second"] = totals.input_tokens / totals.seconds
    row["window_steps"] = steps
    if totals.non_finite_steps:
        row["non_finite_steps"] = totals.non_finite_steps
    return row


def perplexity(cross_entropy: float) -> float:
    """exp(cross-entropy per token in nats), infinite where float64 has no number for it.

    Example:
        >>> perplexity(0.0), perplexity(1e4)
        (1.0, inf)
    """
    try:
        return math.exp(cross_entropy)
    except OverflowError:
        return math.inf


class Recording:
    """Sums up optimizer steps and records a row whenever one is due.

    Args:
        recorder: kiseki's; None on the ranks that do not record.
        boundary: where errors of recording end.
        device: where the loss is computed.
        every: optimizer steps from row to row.
        gates: whether the model has SO(8) gates.
        ranks: number of processes that train.
        gather: brings together what all ranks have; None with one rank.
        clock: monotonic seconds.

    Attributes:
        learning_rates: of the step being taken, set by the trainer when it reads them; empty until then.
    """

    def __init__(
        self,
        recorder: TrainingMetricsRecorder | None,
        boundary: Boundary,
        *,
        device: torch.device,
        every: int,
        gates: bool,
        ranks: int = 1,
        gather: Gather | None = None,
        clock: Callable[[], float],
    ) -> None:
        self.window = RecordingWindow(device, clock)
        self.learning_rates: Mapping[str, float] = {}
        self._recorder = recorder
        self._boundary = boundary
        self._every = every
        self._gates = gates
        self._ranks = ranks
        self._gather = gather
        self._memory = PeakMemory(device)
        self._tokens_seen: int | None = 0
        self._phase: str | None = None
        self._latest: StepFacts | None = None

    def begin_phase(self, name: str, step: int) -> None:
        """PET is in phase `name` from optimizer step `step` on; noted where it changes."""
        if name != self._phase and self._recorder is not None:
            self._recorder.mark("phase", name=name, step=step)
        self._phase = name

    def close_step(self, facts: StepFacts, *, last: bool) -> None:
        """An optimizer step is done; record a row when it is due, or training ends here.

        Harmless when no step is open, as at the end of an epoch.
        """
        with self._boundary.guarded("summing up an optimizer step"):
            if self.window.has_open_step:
                self.window.close_step(facts.step)
                self._memory.sample()
                self._latest, self.learning_rates = facts, {}
            if last or facts.step % self._every == 0:
                self._record_row()

    def close(self) -> None:
        """Record the steps since the last row; a step that was not finished is left out."""
        with self._boundary.guarded("recording the last row"):
            self._record_row()

    def _record_row(self) -> None:
        facts = self._latest
        if facts is None or not self.window.steps:
            return
        on_device = facts.grad_norm if isinstance(facts.grad_norm, Tensor) else None
        totals, from_device = self.window.read(on_device, ranks=self._ranks, gather=self._gather)
        self.window.reset()
        if self._tokens_seen is not None:
            self._tokens_seen += int(totals.input_tokens)
        if self._recorder is None:
            return
        grad_norm = from_device if isinstance(facts.grad_norm, Tensor) else facts.grad_norm
        row = training_row(totals, facts, grad_norm, gates=self._gates)
        if self._tokens_seen is not None:
            row["tokens_seen"] = self._tokens_seen
        row["peak_memory_bytes"] = self._memory.take()
        if totals.non_finite_steps:
            self._recorder.mark("non_finite", step=totals.first_non_finite_step, steps=totals.non_finite_steps)
        self._recorder.record_step(**row)

    def record_evaluation(self, step: int, epoch: float | None, values: Mapping[str, float]) -> None:
        """Record an evaluation, apart from the training rows."""
        if self._recorder is not None:
            self._recorder.record_evaluation(step, epoch, **values)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def snapshot(self) -> Callable[[Path], None]:
        """Bring the window together from all ranks.

        Returns:
            Writes it into the checkpoint folder it is given; never raises, and writes nothing where bringing it
            together failed.
        """
        totals: WindowTotals | None = None
        tokens_seen = self._tokens_seen
        with self._boundary.guarded("bringing the recording window together"):
            totals, _ = self.window.read(ranks=self._ranks, gather=self._gather)

        def write(checkpoint: Path) -> None:
            if totals is not None:
                with self._boundary.guarded("writing the recording window into the checkpoint"):
                    write_window(checkpoint / WINDOW_FILE, totals, tokens_seen)

        return write

    def go_on(self, saved: tuple[WindowTotals, int | None] | None, *, row_stands: bool) -> None:
        """Go on from the checkpoint that training resumes from.

        Args:
            saved: what `read_window` found in it; None: it was written while nothing was recorded. The next row then
                begins at the checkpoint, and how many tokens were seen before is not known.
            row_stands: the record has a row of the checkpoint's step, which covers what `saved` holds: its steps are
                not counted a second time.
        """
        if saved is None:
            self._tokens_seen = None
            if self._recorder is not None:
                text = "the checkpoint holds no recording window: the first row covers only the steps after it"
                self._recorder.mark("warning", text=text)
            return
        totals, tokens_seen = saved
        if not row_stands:
            self._tokens_seen = tokens_seen
            self.window.restore(totals, ranks=self._ranks, first_rank=self._recorder is not None)
        else:
            self._tokens_seen = None if tokens_seen is None else tokens_seen + int(totals.input_tokens)


class EvaluationTotals:
    """Sums over an evaluation set, so that every token counts the same whatever batch it is in.

    Args:
        device: where the logits are.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(3, dtype=accumulator_dtype(device), device=device)

    def add(self, sequences: Tensor) -> None:
        """Take in [sequences, 3] as `losses.sequence_statistics` makes it."""
        self._sums += sequences.sum(dim=0)

    def metrics(self, prefix: str) -> dict[str, float]:
        """Loss, perplexity, accuracy and number of predicted tokens; empty where no token was predicted."""
        ((cross_entropy, tokens, correct),) = to_host(self._sums[None])
        if not tokens:
            return {}
        loss = cross_entropy / tokens
        return {
            f"{prefix}_loss": loss,
            f"{prefix}_perplexity": perplexity(loss),
            f"{prefix}_accuracy": correct / tokens,
            f"{prefix}_tokens": int(tokens),
        }


def learning_rates(groups: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The learning rates of an optimizer's groups, by the name they are recorded under.

    The first group's is `learning_rate`; a group that learns otherwise has its own `learning_rate_NAME`.

    Example:
        >>> learning_rates([{"lr": 0.1, "name": "decay"}, {"lr": 0.1}, {"lr": 0.05, "name": "gates"}])
        {'learning_rate': 0.1, 'learning_rate_gates': 0.05}
    """
    first = groups[0]
    rates = {"learning_rate": float(first["lr"])}
    for place, group in enumerate(groups[1:], start=1):
        # The first rates differ even where warm-up makes both of them 0.
        if (group["lr"], group.get("initial_lr")) != (first["lr"], first.get("initial_lr")):
            rates[f"learning_rate_{group.get('name', f'group_{place}')}"] = float(group["lr"])
    return rates
