"""A recorder's arguments: what is wrong is named before anything is touched, what is right stands in the first line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kiseki import TrainingMetricsRecorder, UsageError
from kiseki.history import read_history


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("save_interval", 0, "save_interval: 0 is not a whole number from 1"),
        ("save_interval", None, "save_interval: None is not a whole number from 1"),
        ("save_interval", True, "save_interval: True is not a whole number from 1"),
        ("save_interval", np.int64(5), r"save_interval: np.int64\(5\) is not a whole number from 1"),
        ("resume_step", -1, "resume_step: -1 is not a whole number from 0"),
        ("max_steps", 2.0, "max_steps: 2.0 is not a whole number from 0"),
        ("rank", 2**60, f"rank: {2**60} is not a whole number from 0"),
        ("run_id", "", "run_id: '' is not 1 to 100 letters"),
        ("run_id", ".hidden", "run_id: '.hidden' is not 1 to 100 letters"),
        ("run_id", "a/b", "run_id: 'a/b' is not 1 to 100 letters"),
        ("run_id", "a" * 101, "is not 1 to 100 letters"),
        ("language", "de", "language: 'de' is not one of 'en', 'ja'"),
        ("criteria", [{"metric": "loss"}], "criteria entry 1: the key 'operator' is missing"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_touched(
    tmp_path: Path, argument: str, value: Any, expected: str
) -> None:
    with pytest.raises(UsageError, match=expected):
        TrainingMetricsRecorder(tmp_path / "run", companion=False, **{argument: value})
    assert list(tmp_path.iterdir()) == []


def first_line(root: Path, **arguments: Any) -> dict[str, Any]:
    recorder = TrainingMetricsRecorder(root, companion=False, save_plots=False, **arguments)
    recorder.close()
    with recorder.folder.journal.open("rb") as journal:
        opened = json.loads(journal.readline())["open"]
    assert isinstance(opened, dict)
    return opened


def test_what_was_not_given_is_an_absent_key_and_the_order_is_fixed(tmp_path: Path) -> None:
    opened = first_line(tmp_path / "least")
    assert list(opened)[-4:] == ["language", "save_interval", "outputs", "side_files"]
    criteria = [{"metric": "loss", "operator": "<", "threshold": 2.0, "when": "final"}]
    opened = first_line(tmp_path / "most", max_steps=0, nonce="", criteria=criteria, language="ja")
    public = ["language", "save_interval", "outputs", "max_steps", "nonce", "criteria", "criteria_sha256", "side_files"]
    assert list(opened)[-8:] == public
    assert (opened["language"], opened["max_steps"], opened["nonce"]) == ("ja", 0, "")


def test_another_rank_says_which_one_it_is_and_keeps_no_side_files(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, rank=3, per_rank=True, config={"secret": 1}, max_steps=5)
    recorder.close()
    opened = read_history(recorder.folder).opened
    assert opened["rank"] == 3
    assert {"max_steps", "language", "config"}.isdisjoint(opened)
    assert opened["side_files"] == {}
