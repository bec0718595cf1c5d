"""What training says on the console: a progress bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_LEAST_SECONDS_BETWEEN_LINES = 0.5
"""A model that takes a thousand steps a second must not print as many lines."""


class ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """Shows where training stands and when it will be done, as judged by the steps of this attempt.

    Args:
        console: where to.
        monotonic: seconds of a clock that is never put back.
    """

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._monotonic = monotonic
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._first_step = 0
        self._began = 0.0
        self._said = -_LEAST_SECONDS_BETWEEN_LINES

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin."""
        self._first_step = state.global_step
        if self._console.is_terminal and state.is_world_process_zero:
            self._bar = Progress(
                TextColumn("学習 / training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[told]}"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=state.max_steps, completed=state.global_step, told="")

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock with the first step: the evaluation before it says nothing about the time left."""
        if state.global_step == self._first_step:
            self._began = self._monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=state.global_step, told=self._left(state))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say a line about training or about an evaluation."""
        if not state.is_world_process_zero or not logs:
            return
        if "eval_loss" in logs:
            # the Trainer's own figure; the record's is weighted by tokens and differs in the third digit
            self._say(state, f"held-out loss {_shown(logs['eval_loss'])} (mean of batches)")
        elif "loss" in logs:
            now = self._monotonic()
            if now - self._said >= _LEAST_SECONDS_BETWEEN_LINES or state.global_step >= state.max_steps:
                self._said = now
                rate = f", learning rate {_shown(logs['learning_rate'])}" if "learning_rate" in logs else ""
                self._say(state, f"loss {_shown(logs['loss'])}{rate}, {self._left(state)}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Give the terminal back, also where training did not come to its end; harmless when called twice."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, state: TrainerState, text: str) -> None:
        console = self._console if self._bar is None else self._bar.console
        width = len(str(state.max_steps))
        console.print(
            f"step {state.global_step:>{width}}/{state.max_steps}  {text}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def _left(self, state: TrainerState) -> str:
        done = state.global_step - self._first_step
        if done <= 0:
            return "time left unknown"
        seconds = (self._monotonic() - self._began) / done * (state.max_steps - state.global_step)
        return f"{duration(seconds)} left"


def duration(seconds: float) -> str:
    """A length of time as people say it.

    Example:
        >>> [duration(s) for s in (3.4, 75, 3 * 3600 + 60, 50 * 3600)]
        ['3 s', '1 min 15 s', '3 h 1 min', '2 d 2 h']
    """
    whole = max(0, round(seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, whole = divmod(whole, size)
        if count or parts:
            parts.append(f"{count} {name}")
    shown = [part for part in parts[:2] if not part.startswith("0 ")]
    return " ".join(shown) or "0 s"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
