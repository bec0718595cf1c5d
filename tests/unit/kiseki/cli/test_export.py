"""`kiseki export` writes the record for another program."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Kiseki = Callable[..., Any]


def losses(path: Path) -> list[tuple[int, float]]:
    read = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    return [(event.step, event.value) for event in read.Scalars("train/loss")]


def test_a_folder_gets_a_file_that_tensorboard_finds(recorded: Path, kiseki: Kiseki, tmp_path: Path) -> None:
    answer = kiseki("export", recorded, "--to", "tensorboard", tmp_path / "tb")
    assert (answer.code, answer.err) == (0, "")
    [file] = (tmp_path / "tb").iterdir()
    assert answer.out == f"{file.as_posix()}\n"
    assert [step for step, _ in losses(tmp_path / "tb")] == list(range(1, 21))


def test_a_file_can_be_named(recorded: Path, kiseki: Kiseki, tmp_path: Path) -> None:
    assert kiseki("export", recorded, "--to", "tensorboard", tmp_path / "mine.tfevents").code == 0
    assert losses(tmp_path / "mine.tfevents")[1] == (2, 1.5)


def test_a_name_that_tensorboard_would_not_find_is_refused(recorded: Path, kiseki: Kiseki, tmp_path: Path) -> None:
    answer = kiseki("export", recorded, "--to", "tensorboard", tmp_path / "metrics.log")
    assert answer.code == 2
    assert "tfevents" in answer.err
    assert not (tmp_path / "metrics.log").exists()


def test_a_file_that_stands_there_is_replaced_only_on_demand(recorded: Path, kiseki: Kiseki, tmp_path: Path) -> None:
    file = tmp_path / "a.tfevents"
    file.write_bytes(b"mine")
    refused = kiseki("export", recorded, "--to", "tensorboard", file)
    assert (refused.code, file.read_bytes()) == (2, b"mine")
    assert "--overwrite" in refused.err
    assert kiseki("export", recorded, "--to", "tensorboard", file, "--overwrite").code == 0
    assert len(losses(file)) == 20


def test_an_export_that_takes_long_says_how_far_it_is(
    recorded: Path, kiseki: Kiseki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = itertools.count(step=3.0)
    monkeypatch.setattr("kiseki.cli.progress.time.monotonic", lambda: next(moments))
    answer = kiseki("export", recorded, "--to", "tensorboard", tmp_path / "tb")
    assert answer.err == "exporting / 書き出し中 100 %\n"


def test_a_folder_without_a_run_is_said_so(kiseki: Kiseki, tmp_path: Path) -> None:
    answer = kiseki("export", tmp_path, "--to", "tensorboard", tmp_path / "tb")
    assert answer.code == 2
    assert "no run was recorded here" in answer.err
