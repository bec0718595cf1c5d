"""A8, A10: a disk that is full, a folder that may not be written, a folder that is gone."""

import errno
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.harness import FAIL, Fault, Server, check_what_is_left, mounted, rows_of_views
from faults.programs import loss_of
from kiseki import TrainingMetricsRecorder
from kiseki.errors import RunFolderError
from kiseki.history import read_history
from kiseki.run_folder import RunFolder
from support import ToldClock, strict_json

NOBODY = 65534


def record(recorder: TrainingMetricsRecorder, step: int, **more: float) -> bool:
    return recorder.record_step(step=step, epoch=step / 4, loss=loss_of(step), learning_rate=0.1, **more)


def fill(disk: Path) -> Path:
    """Take every last byte of a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as out:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    out.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return filler


@pytest.mark.parametrize("companion", [True, False])
def test_a8_a_full_disk_costs_nothing_that_fits_into_memory_and_the_files_stay_valid(
    needs_root: None, tmp_path: Path, companion: bool
) -> None:
    with mounted("tmpfs", tmp_path / "disk", "-t", "tmpfs", "-o", "size=32m") as disk:
        recorder = TrainingMetricsRecorder(disk / "run", save_plots=False, companion=companion, save_interval=1000)
        folder, pid = recorder.folder, recorder._views.companion_pid
        for step in range(1, 101):
            assert record(recorder, step)
        assert recorder.refresh()
        filler = fill(disk)
        kept = [record(recorder, step) for step in range(101, 301)]
        assert not all(kept)
        assert recorder.dropped_rows == kept.count(False)
        assert recorder.refresh() is False
        assert recorder.flush() is False
        shown = rows_of_views(folder)
        assert [len(rows) for rows in shown] == [100, 100], "the tables that stood there still stand"
        filler.unlink()
        assert record(recorder, 301)
        if companion:
            assert recorder._views.companion_pid == pid, "a full disk does not end the companion"
        assert (recorder.flush(), recorder.refresh()) == (True, True)
        recorder.close()
        assert recorder.dropped_rows == 0
        assert rows_of_views(folder) == [list(range(1, 302))] * 2
        (note,) = read_history(folder).notes_of("write_failure")
        assert (note["delayed"], note["dropped"]) == (kept.count(False), 0)


def test_a8_rows_that_memory_cannot_hold_are_counted_and_the_report_says_which(
    needs_root: None, tmp_path: Path
) -> None:
    with mounted("tmpfs", tmp_path / "disk", "-t", "tmpfs", "-o", "size=32m") as disk:
        recorder = TrainingMetricsRecorder(disk / "run", save_plots=False, companion=False, save_interval=1000)
        padding = {"x" * 10_000: 0.5}
        assert record(recorder, 1)
        filler = fill(disk)
        for step in range(2, 302):
            record(recorder, step, **padding)
        filler.unlink()
        assert record(recorder, 302)
        recorder.close()
        check_what_was_dropped(recorder)


def check_what_was_dropped(recorder: TrainingMetricsRecorder) -> None:
    history = read_history(recorder.folder)
    missing = sorted(set(range(1, 303)) - set(history.rows.steps))
    (note,) = history.notes_of("write_failure")
    assert recorder.dropped_rows == len(missing) == note["dropped"] > 100
    assert (note["first_step"], note["last_step"]) == (missing[0], missing[-1])
    assert history.closed is not None
    assert history.closed["dropped_rows"] == len(missing)
    report = strict_json(recorder.generate_poc_report().read_bytes())
    quality = report["record_quality"]
    assert quality["dropped_rows"] == len(missing)
    (gap,) = quality["gaps"]
    assert (gap["after_step"], gap["before_step"]) == (missing[0] - 1, missing[-1] + 1), (
        "the report says which are lost"
    )


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own are for their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="kiseki-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a10_a_run_folder_that_may_not_be_written_is_named_before_the_first_step(
    plain_server: Server, open_to_all: Path
) -> None:
    root = open_to_all / "run"
    root.mkdir(mode=0o555)
    told = plain_server.run("few_rows", root, user=NOBODY if os.geteuid() == 0 else None)
    ((kind, message),) = told.of("refused")
    assert kind == "RunFolderError"
    assert str(root) in message
    assert told.of("raised") == []
    assert told.status == 0


def test_a10_a_journal_on_a_device_that_is_always_full_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.mkdir()
    folder.journal.symlink_to("/dev/full")
    with pytest.raises(RunFolderError, match="free disk"):
        TrainingMetricsRecorder(tmp_path, companion=False)


def test_a10_a_folder_that_becomes_read_only_costs_the_views_and_no_row(
    plain_server: Server, open_to_all: Path
) -> None:
    root = open_to_all / "run"
    told = plain_server.run("rows_in_a_folder_that_closes", root, user=NOBODY if os.geteuid() == 0 else None)
    metrics = RunFolder(root).metrics
    metrics.chmod(stat.S_IRWXU)
    assert told.of("raised") == []
    ((errors, warnings, minutes),) = told.of("told")
    assert check_what_is_left(root, told) == list(range(1, 601))
    assert len(told.acknowledged) == 600
    assert errors > 0
    assert 1 <= warnings <= minutes + 1


def test_a10_an_archived_journal_that_may_only_be_read_still_gets_its_views(
    plain_server: Server, open_to_all: Path
) -> None:
    root = open_to_all / "run"
    told = plain_server.run(
        "views_of_a_journal_that_may_only_be_read", root, user=NOBODY if os.geteuid() == 0 else None
    )
    assert check_what_is_left(root, told) == list(range(1, 13))
    assert rows_of_views(RunFolder(root)) == [list(range(1, 13))] * 2


@pytest.mark.parametrize("companion", [True, False])
def test_a10_training_goes_on_when_its_run_folder_is_removed_and_the_loss_is_counted(
    tmp_path: Path, clock: ToldClock, caplog: pytest.LogCaptureFixture, companion: bool
) -> None:
    recorder = TrainingMetricsRecorder(
        tmp_path / "run", save_plots=False, companion=companion, save_interval=5, clock=clock
    )
    for step in range(1, 11):
        record(recorder, step)
    shutil.rmtree(tmp_path / "run")
    with caplog.at_level(logging.WARNING, "kiseki"):
        for step in range(11, 311):
            clock.pass_seconds(1)
            record(recorder, step)
        assert recorder.flush() is False, "rows in a file that nobody can open are not durable"
        assert recorder.refresh() is False
        recorder.close()
    assert recorder.errors > 0
    assert 1 <= len(caplog.records) <= 6, "at most one warning a minute"


@pytest.mark.parametrize("companion", [True, False])
def test_a8_rows_that_are_not_written_are_told_on_the_console_once_a_minute(
    needs_root: None, tmp_path: Path, clock: ToldClock, caplog: pytest.LogCaptureFixture, companion: bool
) -> None:
    with mounted("tmpfs", tmp_path / "disk", "-t", "tmpfs", "-o", "size=32m") as disk:
        recorder = TrainingMetricsRecorder(
            disk / "run", save_plots=False, save_json=False, save_csv=False, companion=companion, clock=clock
        )
        record(recorder, 1)
        filler = fill(disk)
        with caplog.at_level(logging.WARNING, "kiseki"):
            for step in range(2, 302):
                clock.pass_seconds(1)
                record(recorder, step)
        told = [entry.getMessage() for entry in caplog.records if "No space" in entry.getMessage()]
        filler.unlink()
        recorder.close()
    assert 1 <= len(told) <= 6, caplog.text


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO])
def test_a10_a_file_system_that_turns_read_only_is_counted_row_for_row(
    server: Server, tmp_path: Path, error: int
) -> None:
    """What Linux does with ext4 after an error: every write from then on fails."""
    told = server.run("few_rows", tmp_path / "run", Fault(FAIL, at=60, error=error))
    steps = check_what_is_left(tmp_path / "run", told)
    ((dropped, errors),) = told.of("closed")
    assert dropped == 12 - len(steps)
    assert errors > 0
