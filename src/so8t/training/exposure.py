"""How much work a power cut would cost: all that was trained since the last checkpoint."""

import math
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from so8t.training.console_texts import Language, duration, text

_LEAST_SECONDS_BETWEEN_LINES = 0.5
"""A run that writes many checkpoints a second must not print as many lines."""


def steps_at_risk(left: int, every: int | None, minutes: float | None, step_seconds: float | None) -> int:
    """The most optimizer steps that can lie between two checkpoints.

    Args:
        left: steps to the end of training.
        every: steps between checkpoints; None: not written by steps.
        minutes: time between checkpoints; None: not written by time.
        step_seconds: how long a step takes; None: not known, and then time sets no bound.

    Example:
        >>> steps_at_risk(500, 100, 15, 420.0), steps_at_risk(500, 100, 15, 2.0), steps_at_risk(7, 100, None, 2.0)
        (3, 100, 7)
    """
    bounds = [left]
    if every is not None:
        bounds.append(every)
    if minutes is not None and step_seconds:
        bounds.append(max(1, math.ceil(60 * minutes / step_seconds)))
    return min(bounds)


def exposure(
    left: int, every: int | None, minutes: float | None, step_seconds: float | None, language: Language = "en"
) -> str:
    """What a power cut costs from now on at most, in words.

    Args:
        left: as in `steps_at_risk`.
        every: likewise.
        minutes: likewise.
        step_seconds: likewise.
        language: of the words.

    Example:
        >>> exposure(500, 100, 15, 420.0)
        'a power cut now costs at most 3 steps, about 21 min'
        >>> exposure(500, None, 15, None)
        'a power cut now costs at most 15 min of work and one step (how long a step takes is not known yet)'
    """
    steps = steps_at_risk(left, every, minutes, step_seconds)
    counted = text("one_step" if steps == 1 else "steps", language, n=steps)
    if step_seconds is not None:
        return text("at_risk", language, bound=counted, about=duration(steps * step_seconds, language))
    bound = counted
    if minutes is not None:
        time_bound = text("work_of", language, duration=duration(60 * minutes, language))
        bound = time_bound if every is None else text("or_less", language, steps=counted, work=time_bound)
    return text("at_risk_untimed", language, bound=bound)


class ExposureCallback(TrainerCallback):  # type: ignore[misc]
    """Says what a power cut would cost: at the start, when it is known how long a step takes, at each checkpoint.

    Args:
        tell: given one line.
        minutes: time between checkpoints; None: none are written by time.
        language: of the line.
        monotonic: seconds of a clock that is never put back.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        minutes: float | None,
        language: Language = "en",
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._minutes = minutes
        self._language = language
        self._monotonic = monotonic
        self._every: int | None = None
        self._first_step = 0
        self._began: float | None = None
        self._said = -math.inf

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say it in steps: how long one takes is not known yet."""
        self._every = _steps_between_checkpoints(args, state, kwargs.get("train_dataloader"))
        self._first_step = state.global_step
        self._say(state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock with the first step: the evaluation before it is not work that a checkpoint keeps."""
        if self._began is None:
            self._began = self._monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Say it in time as soon as that is known."""
        if state.global_step == self._first_step + 1:
            self._say(state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Say it with each checkpoint."""
        if self._monotonic() - self._said >= _LEAST_SECONDS_BETWEEN_LINES:
            self._say(state, text("written", self._language, step=state.global_step))

    def _say(self, state: TrainerState, before: str = "") -> None:
        left = state.max_steps - state.global_step
        if not state.is_world_process_zero or left <= 0:
            return
        self._said = self._monotonic()
        if self._every is None and self._minutes is None:
            self._tell(before + text("no_checkpoints", self._language))
            return
        self._tell(before + exposure(left, self._every, self._minutes, self._step_seconds(state), self._language))

    def _step_seconds(self, state: TrainerState) -> float | None:
        done = int(state.global_step) - self._first_step
        if self._began is None or done <= 0:
            return None
        return (self._monotonic() - self._began) / done


def _steps_between_checkpoints(args: TrainingArguments, state: TrainerState, batches: Any) -> int | None:
    strategy = str(getattr(args.save_strategy, "value", args.save_strategy))
    if strategy == "steps":
        return int(state.save_steps)
    if strategy == "epoch":
        return math.ceil(len(batches) / int(args.gradient_accumulation_steps))
    return None
