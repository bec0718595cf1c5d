"""Keeps `training_session.json` for whoever looks from outside."""

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from kiseki.filesystem import replacing
from so8t.training.checkpoints import CHECKPOINTS, complete_checkpoints

SESSION_FILE = "training_session.json"

_WRITE_EVERY_STEPS = 10
_WRITE_EVERY_SECONDS = 30.0
_BLOCK_BYTES = 4096
"""What a file takes of a disk at least, however little is in it."""


class Session(msgspec.Struct, kw_only=True):
    """What `training_session.json` says: where a run stands, without private paths.

    Attributes:
        session_id: name of the run; the record's run id too. It stays over restarts.
        start_time: when the first attempt began, RFC 3339, UTC.
        current_step: optimizer step that was last written down; up to ten steps behind the true one.
        total_steps: optimizer steps the run is meant to take.
        checkpoints: complete checkpoints, oldest first, relative to the run folder.
        model: name of the base model's folder.
        dataset: name of the training file.
        output_dir: the folder this file stands in.
        end_time: when training ended, None while it runs (or was killed).
        status: running, completed, interrupted or failed.
    """

    session_id: str
    start_time: str
    current_step: int = 0
    total_steps: int = 0
    checkpoints: list[str] = []
    model: str = ""
    dataset: str = ""
    output_dir: str = "."
    end_time: str | None = None
    status: str = "running"


def read_session(path: Path) -> Session | None:
    """The session that stands in a file; None where there is none, or nothing that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Session)
    except (OSError, msgspec.DecodeError):
        return None


class SessionFile:
    """Keeps `training_session.json`: replaced whole, never every step, never begun again by a restart.

    Nothing depends on the file: checkpoints are found by looking at them. A disk that does not take it therefore
    does not stop training either.

    Args:
        run_dir: the run folder.
        model: name of the base model's folder.
        dataset: name of the training file.
        session_id: name of the run.
        resume: go on with the session that stands there.
        now: the present, in UTC.
        monotonic: seconds of a clock that is never put back.

    Attributes:
        session: what the file says, or will say.
        begun: training has begun, or gone on, under it.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        model: str,
        dataset: str,
        session_id: str,
        resume: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = run_dir / SESSION_FILE
        self._run_dir = run_dir
        self._now = now
        self._monotonic = monotonic
        self.begun = False
        self._written_step = -1
        self._written_at = monotonic()
        earlier = read_session(self.path) if resume else None
        self.session = earlier or Session(
            session_id=session_id, start_time=_timestamp(now()), model=model, dataset=dataset
        )
        self.session.session_id = session_id
        self.session.status = "running"
        self.session.end_time = None

    def begin(self, step: int, total_steps: int) -> None:
        """Say that training begins, or goes on, after this step."""
        self.begun = True
        self.session.current_step, self.session.total_steps = step, total_steps
        self._write()

    def advance(self, step: int) -> None:
        """Note an optimizer step; written down now and then."""
        self.session.current_step = step
        due = step - self._written_step >= _WRITE_EVERY_STEPS
        if due or self._monotonic() - self._written_at >= _WRITE_EVERY_SECONDS:
            self._write()

    def checkpointed(self, step: int) -> None:
        """Write down the step and the checkpoints that stand now."""
        self.session.current_step = step
        self._write()

    def end(self, status: str) -> None:
        """Write down how training ended."""
        self.session.status, self.session.end_time = status, _timestamp(self._now())
        self._write()

    def _write(self) -> None:
        checkpoints = complete_checkpoints(self._run_dir / CHECKPOINTS)
        self.session.checkpoints = [path.relative_to(self._run_dir).as_posix() for path in checkpoints]
        self._written_step, self._written_at = self.session.current_step, self._monotonic()
        content = msgspec.json.format(msgspec.json.encode(self.session), indent=2) + b"\n"
        try:
            with replacing(self.path) as out:
                out.write(content)
        except OSError:
            _write_over(self.path, content)


def _write_over(path: Path, content: bytes) -> None:
    """A disk that is too full for a second file still has the block that the first one stands in."""
    if len(content) <= _BLOCK_BYTES:
        with contextlib.suppress(OSError), path.open("r+b") as out:
            out.write(content)
            out.truncate()


class SessionCallback(TrainerCallback):  # type: ignore[misc]
    """Keeps the session file while training runs.

    Args:
        session: the session file.
    """

    def __init__(self, session: SessionFile) -> None:
        self._session = session

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say that training runs."""
        if state.is_world_process_zero:
            self._session.begin(state.global_step, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note the step."""
        if state.is_world_process_zero:
            self._session.advance(state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note the checkpoint."""
        if state.is_world_process_zero:
            self._session.checkpointed(state.global_step)


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
