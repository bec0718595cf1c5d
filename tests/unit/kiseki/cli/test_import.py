"""`kiseki import` makes a run folder of a Trainer's log and says what became of every record."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki.history import read_history
from kiseki.run_folder import RunFolder

Kiseki = Callable[..., Any]
SAMPLES = Path(__file__).parents[3] / "golden" / "trainer_state"


def test_it_counts_at_both_ends_and_names_the_next_command(kiseki: Kiseki, tmp_path: Path) -> None:
    run = tmp_path / "run"
    answer = kiseki("import", SAMPLES / "resumed", run, "--model-name", "tiny", "--lang", "ja")
    assert answer.code == 0
    read, *others, taken, written, following = answer.out.splitlines()
    assert read.startswith("read:    8 records in trainer_state.json, ")
    assert len(others) == 3
    assert taken.startswith("taken:   5 training rows, 2 evaluations, 1 summaries, 0 joined")
    assert taken.endswith("0 not taken")
    assert written.startswith("written: 5 training rows and 2 evaluations that count")
    assert following == f"next: kiseki report {run.as_posix()}"
    # on a slow machine it also says how far it is
    assert all(line.startswith(("kiseki: warning: ", "importing / ")) for line in answer.err.splitlines())
    opened = read_history(RunFolder(run)).opened
    assert (opened["model_name"], opened["language"]) == ("tiny", "ja")
    assert kiseki("report", run, "--format", "json,csv").code == 0
    report = json.loads(next(RunFolder(run).reports.glob("*.json")).read_bytes())
    assert report["model_info"]["name"] == "tiny"


def test_a_log_that_was_cut_off_is_imported_and_the_loss_is_a_warning(kiseki: Kiseki, tmp_path: Path) -> None:
    source = tmp_path / "trainer_state.json"
    source.write_bytes((SAMPLES / "transformers_4_2x.json").read_bytes()[:900])
    answer = kiseki("import", source, tmp_path / "run")
    assert answer.code == 0
    assert "is damaged: reading stopped at byte" in answer.err


def test_an_import_that_takes_long_says_how_far_it_is(
    kiseki: Kiseki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = itertools.count(step=3.0)
    monkeypatch.setattr("kiseki.cli.progress.time.monotonic", lambda: next(moments))
    answer = kiseki("import", SAMPLES / "transformers_4_0.json", tmp_path / "run")
    told = [line for line in answer.err.splitlines() if line.startswith("importing / 取り込み中 ")]
    assert told[-1].endswith(" 100 %")
    assert len(told) > 5


@pytest.mark.parametrize(
    "words",
    [
        ["import"],
        ["import", "{sample}"],
        ["import", "{missing}", "{run}"],
        ["import", "{text}", "{run}"],
        ["import", "{empty}", "{run}"],
        ["import", "{sample}", "{taken}"],
        ["import", "{sample}", "{text}"],
        ["import", "{sample}", "{text}/below"],
        ["import", "{sample}", "{run}", "--lang", "fr"],
    ],
)
def test_wrong_use_is_one_line_and_exit_2_and_nothing_is_written(
    kiseki: Kiseki, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "text").write_text("no log", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    shutil.copytree(SAMPLES / "resumed", tmp_path / "taken")
    names = ("missing", "text", "empty", "taken", "run")
    places = {"sample": SAMPLES / "transformers_4_0.json", **{name: tmp_path / name for name in names}}
    before = sorted(tmp_path.rglob("*"))
    answer = kiseki(*(word.format(**places) for word in words))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("kiseki: error: ")
    assert answer.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_hostile_names_do_not_steer_the_terminal(kiseki: Kiseki, tmp_path: Path) -> None:
    source = tmp_path / "a\x1b[2Jb.json"
    source.write_text(json.dumps({"log_history": [{"loss": 1.0, "\x1b[31m": 2.0, "step": 1}]}), encoding="utf-8")
    answer = kiseki("import", source, tmp_path / "run")
    assert answer.code == 0
    assert "\x1b" not in answer.out + answer.err
