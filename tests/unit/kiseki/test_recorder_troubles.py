"""What goes wrong around a recorder: it ends as far as it can, says so, and stands in nobody's way afterwards."""

import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kiseki import TrainingMetricsRecorder, UsageError
from kiseki.history import read_history
from support import stop_and_wait, strict_json


def quiet(root: Path, **options: Any) -> TrainingMetricsRecorder:
    return TrainingMetricsRecorder(root, "m", save_plots=False, companion=False, **options)


def close_line(recorder: TrainingMetricsRecorder) -> Any:
    lines = recorder.folder.journal.read_bytes().splitlines()
    (closed,) = (strict_json(line)["close"] for line in lines if line.startswith(b'{"close":'))
    return closed


@contextlib.contextmanager
def no_room_in(path: Path) -> Iterator[None]:
    """The file cannot grow, as on a full disk."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class LostDevice:
    """A tensor on an accelerator that fails before its copy has arrived."""

    class device:  # noqa: N801 - as torch spells it
        type = "accelerator"

    def detach(self) -> "LostDevice":
        return self

    def to(self, where: str, *, non_blocking: bool) -> "LostDevice":
        return self

    def __float__(self) -> float:
        raise RuntimeError("device-side assert triggered")


def test_a_device_that_is_lost_costs_its_value_and_neither_the_row_nor_the_close_line(tmp_path: Path) -> None:
    recorder = quiet(tmp_path)
    recorder.record_step(1, 0.1, 1.0, 0.1)
    recorder.record_step(2, 0.2, LostDevice(), 0.1)
    recorder.close("failed", error="RuntimeError")
    history = read_history(recorder.folder)
    assert history.attempts[-1].status == "failed"
    assert [(row["step"], row.get("loss")) for row in history.rows.decoded()] == [(1, 1.0), (2, None)]
    (refused,) = history.notes_of("refused_value")
    assert refused["why"] == "its device gave no number: device-side assert triggered"
    assert recorder.errors == 1


def test_a_row_that_cannot_be_finished_does_not_keep_the_record_from_ending(tmp_path: Path) -> None:
    class Unheard(LostDevice):
        def __float__(self) -> float:
            raise MemoryError

    recorder = quiet(tmp_path)
    recorder.record_step(1, 0.1, Unheard(), 0.1)
    recorder.close("failed")
    assert read_history(recorder.folder).attempts[-1].status == "failed"
    assert recorder.folder.training_json.exists()
    assert recorder.errors == 1


@pytest.mark.parametrize(
    ("error", "recorded"), [("no file \udcff", "no file \\udcff"), (ValueError("in a few words"), "in a few words")]
)
def test_how_it_ended_is_recorded_whatever_the_words_are(tmp_path: Path, error: Any, recorded: str) -> None:
    recorder = quiet(tmp_path)
    recorder.close("failed", error=error)
    assert recorder.errors == 0
    closed = close_line(recorder)
    assert (closed["status"], closed["error"]) == ("failed", recorded)


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is how a test gets a full disk without being root")
def test_rows_that_get_room_at_the_last_moment_are_not_counted_as_dropped(tmp_path: Path) -> None:
    recorder = quiet(tmp_path)
    recorder.record_step(1, 0.1, 1.0, 0.1)
    with no_room_in(recorder.folder.journal):
        kept, dropped = recorder.record_step(2, 0.2, 1.0, 0.1), recorder.dropped_rows
    assert (kept, dropped) == (False, 1)
    recorder.close()
    assert list(read_history(recorder.folder).rows.steps) == [1, 2]
    assert close_line(recorder)["dropped_rows"] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped and interrupted by signals")
def test_ctrl_c_at_every_wait_of_close_leaves_one_close_line_and_frees_the_folder(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, save_plots=False)
    recorder.record_step(1, 0.1, 1.0, 0.1)
    companion = recorder._views.companion_pid
    assert companion is not None
    stop_and_wait(companion)  # so that both the last refresh and the goodbye wait for it
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            recorder.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.kill(companion, signal.SIGCONT)
        recorder._views.end()
    recorder.close()
    assert close_line(recorder)["status"] == "completed"
    quiet(tmp_path, resume_step=1).close()


def test_a_handler_that_raises_is_counted_and_costs_neither_training_nor_the_row(
    tmp_path: Path, raising_handler: None
) -> None:
    recorder = quiet(tmp_path)
    assert recorder.record_step(1, 0.1, 1.0, 0.1, note="text")  # type: ignore[arg-type]
    recorder.close()
    assert recorder.record_step(2, 0.2, 1.0, 0.1) is False
    assert list(read_history(recorder.folder).rows.steps) == [1]
    assert recorder.errors == 3, "the value, the handler, and the row after close; one warning a minute"


@pytest.fixture
def raising_handler() -> Iterator[None]:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ConnectionError("the log server is gone")

    handler = Raising()
    logging.getLogger("kiseki").addHandler(handler)
    yield
    logging.getLogger("kiseki").removeHandler(handler)


def test_an_error_without_text_is_counted_and_not_raised(tmp_path: Path) -> None:
    class Wordless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    class Failing:
        def item(self) -> float:
            raise Wordless

    recorder = quiet(tmp_path)
    assert recorder.record_step(1, 0.1, Failing(), 0.1) is False
    assert recorder.errors >= 1
    recorder.close()


def test_a_wrong_argument_is_refused_before_the_recorder_that_stands_here_is_closed(tmp_path: Path) -> None:
    recorder = quiet(tmp_path)
    with pytest.raises(UsageError, match="criteria entry 1"):
        quiet(tmp_path, criteria=[{"metric": "loss"}])
    assert recorder.record_step(1, 0.1, 1.0, 0.1)
    recorder.close()


def test_a_recorder_that_was_thrown_away_does_not_lock_its_process_out(tmp_path: Path) -> None:
    recorder = quiet(tmp_path)
    recorder.record_step(1, 0.1, 1.0, 0.1)
    del recorder
    gc.collect()
    second = quiet(tmp_path, resume_step=1)
    assert second.attempt == 2
    second.close()


def test_a_recorder_that_could_not_be_made_does_not_lock_its_process_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as embedded, pytest.raises(TypeError) as kept:
        embedded.setattr(sys, "executable", None)  # where Python is embedded and does not know its own program
        TrainingMetricsRecorder(tmp_path)
    quiet(tmp_path).close()
    assert kept.tb is not None, "a notebook keeps the last traceback, and with it the recorder that was half made"


def test_a_recorder_ends_where_it_began_although_the_program_has_gone_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs that are called alike, from two working directories: the end of one is not the end of the other."""
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    first = quiet(Path("run"))
    monkeypatch.chdir(tmp_path / "there")
    second = quiet(Path("run"))
    first.close()
    quiet(Path("run")).close()
    assert second.record_step(1, 0.1, 1.0, 0.1) is False, "it was closed by the one that followed"
