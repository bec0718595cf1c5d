"""What training says on the console: a progress bar on a terminal, a line now and then elsewhere."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from so8t.training.console_texts import Language, duration, text
from so8t.training.finiteness import NonFinite

_LEAST_SECONDS_BETWEEN_LINES = 0.5
"""A model that takes a thousand steps a second must not print as many lines."""


class ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """Shows where training stands and when it will be done, as judged by the steps of this attempt.

    Warns once when the loss is no number any more.

    Args:
        console: where to.
        language: of the lines.
        evaluated: what the evaluation that is being logged measured over all tokens, as it is recorded; empty where
            nothing is recorded. The Trainer's own figure is the mean of the batches' means.
        recorded: what the record says of losses that are no numbers.
        monotonic: seconds of a clock that is never put back.

    Attributes:
        non_finite: what is known of losses that are no numbers; None while all that were logged are finite.
    """

    def __init__(
        self,
        console: Console,
        language: Language = "en",
        *,
        evaluated: Callable[[], Mapping[str, float]] = dict,
        recorded: Callable[[], NonFinite | None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.non_finite: NonFinite | None = None
        self._console = console
        self._language = language
        self._evaluated = evaluated
        self._recorded = recorded
        self._monotonic = monotonic
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._first_step = 0
        self._finite_until = 0
        self._began = 0.0
        self._said = -_LEAST_SECONDS_BETWEEN_LINES

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin."""
        self._first_step = self._finite_until = state.global_step
        if self._console.is_terminal and state.is_world_process_zero:
            self._bar = Progress(
                TextColumn(text("training", self._language)),
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
            exact = self._evaluated().get("eval_loss")
            loss = logs["eval_loss"] if exact is None else exact
            self._say(state, "held_out_of_batches" if exact is None else "held_out", loss=_shown(loss))
            self._warn_of_evaluation(state, loss)
        elif "loss" in logs:
            now = self._monotonic()
            if now - self._said >= _LEAST_SECONDS_BETWEEN_LINES or state.global_step >= state.max_steps:
                self._said = now
                rate = {"rate": _shown(logs["learning_rate"])} if "learning_rate" in logs else {}
                key = "loss_and_rate" if rate else "loss"
                self._say(state, key, loss=_shown(logs["loss"]), **rate, left=self._left(state))
            self._warn_of_step(state, logs["loss"])

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

    def _warn_of_step(self, state: TrainerState, loss: Any) -> None:
        """The loss that is logged is the mean since the last one that was: one step in between is enough."""
        if self.non_finite is not None:
            return
        if _finite(loss):
            self._finite_until = state.global_step
            return
        self.non_finite = self._recorded() or NonFinite(None, (self._finite_until + 1, state.global_step))
        self._say(state, "not_finite", when=self.non_finite.when(self._language))

    def _warn_of_evaluation(self, state: TrainerState, loss: Any) -> None:
        """It is also where steps come to light that were recorded and not logged."""
        if self.non_finite is not None or _finite(loss):
            return
        self.non_finite = self._recorded() or NonFinite(0, (state.global_step + 1,) * 2)
        key = "held_out_not_finite" if self.non_finite.steps == 0 else "not_finite"
        self._say(state, key, when=self.non_finite.when(self._language))

    def _say(self, state: TrainerState, key: str, **values: object) -> None:
        console = self._console if self._bar is None else self._bar.console
        step = f"{state.global_step:>{len(str(state.max_steps))}}"
        said = text(key, self._language, **values)
        line = text("step", self._language, step=step, total=state.max_steps, said=said)
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _left(self, state: TrainerState) -> str:
        done = state.global_step - self._first_step
        if done <= 0:
            return text("left_unknown", self._language)
        seconds = (self._monotonic() - self._began) / done * (state.max_steps - state.global_step)
        return text("left", self._language, duration=duration(seconds, self._language))


def _finite(value: Any) -> bool:
    return not isinstance(value, int | float) or math.isfinite(value)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
