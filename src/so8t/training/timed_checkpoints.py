"""Checkpoints by the clock: what bounds the work that a power cut can cost where a step takes minutes or hours."""

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class TimedCheckpoints(TrainerCallback):  # type: ignore[misc]
    """Asks for a checkpoint at the end of the first step that ends so many minutes after the last checkpoint.

    It comes beside those that `save_steps` asks for; whichever is due first sets both back. World process zero's clock
    counts for all ranks: they have to write the same checkpoint.

    Args:
        minutes: time between checkpoints, above 0.
        largest: the largest of the numbers that all ranks bring (`Agreement.largest`).
        monotonic: seconds of a clock that is never put back.
    """

    def __init__(
        self, minutes: float, largest: Callable[[int], int], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = 60 * minutes
        self._largest = largest
        self._monotonic = monotonic
        self._saved = monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin to count: up to here there is nothing to lose."""
        self._saved = self._monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Ask for a checkpoint when it is time."""
        due = state.is_world_process_zero and self._monotonic() - self._saved >= self._seconds
        if self._largest(int(due)):
            control.should_save = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """A checkpoint is written: count anew."""
        self._saved = self._monotonic()
