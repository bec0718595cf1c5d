"""Ends training in good order when a signal asks for it.

A stop request is noticed between optimizer steps: the step that runs is finished, a checkpoint is written, and
training ends. Of several ranks any one may have been asked; all of them stop at the same step.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from so8t.training.console_texts import Language, text

_SIGNALS = tuple(name for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))

LAUNCHER_SECONDS = 10.0
"""So long after the first signal another one may still be the launcher's: Ctrl-C reaches launcher and ranks alike, and
torchrun then passes it on to ranks that have it already."""


class StopRequest:
    """A wish to stop, made by a signal; the block in which signals mean that.

    The first SIGINT, SIGTERM or (Windows) SIGBREAK is only noted. A second one raises `KeyboardInterrupt` at once,
    for whoever cannot wait for the step to end. Leaving the block puts the earlier handlers back.

    Args:
        tell: given one line when the first signal comes; called inside a signal handler, so it must not touch
            buffered files. By default the line goes straight to standard error.
        echo_seconds: signals that come so soon after the first are taken for the same one.
        language: of the line.
        monotonic: seconds of a clock that is never put back.

    Attributes:
        reason: name of the signal, None while there was none.

    Example:
        >>> with StopRequest(tell=print) as stop:
        ...     signal.raise_signal(signal.SIGINT)
        SIGINT: the step that runs is finished, a checkpoint is written, then training stops; once more: stop at once
        >>> stop.reason, stop.exit_code
        ('SIGINT', 130)
    """

    def __init__(
        self,
        tell: Callable[[str], None] | None = None,
        *,
        echo_seconds: float = 0.0,
        language: Language = "en",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reason: str | None = None
        self._first: float | None = None
        self._over = False
        self._tell = tell or _to_standard_error
        self._echo_seconds = echo_seconds
        self._language = language
        self._monotonic = monotonic
        self._before: dict[int, Any] = {}

    @property
    def number(self) -> int:
        """The signal's number; 0 without one."""
        return 0 if self.reason is None else int(getattr(signal, self.reason))

    @property
    def exit_code(self) -> int:
        """What the process returns after this signal: 128 and its number; 0 without one."""
        return self.number and 128 + self.number

    def agreed(self, number: int) -> None:
        """Take over the signal that a rank, this one or another, was given; 0: none was."""
        if number and self.reason is None:
            self.reason = signal.Signals(number).name

    def training_ended(self, *, completed: bool) -> None:
        """Say that no step is left to stop before: a signal that came too late to stop anything did not interrupt.

        From here on a first signal changes nothing either; report and model are being written.
        """
        self._over = True
        if completed:
            self.reason = None

    def __enter__(self) -> Self:
        # Python lets only the main thread set handlers; elsewhere (a notebook's worker) there are no signals to mind.
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name)
                self._before[number] = signal.signal(number, self._noted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _noted(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        now = self._monotonic()
        if self._first is not None:
            if now - self._first < self._echo_seconds:
                return
            raise KeyboardInterrupt(name)
        self._first = now
        if self._over:
            self._tell(text("signal_late", self._language, signal=name))
            return
        self.reason = name
        self._tell(text("signal", self._language, signal=name))


def _to_standard_error(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"\n{line}\n".encode())


class StopCallback(TrainerCallback):  # type: ignore[misc]
    """Obeys a stop request by a checkpoint and the end of training, after a step, an evaluation or a checkpoint.

    Added on every rank: the events it asks at are those that all of them pass.

    Args:
        request: this rank's.
        largest: the largest of the numbers that all ranks bring (`Agreement.largest`).
    """

    def __init__(self, request: StopRequest, largest: Callable[[int], int]) -> None:
        self._request = request
        self._largest = largest
        self._after_a_step = False

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From here to the end of the step there is nothing to do."""
        self._after_a_step = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Save and stop when a stop was asked for."""
        self._after_a_step = True
        return self.on_evaluate(args, state, control, **kwargs)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """The same after an evaluation, which may take longer than a step; the Trainer saves after it.

        Not after the evaluation before the first step: the Trainer would break off in the middle of that step.
        """
        if self._after_a_step and self._asked():
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """The checkpoint has just been written: only stop."""
        if self._asked():
            control.should_training_stop = True
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the request whether anything was left to stop."""
        self._request.training_ended(completed=state.global_step >= state.max_steps)

    def _asked(self) -> bool:
        number = self._largest(self._request.number)
        self._request.agreed(number)
        return number > 0
