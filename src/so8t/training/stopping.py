"""Ends training in good order when a signal asks for it.

A stop request is noticed between optimizer steps: the step that runs is finished, a checkpoint is written, and
training ends.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_SIGNALS = tuple(name for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))


class StopRequest:
    """A wish to stop, made by a signal; the block in which signals mean that.

    The first SIGINT, SIGTERM or (Windows) SIGBREAK is only noted. A second one raises `KeyboardInterrupt` at once,
    for whoever cannot wait for the step to end. Leaving the block puts the earlier handlers back.

    Args:
        tell: given one line when the first signal comes; called inside a signal handler, so it must not touch
            buffered files. By default the line goes straight to standard error.

    Attributes:
        reason: name of the signal, None while there was none.

    Example:
        >>> with StopRequest(tell=print) as stop:
        ...     signal.raise_signal(signal.SIGINT)
        SIGINT: the step that runs is finished, a checkpoint is written, then training stops; once more: stop at once
        >>> stop.reason, stop.exit_code
        ('SIGINT', 130)
    """

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self.reason: str | None = None
        self._signals = 0
        self._over = False
        self._tell = tell or _to_standard_error
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """What the process returns after this signal: 128 and its number; 0 without one."""
        return 0 if self.reason is None else 128 + int(getattr(signal, self.reason))

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
        if self._signals:
            raise KeyboardInterrupt(name)
        self._signals += 1
        if self._over:
            self._tell(f"{name}: training has ended, its results are being written; once more: stop at once")
            return
        self.reason = name
        self._tell(
            f"{name}: the step that runs is finished, a checkpoint is written, then training stops; "
            "once more: stop at once"
        )


def _to_standard_error(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"\n{line}\n".encode())


class StopCallback(TrainerCallback):  # type: ignore[misc]
    """Between two optimizer steps: obeys a stop request by a checkpoint and the end of training."""

    def __init__(self, request: StopRequest) -> None:
        self._request = request

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Save and stop when a stop was asked for."""
        if self._request.reason is not None:
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the request whether anything was left to stop."""
        self._request.training_ended(completed=state.global_step >= state.max_steps)
