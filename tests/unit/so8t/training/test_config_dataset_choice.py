"""Which training file is used when the configuration leaves it open."""

import os
from pathlib import Path

import pytest

from so8t.errors import DataError
from so8t.training.config_keys import DataConfig
from so8t.training.dataset_choice import training_data_file


def make(path: Path, age: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}\n", encoding="utf-8")
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_a_named_file_wins_over_a_folder(tmp_path: Path) -> None:
    make(tmp_path / "quadruple_thinking_1.jsonl", 0)
    assert training_data_file(DataConfig(train_data="x.jsonl", train_data_dir=str(tmp_path))) == Path("x.jsonl")


def test_the_newest_match_of_the_folder_is_used(tmp_path: Path) -> None:
    make(tmp_path / "quadruple_thinking_b.jsonl", 20)
    newest = make(tmp_path / "quadruple_thinking_a.jsonl", 10)
    make(tmp_path / "other.jsonl", 0)
    (tmp_path / "quadruple_thinking_folder.jsonl").mkdir()
    assert training_data_file(DataConfig(train_data_dir=str(tmp_path))) == newest


def test_of_two_equally_new_files_the_later_name_is_used(tmp_path: Path) -> None:
    make(tmp_path / "quadruple_thinking_1.jsonl", 0)
    later = make(tmp_path / "quadruple_thinking_2.jsonl", 0)
    assert training_data_file(DataConfig(train_data_dir=str(tmp_path))) == later


def test_the_pattern_decides_what_matches(tmp_path: Path) -> None:
    make(tmp_path / "quadruple_thinking_1.jsonl", 0)
    chosen = make(tmp_path / "mine_1.jsonl", 99)
    data = DataConfig(train_data_dir=str(tmp_path), train_data_pattern="mine_*.jsonl")
    assert training_data_file(data) == chosen


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_fallback_is_used_where_nothing_matches(tmp_path: Path, kind: str) -> None:
    chosen = make(tmp_path / "sft" / "records.jsonl", 0)
    fallback = chosen if kind == "file" else chosen.parent
    data = DataConfig(train_data_dir=str(tmp_path / "absent"), fallback_train_data=str(fallback))
    assert training_data_file(data) == chosen


def test_nothing_found_says_where_it_looked(tmp_path: Path) -> None:
    data = DataConfig(train_data_dir=str(tmp_path / "a"), fallback_train_data=str(tmp_path / "b"))
    with pytest.raises(DataError) as caught:
        training_data_file(data)
    assert str(tmp_path / "a") in str(caught.value)
    assert str(tmp_path / "b") in str(caught.value)
    assert "--dataset" in str(caught.value)
