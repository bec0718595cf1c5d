"""`kiseki checkpoint`: one short line that pins history, while training goes on and afterwards."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kiseki import TrainingMetricsRecorder
from kiseki.evidence.checkpoint import parse_checkpoint
from kiseki.evidence.verify import verify_run
from kiseki.history import read_history
from kiseki.run_folder import RunFolder

Kiseki = Callable[..., Any]


def _pins(line: str, folder: RunFolder) -> bool:
    taken = parse_checkpoint(line)
    return hashlib.sha256(folder.journal.read_bytes()[: taken.bytes]).hexdigest() == taken.sha256


def test_a_closed_run_gives_its_last_seal_and_stays_as_it_is(recorded: Path, kiseki: Kiseki) -> None:
    folder = RunFolder(recorded)
    before = folder.journal.read_bytes()
    answer = kiseki("checkpoint", recorded)
    assert (answer.code, answer.err, answer.out.count("\n")) == (0, "", 1)
    assert folder.journal.read_bytes() == before
    assert _pins(answer.out, folder)
    assert parse_checkpoint(answer.out).run_id == read_history(folder).run_id
    assert len(answer.out) < 160


def test_a_run_that_goes_on_gives_its_last_seal_and_is_not_disturbed(tmp_path: Path, kiseki: Kiseki) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False)
    folder = RunFolder(tmp_path)
    recorder.record_step(step=1, epoch=0.0, loss=1.0, learning_rate=1.0)
    recorder.flush()
    recorder.record_step(step=2, epoch=0.0, loss=1.0, learning_rate=1.0)
    answer = kiseki("checkpoint", tmp_path)
    assert answer.code == 0
    assert recorder.record_step(step=3, epoch=0.0, loss=1.0, learning_rate=1.0)
    recorder.close()
    assert _pins(answer.out, folder)
    assert list(read_history(folder).rows.steps) == [1, 2, 3]
    assert verify_run(folder, since=[parse_checkpoint(answer.out)]).exit_code == 0


def test_the_rows_that_a_killed_run_left_unsealed_are_sealed_first(recorded: Path, kiseki: Kiseki) -> None:
    folder = RunFolder(recorded)
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[:8]))  # a row is the last line
    answer = kiseki("checkpoint", recorded)
    assert answer.code == 0
    assert parse_checkpoint(answer.out).bytes == len(b"".join(lines[:8]))
    assert folder.journal.read_bytes().startswith(b"".join(lines[:8]) + b'{"seal":')
    history = read_history(folder)
    assert (history.damage, history.tail_bytes) == ((), 0)
    assert kiseki("checkpoint", recorded).out == answer.out, "sealing again adds nothing"


def test_a_half_written_line_is_left_where_it_is_and_not_counted(recorded: Path, kiseki: Kiseki) -> None:
    folder = RunFolder(recorded)
    torn = folder.journal.read_bytes()[:-30]
    folder.journal.write_bytes(torn)
    answer = kiseki("checkpoint", recorded)
    assert answer.code == 0
    assert folder.journal.read_bytes() == torn
    assert _pins(answer.out, folder)
    assert torn[: parse_checkpoint(answer.out).bytes].endswith(b"\n")


def test_a_copy_without_its_lock_file_can_be_pinned_too(recorded: Path, tmp_path: Path, kiseki: Kiseki) -> None:
    shutil.copytree(recorded, tmp_path / "copy")
    (tmp_path / "copy" / "metrics" / "journal.lock").unlink()
    assert kiseki("checkpoint", tmp_path / "copy").out == kiseki("checkpoint", recorded).out


def test_a_damaged_record_is_not_pinned(recorded: Path, kiseki: Kiseki) -> None:
    folder = RunFolder(recorded)
    folder.journal.write_bytes(folder.journal.read_bytes().replace(b'"loss":3.0', b'"loss":2.0'))
    answer = kiseki("checkpoint", recorded)
    assert (answer.code, answer.out) == (1, "")
    assert "line 3" in answer.err
